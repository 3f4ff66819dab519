"""Amorphous models: melt, check that it melted, cool at a stated rate, anneal, relax; resumable anywhere.

Each stage is a :func:`iondiff.dynamics.run` with its own trajectory and checkpoint in one folder. Called again with
the same arguments, finished stages are read back and the one that was interrupted goes on, to the same bits.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms, units

from iondiff.analysis.structure import order
from iondiff.dynamics._quench_progress import QuenchProgress
from iondiff.dynamics._setup import check_structure
from iondiff.dynamics.ensembles import Ensemble, as_ensemble
from iondiff.dynamics.relaxation import relax
from iondiff.dynamics.runner import Run, run
from iondiff.dynamics.schedules import Ramp
from iondiff.errors import DynamicsError
from iondiff.files import write_json

_MOST_STEPS = 10_000_000_000  # years of a fast potential
_CRYSTAL = 0.25  # of the strongest possible Bragg peak
# In a glass the power of one wave is exponential with mean S(q) n, S some 2 at the first peak, where some 150 waves
# stand: in one glass of a thousand the strongest passes this, over n.
_CHANCE = 24.0


@dataclass(frozen=True)
class Protocol:
    """What is done to the atoms.

    Attributes
    ----------
    melt_K, final_K
        Temperatures of the melt and of the end.
    rate_K_per_s
        Cooling rate, 1e10 to 1e16.
    melt_ps
        Time in the melt before its check, and between further checks.
    most_melt_ps
        After so long in the melt without having melted it is given up.
    anneal_ps
        Time at the final temperature.
    timestep_fs
        fs.
    ensemble
        ``"npt"``, ``"nvt"`` or any other of :func:`iondiff.dynamics.run`.
    pressure_GPa
        Where the cell moves.
    every
        Steps between frames of the trajectories.
    melted_A
        Å: root-mean-square displacement within the second half of a check of the melt that only a liquid has.
    relax_eV_A
        eV/Å, largest force after relaxation at constant cell; 0 leaves relaxation out.
    """

    melt_K: float = 3000.0
    final_K: float = 300.0
    rate_K_per_s: float = 1e13
    melt_ps: float = 10.0
    most_melt_ps: float = 50.0
    anneal_ps: float = 10.0
    timestep_fs: float = 1.0
    ensemble: str | Ensemble = "npt"
    pressure_GPa: float = 0.0
    every: int = 200
    melted_A: float = 1.5
    relax_eV_A: float = 0.01

    def __post_init__(self) -> None:
        positive = ("melt_K", "final_K", "rate_K_per_s", "melt_ps", "timestep_fs", "melted_A")
        for name in (*positive, "most_melt_ps", "anneal_ps", "relax_eV_A"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0) or (
                name in positive and value == 0
            ):
                raise DynamicsError(f"{name} is {value!r}; wanted a positive number")
        if self.melt_K <= self.final_K:
            raise DynamicsError(f"melt_K is {self.melt_K} and final_K {self.final_K}; wanted the melt hotter")
        if self.quench_steps > _MOST_STEPS or self.quench_steps < 10:
            raise DynamicsError(
                f"cooling from {self.melt_K:g} to {self.final_K:g} K at {self.rate_K_per_s:g} K/s takes "
                f"{self.quench_steps:.3g} steps of {self.timestep_fs:g} fs; wanted 10 to {_MOST_STEPS:.0e}: change the "
                "rate or the time step"
            )

    @property
    def ramp(self) -> Ramp:
        """Temperature during the quench."""
        return Ramp.rate(self.melt_K, self.final_K, self.rate_K_per_s)

    @property
    def quench_steps(self) -> int:
        """Steps of the quench."""
        return math.ceil((self.melt_K - self.final_K) / self.rate_K_per_s * 1e15 / self.timestep_fs - 1e-9)

    @property
    def melt_steps(self) -> int:
        """Steps of one stage of the melt."""
        return max(2 * self.every, round(self.melt_ps * 1e3 / self.timestep_fs))

    @property
    def anneal_steps(self) -> int:
        """Steps of the anneal."""
        return round(self.anneal_ps * 1e3 / self.timestep_fs)

    @property
    def expected_steps(self) -> int:
        """Of all stages, where the first stage of the melt is enough."""
        return self.melt_steps + self.quench_steps + self.anneal_steps


@dataclass(frozen=True)
class Quenched:
    """An amorphous model and how it came to be.

    Attributes
    ----------
    atoms
        Relaxed (at the end of the anneal where relaxation was left out).
    protocol
        What was done.
    energy_eV
        Potential energy of `atoms`.
    log
        All stages one behind the other, with a column `stage`.
    warnings
        Sentences: crystallised, still drifting.
    folder
        Where the stages are.
    """

    atoms: Atoms
    protocol: Protocol
    energy_eV: float
    log: pd.DataFrame
    warnings: tuple[str, ...]
    folder: Path


def melt_quench(
    atoms: Atoms,
    potential: Any,
    protocol: Protocol,
    folder: str | Path,
    seed: int = 0,
    progress: bool = False,
    **options: Any,
) -> Quenched:
    """Melt, quench, anneal and relax `atoms`; killed and called again it goes on.

    Parameters
    ----------
    atoms
        A crystal's supercell or a :func:`iondiff.dynamics.random_packing`.
    potential
        As of :func:`iondiff.dynamics.run`; `atoms.calc` when None. Close encounters of the hot melt need a potential
        that repels: add a core with :class:`iondiff.potentials.Hybrid` to one that was not trained there.
    protocol
        What is done.
    folder
        For trajectories, checkpoints and `quenched.json`; made where absent.
    seed
        Of velocities and thermostats; another seed gives an independent sample.
    progress
        Whether to show a bar with the time left; ``progress.json`` in the folder always says it.
    options
        Passed on to :func:`iondiff.dynamics.run`, for example `max_temperature` or `checkpoint_seconds`.

    Raises
    ------
    DynamicsError
        The melt did not melt within `most_melt_ps`.
    MDUnstable, HostError, PotentialError
        As of :func:`iondiff.dynamics.run`.
    """
    potential = atoms.calc if potential is None else potential  # later stages begin with atoms that have none
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ensemble = as_ensemble(protocol.ensemble)
    check_structure(atoms, open_boundaries=False, moves_cell=ensemble.moves_cell)
    shared: dict[str, Any] = {
        "ensemble": ensemble, "timestep_fs": protocol.timestep_fs, "every": protocol.every,
        "pressure_GPa": protocol.pressure_GPa if ensemble.moves_cell else 0.0,
    } | options  # fmt: skip
    seen = shared.pop("watch", None)

    with QuenchProgress(folder, protocol.expected_steps, progress) as bar:

        def stage(name: str, start: Atoms, number: int, n_steps: int, temperature: float | Ramp) -> Run:
            # A stage's own seed: the same noise in two stages would correlate them.
            child = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            made = run(
                start, potential, seed=child, trajectory=folder / f"{name}.iontraj", n_steps=n_steps,
                temperature=temperature, watch=bar.watch(name, n_steps, seen), **shared,
            )  # fmt: skip
            bar.finished(n_steps)
            return made

        melt, logs = _melt(atoms, protocol, stage)
        quench = stage("quench", melt.atoms, 1000, protocol.quench_steps, protocol.ramp)
        logs.append(quench.log.assign(stage="quench"))
        final = quench.atoms
        if protocol.anneal_ps > 0:
            anneal = stage("anneal", final, 1001, protocol.anneal_steps, protocol.final_K)
            logs.append(anneal.log.assign(stage="anneal"))
            final = anneal.atoms
    relaxed, energy, steps = relax(final, potential, protocol.relax_eV_A)
    warnings = _judge(relaxed, logs, protocol)
    if protocol.relax_eV_A > 0 and steps < 0:
        warnings.append(f"forces did not fall below {protocol.relax_eV_A:g} eV/Å while relaxing")
    write_json(
        folder / "quenched.json",
        {"protocol": asdict(protocol), "seed": seed, "energy_eV": energy, "warnings": warnings},
    )
    return Quenched(relaxed, protocol, energy, pd.concat(logs, ignore_index=True), tuple(warnings), folder)


def _melt(atoms: Atoms, protocol: Protocol, stage: Any) -> tuple[Run, list[pd.DataFrame]]:
    """Hold the melt until atoms have left their neighbours within half a stage; then it is a liquid."""
    logs: list[pd.DataFrame] = []
    moved = 0.0
    for number in range(max(1, math.ceil(protocol.most_melt_ps / protocol.melt_ps - 1e-9))):
        name = f"melt-{number}"
        melt = stage(name, atoms, number, protocol.melt_steps, protocol.melt_K)
        logs.append(melt.log.assign(stage=name))
        frames = melt.frames()
        pair = frames[len(frames) // 2], frames[-1]
        # In the lattice of the last frame: a cell that breathes moves nobody.
        begin, end = (frame.get_scaled_positions(wrap=False) for frame in pair)
        shift = (end - begin) @ pair[1].cell.array
        shift -= shift.mean(axis=0)
        moved = float(np.sqrt((shift**2).sum(axis=1).mean()))
        half = melt.log["potential_eV"].to_numpy()[len(melt.log) // 2 :]
        first, second = np.array_split(half, 2)
        settled = abs(first.mean() - second.mean()) < 3.0 * max(first.std(), second.std(), 1e-12)
        if moved > protocol.melted_A and settled:
            return melt, logs
        atoms = melt.atoms
    raise DynamicsError(
        f"after {protocol.most_melt_ps:g} ps at {protocol.melt_K:g} K the melt has not settled as a liquid: atoms "
        f"moved {moved:.2f} Å in the last {protocol.melt_ps / 2:g} ps (wanted more than melted_A="
        f"{protocol.melted_A:g} Å), or the energy still drifts; melt hotter or longer"
    )


def _judge(relaxed: Atoms, logs: list[pd.DataFrame], protocol: Protocol) -> list[str]:
    warnings = []
    strength, limit = order(relaxed), max(_CRYSTAL, _CHANCE / len(relaxed))
    if strength > limit and limit < 0.75:
        warnings.append(
            f"the result is crystalline: its strongest Bragg peak has {strength:.0%} of what a perfect crystal's has; "
            "cool faster"
        )
    last = logs[-1]
    if last["stage"].iloc[-1] == "anneal" and len(last) >= 20:
        parts = np.array_split(last["potential_eV"].to_numpy()[len(last) // 2 :], 2)
        change = abs(parts[0].mean() - parts[1].mean()) / len(relaxed)
        if change > 0.1 * units.kB * protocol.final_K and change > 3.0 * parts[0].std() / len(relaxed):
            warnings.append(
                f"the energy still drifts in the anneal ({1e3 * change:.2g} meV/atom); anneal longer"
            )
    return warnings
