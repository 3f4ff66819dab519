"""A landscape whose answers are kept on disk: a search over slow energies goes on where it was killed."""

import contextlib
import hashlib
import os
import struct
from pathlib import Path

import numpy as np

from search.errors import SearchError
from search.landscape import Landscape, checked_answer
from search.lattice import Floats, checked_cell

_MAGIC = b"landscape-answers/1\n"
_HEAD = struct.Struct("<q32s32s")  # points in the batch, what was asked, checksum of the answer
_LARGEST_BATCH = 1 << 24
_SAME = 1e-6  # eV


class RememberedLandscape:
    """Any landscape, asked once for every batch of points and never again.

    A search asks the same questions in the same order whenever it is started, so a search that was killed
    and is started again runs through what is on disk and goes on from there, to the same last digit. Worth
    its disk space (32 bytes a point) where an energy costs more than a millisecond: a calculator, not a
    small network.

    Parameters
    ----------
    landscape:
        whatever fulfils `Landscape`; its answer at a point must not depend on the other points of a call.
    path:
        file of answers; grows by one batch at a time. What a kill or a damaged byte left at its end is
        dropped and asked again.
    batch:
        the most points of one call, and so what a kill may cost.
    """

    def __init__(self, landscape: Landscape, path: str | Path, *, batch: int = 64) -> None:
        if batch < 1 or batch > _LARGEST_BATCH:
            raise SearchError(f"batch={batch}: wanted 1 to {_LARGEST_BATCH} points.")
        self.landscape = landscape
        self.cell = checked_cell(landscape.cell)
        self.host = getattr(landscape, "host", None)
        self.path = Path(path)
        self.batch = batch
        self._opening = _MAGIC + hashlib.sha256(np.ascontiguousarray(self.cell).tobytes()).digest()
        self._places = self._read()
        self._unchecked = bool(self._places)

    def energy_and_gradient(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (n, 3), Cartesian Å -> energies (n,), eV, and gradients (n, 3), eV/Å."""
        points = np.ascontiguousarray(points, dtype=np.float64)
        energies, gradients = np.empty(len(points)), np.empty((len(points), 3))
        for start in range(0, len(points), self.batch):
            part = slice(start, start + self.batch)
            energies[part], gradients[part] = self._answer(points[part])
        return energies, gradients

    def _answer(self, points: Floats) -> tuple[Floats, Floats]:
        asked = hashlib.sha256(points.tobytes()).digest()
        if asked in self._places:
            answer = self._kept(self._places[asked], len(points))
            if self._unchecked:
                self._check(points[:1], float(answer[0, 0]))
            return answer[:, 0].copy(), answer[:, 1:].copy()
        energies, gradients = checked_answer(self.landscape.energy_and_gradient(points.copy()), len(points))
        content = np.column_stack([energies, gradients]).tobytes()
        self._append(_HEAD.pack(len(points), asked, hashlib.sha256(content).digest()) + content)
        self._places[asked] = self.path.stat().st_size - len(content)
        return energies, gradients

    def _check(self, point: Floats, kept: float) -> None:
        """The first answer from disk is asked once more: the file may be another landscape's."""
        now = float(checked_answer(self.landscape.energy_and_gradient(point.copy()), 1)[0][0])
        if not (abs(now - kept) <= _SAME * max(1.0, abs(kept)) or (np.isfinite([now, kept]) == 0).all()):
            raise SearchError(
                f"{self.path} holds answers of another landscape: {kept:.9g} eV at "
                f"{np.round(point[0], 4).tolist()} Å, where this one says {now:.9g} eV; name another file."
            )
        self._unchecked = False

    def _kept(self, place: int, n: int) -> Floats:
        with self.path.open("rb") as stream:
            stream.seek(place)
            return np.frombuffer(stream.read(32 * n), dtype=np.float64).reshape(n, 4)

    def _append(self, record: bytes) -> None:
        try:
            with self.path.open("ab") as stream:
                before = stream.tell()
                try:
                    stream.write(record)
                    stream.flush()
                    os.fsync(stream.fileno())
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.ftruncate(stream.fileno(), before)
                    raise
        except OSError as error:
            raise SearchError(
                f"{self.path} cannot be written ({error.strerror or error}); make room."
            ) from error

    def _read(self) -> dict[bytes, int]:
        """Where each whole answer begins; the file is cut after the last of them."""
        if not self.path.exists() or self.path.stat().st_size < len(self._opening):
            if self.path.exists() and not self._opening.startswith(self.path.read_bytes()):
                raise SearchError(
                    f"{self.path} is not a file of answers; it would be overwritten, name another."
                )
            self.path.unlink(missing_ok=True)
            self._append(self._opening)
            return {}
        places: dict[bytes, int] = {}
        with self.path.open("r+b") as stream:
            opening = stream.read(len(self._opening))
            if opening != self._opening:
                what = "of another cell" if opening.startswith(_MAGIC) else "not a file of answers"
                raise SearchError(f"{self.path} is {what}; name another file.")
            whole = stream.tell()
            while len(head := stream.read(_HEAD.size)) == _HEAD.size:
                n, asked, seal = _HEAD.unpack(head)
                content = stream.read(32 * n) if 0 <= n <= _LARGEST_BATCH else b""
                if len(content) != 32 * n or hashlib.sha256(content).digest() != seal:
                    break
                places[asked] = whole + _HEAD.size
                whole = stream.tell()
            stream.truncate(whole)
        return places
