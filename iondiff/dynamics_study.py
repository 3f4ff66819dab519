"""Dense carriers by molecular dynamics: a potential and a structure in, D(T) and conductivity out."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

import iondiff
import kmc
from iondiff.analysis import NotDiffusiveError, conductivity, diffusivity
from iondiff.dynamics import run
from iondiff.errors import ConfigError
from iondiff.files import write_atomically, write_json
from iondiff.potentials import HDNNP, Committee, GuestNNP, load
from iondiff.run_folder import RunFolder
from iondiff.sampling.calculators import make_calculator
from iondiff.structures import read_structure
from iondiff.studies import DynamicsStudy, PotentialSection, Progress, keep_configuration, steps_of

OUTPUTS = ("diffusivity.csv", "summary.json")
#: Frames of a trajectory whose symmetry functions are held against the range of the training.
_CHECKED_FRAMES = 20


def run_dynamics_study(
    study: DynamicsStudy,
    config_path: Path,
    output: Path,
    *,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Fill a run folder with trajectories and what they say, and return the summary.

    Parameters
    ----------
    study
        From :func:`iondiff.studies.read_study`.
    config_path
        Where it came from; a copy is kept.
    output
        Run folder; started again, trajectories go on where they stopped, to the same bits.
    progress
        Called with (temperature, steps done, steps in all).
    say
        Called with what the user should know at once, such as the code of a calculator that is run.
    executor
        Where temperatures are run, instead of here one after another; its workers need the same files.
    """
    atoms = structure_of(study)
    with RunFolder(output) as folder:
        folder.log(f"diffusion-network {iondiff.__version__}, process {os.getpid()} on {platform.node()}")
        keep_configuration(config_path, output / "config.toml", study)
        if study.potential.calculator:
            told = f"code of {study.potential.calculator} is run, with {study.potential.calculator_kwargs}"
            folder.log(told)
            say(told)
        try:
            rows = _rows(study, atoms, output.resolve(), progress, folder.log, executor)
            table = pd.DataFrame(rows)
            write_atomically(output / "diffusivity.csv", table.to_csv(index=False))
            summary = _summary(study, atoms, table)
            write_json(output / "summary.json", summary)
        except BaseException as error:
            folder.log(f"stopped: {type(error).__name__}: {error}")
            raise
        key = hashlib.sha256(study.model_dump_json().encode()).hexdigest()
        folder.mark_done("dynamics", key, OUTPUTS, None)
        folder.log("finished")
    return summary


def structure_of(study: DynamicsStudy) -> Atoms:
    """The repeated structure.

    Raises
    ------
    ConfigError
        The carrier is none of its elements.
    """
    atoms: Atoms = read_structure(study.structure.file).repeat(study.structure.repeat)
    wanted = study.analysis.species
    present = sorted(set(atoms.get_chemical_symbols()))
    if wanted and wanted not in present:
        raise ConfigError(f"analysis.species is {wanted!r}; the structure has {', '.join(present)}")
    return atoms


def potential_of(section: PotentialSection) -> Any:
    """The potential, or the calculator.

    Raises
    ------
    ConfigError
        Both are named, or neither; or it is a guest's potential, which knows no forces on the host.
    """
    if (section.file is None) == (not section.calculator):
        raise ConfigError("wanted one of potential.file and potential.calculator, not both")
    if section.file is None:
        return make_calculator(section.calculator, section.calculator_kwargs)
    potential = load(section.file, section.units)
    if isinstance(potential, GuestNNP):
        raise ConfigError(
            f"potential.file {section.file} is of a guest in a fixed host; molecular dynamics needs one of all atoms"
        )
    return potential


def _rows(
    study: DynamicsStudy, atoms: Atoms, folder: Path, progress: Progress, log: Callable[[str], None],
    executor: Executor | None,
) -> list[dict[str, Any]]:  # fmt: skip
    temperatures = study.dynamics.temperatures
    rows: dict[int, dict[str, Any]] = {}
    if executor is None:
        for place in range(len(temperatures)):
            rows[place] = one_temperature(study, atoms, folder, place, progress)
            log(_told(rows[place]))
    else:
        futures = {
            executor.submit(one_temperature, study, atoms, folder, place): place
            for place in range(len(temperatures))
        }
        for future in as_completed(futures):
            rows[futures[future]] = future.result()
            log(_told(rows[futures[future]]))
            progress("temperatures", len(rows), len(temperatures))
    return [rows[place] for place in range(len(temperatures))]


def _told(row: dict[str, Any]) -> str:
    return f"{row['temperature']:g} K: D = {row['D']} ± {row['D_error']} cm²/s {row['note']}"


