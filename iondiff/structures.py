"""Structures from files of strangers: read by ASE, with bounds, and never by a format that can carry code."""

from __future__ import annotations

import re
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
_MOST_COLUMNS = 1000
_COLUMNS = re.compile(rb"Properties\s*=\s*[\"']?([^\s\"']+)", re.IGNORECASE)
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
        data = read_bounded(path, LARGEST)
    except FileNotFoundError:
        raise HostError(f"host structure {path} does not exist") from None
    except OSError as error:
        raise HostError(f"host structure {path} cannot be read: {error.strerror or error}") from error
    try:
        kind = filetype(str(path), guess=True)
        _check_format(kind)
        if kind in {"xyz", "extxyz"}:
            _check_frames(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = ase.io.read(path, index=-1, format=kind)
    except Exception as error:  # readers of many formats, each fails in its own way
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise HostError(f"host structure {path} cannot be read: {reason}") from error
    if not isinstance(atoms, Atoms):
        raise HostError(f"host structure {path} holds no structure")
    if len(atoms) and (atoms.numbers.min() < 1 or atoms.numbers.max() >= len(chemical_symbols)):
        raise HostError(f"host structure {path} has atoms of no element (atomic numbers outside 1 to 118)")
    if len(atoms) > MOST_ATOMS:
        raise HostError(f"host structure {path} has {len(atoms)} atoms; at most {MOST_ATOMS} are read")
    return atoms


def checked_format(path: str | Path) -> str | None:
    """ASE's name of a file's format, where it is one that cannot carry code.

    Raises
    ------
    UnknownFileTypeError
        Of no known format or of one that is not read.
    """
    kind: str | None = filetype(str(path), guess=True)
    _check_format(kind)
    return kind


def _check_format(kind: str | None) -> None:
    if kind not in _FORMATS:
        raise UnknownFileTypeError(f"format {kind!r} is not read; write it as extxyz or cif")


def _check_frames(data: bytes) -> None:
    """Counts of atoms and of columns in an xyz file: ASE believes them and goes on for as long as they say."""
    lines = data.splitlines()
    place = 0
    while place < len(lines) and (first := lines[place].strip()):
        count = int(first) if len(first) < 12 else LARGEST
        if not 0 <= count <= len(lines) - place - 2:
            raise ValueError(
                f"line {place + 1} says {first[:20].decode(errors='replace')} atoms, and "
                f"{max(0, len(lines) - place - 2)} lines are left for them"
            )
        for columns in _COLUMNS.findall(lines[place + 1]):
            widths = [int(width) for width in columns.split(b":")[2::3] if width.isdigit()]
            if sum(widths) > _MOST_COLUMNS:
                raise ValueError(
                    f"line {place + 2} says {sum(widths)} columns; wanted at most {_MOST_COLUMNS}"
                )
        place += count + 2
        while place < len(lines) and lines[place].lstrip().startswith(b"VEC"):
            place += 1
