"""What a structure looks like: distances, neighbours, angles, rings, polyhedra, and whether it is a crystal."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from iondiff.analysis import _kernels_structure as kernels
from iondiff.errors import HostError
from iondiff.neighbours import neighbour_table

Cutoff = float | Mapping[Any, float]

_AMU_A3 = 1.66053906660  # g/cm³ in amu/Å³
_MOST_WAVES = 200_000


@dataclass(frozen=True)
class Bonds:
    """Neighbours within a cutoff.

    Attributes
    ----------
    first, index, image
        See :func:`iondiff.neighbours.neighbour_table`.
    vectors
        (m, 3), Å.
    """

    first: np.ndarray
    index: np.ndarray
    image: np.ndarray
    vectors: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(n,) neighbours of each atom."""
        return np.diff(self.first)


def bonds(atoms: Atoms, cutoff: Cutoff) -> Bonds:
    """All pairs nearer than a cutoff, Å: one number, or a table such as ``{("P", "O"): 2.0}`` (other pairs: none).

    Raises
    ------
    HostError
        The cutoff is no positive number, or a table names no pair of this structure.
    """
    table = _by_pair(cutoff)
    longest = max(table.values()) if table else float(cutoff)  # type: ignore[arg-type]
    if not (math.isfinite(longest) and longest > 0):
        raise HostError(f"the cutoff is {cutoff!r} Å; wanted a positive number, or a table of them by pairs")
    positions, cell = np.ascontiguousarray(atoms.positions), np.ascontiguousarray(atoms.cell.array)
    first, index, image = neighbour_table(positions, cell, np.ascontiguousarray(atoms.pbc), longest)
    near = kernels.vectors(positions, cell, first, index, image)
    if table:
        centre = np.repeat(np.arange(len(atoms)), np.diff(first))
        limits = np.zeros((len(chemical_symbols),) * 2)
        for (a, b), value in table.items():
            limits[chemical_symbols.index(a), chemical_symbols.index(b)] = value
        limit = limits[atoms.numbers[centre], atoms.numbers[index]]
        if len(limit) and not limit.any():
            raise HostError(f"the cutoffs name {sorted(table)}, of which the structure has none")
        keep = (near**2).sum(axis=1) < limit**2
        first = np.concatenate([[0], np.cumsum(np.bincount(centre[keep], minlength=len(atoms)))])
        index, image, near = index[keep], np.ascontiguousarray(image[keep]), near[keep]
    return Bonds(first, index, image, near)


def _by_pair(cutoff: Cutoff) -> dict[tuple[str, str], float]:
    if not isinstance(cutoff, Mapping):
        return {}
    pairs = {
        tuple(key.split("-")) if isinstance(key, str) else tuple(key): float(v) for key, v in cutoff.items()
    }
    wrong = [pair for pair in pairs if len(pair) != 2 or not set(pair) <= set(chemical_symbols)]
    if wrong:
        raise HostError(f"the cutoffs have the keys {wrong}; wanted pairs of chemical symbols")
    return {ends: value for (a, b), value in pairs.items() for ends in ((a, b), (b, a))}


def density(atoms: Atoms) -> float:
    """Mass density, g/cm³."""
    return float(atoms.get_masses().sum() / abs(np.linalg.det(atoms.cell.array)) * _AMU_A3)


