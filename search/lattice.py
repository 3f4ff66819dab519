"""Periodic geometry for cells of any shape: wrapping, shortest vectors, merging of equal points.

Rounding fractional differences component by component is wrong in skewed cells, so shortest vectors are
searched for in a Minkowski-reduced basis, where the 27 nearest translations are enough.
"""

import itertools
from functools import lru_cache

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from search.errors import SearchError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_OFFSETS = list(itertools.product((-1, 0, 1), repeat=3))
# The translation itself first, then its 26 neighbours.
_SHIFTS = np.array([(0, 0, 0), *[o for o in _OFFSETS if any(o)]], dtype=np.float64)


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


@lru_cache(maxsize=64)
def _reduced(cell: bytes) -> tuple[Floats, Floats, Floats]:
    """Minkowski-reduced cell, its inverse, and the integers that make it from the cell (as its bytes)."""
    basis = np.frombuffer(cell, dtype=np.float64).reshape(3, 3)
    reduced, transform = minkowski_reduce(basis, pbc=True)  # type: ignore[no-untyped-call]
    return reduced, np.asarray(np.linalg.inv(reduced)), np.asarray(transform, dtype=np.float64)


def shortest_vectors(vectors: Floats, cell: Floats) -> tuple[Floats, Ints]:
    """Shortest periodic copies of Cartesian `vectors` (n, 3), Å.

    Returns the shortest vectors (n, 3), Å, and the images (n, 3): shortest = vector + image @ cell.
    """
    # reduced = transform @ cell
    reduced, inverse, transform = _reduced(np.ascontiguousarray(cell, dtype=np.float64).tobytes())
    base = -np.round(vectors @ inverse)
    best_image = np.empty_like(base)
    best = np.empty_like(vectors)
    for first in range(0, len(vectors), 5000):
        part = slice(first, first + 5000)
        trial = (vectors[part] + base[part] @ reduced)[:, None] + _SHIFTS @ reduced
        length = np.einsum("nij,nij->ni", trial, trial)
        # Of equally short ones the first, so that rounding does not decide.
        chosen = np.argmax(length < length.min(axis=1)[:, None] + 1e-12, axis=1)
        rows = np.arange(len(chosen))
        best[part], best_image[part] = trial[rows, chosen], base[part] + _SHIFTS[chosen]
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
