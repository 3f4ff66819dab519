"""A melt-quench from a configuration: start, potential, protocol at several rates, samples, report.

What ``diffusion-network quench`` does, for those who want it from Python.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from iondiff.analysis.glass import GlassReport, glass_report
from iondiff.analysis.vibrations import harmonic_vibrations
from iondiff.dynamics import Quenched, quench_series, relax, run
from iondiff.errors import PlotError, PotentialError
from iondiff.potentials import ZBL, Committee, GuestNNP, Hybrid, StillingerWeber, load
from iondiff.potentials.compiled_calculator import species_indices
from iondiff.potentials.tersoff import Tersoff
from iondiff.quench_config import PotentialSection, QuenchConfig, ReportSection
from iondiff.sampling.calculators import make_calculator
from iondiff.structures import read_structure

_BUILT_IN = {"stillinger-weber": StillingerWeber, "tersoff": Tersoff}
_TRIAL_SECONDS = 2.0


@dataclass(frozen=True)
class PotentialMaker:
    """Makes the potential of a configuration in whichever process needs it."""

    section: PotentialSection

    def __call__(self) -> Any:
        """A compiled potential or an ASE calculator.

        Raises
        ------
        PotentialError, CalculatorError
            The file is no potential for all atoms; the calculator cannot be imported or made.
        """
        given = self.section
        if given.calculator:
            return make_calculator(given.calculator, given.calculator_kwargs)
        if given.built_in is not None:
            return _BUILT_IN[given.built_in]()
        found = load(given.file)  # type: ignore[arg-type]
        if isinstance(found, GuestNNP):
            raise PotentialError(f"{given.file} is the potential of a guest; wanted one for all atoms")
        if given.one_member and isinstance(found, Committee):
            found = found.members[0]
        if not given.core:
            return found
        return Hybrid(found, ZBL(found.species, given.core_inner_A, given.core_outer_A))


@dataclass(frozen=True)
class PlannedRate:
    """What one rate will cost.

    Attributes
    ----------
    rate_K_per_s, samples
        Of the configuration.
    steps
        Of one sample: melt (where its first stage is enough), quench and anneal.
    seconds
        Of one sample on one core, from some steps made now.
    """

    rate_K_per_s: float
    samples: int
    steps: int
    seconds: float


def plan_quench(config: QuenchConfig) -> list[PlannedRate]:
    """Steps and expected time of every rate, from a trial of two seconds; nothing is written."""
    atoms, potential = config.starts()[0], PotentialMaker(config.potential)()
    check_species(atoms, potential)
    protocols = config.protocols()
    first = protocols[0]
    settings: dict[str, Any] = {
        "temperature": first.final_K,
        "timestep_fs": first.timestep_fs,
        "seed": config.seed,
    }
    steps, seconds = 10, 0.0
    run(atoms, potential, "langevin", n_steps=5, **settings)  # compiles
    while seconds < _TRIAL_SECONDS:
        begin = time.perf_counter()
        run(atoms, potential, "langevin", n_steps=steps, every=steps, **settings)
        seconds, done, steps = time.perf_counter() - begin, steps, 3 * steps
    return [
        PlannedRate(
            one.rate_K_per_s, config.protocol.samples, one.expected_steps, one.expected_steps * seconds / done
        )
        for one in protocols
    ]


def check_species(atoms: Atoms, potential: Any) -> None:
    """Refuse elements that a compiled potential does not know, before anything is written."""
    if hasattr(potential, "species"):
        species_indices(atoms.get_chemical_symbols(), tuple(potential.species))


def quench(
    config: QuenchConfig,
    output: str | Path,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool = False,
) -> dict[float, GlassReport]:
    """Make all glasses of a configuration and describe them; killed and called again it goes on.

    Parameters
    ----------
    config
        See :func:`iondiff.quench_config.read_quench_config`.
    output
        Folder: ``protocol-0/sample-0`` and so on with everything of each quench, ``glasses.extxyz``, and for each
        rate a folder ``report-1e+14`` with ``samples.csv``, ``averages.csv``, ``curves.json`` and ``report.svg``.
    workers, executor, progress
        See :func:`iondiff.dynamics.quench_series`.

    Returns
    -------
    dict
        Rate (K/s) -> report.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    maker, starts = PotentialMaker(config.potential), config.starts()
    potential = maker()
    check_species(starts[0], potential)
    made = quench_series(
        starts,
        maker,
        config.protocols(),
        output,
        config.protocol.samples,
        config.seed,
        workers,
        executor,
        progress,
    )
    ase.io.write(output / "glasses.extxyz", [_labelled(one) for one in made], format="extxyz")
    crystal = None
    if config.report.crystal is not None:
        reference = read_structure(config.report.crystal)
        crystal = relax(reference, potential)[1] / len(reference)
    reports = {}
    for k, rate in enumerate(config.protocol.rates_K_per_s):
        group = made[k * len(starts) : (k + 1) * len(starts)]
        reports[rate] = _report(group, config.report, potential, crystal, output / f"report-{rate:g}")
    return reports


def _labelled(made: Quenched) -> Atoms:
    atoms = Atoms(made.atoms.symbols, made.atoms.positions, cell=made.atoms.cell, pbc=True)
    atoms.wrap()
    atoms.info = {"rate_K_per_s": made.protocol.rate_K_per_s, "energy_eV": made.energy_eV}
    if made.warnings:
        atoms.info["warnings"] = "; ".join(made.warnings)
    return atoms


def _report(
    made: list[Quenched], asked: ReportSection, potential: Any, crystal: float | None, folder: Path
) -> GlassReport:
    frames = [one.atoms for one in made]
    vibrations = None
    if asked.vibrations:
        source = potential.calculator() if hasattr(potential, "compiled") else potential
        vibrations = [harmonic_vibrations(atoms, source) for atoms in frames]
    report = glass_report(
        frames, asked.cutoff_A, expected=asked.expected, energies_eV=[one.energy_eV for one in made],
        crystal_eV=crystal, units=asked.polyhedra, vibrations=vibrations,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    report.write(folder)
    with contextlib.suppress(PlotError):  # matplotlib is an extra
        report.plot(folder / "report.svg")
    return report
