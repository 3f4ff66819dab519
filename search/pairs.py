"""The field's usual recipe, kept for comparison: minima of a grid, and bands between all near pairs.

After Li, Ando & Watanabe, J. Phys. Soc. Jpn. 86, 104004 (2017). It is neither complete nor clean: sites
between grid minima are missed, and most pairs have no direct saddle. `search.build_network` with its
default method is.
"""

import itertools

import numpy as np
from ase.geometry import minkowski_reduce
from scipy import ndimage

from search import neb
from search.critical import polish
from search.errors import SearchError
from search.landscape import Evaluator
from search.lattice import Floats, Ints, merge_labels, wrap
from search.vibrations import hessians


def grid_sites(
    evaluate: Evaluator, grid: tuple[int, int, int], energy_cap: float
) -> tuple[Floats, Floats, Floats]:
    """Positions (n, 3), Å, energies (n,), eV, Hessians (n, 3, 3) of the minima below grid minima."""
    axes = [np.arange(n) / n for n in grid]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ evaluate.cell
    energies, _ = evaluate(points, stage="grid")
    if not np.isfinite(energies).any():
        raise SearchError("The landscape is NaN or infinite at all grid points: there is nowhere to go.")
    shaped = energies.reshape(grid)
    lowest = (shaped <= ndimage.minimum_filter(shaped, size=3, mode="wrap")).ravel()
    starts = points[lowest & (energies <= energies.min() + energy_cap)]
    reached, good = neb.minimise(lambda x: evaluate(x, stage="minimise"), starts, fmax=0.02)
    reached = reached[good]
    final = polish(evaluate, reached, hessians(evaluate, reached), index=0)
    positions = wrap(final.positions[final.good], evaluate.cell)
    first = np.unique(merge_labels(positions, evaluate.cell, 1e-3), return_index=True)[1]
    positions, energies = positions[first], final.energies[final.good][first]
    order = np.argsort(energies, kind="stable")
    order = order[energies[order] <= energies.min() + energy_cap]
    return positions[order], energies[order], final.hessians[final.good][first][order]


def near_pairs(positions: Floats, cell: Floats, cutoff: float) -> list[tuple[int, int, Ints]]:
    """Pairs (i, j, image) with 0 < |x_j + image @ cell - x_i| <= cutoff, Å, each in one direction."""
    reduced, transform = minkowski_reduce(cell, pbc=True)  # type: ignore[no-untyped-call]
    reach = np.ceil(cutoff * np.linalg.norm(np.linalg.inv(reduced), axis=0)).astype(int) + 1
    images = np.array(list(itertools.product(*[range(-n, n + 1) for n in reach]))) @ np.rint(
        transform
    ).astype(int)
    pairs: list[tuple[int, int, Ints]] = []
    for i, start in enumerate(positions):
        for j in range(i, len(positions)):
            distance = np.linalg.norm(positions[j] + images @ cell - start, axis=1)
            near = images[(distance <= cutoff) & (distance > 1e-6)]
            # A hop of a site to its own images appears with both signs: keep one.
            pairs += [(i, j, image) for image in near if i < j or tuple(image) > (0, 0, 0)]
    return pairs


def bands_between(
    evaluate: Evaluator, positions: Floats, pairs: list[tuple[int, int, Ints]], settings: neb.Settings
) -> list[neb.Band]:
    """One climbing-image band for every pair, none split."""
    whole = neb.Settings(**{**vars(settings), "max_splits": 0})
    paths = [np.stack([positions[i], positions[j] + image @ evaluate.cell]) for i, j, image in pairs]
    return neb.relax_bands(lambda x: evaluate(x, stage="bands"), paths, whole)


def elementary(band: neb.Band) -> bool:
    """Whether a band has no minimum inside: one rise and one fall, up to the dent that splitting ignores."""
    energies = band.energies
    return not any(
        energies[i] < energies[i - 1]
        and energies[i] <= energies[i + 1]
        and min(energies[:i].max(), energies[i + 1 :].max()) > energies[i] + neb.DENT
        for i in range(1, len(energies) - 1)
    )
