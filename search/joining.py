"""From the critical points of a surface to the sites and hops of the landscape itself."""

import numpy as np

from search import descent
from search.critical import Polished, Sweep, joined, near_folds, polish
from search.errors import SearchError
from search.landscape import Evaluator
from search.lattice import Floats, Ints, merge_labels, nearest, wrap
from search.sampling import Fit
from search.vibrations import hessians
from search.writing import Passes, Sites

# Polished points closer than this are one point, Å; well above the polish's 1e-6 Å.
SAME = 1e-3
_MOST_DOUBTFUL = 60
# Evaluations in all, in points of the wanted grid, after which doubtful places are left; and the fewest.
_BUDGET, _LEAST_BUDGET = 1.01, 30_000
# Curvature, in shares of the largest at any minimum, below which a direction counts as free.
_FLAT = 1e-5


def sites_and_passes(
    evaluate: Evaluator, fit: Fit, sweep: Sweep, energy_cap: float
) -> tuple[Sites, Passes, dict[str, object]]:
    """Polish what the surface has, join saddles to sites, keep what lies below the cap."""
    minima, saddles = np.flatnonzero(sweep.index == 0), np.flatnonzero(sweep.index == 1)
    low = polish(evaluate, sweep.positions[minima], sweep.hessians[minima], index=0)
    high = polish(evaluate, sweep.positions[saddles], sweep.hessians[saddles], index=1)
    doubtful = _doubtful(
        fit, sweep, np.concatenate([sweep.positions[minima][~low.good], sweep.positions[saddles][~high.good]])
    )
    budget = max(_BUDGET * float(np.prod(fit.ceiling)), _LEAST_BUDGET)
    found_high = joined(high, near_folds(evaluate, doubtful, 1, budget))
    found_low = joined(joined(low, near_folds(evaluate, doubtful, 0, budget)), _unseen(evaluate, fit, low))
    if not found_low.good.any():
        raise SearchError(
            f"No minimum of the landscape was found within energy_cap={energy_cap} eV of the lowest energy "
            f"met, {fit.lowest:.6g} eV: its gradients are not those of its energies, or the grid is too "
            "coarse for the region below the cap. Check the gradients, use a finer grid or a higher energy_cap."
        )
    curvatures = np.abs(np.linalg.eigvalsh(found_low.hessians[found_low.good]))
    if curvatures.min(axis=1).max() < _FLAT * curvatures.max():
        raise SearchError(
            f"Every minimum is flat in some direction (|curvature| below {_FLAT * curvatures.max():.2g} "
            "eV/Å²): the landscape is a plateau or does not depend on one coordinate, so it has no isolated "
            "sites. Give it its missing dimension."
        )
    sites, site_of = _merged(found_low, evaluate.cell)
    passes, pass_of = _merged(found_high, evaluate.cell)
    ends, named = _ends_on_surface(fit, sweep, minima, saddles, passes, pass_of, site_of)
    lost = np.flatnonzero((named < 0).any(axis=1))
    if len(lost):
        sites, named = _descend_lost(evaluate, sites, passes, lost, ends, named)
    ceiling = float(sites.energies.min()) + energy_cap
    both, below = (named >= 0).all(axis=1), passes.energies <= ceiling
    keep = np.flatnonzero(both & below)
    images = [
        descent.image_of(ends[keep, s], sites.positions[named[keep, s]], evaluate.cell) for s in range(2)
    ]
    kept = Passes(
        passes.positions[keep],
        passes.energies[keep],
        passes.hessians[keep],
        named[keep],
        np.stack(images, axis=1),
    )
    notes: dict[str, object] = {
        "minima_lost_in_polish": int((~low.good).sum()),
        "saddles_lost_in_polish": int((~high.good).sum()),
        "doubtful_places": len(doubtful),
        "minima_found_at_doubtful_places": len(sites.energies)
        - len(np.unique(site_of[: len(minima)][low.good])),
        "saddles_found_at_doubtful_places": len(passes.energies)
        - len(np.unique(pass_of[: len(saddles)][high.good])),
        "lost_positions": _listed(
            np.concatenate([sweep.positions[minima][~low.good], sweep.positions[saddles][~high.good]]),
            evaluate.cell,
        ),
        "saddles_without_two_ends": _listed(passes.positions[below & ~both], evaluate.cell),
        "saddles_descended_on_landscape": len(lost),
    }
    sites_below, kept = _below_cap(sites, kept, ceiling)
    return sites_below, kept, notes


def _unseen(evaluate: Evaluator, fit: Fit, low: Polished) -> Polished:
    """Minima met before the fit that the surface does not have: wells narrower than its grid."""
    alone = fit.seen[nearest(fit.seen, low.positions[low.good], evaluate.cell, 0.1) < 0]
    return polish(evaluate, alone, hessians(evaluate, alone), index=0)


