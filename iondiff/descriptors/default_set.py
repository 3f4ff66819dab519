"""A sensible set of symmetry functions for people who have no ``input.nn``.

Radial shells: Gaussians whose centres follow the distances found in the data, half by the radial distribution
function and half evenly, so that close shells are resolved and no distance is left out; each as wide as the
gap to the next (Gastegger et al., J. Chem. Phys. 148, 241709 (2018), for evenly spaced shells). Angular grid:
both signs of λ, two sharpnesses ζ, and two reaches: the whole sphere and the first shell (Behler,
J. Chem. Phys. 134, 074106 (2011)).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from iondiff.descriptors.definitions import SymmetryFunction, sort_functions
from iondiff.descriptors.descriptor import Descriptor, ElementDescriptor, Scaling
from iondiff.errors import PotentialError
from iondiff.neighbours import neighbour_table

_BINS_PER_A = 50
_MOST_STRUCTURES = 200  # more do not change the distribution of distances


def default_set(
    species: Sequence[str],
    cutoff: float = 6.0,
    structures: Sequence[Atoms] | None = None,
    *,
    radial: int = 8,
    zetas: Sequence[float] = (1.0, 4.0),
    narrow: bool = False,
    cutoff_kind: int = 6,
) -> Descriptor:
    """Symmetry functions for a potential of some elements; ``print(default_set(...))`` shows them as a table.

    Parameters
    ----------
    species
        Chemical symbols.
    cutoff
        Å.
    structures
        Training set; places the radial shells. Without it they are spaced evenly from 0.8 times the sum of
        the covalent radii.
    radial
        Shells for every pair of elements.
    zetas
        Sharpnesses of the angular functions; whole numbers cost least.
    narrow
        Angular functions with the third side of the triangle (G4); the default has none (G5) and is faster.
    cutoff_kind
        See :mod:`iondiff.descriptors.definitions`.

    Returns
    -------
    Descriptor
        Not scaled: scaling needs the functions' values over a training set.

    Raises
    ------
    PotentialError
        No species, a cutoff that holds no shell, or structures that have none of the elements.
    """
    species = sorted(set(species), key=lambda s: atomic_numbers.get(s, 0))
    if not species or radial < 1:
        raise PotentialError(f"species are {species} and radial is {radial}; wanted at least one of each")
    if not 0 < cutoff < np.inf:
        raise PotentialError(f"cutoff is {cutoff} Å; wanted a positive number")
    starts = {
        frozenset(pair): 0.8 * sum(covalent_radii[atomic_numbers[s]] for s in pair)
        for pair in itertools.combinations_with_replacement(species, 2)
        if all(s in atomic_numbers for s in pair)
    }
    histograms = _distances(species, cutoff, structures) if structures else {}
    elements = []
    for centre in species:
        functions: list[SymmetryFunction] = []
        reach = {}
        for neighbour in species:
            pair = frozenset((centre, neighbour))
            shifts = _shells(histograms.get(pair), starts.get(pair, 1.0), cutoff, radial)
            reach[neighbour] = shifts[min(1, radial - 1)]
            functions += [
                SymmetryFunction("G2", centre, (neighbour,), cutoff, cutoff_kind, eta=eta, shift=shift)
                for eta, shift in zip(_widths(shifts, cutoff), shifts, strict=True)
            ]
        for a, b in itertools.combinations_with_replacement(species, 2):
            # exp(−2 η r²) is 1/e at half the cutoff, and at the first shell.
            etas = (_round(2.0 / cutoff**2), _round(0.5 / max(reach[a], reach[b]) ** 2))
            functions += [
                SymmetryFunction(
                    "G4" if narrow else "G5", centre, (a, b), cutoff, cutoff_kind, eta=eta, lam=lam, zeta=zeta
                )
                for eta in dict.fromkeys(etas)
                for zeta in zetas
                for lam in (-1.0, 1.0)
            ]
        ordered = sort_functions(functions)
        elements.append(ElementDescriptor(centre, ordered, Scaling.identity(len(ordered))))
    return Descriptor(tuple(elements))


def _round(value: float) -> float:
    """Four digits: what a table shows is what is meant."""
    return float(f"{value:.4g}")


def _shells(histogram: np.ndarray | None, start: float, cutoff: float, count: int) -> list[float]:
    """Centres of the Gaussians, Å: quantiles of half the pair distribution, half a flat one."""
    edges = np.linspace(0, cutoff, round(cutoff * _BINS_PER_A) + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    end = cutoff - 0.5 * (cutoff - start) / count  # a Gaussian at the cutoff itself would be cut away
    if end <= start:
        raise PotentialError(
            f"the cutoff is {cutoff} Å and the shortest distance {start:.2f} Å; wanted a cutoff beyond it"
        )
    if histogram is not None and histogram.any():
        start = min(float(edges[np.argmax(histogram > 0)]), end - 0.1)
    inside = (middle >= start) & (middle <= end)
    density = np.full(inside.sum(), 1.0 / inside.sum())
    if histogram is not None and histogram[inside].any():
        g = histogram[inside] / middle[inside] ** 2
        density = 0.5 * density + 0.5 * g / g.sum()
    cumulative = np.cumsum(density)
    wanted = np.linspace(cumulative[0], 1, count) if count > 1 else np.array([0.5])
    return [_round(r) for r in np.interp(wanted, cumulative, middle[inside])]


def _widths(shifts: Sequence[float], cutoff: float) -> list[float]:
    """η, 1/Å²: neighbouring Gaussians cross at e^(−1/2) or above; none is sharper than atoms vibrate."""
    if len(shifts) == 1:
        return [_round(2.0 / cutoff**2)]
    gaps = np.diff(shifts)
    widest = np.maximum(np.append(gaps, gaps[-1]), np.insert(gaps, 0, gaps[0]))
    return [_round(2.0 / max(gap, 0.3) ** 2) for gap in widest]


def _distances(
    species: Sequence[str], cutoff: float, structures: Sequence[Atoms]
) -> dict[frozenset[str], np.ndarray]:
    """Histograms of the distances between every two elements, evenly over the training set."""
    step = max(1, len(structures) // _MOST_STRUCTURES)
    bins = round(cutoff * _BINS_PER_A)
    found = {frozenset(pair): np.zeros(bins) for pair in itertools.combinations_with_replacement(species, 2)}
    seen = False
    for atoms in structures[::step]:
        cell = np.ascontiguousarray(atoms.cell.array, dtype=float)
        positions = np.ascontiguousarray(atoms.positions, dtype=float)
        first, index, image = neighbour_table(positions, cell, np.ascontiguousarray(atoms.pbc), cutoff)
        centre = np.repeat(np.arange(len(atoms)), np.diff(first))
        r = np.linalg.norm(positions[index] + image @ cell - positions[centre], axis=1)
        symbols = np.array(atoms.get_chemical_symbols())
        for pair, histogram in found.items():
            a, b = min(pair), max(pair)
            chosen = (symbols[centre] == a) & (symbols[index] == b)
            np.add(histogram, np.histogram(r[chosen], bins, (0, cutoff))[0], out=histogram)
            seen = seen or bool(chosen.any())
    if not seen:
        raise PotentialError(
            f"the structures have no two atoms of {', '.join(species)} within {cutoff} Å of each other"
        )
    return found
