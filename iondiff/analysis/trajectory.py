"""Trajectories as the analysis wants them: unwrapped increments, atom by atom, whatever the source.

Unwrapping in a fluctuating cell. Adding whole lattice vectors of the present cell to wrapped positions lets
the cell's breathing act on all the images crossed so far: displacements then grow noise that looks like
diffusion (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153, 021101 (2020)). Here displacements are summed
frame by frame: the nearest image of every fractional increment, times the mean of the two cells it lies
between. A barostat moves atoms at fixed fractional places, so its share of the motion is zero by
construction, and no step depends on how far an atom has come. In a cell that does not change this is ordinary
unwrapping.
"""

from __future__ import annotations

import mmap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from iondiff.analysis import _kernels
from iondiff.analysis._spectra import CHUNK_NUMBERS, Increments, chunks
from iondiff.errors import TrajectoryError

Floats = npt.NDArray[np.float64]

#: A wrapped trajectory with a step longer than this fraction of a cell cannot be unwrapped safely.
SAFE_STEP = 0.45
#: Wrapped positions fill at most this much of a cell.
INSIDE = 1.0 + 1e-3
#: Positions on disk are read in passes of so many numbers, and mapped in sections of so many bytes.
MAPPED_NUMBERS = 20_000_000
SECTION_BYTES = 64 * 2**20
DRIFTS = ("auto", "none", "velocity", "centre", "host")


class TrajectoryWarning(UserWarning):
    """Something about a trajectory was put right, or left out."""


