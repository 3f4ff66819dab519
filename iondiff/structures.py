"""Structures from files of strangers: read by ASE, with bounds, and never by a format that can carry code."""

from __future__ import annotations

import warnings
from pathlib import Path

import ase.io
from ase import Atoms
from ase.data import chemical_symbols
from ase.io.formats import UnknownFileTypeError, filetype

from iondiff.errors import HostError
from iondiff.files import read_bounded

#: Bytes of a structure file, and atoms in a structure.
LARGEST = 1 << 30
MOST_ATOMS = 2_000_000
# Formats that are text or plain arrays. What is left out: databases and folders, formats that import a
# calculator's package to be read, and those whose readers were not written for what is no file of theirs.
_FORMATS = frozenset(
    {
        "abinit-in", "aims", "castep-cell", "cfg", "cif", "cube", "dftb", "dlp4", "elk-in", "eon",
        "espresso-in", "extxyz", "gen", "lammps-data", "lammps-dump-text", "proteindatabank", "res", "traj",
        "vasp", "vasp-out", "vasp-xdatcar", "vasp-xml", "xsf", "xyz",
    }
)  # fmt: skip


def read_structure(path: str | Path) -> Atoms:
    """The last structure of a file.

    Raises
    ------
    HostError
        No such file, a pipe or device, too large, cut off, of no known format or of one that is not read.
    """
    path = Path(path)
    try:
        opening = read_bounded(path, LARGEST)[:200].lstrip()
    except FileNotFoundError:
        raise HostError(f"host structure {path} does not exist") from None
    except OSError as error:
        raise HostError(f"host structure {path} cannot be read: {error.strerror or error}") from error
    try:
        kind = filetype(str(path), guess=True)
        _check_opening(opening, kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = ase.io.read(path, index=-1, format=kind)
    except Exception as error:  # readers of many formats, each fails in its own way
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise HostError(f"host structure {path} cannot be read: {reason}") from error
    if not isinstance(atoms, Atoms):
        raise HostError(f"host structure {path} holds no structure")
    if len(atoms) and not (1 <= atoms.numbers.min() and atoms.numbers.max() < len(chemical_symbols)):
        raise HostError(f"host structure {path} has atoms of no element (atomic numbers outside 1 to 118)")
    if len(atoms) > MOST_ATOMS:
        raise HostError(f"host structure {path} has {len(atoms)} atoms; at most {MOST_ATOMS} are read")
    return atoms


def _check_opening(opening: bytes, kind: str) -> None:
    """The format, and the number of atoms that an xyz file begins with, before anything is made for them."""
    if kind not in _FORMATS:
        raise UnknownFileTypeError(f"format {kind!r} is not read; write it as extxyz or cif")
    if kind in ("xyz", "extxyz"):
        first = opening.split(b"\n", 1)[0].strip()
        if first.isdigit() and (len(first) > 12 or int(first) > MOST_ATOMS):
            raise ValueError(f"it claims {first[:20].decode()} atoms; at most {MOST_ATOMS} are read")
