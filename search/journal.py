"""A file of finished force evaluations, so that a long search can be stopped at any moment and goes on.

The searches are deterministic: started again, one asks for the same structures in the same order, is served
from the file until that is used up, and arrives at the same answer.
"""

import struct
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

import numpy as np
from ase import Atoms

from search.errors import SearchError
from search.lattice import Floats

_MAGIC = b"search-journal/1\n"
_DIGEST = 16
# A stored energy that the calculator does not repeat to this, eV, was made by another calculator.
_REPEATS = 1e-3


def key_of(atoms: Atoms) -> bytes:
    """What makes one evaluation different from another: elements, cell, periodicity and positions."""
    digest = blake2b(digest_size=_DIGEST)
    for part in (atoms.numbers, np.array(atoms.cell), atoms.pbc, atoms.positions):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.digest()


class Journal:
    """Finished evaluations in a file: key -> energy, eV, and forces (n, 3), eV/Å.

    Records are appended one by one; one torn by a crash is dropped when the file is opened again. The first
    structure found in an older file is computed anew and compared, so that a file made with another
    calculator is refused.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.known: dict[bytes, tuple[float, Floats]] = {}
        self.checked = False
        whole = self._read()
        self._file = self.path.open("r+b" if whole else "w+b")
        if not whole:
            self._file.write(_MAGIC)
            self._file.flush()
        else:
            self._file.truncate(whole)
            self._file.seek(whole)

    def _read(self) -> int:
        """Fill `known`; return how many bytes of the file are whole records."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return 0
        raw = self.path.read_bytes()
        if not raw.startswith(_MAGIC):
            raise SearchError(
                f"checkpoint={str(self.path)!r} is a file of something else; name a new file, or one that a "
                "search wrote."
            )
        at = len(_MAGIC)
        while at + _DIGEST + 4 <= len(raw):
            (n,) = struct.unpack_from("<I", raw, at + _DIGEST)
            end = at + _DIGEST + 4 + 8 * (1 + 3 * n)
            if end > len(raw):
                break
            numbers = np.frombuffer(raw, dtype="<f8", count=1 + 3 * n, offset=at + _DIGEST + 4)
            key = raw[at : at + _DIGEST]
            self.known[key] = (float(numbers[0]), numbers[1:].reshape(n, 3).copy())
            at = end
        return at

    def get(self, atoms: Atoms) -> tuple[float, Floats] | None:
        """The stored energy, eV, and forces (n, 3), eV/Å, of a structure, or None."""
        return self.known.get(key_of(atoms))

    def check(self, stored: float, computed: float) -> None:
        """Compare a stored energy with the same one computed now, eV: once a file is enough."""
        if not abs(computed - stored) <= _REPEATS:
            raise SearchError(
                f"checkpoint={str(self.path)!r} says {stored:.6f} eV for a structure to which the calculator "
                f"now gives {computed:.6f} eV: it was made with another calculator. Name a new file."
            )
        self.checked = True

    def put(self, atoms: Atoms, energy: float, forces: Floats) -> None:
        """Append one evaluation; on disk when this returns, as far as the process is concerned."""
        record = np.concatenate([[energy], np.asarray(forces, dtype=np.float64).ravel()])
        self.known[key_of(atoms)] = (energy, np.array(forces))
        header = key_of(atoms) + struct.pack("<I", len(atoms))
        self._file.write(header + record.astype("<f8").tobytes())
        self._file.flush()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
