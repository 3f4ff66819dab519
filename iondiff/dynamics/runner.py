"""The door: one call, one run, which can be killed at any moment and goes on to the same bits."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms, units
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from iondiff.dynamics import _checkpoint, _loop
from iondiff.dynamics._arguments import Watch, check_numbers, extrapolation_watch, schedules
from iondiff.dynamics._drivers import Driver, make_driver
from iondiff.dynamics._integrators import (
    BAD_VOLUME,
    FINE,
    KINETIC,
    LOST,
    NOT_FINITE,
    POTENTIAL,
    TOO_FAR,
    TOO_HOT,
    Rules,
    State,
    at_time,
    pressure,
    volume,
)
from iondiff.dynamics._result import Run
from iondiff.dynamics._setup import check_structure, make_rules, make_state, structure_digest
from iondiff.dynamics.ensembles import Ensemble, as_ensemble
from iondiff.dynamics.schedules import Ramp
from iondiff.dynamics.trajectory import Trajectory, TrajectoryWriter, make_header
from iondiff.errors import DynamicsError, MDUnstable

_CHUNK_BYTES = 512 * 1024  # of positions in a chunk of a trajectory: what a torn end can lose
_CALL_SECONDS = 0.3  # in compiled code without a look at the keyboard


@dataclass
class _Job:
    """A run in progress."""

    atoms: Atoms
    driver: Driver
    rules: Rules
    state: State
    ensemble: Ensemble
    n_steps: int
    every: int
    log_every: int
    rows: list[np.ndarray]
    writer: TrajectoryWriter | None = None
    keep_velocities: bool = False
    checkpoint: Path | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    checkpoint_seconds: float = 30.0
    watch: Watch | None = None
    unstable: Path | None = None
    begin: float = field(default_factory=time.perf_counter)
    saved: float = field(default_factory=time.monotonic)

    def current(self) -> Atoms:
        """The configuration as ASE atoms."""
        atoms: Atoms = self.atoms.copy()
        atoms.set_constraint()
        atoms.positions[:] = self.state.positions
        atoms.cell[:] = self.state.cell
        atoms.set_velocities(self.state.velocities)
        atoms.info["step"] = int(self.state.counter[0])
        atoms.set_constraint([constraint.copy() for constraint in self.atoms.constraints])
        return atoms

    def result(self) -> Run:
        """What there is so far."""
        memory = self.driver.memory()
        return Run(
            self.current(), self.table(), None if self.writer is None else self.writer.path,
            int(self.state.counter[0]), time.perf_counter() - self.begin,
            int(memory["builds"][0]) if memory else 0,
        )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """The log in the user's units."""
        rows = np.concatenate(self.rows) if self.rows else np.zeros((0, _loop.COLUMNS))
        step_fs = self.rules.reals[0] / units.fs
        freedom = int(self.rules.integers[2])
        columns = {
            "step": rows[:, 0].astype(np.int64),
            "time_ps": rows[:, 0] * step_fs * 1e-3,
            "temperature_K": 2.0 * rows[:, 2] / (freedom * units.kB),
            "potential_eV": rows[:, 1],
            "kinetic_eV": rows[:, 2],
            "volume_A3": rows[:, 4],
        }
        if self.driver.has_pressure and (rows[:, 4] > 0).all():
            columns["pressure_GPa"] = rows[:, 5] / units.GPa
        if self.ensemble.thermostated:
            columns["target_K"] = rows[:, 6] / units.kB
        if not self.ensemble.moves_cell:
            columns["conserved_eV"] = rows[:, 1] + rows[:, 2] - rows[:, 3]
        return pd.DataFrame(columns)


