"""``symfunction_short`` lines of n2p2 and RuNNer, read and written."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers

from iondiff.descriptors import SymmetryFunction
from iondiff.descriptors.definitions import KINDS
from iondiff.errors import PotentialError
from iondiff.potentials._n2p2_text import Settings, fail, number, whole

# Parameters in the order of the line, behind centre, type and neighbours. A star: may be left out.
_COLUMNS = {
    "G1": ("cutoff",),
    "G2": ("eta", "shift", "cutoff"),
    "G3": ("kappa", "cutoff"),
    "G4": ("eta", "lam", "zeta", "cutoff", "*shift"),
    "G5": ("eta", "lam", "zeta", "cutoff", "*shift"),
    "W2": ("eta", "shift", "cutoff"),
    "W4": ("eta", "shift", "lam", "zeta", "cutoff"),
    "P2": ("r_low", "r_high", "core"),
    "P4": ("r_low", "r_high", "angle_left", "angle_right", "core"),
    "P5": ("r_low", "r_high", "angle_left", "angle_right", "core"),
    "PW2": ("r_low", "r_high", "core"),
    "PW4": ("r_low", "r_high", "angle_left", "angle_right", "core"),
    "PW5": ("r_low", "r_high", "angle_left", "angle_right", "core"),
}
_POWER_OF_LENGTH = {"eta": -2, "kappa": -1, "shift": 1, "cutoff": 1, "r_low": 1, "r_high": 1}
_NEIGHBOURS = {"G1": 1, "G2": 1, "G3": 1, "G4": 2, "G5": 2, "P2": 1, "P4": 2, "P5": 2}


def read_functions(settings: Settings, species: tuple[str, ...], length: float) -> list[SymmetryFunction]:
    """All functions of an ``input.nn``, in the order of the file; `length` is Å in one unit of length.

    RuNNer's short forms ``element_symfunction_short`` (all neighbours of an element) and
    ``global_symfunction_short`` (all elements) are written out.
    """
    common = _cutoff(settings)
    path = settings.path
    functions = [
        _function(words, line, path, species, length, common)
        for words, line in settings.all("symfunction_short")
    ]
    for words, line in settings.all("element_symfunction_short"):
        functions += _expanded(words[:1], words[1:], line, path, species, length, common)
    for words, line in settings.all("global_symfunction_short"):
        functions += _expanded(list(species), words, line, path, species, length, common)
    return functions


def _cutoff(settings: Settings) -> dict[str, Any]:
    words, line = settings.one("cutoff_type")
    kind = whole(words[0], settings.path, line, "cutoff_type")
    inner = settings.number("cutoff_alpha", 0.0)
    if len(words) > 1:
        inner = number(words[1], settings.path, line, "inner cutoff of cutoff_type")
    if not (0 <= kind <= 8 and 0 <= inner < 1):
        fail(settings.path, line, f"cutoff_type {kind} {inner}; wanted a type of 0 to 8, then 0 <= alpha < 1")
    return {"cutoff_kind": kind, "inner": inner}


def _function(
    words: list[str],
    line: int,
    path: Path,
    species: tuple[str, ...],
    length: float,
    common: dict[str, Any],
) -> SymmetryFunction:
    if len(words) < 2:
        fail(path, line, "a symmetry function has no element and type; wanted both")
    kind = _kind(words[1], line, path)
    n = _NEIGHBOURS.get(kind, 0)
    elements = (words[0], *words[2 : 2 + n])
    for symbol in elements:
        if symbol not in species:
            fail(path, line, f"element {symbol!r} is not among the elements, {' '.join(species)}")
    columns = _COLUMNS[kind]
    least = sum(not c.startswith("*") for c in columns)
    values = words[2 + n :]
    if not least <= len(values) <= len(columns):
        wanted = " ".join(f"[{c[1:]}]" if c.startswith("*") else c for c in columns)
        fail(
            path,
            line,
            f"type {words[1]} has {len(values)} parameters behind its elements; wanted {least}: {wanted}",
        )
    parameters: dict[str, Any] = {}
    for column, text in zip(columns, values, strict=False):
        name = column.removeprefix("*")
        if name == "core":
            parameters[name] = "e" if text.startswith("e") else text
        else:
            value = number(text, path, line, name)
            parameters[name] = value * length ** _POWER_OF_LENGTH.get(name, 0)
    parameters.setdefault("cutoff", parameters.get("r_high"))
    try:
        return SymmetryFunction(kind, words[0], elements[1:], **parameters, **common)
    except PotentialError as error:
        fail(path, line, str(error))


def _kind(text: str, line: int, path: Path) -> str:
    kind = KINDS.get(whole(text, path, line, "type of a symmetry function"))
    if kind is None:
        known = ", ".join(str(k) for k in sorted(KINDS))
        fail(path, line, f"symmetry function type {text} is not known; wanted one of {known}")
    return kind


def _expanded(
    centres: list[str],
    words: list[str],
    line: int,
    path: Path,
    species: tuple[str, ...],
    length: float,
    common: dict[str, Any],
) -> list[SymmetryFunction]:
    if not words:
        fail(path, line, "a symmetry function has no type; wanted one")
    n = _NEIGHBOURS.get(_kind(words[0], line, path), 0)
    return [
        _function([centre, words[0], *neighbours, *words[1:]], line, path, species, length, common)
        for centre in centres
        for neighbours in itertools.combinations_with_replacement(species, n)
    ]


def function_line(function: SymmetryFunction, length: float) -> str:
    """The line that :func:`read_functions` reads back."""
    if function.kind == "G3":
        raise PotentialError(
            f"a G3 function of {function.centre} has no place in n2p2's files; train without it to export"
        )
    words = [function.centre, str(function.type_number), *function.neighbours]
    for column in _COLUMNS[function.kind]:
        name = column.removeprefix("*")
        value = getattr(function, name)
        words.append(value if name == "core" else repr(value / length ** _POWER_OF_LENGTH.get(name, 0)))
    return "symfunction_short " + " ".join(words)


def by_atomic_number(symbols: list[str], path: Path, line: int) -> tuple[str, ...]:
    """n2p2's order of elements."""
    for symbol in symbols:
        if atomic_numbers.get(symbol, 0) == 0:
            fail(path, line, f"{symbol!r} is no chemical symbol")
    if len(set(symbols)) != len(symbols) or not symbols:
        fail(path, line, f"elements are {' '.join(symbols)}; wanted each once")
    return tuple(sorted(symbols, key=atomic_numbers.__getitem__))
