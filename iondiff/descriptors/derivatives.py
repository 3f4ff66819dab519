"""Symmetry functions and their derivatives of many structures, computed once and kept in a sparse form.

A neighbour moves only the functions that look at its element and reach that far. Pairs of atoms therefore
fall into classes (element of the centre, element of the neighbour, within the angular reach or beyond), and
only the functions of its class are kept for a pair, in single precision. What does not fit the memory budget
is kept in a file that the operating system maps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from iondiff.descriptors import _kernels_derivatives as kernels
from iondiff.descriptors.definitions import CORES, SymmetryFunction
from iondiff.errors import PotentialError
from iondiff.neighbours import neighbour_table


class FlatFunctions:
    """Symmetry functions of every element as flat tables for the kernels.

    Parameters
    ----------
    functions
        Per element, in the order of its network's inputs.
    """

    def __init__(self, functions: Mapping[str, Sequence[SymmetryFunction]]) -> None:
        self.species = tuple(sorted(functions, key=atomic_numbers.__getitem__))
        self.functions = {symbol: tuple(functions[symbol]) for symbol in self.species}
        code = {symbol: k for k, symbol in enumerate(self.species)}
        self.numbers = np.array([atomic_numbers[symbol] for symbol in self.species], dtype=float)
        self.sizes = np.array([len(self.functions[symbol]) for symbol in self.species], dtype=np.int64)
        bells: dict[tuple[float, ...], int] = {}
        group: tuple[int, ...]
        radial: list[list[int]] = []
        groups: list[list[int]] = []
        angles: list[list[float]] = []
        columns: list[int] = []
        radial_range, group_range = [0], [0]
        for symbol in self.species:
            triples: dict[tuple[int, ...], list[tuple[int, list[float]]]] = {}
            for column, function in enumerate(self.functions[symbol]):
                bell = bells.setdefault(_bell(function), len(bells))
                seen = [-1, -1] if function.weighted else sorted(code[s] for s in function.neighbours)
                if function.radial:
                    radial.append([column, bell, seen[0]])
                else:
                    group = (bell, int(function.narrow), seen[0], seen[1])
                    triples.setdefault(group, []).append((column, _angle(function)))
            for group, members in triples.items():
                groups.append([*group, len(columns), len(columns) + len(members)])
                columns += [column for column, _ in members]
                angles += [row for _, row in members]
            radial_range.append(len(radial))
            group_range.append(len(groups))
        self.bells = np.array(list(bells), dtype=float).reshape(-1, 6)
        self.radial = np.array(radial, dtype=np.int64).reshape(-1, 3)
        self.groups = np.array(groups, dtype=np.int64).reshape(-1, 6)
        self.angles = np.array(angles, dtype=float).reshape(-1, 4)
        self.columns = np.array(columns, dtype=np.int64)
        self.radial_range = np.array(radial_range, dtype=np.int64)
        self.group_range = np.array(group_range, dtype=np.int64)
        every = [f for symbol in self.species for f in self.functions[symbol]]
        self.cutoff = max(f.cutoff for f in every)
        self.angular_cutoff = max([f.cutoff for f in every if not f.radial], default=0.0)
        self.class_columns, self.class_size = self._classes()

    def _classes(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns of each class of pairs: index 2 (centre · n + neighbour) + (beyond the angular reach)."""
        n = len(self.species)
        columns = np.zeros((2 * n * n, int(self.sizes.max())), dtype=np.int64)
        size = np.zeros(2 * n * n, dtype=np.int64)
        for c, centre in enumerate(self.species):
            for e, element in enumerate(self.species):
                for beyond in (0, 1):
                    chosen = [
                        k
                        for k, f in enumerate(self.functions[centre])
                        if (f.weighted or element in f.neighbours) and (f.radial or not beyond)
                    ]
                    row = 2 * (c * n + e) + beyond
                    size[row] = len(chosen)
                    columns[row, : len(chosen)] = chosen
        return columns, size

    def codes(self, atoms: Atoms) -> np.ndarray:
        """(n,) index of each atom's element in `species`."""
        code = {symbol: k for k, symbol in enumerate(self.species)}
        symbols = atoms.get_chemical_symbols()
        unknown = sorted(set(symbols) - set(code))
        if unknown:
            raise PotentialError(f"{', '.join(unknown)} has no symmetry functions; wanted some for it")
        return np.array([code[symbol] for symbol in symbols], dtype=np.int64)


