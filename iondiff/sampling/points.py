"""Where to label: points drawn at random from the search grid, with few of them inside the walls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.geometry import get_distances

from iondiff.descriptors import check_host
from iondiff.errors import LabelError

#: (distance in Å from which on, fraction of the grid points kept).
DEFAULT_KEEP = ((1.4, 0.25), (1.7, 1.0))


def draw_points(
    host: Atoms,
    count: int,
    grid: tuple[int, int, int] = (50, 50, 50),
    keep: Sequence[tuple[float, float]] = DEFAULT_KEEP,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` different grid points, thinned by their distance to the nearest host atom.

    Parameters
    ----------
    host
        Structure with a periodic cell.
    count
        Number of points.
    grid
        Points along each lattice vector.
    keep
        Pairs (distance in Å, fraction): from this distance to the nearest host atom on, that fraction of the
        points is kept; nearer than the first distance, none.
    seed
        Same seed, same points; the first n of a longer draw are the draw of n.

    Returns
    -------
    points : (count, 3), Å, Cartesian
    indices : (count, 3), integer grid indices

    Raises
    ------
    LabelError
        The grid holds fewer such points than asked for.
    """
    check_host(host)
    if len(grid) != 3 or any(n < 1 or n != int(n) for n in grid):
        raise LabelError(
            f"grid is {tuple(grid)}; wanted at least one point along each of three lattice vectors"
        )
    if count < 0:
        raise LabelError(f"{count} label points asked for; wanted 0 or more")
    if not keep or any(not 0 <= fraction <= 1 for _, fraction in keep):
        raise LabelError(f"keep is {keep}; wanted pairs (distance in Å, fraction from 0 to 1)")
    generator = np.random.default_rng(seed)
    total = int(np.prod(grid))
    order = generator.permutation(total)
    lottery = generator.random(total)
    distances_from, fractions = np.array(sorted(keep), dtype=float).T
    chosen: list[np.ndarray] = []
    n_chosen = 0
    for block in np.array_split(order, max(1, total // 2000)):
        indices = np.stack(np.unravel_index(block, grid), axis=1)
        points = _places(indices, grid, host)
        nearest = nearest_distance(host, points)
        shell = np.searchsorted(distances_from, nearest, side="right") - 1
        kept = indices[(shell >= 0) & (lottery[block] < fractions[np.maximum(shell, 0)])]
        chosen.append(kept)
        n_chosen += len(kept)
        if n_chosen >= count:
            break
    if n_chosen < count:
        raise LabelError(
            f"{count} label points asked for, but the grid {tuple(grid)} holds only {n_chosen} of the "
            "wanted distances "
            f"{[float(d) for d in distances_from]} Å and fractions {[float(x) for x in fractions]}; "
            "take a finer "
            "grid or fewer points"
        )
    indices = np.concatenate(chosen)[:count]
    return _places(indices, grid, host), indices


def _places(indices: np.ndarray, grid: tuple[int, int, int], host: Atoms) -> np.ndarray:
    """Cartesian points, each the same to the last digit however many are asked for: a BLAS product is not."""
    return np.einsum("ij,jk->ik", indices / np.asarray(grid), host.cell.array)


def nearest_distance(host: Atoms, points: np.ndarray) -> np.ndarray:
    """Distance (n,), Å, from each of `points` (n, 3) to the nearest host atom, periodic images included."""
    return get_distances(points, host.positions, cell=host.cell, pbc=True)[1].min(axis=1)
