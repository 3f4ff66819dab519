"""Frames from files and ASE objects, whole ones only; large ones go to a temporary file instead of memory."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import ase.io
import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.geometry import complete_cell

from iondiff.analysis.trajectory import Trajectory
from iondiff.errors import TrajectoryError

Floats = npt.NDArray[np.float64]
#: Beyond this many bytes positions are kept in an unnamed temporary file.
KEEP_IN_MEMORY = 256 * 2**20
DUMP_FRAME = b"ITEM: TIMESTEP"
XDATCAR_FRAME = b"Direct configuration"


@dataclass
class Frames:
    """What a source held.

    Attributes
    ----------
    positions
        (frames, atoms, 3), Å.
    cells
        None, (3, 3) or (frames, 3, 3), Å.
    symbols
        One a atom.
    periodic
        (3,).
    notes
        What was lost, in words.
    """

    positions: npt.NDArray[Any]
    cells: Floats | None
    symbols: tuple[str, ...]
    periodic: tuple[bool, bool, bool]
    notes: list[str] = field(default_factory=list)


def read_frames(source: str | Path | Atoms | Iterable[Atoms]) -> Frames:
    """Frames of a file, a list or an iterator of `ase.Atoms`.

    Raises
    ------
    TrajectoryError
        No such file, not a single whole frame, atoms that come, go or change places.
    """
    notes: list[str] = []
    if isinstance(source, Atoms):
        raise TrajectoryError("got one ase.Atoms; motion needs at least two frames, in a list")
    if isinstance(source, (str, Path)):
        stream: Iterator[Any] = _whole_frames(Path(source), notes)
    else:
        try:
            stream = iter(source)
        except TypeError:
            raise TrajectoryError(
                f"got {type(source).__name__}; wanted positions (frames, atoms, 3), a path, or ase.Atoms "
                "objects"
            ) from None
    first = next(stream, None)
    if first is None:
        raise TrajectoryError(f"{_name(source)} holds no frames; give at least two")
    _refuse_other(first, 0)
    symbols = first.get_chemical_symbols()
    periodic = [bool(p) for p in first.pbc]
    store = _Store(len(first))
    cells = [np.array(first.cell.array)]
    store.add(first.positions)
    for number, frame in enumerate(stream, 1):
        _refuse_other(frame, number)
        if len(frame) != len(first):
            raise TrajectoryError(
                f"frame {number} has {len(frame)} atoms, frame 0 has {len(first)}; give every frame the "
                "same atoms"
            )
        if not np.array_equal(frame.numbers, first.numbers):
            atom = int(np.argmax(frame.numbers != first.numbers))
            raise TrajectoryError(
                f"atom {atom} is {frame.symbols[atom]} in frame {number} and {first.symbols[atom]} in "
                "frame 0; "
                "give every frame the same atoms in the same order"
            )
        cells.append(np.array(frame.cell.array))
        store.add(frame.positions)
    return Frames(store.array(), _cells(cells, periodic), tuple(symbols), tuple(periodic), notes)  # type: ignore[arg-type]


def written_by_a_run(source: Any) -> Trajectory | None:
    """The trajectory of a run of `iondiff.dynamics`: from the run, its opened file, or its path; else None."""
    from iondiff.dynamics import Run
    from iondiff.dynamics import Trajectory as Written
    from iondiff.dynamics.trajectory import MAGIC

    if isinstance(source, Run):
        source = source.frames()
    elif isinstance(source, (str, Path)):
        path = Path(source)
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            if stream.read(len(MAGIC)) != MAGIC:
                return None
        source = Written(path)
    return source.for_analysis() if isinstance(source, Written) else None


def _whole_frames(path: Path, notes: list[str]) -> Iterator[Atoms]:
    """Frames until the file ends, well or badly; the last one only if it is known to be whole."""
    if not path.is_file():
        raise TrajectoryError(f"there is no file {str(path)!r}; give the path of a trajectory")
    kept, count = None, 0
    for frame in _readable_frames(path, notes):
        if kept is not None:
            yield kept
        kept = frame
        count += 1
    if count > 1 and not notes and _ends_in_a_line(path):
        notes.append(_lost(path, count - 1, "the file ends in the middle of a line"))
    elif kept is not None:
        yield kept


def _readable_frames(path: Path, notes: list[str]) -> Iterator[Atoms]:
    """Frames as far as ASE can read them."""
    count, n_atoms = 0, 0
    try:
        for frame in ase.io.iread(path, index=":"):
            if count and len(frame) < n_atoms and _is_last(path, count):
                notes.append(_lost(path, count, f"it has {len(frame)} of {n_atoms} atoms"))
                return
            n_atoms = len(frame)
            yield frame
            count += 1
    except TrajectoryError:
        raise
    except Exception as error:
        if count == 0:
            whole = _cut_text(path)
            yield from whole
            count = len(whole)
        if count == 0:
            raise TrajectoryError(
                f"{str(path)!r} could not be read as a trajectory ({type(error).__name__}: {error}); is "
                "the file whole "
                "and of a format that ASE knows?"
            ) from error
        notes.append(_lost(path, count, f"{type(error).__name__}: {error}"))


def _ends_in_a_line(path: Path) -> bool:
    """Whether a text file lacks its last line break, so that its last number may have lost digits."""
    with path.open("rb") as stream:
        if b"\0" in stream.read(4096):
            return False
        stream.seek(-1, io.SEEK_END)
        return stream.read(1) not in {b"\r", b"\n"}


def _cut_text(path: Path) -> list[Atoms]:
    """Frames of a LAMMPS text dump or an XDATCAR but for the last one, where ASE gives all or nothing; else none."""
    with path.open("rb") as stream:
        begin = stream.read(4096)
    if begin.lstrip().startswith(DUMP_FRAME):
        mark, kind = DUMP_FRAME, "lammps-dump-text"
    elif XDATCAR_FRAME in begin:
        mark, kind = XDATCAR_FRAME, "vasp-xdatcar"
    else:
        return []
    text = path.read_bytes()
    whole, _, _ = text.rpartition(mark)
    lines = whole.splitlines(keepends=True)
    head = text.partition(mark)[0].splitlines(keepends=True)
    if (
        head and lines[-len(head)] == head[0]
    ):  # an XDATCAR whose cell moves repeats its head before every frame
        lines = lines[: -len(head)]
    try:
        return list(ase.io.iread(io.StringIO(b"".join(lines).decode()), index=":", format=kind))
    except Exception:  # noqa: BLE001 - damaged elsewhere too: the caller tells of the first reading's error
        return []


def _is_last(path: Path, count: int) -> bool:
    """Whether nothing readable follows frame `count`."""
    try:
        for number, _ in enumerate(ase.io.iread(path, index=f"{count + 1}:")):
            return number < 0
    except Exception:  # noqa: BLE001 - whatever it is, nothing whole follows
        return True
    return True


def _lost(path: Path, count: int, why: str) -> str:
    what = f"the {count} whole frames before it are used, the rest is lost"
    return f"{path.name} is damaged at frame {count} ({why}): {what}"


def _refuse_other(frame: Any, number: int) -> None:
    if not isinstance(frame, Atoms):
        raise TrajectoryError(f"frame {number} is {type(frame).__name__}; wanted ase.Atoms")


def _name(source: Any) -> str:
    return repr(str(source)) if isinstance(source, (str, Path)) else "the list"


def _cells(cells: list[Floats], periodic: list[bool]) -> Floats | None:
    array = np.array(cells)
    if not any(periodic) or not array.any():
        return None
    if (array == array[0]).all():
        return np.asarray(complete_cell(array[0]))
    return np.array([complete_cell(cell) for cell in array])


class _Store:
    """Positions as they come: in memory, and from KEEP_IN_MEMORY on in a file without a name."""

    def __init__(self, n_atoms: int):
        self.n_atoms = n_atoms
        self.rows: list[Floats] = []
        self.file: IO[bytes] | None = None
        self.count = 0

    def add(self, positions: Floats) -> None:
        self.rows.append(np.array(positions, dtype=np.float64))
        self.count += 1
        if len(self.rows) * self.n_atoms * 24 > KEEP_IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        if self.file is None:
            self.file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as its map
        self.file.write(np.array(self.rows).tobytes())
        self.rows = []

    def array(self) -> npt.NDArray[Any]:
        if self.file is None:
            return np.array(self.rows)
        self._spill()
        self.file.flush()
        with self.file:  # the map keeps the data; nothing else needs the file
            return np.memmap(self.file, np.float64, mode="r", shape=(self.count, self.n_atoms, 3))