def _doubtful(fit: Fit, sweep: Sweep, lost: Floats) -> Floats:
    """Places (n, 3), Å, where surface and landscape may disagree on whether a pair of critical points exists.

    Boxes left undecided, points lost in polishing, and places that were hard to decide although nothing is
    there: all near folds, where a small error makes or unmakes a minimum and a saddle together.
    """
    cell = fit.surface.cell
    undecided = sweep.undecided[:, :3] @ cell
    hard = sweep.suspects[nearest(sweep.suspects, sweep.positions, cell, 0.05) < 0]
    if len(hard):
        _, slope, _ = fit.surface.energies(hard)
        hard = hard[np.linalg.norm(slope, axis=1) < 0.02 + 20.0 * fit.error.gradient_rms]
    places = np.concatenate([lost, undecided, hard])
    places = places[np.unique(merge_labels(places, cell, 0.02), return_index=True)[1]]
    # Following costs some hundred evaluations a place; where everything is doubtful, the report must say so.
    return places[:_MOST_DOUBTFUL]


def _ends_on_surface(
    fit: Fit, sweep: Sweep, minima: Ints, saddles: Ints, passes: Passes, pass_of: Ints, site_of: Ints
) -> tuple[Floats, Ints]:
    """Ends (n, 2, 3), Å, of the descents from every pass, and the sites (n, 2) they name.

    -1 where they name none.
    """
    n, cell = len(passes.energies), fit.surface.cell
    ends, named = np.zeros((n, 2, 3)), np.full((n, 2), -1, dtype=np.int64)
    numbers = pass_of[: len(saddles)]
    known = np.flatnonzero(numbers >= 0)
    rows, first = np.unique(numbers[known], return_index=True)
    start = sweep.positions[saddles[known[first]]]
    arrivals, arrived = descent.both_sides(fit.surface, start)
    # Passes are wrapped; descents started from the surface's saddle: bring both to the same image.
    shift = np.rint((passes.positions[rows] - start) @ fit.surface.inverse) @ cell
    match = nearest(arrivals.reshape(-1, 3), sweep.positions[minima], cell, 1e-3).reshape(-1, 2)
    ends[rows] = arrivals + shift[:, None, :]
    named[rows] = np.where(arrived & (match >= 0), site_of[match], -1)
    return ends, named


def _listed(positions: Floats, cell: Floats) -> list[list[float]]:
    return [[float(x) for x in row] for row in wrap(positions, cell)] if len(positions) else []


def _merged(points: Polished, cell: Floats) -> tuple[Passes, Ints]:
    """Distinct good points, wrapped, and for every point (n,) its number among them or -1."""
    number = np.full(len(points.good), -1, dtype=np.int64)
    positions = wrap(points.positions[points.good], cell)
    labels = merge_labels(positions, cell, SAME)
    number[points.good] = labels
    first = np.unique(labels, return_index=True)[1]
    distinct = Passes(
        positions[first], points.energies[points.good][first], points.hessians[points.good][first]
    )
    return distinct, number


def _descend_lost(
    evaluate: Evaluator, sites: Passes, passes: Passes, lost: Ints, ends: Floats, named: Ints
) -> tuple[Passes, Ints]:
    """Saddles whose descent on the surface ended nowhere known descend on the landscape.

    New minima become sites.
    """
    arrivals, arrived, _ = descent.on_landscape(evaluate, passes.positions[lost], passes.hessians[lost])
    flat = arrivals.reshape(-1, 3)
    found = nearest(flat, sites.positions, evaluate.cell, SAME)
    new = np.flatnonzero((found < 0) & arrived.ravel())
    if len(new):
        polished = polish(evaluate, flat[new], np.repeat(np.eye(3)[None], len(new), axis=0), index=0)
        extra, number = _merged(polished, evaluate.cell)
        found[new] = np.where(number >= 0, number + len(sites.positions), -1)
        sites = Passes(
            np.concatenate([sites.positions, extra.positions]),
            np.concatenate([sites.energies, extra.energies]),
            np.concatenate([sites.hessians, extra.hessians]),
        )
    ends[lost] = arrivals
    named[lost] = np.where(arrived, found.reshape(-1, 2), -1)
    return sites, named


def _below_cap(sites: Passes, passes: Passes, ceiling: float) -> tuple[Sites, Passes]:
    """Sites up to `ceiling`, eV, in the order of their energies, and the passes renumbered to match."""
    cell_order = np.round(sites.positions, 6)
    order = np.lexsort((cell_order[:, 2], cell_order[:, 1], cell_order[:, 0], np.round(sites.energies, 7)))
    order = order[sites.energies[order] <= ceiling]
    number = np.full(len(sites.energies), -1, dtype=np.int64)
    number[order] = np.arange(len(order))
    passes.ends = number[passes.ends] if len(passes.ends) else passes.ends
    rows = np.lexsort((*np.round(passes.positions, 6).T[::-1], np.round(passes.energies, 7)))
    passes = Passes(
        passes.positions[rows],
        passes.energies[rows],
        passes.hessians[rows],
        passes.ends[rows],
        passes.images[rows],
    )
    return Sites(sites.positions[order], sites.energies[order], sites.hessians[order]), passes