def run(
    atoms: Atoms,
    potential: Any = None,
    ensemble: str | Ensemble = "nvt",
    timestep_fs: float = 1.0,
    n_steps: int | None = None,
    temperature: float | tuple[float, float] | Ramp | None = None,
    pressure_GPa: float | tuple[float, float] | Ramp = 0.0,
    seed: int = 0,
    trajectory: str | Path | None = None,
    every: int = 100,
    checkpoint: str | Path | None = None,
    *,
    log_every: int | None = None,
    velocities: bool = False,
    precision_A: float = 1e-6,
    fix_centre_of_mass: bool = True,
    open_boundaries: bool = False,
    skin_A: float = 0.8,
    max_temperature: float | None = None,
    volume_bounds: tuple[float, float] = (0.3, 3.0),
    longest_move_A: float = 0.5,
    watch: Watch | None = None,
    max_extrapolations: int | None = None,
    unstable_frames: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    progress: bool = False,
) -> Run:
    """Molecular dynamics of `atoms`, which are left as they were.

    Parameters
    ----------
    atoms
        Structure. Its velocities are used if it has any, else Maxwell's at the first temperature; `FixAtoms`
        is kept.
    potential
        A compiled potential (nothing returns to Python between frames) or an ASE calculator; `atoms.calc`
        when not given.
    ensemble
        ``"nve"``, ``"nvt"`` (Bussi), ``"langevin"``, ``"nose-hoover"``, ``"npt"``, ``"npt-anisotropic"``,
        ``"npt-flexible"``, or an :class:`iondiff.dynamics.Ensemble` with times of one's own.
    timestep_fs
        fs.
    n_steps
        How many; a ramp with a duration of its own (:meth:`Ramp.rate`, :meth:`Ramp.table`) decides it when
        not given.
    temperature, pressure_GPa
        K and GPa; a number, a pair (start, stop) over the run, or a :class:`iondiff.dynamics.Ramp`.
    seed
        The same seed gives the same trajectory.
    trajectory
        File for the frames; see :class:`iondiff.dynamics.Trajectory`.
    every
        Steps between frames.
    checkpoint
        File; ``<trajectory>.checkpoint`` when not given. Where it exists the run goes on from it.
    log_every
        Steps between rows of the log; `every` when not given.
    velocities
        Whether frames hold them (for spectra), in single precision.
    precision_A
        Å, of the positions in frames; checkpoints hold all digits.
    fix_centre_of_mass
        Whether the centre of mass rests; never so with fixed atoms.
    open_boundaries
        Allow a structure that is periodic nowhere.
    skin_A
        Å, of the neighbour list.
    max_temperature, volume_bounds, longest_move_A
        Bounds: K (generous when not given), ratios to the first volume, Å in one step.
    watch
        Called with every frame; a sentence stops the run with it as the reason.
    max_extrapolations
        Of an :class:`iondiff.potentials.HDNNP` or a committee of them: the run stops at a frame where more
        symmetry functions than this (all atoms together) are outside the range of the training.
    unstable_frames
        Extended XYZ for the last good and the offending configuration of a run that left its bounds, for
        labelling.
    checkpoint_seconds
        Seconds between checkpoints.
    progress
        Whether to show a bar.

    Returns
    -------
    Run

    Raises
    ------
    MDUnstable
        The run left its bounds; the exception carries what there is.
    HostError, PotentialError, CalculatorError, DynamicsError
        The structure, the potential or an argument cannot be used; the sentence says why.
    """
    rules_of = as_ensemble(ensemble)
    check_structure(atoms, open_boundaries, rules_of.moves_cell)
    warm, squeezed = schedules(rules_of, temperature, pressure_GPa)
    steps = check_numbers(timestep_fs, n_steps, every, log_every, precision_A, skin_A, seed, warm, squeezed)
    length_ps = steps * timestep_fs * 1e-3
    rules = make_rules(
        atoms, rules_of, timestep_fs, length_ps, warm, squeezed, fix_centre_of_mass,
        (max_temperature, volume_bounds, longest_move_A),
    )  # fmt: skip
    driver = make_driver(potential, atoms, skin_A, rules_of.moves_cell)
    state = make_state(atoms, rules, float(rules.temperatures[0, 1]), seed)
    if max_extrapolations is not None:
        watch = extrapolation_watch(potential, atoms, max_extrapolations, watch)
    job = _Job(
        atoms.copy(), driver, rules, state, rules_of, steps, every, log_every or every, [],
        keep_velocities=velocities, checkpoint_seconds=checkpoint_seconds, watch=watch,
        unstable=None if unstable_frames is None else Path(unstable_frames),
    )  # fmt: skip
    job.identity = {
        "structure": structure_digest(atoms), "potential": driver.identity(), "ensemble": repr(rules_of),
        "timestep_fs": timestep_fs, "temperature": rules.temperatures.tolist(),
        "pressure": rules.pressures.tolist(), "seed": seed, "every": every, "log_every": log_every or every,
        "velocities": velocities, "precision_A": precision_A, "trajectory": trajectory is not None,
        "fix_centre_of_mass": fix_centre_of_mass,
    }  # fmt: skip
    chunk = int(np.clip(_CHUNK_BYTES // (24 * len(atoms)), 1, 1000))
    header = make_header(atoms, rules.masses, timestep_fs, every, precision_A, chunk)
    _open_files(job, trajectory, checkpoint, header)
    try:
        _advance(job, progress)
        _save(job)
    finally:
        if job.writer is not None:
            job.writer.close()
    return job.result()


def _open_files(
    job: _Job, trajectory: str | Path | None, checkpoint: str | Path | None, header: dict[str, Any]
) -> None:
    """Begin anew or go on from the checkpoint."""
    path = None if trajectory is None else Path(trajectory)
    if checkpoint is not None:
        job.checkpoint = Path(checkpoint)
    elif path is not None:
        job.checkpoint = path.with_name(path.name + ".checkpoint")
    for wanted in (path, job.checkpoint, job.unstable):
        if wanted is not None and not wanted.absolute().parent.is_dir():
            raise DynamicsError(f"the folder of {wanted} does not exist; make it first")
    if job.checkpoint is not None and job.checkpoint.exists():
        _go_on(job, path, job.checkpoint, header)
    else:
        _begin(job, path, header)


def _go_on(job: _Job, path: Path | None, checkpoint: Path, header: dict[str, Any]) -> None:
    state, memory, log, written = _checkpoint.load(checkpoint, job.identity)
    if state.counter[0] > job.n_steps:
        raise DynamicsError(
            f"checkpoint {checkpoint} is at step {int(state.counter[0])}, beyond n_steps={job.n_steps}; ask "
            "for more steps or name another file"
        )
    if written is not None and path is not None:
        if not path.exists() or path.stat().st_size < written[0]:
            raise DynamicsError(
                f"checkpoint {checkpoint} goes on a trajectory of at least {written[0]} bytes, but {path} is "
                "missing or shorter; put it back, or remove the checkpoint to start anew"
            )
        job.writer = TrajectoryWriter(path, header, written)
    job.state, job.rows = state, [log]
    job.driver.recall(memory)


def _begin(job: _Job, path: Path | None, header: dict[str, Any]) -> None:
    if path is not None and path.exists() and path.stat().st_size and not _only_beginning(path):
        raise DynamicsError(
            f"{path} exists already, and there is no checkpoint {job.checkpoint} to go on from; remove it or "
            "name another file"
        )
    job.driver.begin(job.state)
    job.rows = [np.zeros((1, _loop.COLUMNS))]
    _loop.write_row(job.rows[0], 0, job.state, job.rules)
    if not np.isfinite(job.state.forces).all() or not math.isfinite(job.state.scalars[POTENTIAL]):
        worst = int(np.argwhere(~np.isfinite(job.state.forces).all(axis=1))[:1].sum())
        raise DynamicsError(
            f"the potential gives a force that is not finite on atom {worst} of the first structure"
        )
    if path is not None:
        job.writer = TrajectoryWriter(path, header)
        _write_frame(job)
    _save(job)


def _only_beginning(path: Path) -> bool:
    """Whether a kill before the first checkpoint left no more than the first frame."""
    try:
        return len(Trajectory(path)) <= 1
    except DynamicsError:
        with path.open("rb") as stream:
            return stream.read(8) == b"iondiff "[: path.stat().st_size] and path.stat().st_size < 4096


def _advance(job: _Job, progress: bool) -> None:
    """Call after call, to the next frame or for as long as a call should take."""
    state, driver = job.state, job.driver
    per_call, lost = min(20, driver.longest_call), ""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) if progress else nullcontext() as bar:
        task = (
            None if bar is None else bar.add_task("steps", total=job.n_steps, completed=int(state.counter[0]))
        )
        while (done := int(state.counter[0])) < job.n_steps:
            steps = min(per_call, job.n_steps - done, job.every - done % job.every)
            before, memory = State(*(array.copy() for array in state)), driver.memory()
            log = np.zeros((steps // job.log_every + 1, _loop.COLUMNS))
            begin = time.perf_counter()
            try:
                status, rows = driver.advance(state, job.rules, steps, job.log_every, log)
            except ValueError as error:  # no neighbour list can be made
                status, rows = LOST, 0
                lost = f"step {int(state.counter[0]) + 1}: {error}"
            seconds = time.perf_counter() - begin
            if status != FINE:
                _stop(job, status, lost, before, memory)
            if rows:
                job.rows.append(log[:rows].copy())
            per_call = int(np.clip(steps * _CALL_SECONDS / max(seconds, 1e-6), 1, driver.longest_call))
            if state.counter[0] % job.every == 0:
                _frame_done(job)
            if time.monotonic() - job.saved > job.checkpoint_seconds:
                _save(job)
            if bar is not None and task is not None:
                bar.update(task, completed=int(state.counter[0]))


def _frame_done(job: _Job) -> None:
    if job.writer is not None:
        _write_frame(job)
    if job.watch is not None:
        current = job.current()
        reason = job.watch(current)
        if reason:
            _raise_unstable(job, str(reason), current, current)


def _write_frame(job: _Job) -> None:
    assert job.writer is not None  # noqa: S101 - for the type checker
    state, rules = job.state, job.rules
    kT = at_time(rules.temperatures, state.counter[0] * rules.reals[0])
    frame: dict[str, Any] = {
        "step": np.int64(state.counter[0]),
        "time_ps": state.counter[0] * rules.reals[0] / units.fs * 1e-3,
        "cell": state.cell,
        "potential_eV": state.scalars[POTENTIAL],
        "temperature_K": 2.0 * state.scalars[KINETIC] / (rules.integers[2] * units.kB),
        "positions": state.positions,
    }
    if job.driver.has_pressure and volume(state.cell) > 0:
        frame["pressure_GPa"] = pressure(state, rules, kT) / units.GPa
    if job.keep_velocities:
        frame["velocities"] = (state.velocities * units.fs).astype(np.float32)
    job.writer.append(frame)


def _save(job: _Job) -> None:
    if job.checkpoint is not None:
        position = None if job.writer is None else job.writer.position()
        job.rows = [np.concatenate(job.rows)]
        _checkpoint.save(job.checkpoint, job.identity, job.state, job.driver.memory(), job.rows[0], position)
    job.saved = time.monotonic()


def _stop(job: _Job, status: int, lost: str, before: State, memory: dict[str, np.ndarray]) -> None:
    """Find the last good step by repeating this call up to it, then raise."""
    offending = job.current()
    reached = int(job.state.counter[0])
    reason = lost if status == LOST else _reason(job, status)
    # The step that failed in its first half was not counted.
    good = reached if status in {TOO_FAR, BAD_VOLUME, LOST} else reached - 1
    for ours, theirs in zip(job.state, before, strict=True):
        ours[:] = theirs
    job.driver.recall(memory)
    steps = good - int(before.counter[0])
    if steps:
        log = np.zeros((steps // job.log_every + 1, _loop.COLUMNS))
        _, rows = job.driver.advance(job.state, job.rules, steps, job.log_every, log)
        job.rows.append(log[:rows])
    _raise_unstable(job, reason, job.current(), offending)


def _reason(job: _Job, status: int) -> str:
    step_fs = job.rules.reals[0] / units.fs
    step = int(job.state.counter[0])
    hint = (
        f"the time step of {step_fs:g} fs may be too long, or the potential was led where it was not trained"
    )
    if status == TOO_FAR:
        moves = np.linalg.norm(job.state.velocities, axis=1) * job.rules.reals[0]
        worst = int(np.argmax(np.where(np.isfinite(moves), moves, np.inf)))
        return (
            f"step {step + 1}: atom {worst} ({job.atoms.symbols[worst]}) moves {moves[worst]:.3g} Å in one "
            f"step, more than {job.rules.reals[7]:g} Å; {hint}"
        )
    if status == TOO_HOT:
        now = 2.0 * job.state.scalars[KINETIC] / (job.rules.integers[2] * units.kB)
        return (
            f"step {step}: the temperature is {now:.0f} K, above the bound of "
            f"{job.rules.reals[4] / units.kB:.0f} K; {hint}"
        )
    if status == BAD_VOLUME:
        ratio = volume(job.state.cell) / job.atoms.get_volume()
        return (
            f"step {step + 1}: the volume is {ratio:.2f} of the first one, outside its bounds; the pressure, "
            "the compressibility given, or the potential far from its training may be the cause"
        )
    if status == NOT_FINITE:
        return f"step {step}: energy or velocities are not finite numbers; {hint}"
    return f"step {step}: stopped with status {status}"  # pragma: no cover


def _raise_unstable(job: _Job, reason: str, last_good: Atoms, offending: Atoms) -> None:
    """Everything written is kept and flushed; the frames for labelling are written."""
    from ase.io import write

    if job.writer is not None:
        job.writer.flush()
    if job.unstable is not None:
        frames = [last_good] if last_good is offending else [last_good, offending]
        for name, frame in zip(("last_good", "offending"), frames, strict=False):
            frame.info["origin"] = name
            frame.info["reason"] = reason
        write(
            job.unstable, [frame for frame in frames if np.isfinite(frame.positions).all()], format="extxyz"
        )
    raise MDUnstable(reason, int(last_good.info["step"]), last_good, offending, job.result())