@dataclass
class Trajectory:
    """Positions of all atoms in all frames.

    Attributes
    ----------
    positions
        (frames, atoms, 3), Å; a `numpy.memmap` stays on disk.
    cells
        None, (3, 3) or (frames, 3, 3), Å, rows are lattice vectors.
    symbols
        One a atom, or None.
    periodic
        (3,), which lattice vectors repeat.
    wrapped
        None: found out where needed.
    notes
        What was put right, in words.
    timestep_ps
        Time between frames, where the source says it.
    """

    positions: npt.NDArray[Any]
    cells: Floats | None = None
    symbols: tuple[str, ...] | None = None
    periodic: tuple[bool, bool, bool] = (True, True, True)
    wrapped: bool | None = None
    notes: list[str] = field(default_factory=list)
    timestep_ps: float | None = None
    _comoving: bool | None = field(default=None, repr=False)
    _inverse: Floats = field(default_factory=lambda: np.zeros((3, 3)), repr=False)

    def __post_init__(self) -> None:
        shape = self.positions.shape
        if self.positions.ndim != 3 or shape[2] != 3:
            raise TrajectoryError(f"positions have the shape {shape}; wanted (frames, atoms, 3), in Å")
        if shape[0] < 2:
            raise TrajectoryError(f"the trajectory has {shape[0]} frame(s); motion needs at least two")
        if shape[1] == 0:
            raise TrajectoryError("the trajectory has no atoms; give at least one")
        if self.symbols is not None and len(self.symbols) != shape[1]:
            raise TrajectoryError(
                f"there are {len(self.symbols)} symbols for {shape[1]} atoms; give one for each"
            )
        if self.cells is not None:
            self.cells = _checked_cells(self.cells, shape[0])
            self._inverse = np.asarray(np.linalg.inv(self.cells), dtype=np.float64)
        self._look()

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return int(self.positions.shape[0])

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all species."""
        return int(self.positions.shape[1])

    @property
    def known_cells(self) -> Floats:
        """(3, 3) or (frames, 3, 3), Å.

        Raises
        ------
        TrajectoryError
            There is no cell.
        """
        if self.cells is None:
            raise TrajectoryError("this question needs the cell; give cell=, three lattice vectors in Å")
        return self.cells

    def _between(self) -> Floats:
        """The cell during each step: (3, 3) or (frames − 1, 3, 3)."""
        cells = self.known_cells
        return cells if cells.ndim == 2 else np.asarray(0.5 * (cells[1:] + cells[:-1]), dtype=np.float64)

    @property
    def mean_cell(self) -> Floats:
        """(3, 3), Å.

        Raises
        ------
        TrajectoryError
            There is no cell.
        """
        cells = self.known_cells
        return cells if cells.ndim == 2 else np.asarray(cells.mean(axis=0))

    def atoms_of(self, species: str | Sequence[str] | None) -> npt.NDArray[np.int64]:
        """Indices of the atoms of one or more species; None: all.

        Raises
        ------
        TrajectoryError
            The trajectory has no symbols, or not these.
        """
        if species is None:
            return np.arange(self.n_atoms)
        wanted = [species] if isinstance(species, str) else list(species)
        if self.symbols is None:
            raise TrajectoryError(
                f"species {species!r} was asked for, but bare positions do not say which atom is what; give "
                "symbols=, one a atom"
            )
        present = sorted(set(self.symbols))
        for name in wanted:
            if name not in present:
                raise TrajectoryError(f"species is {name!r}; the trajectory has {', '.join(present)}")
        return np.nonzero(np.isin(np.array(self.symbols), wanted))[0]

    def steps(self, atoms: npt.NDArray[np.int64]) -> Floats:
        """Unwrapped increments of some atoms: (atoms, 3, frames − 1), Å."""
        series = np.empty((len(atoms), 3, self.n_frames - 1))
        if not self._comoving:
            rows, places = (
                (self._rows(atoms), np.arange(len(atoms))) if self._on_disk else (self.positions, atoms)
            )
            _kernels.differences(rows, places, series)
            return series
        moved = np.diff(self._rows(atoms) @ self._inverse, axis=0)
        if self.wrapped:
            moved -= np.where(self.periodic, np.rint(moved), 0.0)
        series[:] = (moved @ self._between()).transpose(1, 2, 0)
        return series

    def unwrapped(self, atoms: npt.NDArray[np.int64] | None = None) -> Floats:
        """Unwrapped positions (frames, atoms, 3), Å, that begin where the atoms began."""
        chosen = np.arange(self.n_atoms) if atoms is None else atoms
        start = np.asarray(self.positions[0, chosen], dtype=np.float64)
        path = np.empty((self.n_frames, len(chosen), 3))
        path[0] = start
        path[1:] = np.cumsum(self.steps(chosen), axis=2).transpose(2, 0, 1) + start
        return path

    def parts(self, n_atoms: int) -> Iterator[slice]:
        """Slices of so many atoms that are worth one pass over the positions."""
        return chunks(n_atoms, self.n_frames, MAPPED_NUMBERS if self._on_disk else CHUNK_NUMBERS)

    @property
    def _on_disk(self) -> bool:
        return isinstance(self.positions, np.memmap)

    def _rows(self, picked: Any) -> Floats:
        if not isinstance(self.positions, np.memmap):
            return np.asarray(self.positions[:, picked], dtype=np.float64)
        # Pages of a mapped file count as this process's memory until they are given back.
        mapped = getattr(self.positions, "_mmap", None)
        rows = np.empty((self.n_frames, len(np.arange(self.n_atoms)[picked]), 3))
        section = max(1, SECTION_BYTES // (24 * self.n_atoms))
        for start in range(0, self.n_frames, section):
            rows[start : start + section] = self.positions[start : start + section, picked]
            if mapped is not None and hasattr(mapped, "madvise") and self.positions.mode in {"r", "r+", "w+"}:
                mapped.madvise(mmap.MADV_DONTNEED)
        return rows

    def _look(self) -> None:
        """One pass: numbers that are not finite, wrapped coordinates, what the cell's breathing does."""
        if self.cells is None:
            self._look_without_cell()
            return
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        jumps, steep, plain, comoving = 0, (0.0, 0, 0), 0.0, 0.0
        for part in self.parts(self.n_atoms):
            rows = self._rows(part)
            if not np.isfinite(rows).all():
                self._refuse_infinite(rows, part.start)
            places = rows @ self._inverse
            low, high = np.minimum(low, places.min(axis=(0, 1))), np.maximum(high, places.max(axis=(0, 1)))
            moved = np.diff(places, axis=0)
            if self.cells.ndim == 3:
                plain += float(np.sum(np.diff(rows, axis=0) ** 2))
                comoving += float(np.sum((moved @ self._between()) ** 2))
            whole = np.where(self.periodic, np.rint(moved), 0.0)
            jumps += int(np.count_nonzero(whole))
            moved -= whole
            length = np.abs(moved).max(axis=2)
            if length.max() > steep[0]:
                frame, atom = np.unravel_index(int(length.argmax()), length.shape)
                steep = (float(length.max()), int(frame), part.start + int(atom))
        found = False
        inside = bool(np.all(np.where(self.periodic, high - low, 0.0) <= INSIDE))
        if self.wrapped is None:
            self.wrapped = inside and jumps > 0
            found = self.wrapped
        if self.wrapped and steep[0] > SAFE_STEP:
            raise TrajectoryError(
                f"the positions are wrapped and atom {steep[2]} moves {steep[0]:.2f} of a lattice vector "
                "between "
                f"frames {steep[1]} and {steep[1] + 1}: beyond half a cell the image is a guess; write "
                "frames more "
                "often, or give unwrapped positions"
            )
        if found:
            self.say(f"the positions were wrapped into the cell: unwrapped, {jumps} crossings")
        self._comoving = bool(self.wrapped) or (self.cells.ndim == 3 and comoving < plain)

    def _look_without_cell(self) -> None:
        """Atoms of a wrapped gas fill a box, and some jump across all of it."""
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        everything = [slice(0, self.n_atoms)] if not self._on_disk else list(self.parts(self.n_atoms))
        for part in everything:
            rows = self._rows(part)
            if not _kernels.bounds(rows, low, high):
                self._refuse_infinite(rows, part.start)
        self._comoving = False
        extent = np.maximum(high - low, 1e-300)
        spread = np.ptp(np.asarray(self.positions[0], dtype=np.float64), axis=0)
        suspect = spread > 0.5 * extent
        if self.wrapped or (self.wrapped is None and self.n_atoms > 1 and suspect.any()):
            counts = np.zeros((2, 3), dtype=np.int64)
            for part in everything:
                _kernels.count_long(self._rows(part), extent, counts)
            if self.wrapped or bool(np.any(suspect & (counts[1] > 1) & (counts[0] == counts[1]))):
                raise TrajectoryError(
                    f"the positions look wrapped into a cell ({int(counts[1].sum())} steps lead across "
                    "all of it), and "
                    "without the cell they cannot be unwrapped; give cell=, or wrapped=False if they are "
                    "right"
                )
        self.wrapped = False

    def _refuse_infinite(self, rows: Floats, first: int) -> None:
        frame, atom, _ = np.argwhere(~np.isfinite(rows))[0]
        raise TrajectoryError(
            f"the position of atom {first + atom} in frame {frame} is {rows[frame, atom].tolist()}; "
            "wanted finite "
            "numbers in Å, leave broken frames out"
        )

    def say(self, text: str) -> None:
        """Note something that was put right, and warn of it."""
        self.notes.append(text)
        warnings.warn(text, TrajectoryWarning, stacklevel=6)


