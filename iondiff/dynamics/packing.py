"""Atoms thrown into a cell and pushed apart until none is nearer to another than it may be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, covalent_radii

from iondiff.errors import HostError
from iondiff.neighbours import neighbour_table

_AMU_A3 = 1.66053906660  # g/cm³ in amu/Å³
_ROUNDS = 2000
_CLOSE_ENOUGH = 0.98  # of the distance asked for


def random_packing(
    composition: Mapping[str, int],
    density_g_cm3: float | None = None,
    cell: Any = None,
    distances: float | Mapping[Any, float] | None = None,
    seed: int = 0,
) -> Atoms:
    """A random structure without close encounters.

    Parameters
    ----------
    composition
        Atoms of each element, such as ``{"Si": 72, "O": 144}``.
    density_g_cm3
        g/cm³, of a cube; or
    cell
        anything ASE takes as a cell, Å.
    distances
        Å, the nearest two atoms may be: one number, or by pairs ``{("Si", "O"): 1.5, ...}``; 0.8 of the sum of the
        covalent radii where not given.
    seed
        The same seed gives the same structure.

    Raises
    ------
    HostError
        A density at which the distances cannot be kept; the sentence says what was reached.
    """
    unknown = [name for name in composition if name not in atomic_numbers or atomic_numbers[name] == 0]
    if (
        unknown
        or not composition
        or any(
            isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in composition.values()
        )
    ):
        raise HostError(
            f"composition is {dict(composition)!r}; wanted chemical symbols with whole numbers of atoms"
        )
    symbols = [name for name, count in composition.items() for _ in range(count)]
    if (density_g_cm3 is None) == (cell is None):
        raise HostError("give either density_g_cm3 or cell")
    if density_g_cm3 is not None:
        if not (math.isfinite(density_g_cm3) and density_g_cm3 > 0):
            raise HostError(f"density_g_cm3 is {density_g_cm3}; wanted a positive number")
        mass = sum(atomic_masses[atomic_numbers[name]] for name in symbols)
        cell = [(mass * _AMU_A3 / density_g_cm3) ** (1.0 / 3.0)] * 3
    atoms = Atoms(symbols, cell=cell, pbc=True)
    if atoms.cell.rank < 3:
        raise HostError(f"the cell {atoms.cell.array.tolist()} has no volume")
    nearest = _nearest(list(composition), distances)
    kinds = np.repeat(np.arange(len(composition)), list(composition.values()))
    generator = np.random.default_rng(seed)
    atoms.positions = generator.random((len(atoms), 3)) @ atoms.cell.array
    share = _push_apart(atoms, nearest[np.ix_(kinds, kinds)], generator)
    if share < _CLOSE_ENOUGH:
        density = atoms.get_masses().sum() / atoms.get_volume() * _AMU_A3
        raise HostError(
            f"{len(atoms)} atoms at {density:.3g} g/cm³ cannot be packed: the nearest pair reached {share:.0%} of the "
            f"distance asked for; a density of {density * share**3:.3g} g/cm³ would do, or shorter distances"
        )
    return atoms


def _nearest(names: list[str], distances: float | Mapping[Any, float] | None) -> np.ndarray:
    """(n_elements, n_elements), Å."""
    table = np.zeros((len(names), len(names)))
    for (i, a), (j, b) in itertools.product(enumerate(names), repeat=2):
        default = 0.8 * (covalent_radii[atomic_numbers[a]] + covalent_radii[atomic_numbers[b]])
        if isinstance(distances, Mapping):
            options = ((a, b), (b, a), f"{a}-{b}", f"{b}-{a}")
            table[i, j] = next((float(distances[key]) for key in options if key in distances), default)
        else:
            table[i, j] = default if distances is None else float(distances)
    if not (np.isfinite(table).all() and (table > 0).all()):
        raise HostError(f"distances are {distances!r} Å; wanted positive numbers")
    return table


def _push_apart(atoms: Atoms, nearest: np.ndarray, generator: np.random.Generator) -> float:
    """Every overlapping pair moves half of its overlap each way; smallest distance over the one asked for."""
    cell, pbc = np.ascontiguousarray(atoms.cell.array), np.ones(3, bool)
    # A little more than asked for: the last overlaps otherwise shrink for ever and never vanish.
    wanted = 1.03 * nearest
    longest = float(wanted.max())
    share = 0.0
    for _ in range(_ROUNDS):
        first, index, image = neighbour_table(np.ascontiguousarray(atoms.positions), cell, pbc, longest)
        owner = np.repeat(np.arange(len(atoms)), np.diff(first))
        vectors = atoms.positions[index] + image @ cell - atoms.positions[owner]
        length = np.linalg.norm(vectors, axis=1)
        # Pairs on one spot are pushed anywhere.
        vectors[length < 1e-6] = generator.normal(size=(int((length < 1e-6).sum()), 3))
        length = np.maximum(np.linalg.norm(vectors, axis=1), 1e-6)
        limit = wanted[owner, index]
        share = float(min(1.0, (length / nearest[owner, index]).min(initial=1.0)))
        overlap = np.maximum(limit - length, 0.0)
        if share >= 1.0:
            break
        moves = np.zeros_like(atoms.positions)
        np.add.at(moves, owner, -0.5 * (overlap / length)[:, None] * vectors)
        atoms.positions += moves
    atoms.wrap()
    return share