def _bell(f: SymmetryFunction) -> tuple[float, ...]:
    if f.polynomial:
        kind = 4.0 if f.core == "e" else 4.0 + int(f.core[1])
        assert f.core in CORES  # noqa: S101 - checked by the function itself
        return (kernels.COMPACT, f.r_high, f.r_low, kind, float(f.core.endswith("a")), 0.0)
    inner = f.inner * f.cutoff
    if f.kind == "G3":
        return (kernels.COSINE, f.cutoff, inner, f.cutoff_kind, f.kappa, 0.0)
    eta, shift = (0.0, 0.0) if f.kind == "G1" else (f.eta, f.shift)
    return (kernels.GAUSSIAN, f.cutoff, inner, f.cutoff_kind, eta, shift)


def _angle(f: SymmetryFunction) -> list[float]:
    if f.polynomial:
        left, right = np.radians([f.angle_left, f.angle_right])
        kind = 4.0 if f.core == "e" else 4.0 + int(f.core[1])
        return [1.0, 0.5 * (left + right), 0.5 * (right - left), kind]
    return [0.0, f.lam, f.zeta, 0.0]


@dataclass(frozen=True)
class Described:
    """One structure: its functions, and who moves them how.

    Attributes
    ----------
    species
        (n,) element codes.
    values
        (n, largest number of functions), float64; unused columns are zero.
    first, index, vectors
        Neighbours of atom i: index[first[i]:first[i+1]], vectors from i to them, Å.
    pair_class, offset
        Of every pair: which functions, and where its (3, size) derivatives start in `derivatives`.
    derivatives
        Flat float32: ∂G_i / ∂(place of the neighbour), 1/Å.
    """

    species: np.ndarray
    values: np.ndarray
    first: np.ndarray
    index: np.ndarray
    vectors: np.ndarray
    pair_class: np.ndarray
    offset: np.ndarray
    derivatives: np.ndarray


def describe(
    structures: Sequence[Atoms],
    flat: FlatFunctions,
    memory_budget: float = 4e9,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    mapped: bool | None = None,
) -> list[Described]:
    """Functions and derivatives of many structures.

    Parameters
    ----------
    structures
        ASE structures; any cell and boundary.
    flat
        The functions.
    memory_budget
        Bytes of derivatives that may be held in memory; more is kept in a file.
    folder
        Where that file is made, by default the system's temporary folder. It has no name while it is used
        (on systems that allow this), so nothing is left behind by a kill.
    mapped
        Force the file (True) or the memory (False).
    """
    tables = [_pairs(atoms, flat) for atoms in structures]
    lengths = [int((3 * flat.class_size[table["pair_class"]]).sum()) for table in tables]
    total = sum(lengths)
    if mapped if mapped is not None else 4 * total > memory_budget:
        with tempfile.TemporaryFile(dir=folder, prefix="derivatives-") as stream:
            stream.truncate(max(4 * total, 4))
            store: np.ndarray = np.memmap(stream, dtype=np.float32, mode="r+", shape=(max(total, 1),))
    else:
        store = np.empty(total, dtype=np.float32)
    described = []
    start = 0
    for done, (table, length) in enumerate(zip(tables, lengths, strict=True)):
        sizes = 3 * flat.class_size[table["pair_class"]]
        offset = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if len(sizes) else sizes
        values = np.zeros((len(table["species"]), int(flat.sizes.max())))
        derivatives = np.asarray(store[start : start + length])
        kernels.describe_structure(
            table["first"], table["index"], table["vectors"], table["species"], flat.numbers, flat.bells,
            flat.radial, flat.radial_range, flat.groups, flat.group_range, flat.angles, flat.columns,
            table["pair_class"], flat.class_columns, flat.class_size, offset, values, derivatives,
        )  # fmt: skip
        described.append(Described(values=values, offset=offset, derivatives=derivatives, **table))
        start += length
        if progress:
            progress(done + 1, len(tables))
    return described


def _pairs(atoms: Atoms, flat: FlatFunctions) -> dict[str, Any]:
    species = flat.codes(atoms)
    positions = np.ascontiguousarray(atoms.positions, dtype=float)
    cell = np.ascontiguousarray(atoms.cell.array, dtype=float)
    first, index, image = neighbour_table(positions, cell, np.ascontiguousarray(atoms.pbc), flat.cutoff)
    centre = np.repeat(np.arange(len(atoms)), np.diff(first))
    vectors = positions[index] + image @ cell - positions[centre]
    beyond = (vectors**2).sum(axis=1) >= flat.angular_cutoff**2
    pair_class = 2 * (species[centre] * len(flat.species) + species[index]) + beyond
    return {
        "species": species,
        "first": first,
        "index": index,
        "vectors": np.ascontiguousarray(vectors),
        "pair_class": pair_class.astype(np.int64),
    }