def rdf(
    frames: Atoms | Iterable[Atoms],
    r_max: float = 8.0,
    n_bins: int = 200,
    pair: tuple[str, str] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Radial distribution function, mean over frames.

    Parameters
    ----------
    frames
        One structure or many, periodic in all directions; `r_max` may exceed half the cell.
    r_max, n_bins
        Å, and how many bins.
    pair
        Two elements; all atoms when not given.

    Returns
    -------
    r, g
        (n_bins,): middles of bins, Å, and g(r).
    """
    edges = np.linspace(0.0, r_max, n_bins + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    total, count = np.zeros(n_bins), 0
    for atoms in [frames] if isinstance(frames, Atoms) else frames:
        if not atoms.pbc.all():
            raise HostError(
                "a radial distribution function needs a structure that is periodic in all directions"
            )
        found = bonds(atoms, r_max)
        symbols = np.array(atoms.get_chemical_symbols())
        ones = symbols == pair[0] if pair else np.ones(len(atoms), bool)
        others = symbols == pair[1] if pair else np.ones(len(atoms), bool)
        if not ones.any() or not others.any():
            raise HostError(f"pair is {pair}; the structure has {', '.join(sorted(set(symbols)))}")
        keep = np.repeat(ones, found.counts) & others[found.index]
        distances = np.linalg.norm(found.vectors[keep], axis=1)
        pairs = ones.sum() * others.sum() / abs(np.linalg.det(atoms.cell.array))
        total += np.histogram(distances, edges)[0] / (pairs * shells)
        count += 1
    if not count:
        raise HostError("no frames to average over")
    return 0.5 * (edges[1:] + edges[:-1]), total / count


def structure_factor(r: np.ndarray, g: np.ndarray, number_density: float, q: np.ndarray) -> np.ndarray:
    """S(q) of an isotropic g(r) with Lorch's window, which damps what the end of g(r) would ring; q in 1/Å."""
    window = np.sinc(r / r[-1])
    kernel = np.sinc(np.outer(q, r) / np.pi)
    step = r[1] - r[0]
    return np.asarray(
        1.0 + 4.0 * np.pi * number_density * step * (kernel * (r**2 * (g - 1.0) * window)).sum(axis=1)
    )


def coordination(
    atoms: Atoms, cutoff: Cutoff, centre: str | None = None, neighbour: str | None = None
) -> np.ndarray:
    """Number of neighbours of each atom (of element `centre`) within the cutoff (of element `neighbour`)."""
    found = bonds(atoms, cutoff)
    symbols = np.array(atoms.get_chemical_symbols())
    owner = np.repeat(np.arange(len(atoms)), found.counts)
    keep = symbols[found.index] == neighbour if neighbour else np.ones(len(found.index), bool)
    counts = np.bincount(owner[keep], minlength=len(atoms))
    return counts[symbols == centre] if centre else counts


def bond_angles(atoms: Atoms, cutoff: Cutoff, triple: tuple[str, str, str] | None = None) -> np.ndarray:
    """Angles between bonds, degrees; `triple` is (end, centre, end), all elements when not given."""
    found = bonds(atoms, cutoff)
    kinds = [-1, -1, -1] if triple is None else [chemical_symbols.index(name) for name in triple]
    return np.asarray(
        kernels.angles(found.first, found.index, found.vectors, atoms.numbers, kinds[1], kinds[0], kinds[2])
    )


def ring_sizes(atoms: Atoms, cutoff: Cutoff, largest: int = 12) -> Counter[int]:
    """Shortest rings (King, Nature 213, 1112 (1967)): the smallest through every pair of bonds of an atom.

    Returns
    -------
    Counter
        Size (atoms in the ring) -> pairs of bonds; 0 counts pairs without a ring of at most `largest`.
    """
    found = bonds(atoms, cutoff)
    return Counter(int(size) for size in kernels.rings(found.first, found.index, found.image, largest))


@dataclass(frozen=True)
class Polyhedra:
    """How coordination polyhedra hang together.

    Attributes
    ----------
    units
        Number of centres in a connected unit -> how many such units: ``{1: 4}`` is four isolated PO4.
    ligands
        Number of centres a ligand is bonded to -> ligands: 0 free, 1 terminal, 2 bridging.
    shared
        Ligands shared by two centres -> pairs of centres: 1 corners, 2 edges, 3 faces.
    """

    units: dict[int, int]
    ligands: dict[int, int]
    shared: dict[int, int]


def polyhedra(atoms: Atoms, centre: str, ligand: str, cutoff: float) -> Polyhedra:
    """Units of `centre` joined by common `ligand` atoms within `cutoff` (Å)."""
    symbols = np.array(atoms.get_chemical_symbols())
    for name in (centre, ligand):
        if name not in symbols:
            raise HostError(
                f"there is no {name} in the structure, which has {', '.join(sorted(set(symbols)))}"
            )
    found = bonds(atoms, {(centre, ligand): cutoff})
    ligands = np.flatnonzero(symbols == ligand)
    centres = np.flatnonzero(symbols == centre)
    rows, columns = [], []
    shared: Counter[tuple[int, int, int, int, int]] = Counter()
    for atom in ligands:
        span = range(found.first[atom], found.first[atom + 1])
        for p, q in itertools.combinations(span, 2):
            a, b = int(found.index[p]), int(found.index[q])
            shift = found.image[q] - found.image[p]
            if (b, *-shift) < (a, *shift):
                a, b, shift = b, a, -shift
            rows.append(a)
            columns.append(b)
            shared[(a, b, *(int(s) for s in shift))] += 1  # type: ignore[index]
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(atoms),) * 2)
    _, labels = connected_components(graph, directed=False)
    sizes = Counter(np.bincount(labels[centres])[np.unique(labels[centres])].tolist())
    return Polyhedra(
        dict(sorted(sizes.items())),
        dict(sorted(Counter(found.counts[ligands].tolist()).items())),
        dict(sorted(Counter(shared.values()).items())),
    )


