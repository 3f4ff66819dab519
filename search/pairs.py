"""The field's usual recipe, kept for comparison: minima of a grid, and bands between all near pairs.

After Li, Ando & Watanabe, J. Phys. Soc. Jpn. 86, 104004 (2017). It is neither complete nor clean: sites
between grid minima are missed, and most pairs have no direct saddle. `search.build_network` with its
default method is.
"""

import itertools

import numpy as np
from ase.geometry import minkowski_reduce
from scipy import ndimage

from search import bands
from search.critical import polish
from search.errors import SearchError
from search.graph import Graph
from search.landscape import Evaluator
from search.lattice import Floats, Ints, merge_labels, wrap
from search.minimise import minimise
from search.vibrations import hessians
from search.writing import Passes, Sites, write_graph


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
    reached, good = minimise(lambda x: evaluate(x, stage="minimise"), starts, fmax=0.02)
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
    evaluate: Evaluator, positions: Floats, pairs: list[tuple[int, int, Ints]], settings: bands.Settings
) -> list[bands.Band]:
    """One climbing-image band for every pair, none split."""
    whole = bands.Settings(**{**vars(settings), "max_splits": 0})
    paths = [np.stack([positions[i], positions[j] + image @ evaluate.cell]) for i, j, image in pairs]
    return bands.relax_bands(lambda x: evaluate(x, stage="bands"), paths, whole)


def elementary(band: bands.Band) -> bool:
    """Whether a band has no minimum inside: one rise and one fall, up to the dent that splitting ignores."""
    return bands.dent_of(band.energies) is None


def first_order(hessian: Floats) -> bool:
    """Whether a point with this Hessian (3, 3), eV/Å², can be a pass: a symmetric band may end on a ridge."""
    return bool((np.linalg.eigvalsh(hessian) < 0).sum() == 1)


def network_of_pairs(
    evaluate: Evaluator,
    grid: tuple[int, int, int],
    energy_cap: float,
    guest: str,
    attempt: float | str,
    cutoff: float,
    keep_unconverged: bool,
) -> Graph:
    """The network of the recipe of 2017; what it leaves out is counted in graph["search"]."""
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise SearchError(f"cutoff={cutoff}: wanted the largest length of a hop in Å, such as 4.0.")
    positions, energies, at_sites = grid_sites(evaluate, grid, energy_cap)
    near = near_pairs(positions, evaluate.cell, cutoff)
    relaxed = bands_between(evaluate, positions, near, bands.Settings()) if near else []
    chosen = [
        row
        for row, band in enumerate(relaxed)
        if _usable(band, keep_unconverged, energies.min() + energy_cap)
    ]
    saddles = np.array([relaxed[row].saddle for row in chosen]).reshape(-1, 3)
    at_saddles = hessians(evaluate, saddles)
    whole = [row for row, h in enumerate(at_saddles) if attempt != "vineyard" or first_order(h)]
    images = [[np.zeros(3, dtype=np.int64), near[chosen[row]][2]] for row in whole]
    passes = Passes(
        saddles[whole],
        np.array([relaxed[chosen[row]].energies.max() for row in whole]),
        at_saddles[whole],
        np.array([near[chosen[row]][:2] for row in whole], dtype=np.int64).reshape(-1, 2),
        np.array(images, dtype=np.int64).reshape(-1, 2, 3),
        [
            {
                "converged": relaxed[chosen[row]].converged,
                "method": "pairs",
                "elementary": elementary(relaxed[chosen[row]]) and first_order(at_saddles[row]),
            }
            for row in whole
        ],
    )
    network = write_graph(Sites(positions, energies, at_sites), passes, evaluate.cell, guest, attempt)
    network.graph["search"] = {
        "method": "pairs",
        "grid": list(grid),
        "energy_cap": float(energy_cap),
        "cutoff": float(cutoff),
        "evaluations": evaluate.evaluations,
        "pairs": len(near),
        "bands_not_converged": [
            {"source": int(i), "target": int(j), "image": [int(x) for x in image], "reason": band.reason}
            for (i, j, image), band in zip(near, relaxed, strict=True)
            if not band.converged
        ],
        "bands_not_elementary": sum(not elementary(band) for band in relaxed),
        "refused_for_vineyard": len(chosen) - len(whole),
    }
    return network


def _usable(band: bands.Band, keep_unconverged: bool, ceiling: float) -> bool:
    """Whether a band may become an edge: converged (or asked for), below the cap, a rise on both sides."""
    rises = band.barrier > 0 and band.barrier_back > 0 and bool(np.isfinite(band.energies).all())
    return (band.converged or keep_unconverged) and rises and float(band.energies.max()) <= ceiling