def as_trajectory(
    source: Any,
    *,
    cell: Any = None,
    symbols: Sequence[str] | None = None,
    wrapped: bool | None = None,
) -> Trajectory:
    """A `Trajectory` from whatever holds one.

    Parameters
    ----------
    source
        Positions (frames, atoms, 3) in Å (a `numpy.memmap` stays on disk); a path that ASE can read (extxyz,
        LAMMPS dump, XDATCAR, .traj, ...) or of a run's own file; a list or iterator of `ase.Atoms`; a `Run` or
        `Trajectory` of `iondiff.dynamics`; or a `Trajectory`.
    cell
        (3, 3), (frames, 3, 3), three lengths, in Å; for bare positions, or in place of the one in the source.
    symbols
        One a atom; for bare positions.
    wrapped
        True: positions are wrapped into the cell; False: they are not; None: found out, and said.

    Raises
    ------
    TrajectoryError
        The source is no trajectory: shapes, numbers that are not finite, atoms that come and go, steps of
        more than half a cell, a file without a whole frame.

    Warns
    -----
    TrajectoryWarning
        Wrapped coordinates were unwrapped, or a file ends in the middle of a frame.
    """
    if isinstance(source, Trajectory):
        return source
    given = tuple(symbols) if symbols is not None else None
    if not isinstance(source, (Atoms, list, tuple, np.ndarray)):
        from iondiff.analysis.readers import written_by_a_run

        own = written_by_a_run(source)
        if own is not None:
            return own
    if isinstance(source, (str, Path, Atoms)) or not _numeric(source):
        from iondiff.analysis.readers import read_frames

        frames = read_frames(source)
        trajectory_cells = frames.cells if cell is None else cell
        periodic = frames.periodic if cell is None else (True, True, True)
        made = Trajectory(frames.positions, trajectory_cells, given or frames.symbols, periodic, wrapped)
        for note in frames.notes:
            made.say(note)
        return made
    array = source if isinstance(source, np.ndarray) else _array(source)
    if array.dtype.kind not in "fiu":
        raise TrajectoryError(f"positions hold {array.dtype} values; wanted real numbers in Å")
    return Trajectory(array, cell, given, (True, True, True), wrapped)


