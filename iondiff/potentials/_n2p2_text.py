"""Lines of n2p2's and RuNNer's files: keywords with line numbers, numbers with an address in every error."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import NoReturn

import ase.units

from iondiff.errors import PotentialError
from iondiff.files import brief

LENGTHS = {"angstrom": 1.0, "å": 1.0, "a": 1.0, "bohr": ase.units.Bohr, "a0": ase.units.Bohr}
ENERGIES = {"ev": 1.0, "hartree": ase.units.Hartree, "ha": ase.units.Hartree}
_LARGEST = 256 * 1024 * 1024  # bytes of text; a file that has more is not one of these


def unit_factors(units: tuple[str, str]) -> tuple[float, float]:
    """Å and eV in one unit of length and of energy."""
    try:
        length, energy = units
        return LENGTHS[length.lower()], ENERGIES[energy.lower()]
    except (KeyError, ValueError, TypeError, AttributeError):
        raise PotentialError(
            f"units are {units!r}; wanted a length of {', '.join(LENGTHS)} and an energy of "
            f"{', '.join(ENERGIES)}, for example ('bohr', 'hartree')"
        ) from None


def fail(path: Path, line: int, message: str) -> NoReturn:
    """An error with its address."""
    raise PotentialError(f"{path}, line {line}: {brief(message, 600)}")


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file.

    Raises
    ------
    PotentialError
        Missing, not text, or far too long.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise PotentialError(f"{what} {path} is longer than {_LARGEST} bytes; it is another kind of file")
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PotentialError(f"{what} {path} cannot be read: {error}") from error


def number(text: str, path: Path, line: int, what: str) -> float:
    """A finite number."""
    try:
        value = float(text.lower().replace("d", "e"))  # Fortran's 1.0D+00
    except ValueError:
        fail(path, line, f"{what} is {text!r}; wanted a number")
    if not math.isfinite(value):
        fail(path, line, f"{what} is {text}; wanted a finite number")
    return value


def whole(text: str, path: Path, line: int, what: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        fail(path, line, f"{what} is {text!r}; wanted a whole number")


class Settings:
    """Keywords of an ``input.nn`` and what follows them.

    Attributes
    ----------
    path
        Of the file.
    entries
        keyword -> list of (arguments, line number from 1).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, list[tuple[list[str], int]]] = defaultdict(list)
        for at, text in enumerate(read_lines(path, "settings file"), start=1):
            words = text.split("#")[0].split("!")[0].split()
            if words:
                keyword = "symfunction_short" if words[0] == "symfunction" else words[0]
                self.entries[keyword].append((words[1:], at))

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.entries

    def all(self, keyword: str) -> list[tuple[list[str], int]]:
        """Every occurrence."""
        return self.entries.get(keyword, [])

    def one(self, keyword: str, least: int = 1) -> tuple[list[str], int]:
        """The only occurrence, with at least so many arguments."""
        found = self.all(keyword)
        if not found:
            raise PotentialError(f"{self.path} has no keyword {keyword}; wanted it once")
        if len(found) > 1:
            fail(self.path, found[1][1], f"{keyword} stands here and in line {found[0][1]}; wanted it once")
        if len(found[0][0]) < least:
            fail(self.path, found[0][1], f"{keyword} has no value; wanted one")
        return found[0]

    def number(self, keyword: str, default: float | None = None) -> float:
        """The number behind a keyword, or the default without it."""
        if default is not None and keyword not in self:
            return default
        words, line = self.one(keyword)
        return number(words[0], self.path, line, keyword)

    def whole(self, keyword: str) -> int:
        """The whole number behind a keyword."""
        words, line = self.one(keyword)
        return whole(words[0], self.path, line, keyword)