def one_temperature(
    study: DynamicsStudy, atoms: Atoms, folder: Path, place: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Equilibrate, run, measure: a row of D(T)."""
    settings, kelvin = study.dynamics, study.dynamics.temperatures[place]
    potential = potential_of(study.potential)
    home = folder / f"{kelvin:g}K"
    home.mkdir(parents=True, exist_ok=True)
    seeds = np.random.SeedSequence([study.seed, place]).generate_state(2)
    shared: dict[str, Any] = {
        "ensemble": settings.ensemble, "timestep_fs": settings.timestep_fs, "temperature": kelvin,
        "pressure_GPa": settings.pressure_GPa if settings.ensemble.startswith("npt") else 0.0,
    }  # fmt: skip
    first = steps_of(settings.equilibration_ps, settings.timestep_fs)
    steps = steps_of(settings.production_ps, settings.timestep_fs)
    if first:
        every = max(settings.every, first // 100)
        watch = partial(_watched, progress, f"{kelvin:g} K", 0, first + steps) if progress else None
        atoms = run(
            atoms, potential, n_steps=first, seed=int(seeds[0]), trajectory=home / "equilibration.iontraj",
            every=every, watch=watch, **shared,
        ).atoms  # fmt: skip
    watch = partial(_watched, progress, f"{kelvin:g} K", first, first + steps) if progress else None
    production = run(
        atoms, potential, n_steps=steps, seed=int(seeds[1]), trajectory=home / "production.iontraj",
        every=settings.every, watch=watch, **shared,
    )  # fmt: skip
    if progress:
        progress(f"{kelvin:g} K", first + steps, first + steps)
    return {"temperature": kelvin, **_measured(study, production, kelvin), **_ranges(potential, production)}


def _watched(progress: Progress, name: str, before: int, total: int, atoms: Atoms) -> None:
    progress(name, before + int(atoms.info.get("step", 0)), total)


def _measured(study: DynamicsStudy, production: Any, kelvin: float) -> dict[str, Any]:
    """D and conductivity; what is too short for its own error bar is kept, with a note that says so."""
    frames = production.frames().for_analysis()
    spacing = study.dynamics.every * study.dynamics.timestep_fs * 1e-3
    species = study.analysis.species or None
    D, error, note = _estimated(partial(diffusivity, frames, spacing, species=species))
    row: dict[str, Any] = {"D": D, "D_error": error, "method": "md"}
    if study.analysis.charge:
        value, its_error, its_note = _estimated(
            partial(conductivity, frames, spacing, kelvin, charges=study.analysis.charge, species=species)
        )
        row |= {"conductivity_S_cm": value, "conductivity_error": its_error}
        note = note or its_note
    return {**row, "note": note}


def _estimated(measure: Callable[[], Any]) -> tuple[float | None, float | None, str]:
    try:
        found, note = measure(), ""
    except NotDiffusiveError as error:
        found, note = error.estimate, str(error)
    numbers = [float(x) if np.isfinite(x) else None for x in (found.value, found.error)]
    return numbers[0], numbers[1], note


def _ranges(potential: Any, production: Any) -> dict[str, Any]:
    """How many of the looked-at frames have a symmetry function outside the range of the training."""
    if not isinstance(potential, HDNNP | Committee):
        return {}
    frames = production.frames()
    places = np.unique(np.linspace(0, len(frames) - 1, _CHECKED_FRAMES).astype(int))
    found = potential.evaluate([frames[int(place)] for place in places])
    return {"frames_out_of_range": float(np.mean([bool(answer.extrapolations) for answer in found]))}


def _summary(study: DynamicsStudy, atoms: Atoms, table: pd.DataFrame) -> dict[str, Any]:
    usable = table[(table["note"] == "") & (table["D"].astype(float) > 0)]
    fit = kmc.fit_arrhenius(usable) if usable["temperature"].nunique() > 1 else None
    return {
        "study": "dynamics",
        "formula": str(atoms.symbols),
        "species": study.analysis.species or "all atoms",
        "temperatures_measured": len(usable),
        "activation_energy_eV": None if fit is None else float(fit.Ea),
        "activation_energy_error_eV": None
        if fit is None or not np.isfinite(fit.Ea_error)
        else float(fit.Ea_error),
        "D0_cm2_s": None if fit is None else float(fit.D0),
    }


def plan_rows(study: DynamicsStudy, *, measure: bool = True) -> list[dict[str, Any]]:
    """Steps and seconds at each temperature; the potential is timed on the structure."""
    settings, atoms = study.dynamics, structure_of(study)
    steps = steps_of(settings.equilibration_ps, settings.timestep_fs)
    steps += steps_of(settings.production_ps, settings.timestep_fs)
    each = 0.0
    potential = potential_of(study.potential)
    if measure:
        run(atoms, potential, "nve", settings.timestep_fs, 2, every=1)
        began = time.perf_counter()
        run(atoms, potential, "nve", settings.timestep_fs, 10, every=10)
        each = (time.perf_counter() - began) / 10
    return [
        {"temperature": kelvin, "atoms": len(atoms), "steps": steps, "seconds": steps * each}
        for kelvin in settings.temperatures
    ]
