"""Periodic geometry for cells of any shape: wrapping, shortest vectors, merging of equal points.

Rounding fractional differences component by component is wrong in skewed cells, so shortest vectors are
searched for in a Minkowski-reduced basis, where the 27 nearest translations are enough.
"""

import itertools

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from search.errors import SearchError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_OFFSETS = np.array(list(itertools.product((-1, 0, 1), repeat=3)), dtype=np.float64)


def checked_cell(cell: object) -> Floats:
    """Return `cell` as (3, 3) float64, rows in Å; raise SearchError unless it spans a volume."""
    array = np.asarray(cell, dtype=np.float64)
    if array.shape != (3, 3) or not np.isfinite(array).all():
        raise SearchError(
            f"landscape.cell has shape {array.shape}; wanted three finite lattice vectors as rows, shape "
            f"(3, 3), Å."
        )
    lengths = np.linalg.norm(array, axis=1)
    volume = abs(float(np.linalg.det(array)))
    if lengths.min() == 0.0 or volume < 1e-8 * float(np.prod(lengths)):
        raise SearchError(
            f"landscape.cell has zero volume ({volume:g} Å³); give three independent lattice vectors."
        )
    return array


def wrap(positions: Floats, cell: Floats) -> Floats:
    """Cartesian positions (n, 3), Å, moved into the cell (fractional coordinates in [0, 1))."""
    fractional = positions @ np.linalg.inv(cell)
    fractional -= np.floor(fractional)
    # A coordinate that is zero up to rounding belongs at zero, not just under one.
    fractional[fractional > 1.0 - 1e-9] = 0.0
    return np.asarray(fractional @ cell)


def shortest_vectors(vectors: Floats, cell: Floats) -> tuple[Floats, Ints]:
    """Shortest periodic copies of Cartesian `vectors` (n, 3), Å.

    Returns the shortest vectors (n, 3), Å, and the images (n, 3): shortest = vector + image @ cell.
    """
    # reduced = transform @ cell
    reduced, transform = minkowski_reduce(cell, pbc=True)  # type: ignore[no-untyped-call]
    base = -np.round(vectors @ np.linalg.inv(reduced))
    best = vectors + base @ reduced
    best_image = base.copy()
    best_length = np.einsum("ij,ij->i", best, best)
    for offset in _OFFSETS:
        trial = vectors + (base + offset) @ reduced
        length = np.einsum("ij,ij->i", trial, trial)
        better = length < best_length - 1e-12
        best[better], best_length[better] = trial[better], length[better]
        best_image[better] = base[better] + offset
    return best, np.rint(best_image @ transform).astype(np.int64)


def merge_labels(positions: Floats, cell: Floats, tolerance: float) -> Ints:
    """Label equal points: positions (n, 3), Å, closer than `tolerance` (Å) modulo the lattice share a label.

    Labels are numbered in order of first appearance. Points are equal through chains of neighbours.
    """
    n = len(positions)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    copies, owner = _with_boundary_copies(wrap(positions, cell), cell, tolerance)
    pairs = cKDTree(copies).query_pairs(tolerance, output_type="ndarray")
    rows, columns = owner[pairs[:, 0]], owner[pairs[:, 1]]
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(n, n))
    _, raw = connected_components(graph, directed=False)
    _, first, inverse = np.unique(raw, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], dtype=np.int64)


def nearest(points: Floats, targets: Floats, cell: Floats, tolerance: float) -> Ints:
    """Index into `targets` (m, 3) of the nearest target of each point (n, 3), modulo the lattice.

    -1 beyond `tolerance` Å.
    """
    if len(targets) == 0 or len(points) == 0:
        return np.full(len(points), -1, dtype=np.int64)
    copies, owner = _with_boundary_copies(wrap(targets, cell), cell, tolerance)
    distance, index = cKDTree(copies).query(wrap(points, cell), distance_upper_bound=tolerance)
    found = np.isfinite(distance)
    result = np.full(len(points), -1, dtype=np.int64)
    result[found] = owner[index[found]]
    return result


def _with_boundary_copies(wrapped: Floats, cell: Floats, tolerance: float) -> tuple[Floats, Ints]:
    """Wrapped points and their copies within `tolerance` outside the cell, with the index each came from."""
    inverse = np.linalg.inv(cell)
    # A step of length t changes fractional coordinate i by at most t times the length of reciprocal vector i.
    margin = 1.01 * tolerance * np.linalg.norm(inverse, axis=0) + 1e-9
    fractional = wrapped @ inverse
    owner = np.arange(len(wrapped))
    for axis in range(3):
        reach = int(np.ceil(margin[axis]))
        parts, owners = [fractional], [owner]
        for shift in range(1, reach + 1):
            for sign in (-1, 1):
                moved = fractional.copy()
                moved[:, axis] += sign * shift
                keep = (moved[:, axis] > -margin[axis]) & (moved[:, axis] < 1.0 + margin[axis])
                parts.append(moved[keep])
                owners.append(owner[keep])
        fractional, owner = np.concatenate(parts), np.concatenate(owners)
    return fractional @ cell, owner