def order(atoms: Atoms, q_max: float = 5.0) -> float:
    """Strength of the strongest Bragg peak, between 0 and 1: 1 for a crystal at rest, of the order of 1/n for a glass.

    The largest ``|Σ exp(iq·r)|² / n²`` over the reciprocal vectors of the cell with 0 < q ≤ `q_max` (1/Å).
    """
    reciprocal = 2.0 * np.pi * np.linalg.inv(atoms.cell.array).T
    reach = np.floor(q_max * np.linalg.norm(atoms.cell.array, axis=1) / (2.0 * np.pi)).astype(int)
    grid = np.array(list(itertools.product(*(range(-k, k + 1) for k in reach))))
    waves = grid @ reciprocal
    length = np.linalg.norm(waves, axis=1)
    waves = waves[(length > 1e-9) & (length <= q_max) & (waves[:, 0] >= -1e-9)]
    if not len(waves) or len(waves) > _MOST_WAVES:
        raise HostError(f"{len(waves)} reciprocal vectors up to {q_max} 1/Å; choose another q_max")
    strongest = 0.0
    for part in np.array_split(waves, max(1, len(waves) * len(atoms) // 2_000_000)):
        phase = part @ atoms.positions.T
        power = np.cos(phase).sum(axis=1) ** 2 + np.sin(phase).sum(axis=1) ** 2
        strongest = max(strongest, float(power.max()))
    return strongest / len(atoms) ** 2


def first_peak(r: np.ndarray, g: np.ndarray) -> float:
    """Å: the nearest maximum of g(r) that is at least half as high as the highest."""
    smooth = gaussian_filter1d(g, 2.0)
    return float(r[find_peaks(np.append(smooth, 0.0), height=0.5 * smooth.max())[0][0]])


def describe(atoms: Atoms, cutoff: Cutoff) -> dict[str, Any]:
    """The usual numbers of one structure.

    Returns
    -------
    dict
        `density_g_cm3`, `coordination` (mean), `coordination_share` (count -> share of atoms), `angle_deg`,
        `angle_spread_deg`, `ring_share` (size -> share of pairs of bonds), `first_peak_A`, `order`.
    """
    counts = coordination(atoms, cutoff)
    angle = bond_angles(atoms, cutoff)
    sizes = ring_sizes(atoms, cutoff)
    r, g = rdf(atoms, 6.0, 240)
    pairs = max(sum(sizes.values()), 1)
    return {
        "density_g_cm3": density(atoms),
        "coordination": float(counts.mean()),
        "coordination_share": {int(k): float((counts == k).mean()) for k in np.unique(counts)},
        "angle_deg": float(angle.mean()) if len(angle) else None,
        "angle_spread_deg": float(angle.std()) if len(angle) else None,
        "ring_share": {size: number / pairs for size, number in sorted(sizes.items())},
        "first_peak_A": first_peak(r, g),
        "order": order(atoms),
    }
