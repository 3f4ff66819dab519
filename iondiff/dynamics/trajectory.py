"""Trajectories on disk: compressed chunks behind one another, each with its length and check sum.

A file is a magic line, a record that describes the system, and records of frames. What a kill or a full disk
leaves behind is whole records and at most one torn one at the end, which a reader sees, names and leaves out.

Positions are unwrapped and belong to the lattice of their own frame: ``wrapped + whole cells``. They are kept
as integers (multiples of `precision_A`), the first of a chunk whole and the others as differences.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io.extxyz import write_extxyz

from iondiff.analysis.readers import KEEP_IN_MEMORY
from iondiff.analysis.trajectory import Trajectory as AnalysisTrajectory
from iondiff.errors import DynamicsError

MAGIC = b"iondiff trajectory 1\n"
_SCHEMA = "iondiff-trajectory/1"
_RECORD = struct.Struct("<4sQQQI")  # tag, bytes of payload, first frame, frames, CRC-32 of all
_HEAD, _CHUNK = b"HEAD", b"FRMS"
_SMALLEST_DELTA = np.iinfo(np.int32)
_LARGEST_ARRAY = 8 * 1024**3  # bytes, unpacked; a record that claims more is damage


def _pack(values: np.ndarray) -> tuple[dict[str, Any], bytes]:
    """Bytes of equal weight next to each other compress better."""
    shuffled = values.reshape(-1).view(np.uint8).reshape(-1, values.itemsize).T
    return {"dtype": values.dtype.str, "shape": list(values.shape)}, zlib.compress(
        np.ascontiguousarray(shuffled).tobytes(), 1
    )


def _unpack(entry: Mapping[str, Any], blob: bytes) -> np.ndarray:
    dtype = np.dtype(entry["dtype"])
    count = int(np.prod(entry["shape"], dtype=np.int64))
    if dtype.hasobject or not 0 <= count * dtype.itemsize <= _LARGEST_ARRAY:
        raise ValueError("an impossible array")
    flat = np.frombuffer(zlib.decompress(blob), np.uint8).reshape(dtype.itemsize, count).T
    return np.ascontiguousarray(flat).view(dtype).reshape(entry["shape"])


def _encode(frames: Mapping[str, np.ndarray], precision: float) -> bytes:
    entries, blobs = [], []
    for name, values in frames.items():
        if name == "positions":
            whole = np.rint(values / precision).astype(np.int64)
            steps = np.diff(whole, axis=0)
            if len(steps) and (steps.min() < _SMALLEST_DELTA.min or steps.max() > _SMALLEST_DELTA.max):
                parts = [("positions_first", whole[:1]), ("positions_steps", steps)]
            else:
                parts = [("positions_first", whole[:1]), ("positions_steps", steps.astype(np.int32))]
        else:
            parts = [(name, np.ascontiguousarray(values))]
        for label, array in parts:
            entry, blob = _pack(array)
            entries.append({"name": label, "bytes": len(blob), **entry})
            blobs.append(blob)
    header = json.dumps(entries).encode()
    return b"".join([struct.pack("<I", len(header)), header, *blobs])


def _decode(payload: bytes, precision: float, wanted: set[str] | None) -> dict[str, np.ndarray]:
    (size,) = struct.unpack_from("<I", payload)
    at = 4 + size
    frames: dict[str, np.ndarray] = {}
    for entry in json.loads(payload[4:at]):
        name = entry["name"]
        if wanted is None or name in wanted or (name.startswith("positions_") and "positions" in wanted):
            frames[name] = _unpack(entry, payload[at : at + entry["bytes"]])
        at += entry["bytes"]
    if "positions_first" in frames:
        first, steps = frames.pop("positions_first"), frames.pop("positions_steps")
        frames["positions"] = np.cumsum(np.concatenate([first, steps]), axis=0) * precision
    return frames


def _record(tag: bytes, payload: bytes, first: int = 0, count: int = 0) -> bytes:
    return _RECORD.pack(tag, len(payload), first, count, _crc(tag, first, count, payload)) + payload


def _crc(tag: bytes, first: int, count: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_RECORD.pack(tag, len(payload), first, count, 0)))


class TrajectoryWriter:
    """Appends frames; memory holds one chunk.

    The chunk that is not full yet is written too, and replaced as it grows, so that a file always shows the
    last frame, and its final bytes do not depend on when it was looked at or killed.

    Parameters
    ----------
    path
        File to write.
    header
        What describes the system; see :func:`make_header`.
    resume
        ``(offset, frames, pending)`` from :meth:`position` to go on from there; None begins anew.
    """

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, Any],
        resume: tuple[int, int, list[dict[str, Any]]] | None = None,
    ) -> None:
        self.path = Path(path)
        self.header = dict(header)
        self._dirty = False
        if resume is None:
            self._stream: BinaryIO = self.path.open("wb")
            self._stream.write(MAGIC + _record(_HEAD, zlib.compress(json.dumps(self.header).encode())))
            self.offset, self.frames = self._stream.tell(), 0
            self.pending: list[dict[str, Any]] = []
            self._stream.flush()
        else:
            self._stream = self.path.open("r+b")
            self.offset, self.frames, self.pending = resume[0], resume[1], list(resume[2])
            self._stream.truncate(self.offset)
            self._stream.seek(self.offset)
            self._dirty = bool(self.pending)

    def append(self, frame: Mapping[str, Any]) -> None:
        """One frame: `step`, `time_ps`, `positions`, `cell` and numbers; arrays are copied."""
        self.pending.append({name: np.array(value) for name, value in frame.items()})
        self._dirty = True
        if len(self.pending) >= self.header["chunk"]:
            self.flush()
            self.offset = self._stream.tell()
            self.frames += len(self.pending)
            self.pending = []

    def flush(self) -> None:
        """Everything so far becomes visible in the file."""
        if not self._dirty:
            return
        names = self.pending[0]
        frames = {name: np.stack([frame[name] for frame in self.pending]) for name in names}
        payload = _encode(frames, self.header["precision_A"])
        self._stream.seek(self.offset)
        self._stream.write(_record(_CHUNK, payload, self.frames, len(self.pending)))
        self._stream.truncate()
        self._stream.flush()
        self._dirty = False

    def position(self) -> tuple[int, int, list[dict[str, Any]]]:
        """What a checkpoint has to keep."""
        self.flush()
        return self.offset, self.frames, self.pending

    def close(self) -> None:
        """Flush and let the file go."""
        self.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()


def make_header(
    atoms: Atoms, masses: np.ndarray, timestep_fs: float, every: int, precision_A: float, chunk: int
) -> dict[str, Any]:
    """Header of a trajectory: the system and what the numbers mean."""
    return {
        "schema": _SCHEMA,
        "units": {"length": "Angstrom", "time": "ps", "energy": "eV", "velocity": "Angstrom/fs"},
        "symbols": atoms.get_chemical_symbols(),
        "masses": [float(mass) for mass in masses],
        "pbc": [bool(flag) for flag in atoms.pbc],
        "timestep_fs": timestep_fs,
        "every": every,
        "precision_A": precision_A,
        "chunk": chunk,
    }


@dataclass(frozen=True)
class _Chunk:
    offset: int
    length: int
    first: int
    count: int
    crc: int


class Trajectory:
    """A trajectory file, read chunk by chunk.

    Parameters
    ----------
    path
        File written by a run, also while it is still running.

    Attributes
    ----------
    symbols, masses, pbc
        Of the atoms: symbols, amu, three flags.
    timestep_ps
        Time between two frames.
    damage
        None, or one sentence about what a torn or corrupt end lost; the frames before it are all here.

    Raises
    ------
    DynamicsError
        No trajectory, or one whose beginning is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise DynamicsError(f"trajectory {self.path} does not exist")
        self.damage: str | None = None
        self._chunks: list[_Chunk] = []
        with self.path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if stream.read(len(MAGIC)) != MAGIC:
                raise DynamicsError(
                    f"{self.path} is not a trajectory of this package, or its beginning is damaged"
                )
            self.header = self._read_header(stream, size)
            self._scan(stream, size)
        self.symbols: list[str] = self.header["symbols"]
        self.masses = np.array(self.header["masses"])
        self.pbc = np.array(self.header["pbc"])
        self.timestep_ps = self.header["timestep_fs"] * self.header["every"] * 1e-3

    def _read_header(self, stream: BinaryIO, size: int) -> dict[str, Any]:
        found = self._next_record(stream, size)
        if not isinstance(found, str) and found[0] == _HEAD:
            payload = stream.read(found[1].length)
            if _crc(_HEAD, found[1].first, found[1].count, payload) == found[1].crc:
                header: dict[str, Any] = json.loads(zlib.decompress(payload))
                if header["schema"] == _SCHEMA:
                    return header
                raise DynamicsError(
                    f"trajectory {self.path} has schema {header['schema']!r}; this version reads {_SCHEMA!r}"
                )
        raise DynamicsError(f"the beginning of trajectory {self.path} is damaged; no frame can be read")

    def _next_record(self, stream: BinaryIO, size: int) -> tuple[bytes, _Chunk] | str:
        """Tag and place of the record here, or what is wrong with it."""
        raw = stream.read(_RECORD.size)
        if len(raw) < _RECORD.size:
            return "a record cut off in its head"
        tag, length, first, count, crc = _RECORD.unpack(raw)
        if tag not in {_HEAD, _CHUNK}:
            return "bytes that are no record"
        if stream.tell() + length > size:
            return f"a record of frames {first} to {first + count - 1} cut off"
        return tag, _Chunk(stream.tell(), length, first, count, crc)

    def _scan(self, stream: BinaryIO, size: int) -> None:
        while stream.tell() < size:
            begin = stream.tell()
            found = self._next_record(stream, size)
            if not isinstance(found, str):
                chunk = found[1]
                stream.seek(chunk.offset + chunk.length)
                # The record at the end is the one a kill can tear; the others are checked when they are read.
                if found[0] != _CHUNK or chunk.first != len(self):
                    found = "a record out of order"
                elif stream.tell() == size:
                    stream.seek(chunk.offset)
                    if _crc(_CHUNK, chunk.first, chunk.count, stream.read(chunk.length)) != chunk.crc:
                        found = f"a record of frames {chunk.first} to {chunk.first + chunk.count - 1} damaged"
            if isinstance(found, str):
                self.damage = (
                    f"{self.path} ends with {found}; its last {size - begin} of {size} bytes are left out, "
                    f"{len(self)} whole frames are used"
                )
                return
            self._chunks.append(found[1])

    def __len__(self) -> int:
        return self._chunks[-1].first + self._chunks[-1].count if self._chunks else 0

    def chunks(
        self, fields: tuple[str, ...] | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Frames in pieces as they lie in the file; memory holds one.

        Parameters
        ----------
        fields
            Which arrays, such as ``("positions", "cell")``; all of them when not given.
        start, stop
            Frames, as in a slice.

        Raises
        ------
        DynamicsError
            A chunk in the middle is damaged.
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        wanted = None if fields is None else set(fields)
        with self.path.open("rb") as stream:
            for chunk in self._chunks:
                low, high = max(start, chunk.first), min(stop, chunk.first + chunk.count)
                if low >= high:
                    continue
                stream.seek(chunk.offset)
                payload = stream.read(chunk.length)
                if _crc(_CHUNK, chunk.first, chunk.count, payload) != chunk.crc:
                    raise DynamicsError(
                        f"trajectory {self.path} is damaged in frames {chunk.first} to "
                        f"{chunk.first + chunk.count - 1}; read those before or after with start and stop"
                    )
                frames = _decode(payload, self.header["precision_A"], wanted)
                yield {
                    name: values[low - chunk.first : high - chunk.first] for name, values in frames.items()
                }

    def array(self, field: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """One field of many frames in memory, such as ``"time_ps"`` or ``"temperature_K"``."""
        parts = [chunk[field] for chunk in self.chunks((field,), start, stop)]
        if not parts:
            raise DynamicsError(
                f"trajectory {self.path} has no frames from {start} to {'its end' if stop is None else stop}; it "
                f"has {len(self)}" + (f" ({self.damage})" if self.damage else "")
            )
        return np.concatenate(parts)

    def positions(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Unwrapped positions, (n_frames, n_atoms, 3), Å."""
        return self.array("positions", start, stop)

    def cells(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """(n_frames, 3, 3), Å."""
        return self.array("cell", start, stop)

    def times_ps(self) -> np.ndarray:
        """(n_frames,)."""
        return self.array("time_ps")

    def __iter__(self) -> Iterator[Atoms]:
        for chunk in self.chunks():
            for k in range(len(chunk["step"])):
                yield self._atoms({name: values[k] for name, values in chunk.items()})

    @overload
    def __getitem__(self, frame: int) -> Atoms: ...
    @overload
    def __getitem__(self, frame: slice) -> list[Atoms]: ...
    def __getitem__(self, frame: int | slice) -> Atoms | list[Atoms]:
        if isinstance(frame, slice):
            return [self[k] for k in range(*frame.indices(len(self)))]
        index = range(len(self))[frame]
        (chunk,) = self.chunks(start=index, stop=index + 1)
        return self._atoms({name: values[0] for name, values in chunk.items()})

    def _atoms(self, frame: Mapping[str, np.ndarray]) -> Atoms:
        atoms = Atoms(
            self.symbols, positions=frame["positions"], cell=frame["cell"], pbc=self.pbc, masses=self.masses
        )
        if "velocities" in frame:
            from ase.units import fs

            atoms.set_velocities(frame["velocities"].astype(float) / fs)
        atoms.info.update({"step": int(frame["step"]), "time_ps": float(frame["time_ps"])})
        atoms.calc = SinglePointCalculator(atoms, energy=float(frame["potential_eV"]))
        return atoms

    def for_analysis(self, scratch: str | Path | None = None) -> AnalysisTrajectory:
        """What :mod:`iondiff.analysis` works on: positions, their cells, the time between frames.

        Parameters
        ----------
        scratch
            A file for the positions (24 bytes an atom and frame), mapped instead of held in memory; beyond 256
            MiB an unnamed temporary one when not given.
        """
        shape = (len(self), len(self.symbols), 3)
        positions: np.ndarray
        if scratch is not None:
            positions = np.lib.format.open_memmap(scratch, "w+", np.float64, shape)
        elif 8 * int(np.prod(shape)) > KEEP_IN_MEMORY:
            with tempfile.TemporaryFile() as unnamed:  # the map keeps the data
                positions = np.memmap(unnamed, np.float64, "w+", shape=shape)
        else:
            positions = np.empty(shape)
        at = 0
        for chunk in self.chunks(("positions",)):
            positions[at : at + len(chunk["positions"])] = chunk["positions"]
            at += len(chunk["positions"])
        cells = self.cells()
        periodic = (bool(self.pbc[0]), bool(self.pbc[1]), bool(self.pbc[2]))
        still = bool((cells == cells[0]).all())
        made = AnalysisTrajectory(
            positions, cells[0] if still else cells, tuple(self.symbols), periodic, wrapped=False,
            timestep_ps=self.timestep_ps,
        )  # fmt: skip
        if self.damage:
            made.say(self.damage)
        return made

    def export(self, path: str | Path, every: int = 1) -> None:
        """Extended XYZ, which ASE, OVITO and MDAnalysis open; one frame at a time in memory."""
        path = Path(path)
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("w") as stream:
            for index, atoms in enumerate(self):
                if index % every == 0:
                    write_extxyz(stream, [atoms])
        temporary.replace(path)