def _numeric(source: Any) -> bool:
    if isinstance(source, np.ndarray):
        return source.dtype != object
    if not isinstance(source, (list, tuple)) or not source:
        return False
    return not isinstance(source[0], (Atoms, str))


def _array(source: Any) -> Floats:
    try:
        return np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        counts = []
        for frame in source:
            try:
                counts.append(np.shape(frame))
            except ValueError:
                counts.append(())
        for number, shape in enumerate(counts):
            if shape != counts[0]:
                raise TrajectoryError(
                    f"frame {number} has the shape {shape}, frame 0 {counts[0]}; give every frame the "
                    "same atoms"
                ) from error
        raise TrajectoryError(
            f"positions could not be read as numbers ({error}); wanted (frames, atoms, 3), in Å"
        ) from error


def _checked_cells(cells: Any, n_frames: int) -> Floats:
    try:
        array = np.array(cells, dtype=np.float64)
    except (TypeError, ValueError):
        raise TrajectoryError(f"the cell is {cells!r}; wanted three lattice vectors in Å") from None
    if array.shape == (3,):
        array = np.diag(array)
    if array.shape not in {(3, 3), (n_frames, 3, 3)}:
        raise TrajectoryError(
            f"the cell has the shape {array.shape}; wanted (3, 3), or ({n_frames}, 3, 3) for one a frame"
        )
    if not np.isfinite(array).all():
        raise TrajectoryError("the cell holds numbers that are not finite; give three lattice vectors in Å")
    volume = np.abs(np.linalg.det(array))
    scale = np.prod(np.linalg.norm(array, axis=-1), axis=-1)
    flat = np.atleast_1d(~(volume > 1e-9 * scale))
    if flat.any():
        where = f" in frame {int(np.argmax(flat))}" if array.ndim == 3 else ""
        raise TrajectoryError(f"the cell has no volume{where}; give three independent lattice vectors in Å")
    if array.ndim == 3 and np.array_equal(array, np.broadcast_to(array[0], array.shape)):
        array = array[0].copy()
    return array


@dataclass(frozen=True)
class Motion:
    """Increments of chosen atoms in a frame of reference.

    Attributes
    ----------
    increments
        Of a slice of the chosen atoms: (atoms, 3, m), Å.
    parts
        Slices that make one pass each.
    n_atoms
        How many were chosen.
    m
        Increments of each.
    mean_removed
        Their common mean velocity was subtracted, which takes a little of their own motion with it.
    """

    increments: Increments
    parts: tuple[slice, ...]
    n_atoms: int
    m: int
    mean_removed: bool


def motion(trajectory: Trajectory, atoms: npt.NDArray[np.int64], drift: str) -> Motion:
    """What the atoms do once drift is out: against the host's mean place, or minus a constant velocity."""
    if drift not in DRIFTS:
        raise TrajectoryError(f"drift is {drift!r}; choose one of {', '.join(DRIFTS)}")
    m = trajectory.n_frames - 1
    others = np.setdiff1d(np.arange(trajectory.n_atoms), atoms)
    if drift == "host" and not len(others):
        raise TrajectoryError("drift is 'host', but every atom was chosen; say species=, or drift='velocity'")
    if drift == "host" or (drift == "auto" and len(others)):
        reference = mean_steps(trajectory, others)
    elif drift == "none":
        reference = np.zeros((3, 1))
    else:
        reference = mean_velocity(trajectory, atoms)[:, None]

    def increments(part: slice) -> Floats:
        moved = trajectory.steps(atoms[part])
        moved -= reference
        return moved

    own = drift != "none" and reference.shape[1] == 1
    return Motion(increments, tuple(trajectory.parts(len(atoms))), len(atoms), m, own)


def mean_velocity(trajectory: Trajectory, atoms: npt.NDArray[np.int64]) -> Floats:
    """Mean increment a frame of some atoms: (3,), Å."""
    if trajectory._comoving:
        return np.asarray(mean_steps(trajectory, atoms).mean(axis=1))
    ends = np.asarray(trajectory.positions[[0, -1]][:, atoms], dtype=np.float64).mean(axis=1)
    return np.asarray((ends[1] - ends[0]) / (trajectory.n_frames - 1))


def mean_steps(trajectory: Trajectory, atoms: npt.NDArray[np.int64]) -> Floats:
    """Increments of the mean place of some atoms: (3, frames − 1), Å."""
    total = np.zeros((3, trajectory.n_frames - 1))
    for part in trajectory.parts(len(atoms)):
        total += trajectory.steps(atoms[part]).sum(axis=0)
    return total / len(atoms)
