"""A structure as the potentials take it: checked arrays and who is near whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import PotentialError
from iondiff.neighbours import VerletList, neighbour_table
from iondiff.potentials._kernels_checks import closest_pair

Table = tuple[np.ndarray, np.ndarray, np.ndarray]

CLOSEST = 1e-2
"""Å; nearer than this, two atoms are one place given twice and no potential means anything."""


@dataclass(frozen=True)
class Surroundings:
    """Atoms and the table of their neighbours; see :func:`iondiff.neighbours.neighbour_table`.

    Attributes
    ----------
    positions, cell
        (n, 3) and (3, 3), Å.
    species
        (n,), index into the potential's list of elements.
    first, index, image
        Neighbours; pairs beyond the potential's cutoff may be listed.
    """

    positions: np.ndarray
    cell: np.ndarray
    species: np.ndarray
    first: np.ndarray
    index: np.ndarray
    image: np.ndarray


def surroundings(
    atoms: Atoms, species: tuple[str, ...], cutoff: float, neighbours: VerletList | None = None
) -> Surroundings:
    """Arrays of a structure, after everything that can be wrong with it has been looked at.

    Parameters
    ----------
    species
        Elements that the potential knows.
    cutoff
        Å.
    neighbours
        A list that is kept from call to call, or None to make a table.

    Raises
    ------
    PotentialError
        No atoms, an unknown element, positions or a cell that are not finite, a periodic direction without a
        lattice vector or a cell without volume, atoms on top of each other; atoms are named by their index.
    """
    positions = np.ascontiguousarray(atoms.positions, dtype=float)
    cell = np.ascontiguousarray(atoms.cell.array, dtype=float)
    pbc = np.ascontiguousarray(atoms.pbc, dtype=bool)
    _check_arrays(positions, cell, pbc)
    indices = _species_indices(atoms, species)
    if neighbours is None:
        table = _checked(neighbour_table, positions, cell, pbc, float(cutoff))
    else:
        table = _checked(neighbours.update, positions, cell, pbc)
    first, index, image = table
    i, j, distance = closest_pair(positions, cell, first, index, image)
    if distance < CLOSEST:
        raise PotentialError(
            f"atoms {i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}) are {distance:.2g} Å apart; wanted "
            f"at least {CLOSEST} Å: the same place is listed twice, or the cell is too small"
        )
    return Surroundings(positions, cell, indices, first, index, image)


def _check_arrays(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> None:
    if len(positions) == 0:
        raise PotentialError("the structure has no atoms; wanted at least one")
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise PotentialError(f"atom {bad[0]} is at {positions[bad[0]]} Å; wanted finite numbers")
    if not np.isfinite(cell).all():
        raise PotentialError("the cell holds numbers that are not finite; wanted lattice vectors in Å")
    periodic = cell[pbc]
    # Volume, area or length that the periodic vectors span.
    if len(periodic) and np.sqrt(abs(np.linalg.det(periodic @ periodic.T))) < 1e-6:
        names = ", ".join("abc"[k] for k in np.flatnonzero(pbc))
        raise PotentialError(
            f"the structure is periodic along {names}, but the lattice vectors {periodic.tolist()} span "
            "nothing (volume 0); set the cell, or pbc to False"
        )


def _checked(make: Callable[..., Table], *arguments: Any) -> Table:
    try:
        return make(*arguments)
    except ValueError as error:
        raise PotentialError(f"the neighbours of the atoms cannot be listed: {error}") from error


def _species_indices(atoms: Atoms, species: tuple[str, ...]) -> np.ndarray:
    lookup = {symbol: k for k, symbol in enumerate(species)}
    indices = np.array([lookup.get(symbol, -1) for symbol in atoms.symbols], dtype=np.int64)
    unknown = np.flatnonzero(indices < 0)
    if len(unknown):
        raise PotentialError(
            f"atom {unknown[0]} is {atoms.symbols[unknown[0]]}; the potential knows {', '.join(species)}"
        )
    return indices
