"""The complete hopping network of a landscape, and the only writer of the graph contract."""

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from search import descent, neb, pairs
from search.critical import Polished, Sweep, joined, near_folds, polish, sweep_surface
from search.errors import SearchError
from search.graph import Graph
from search.landscape import Evaluator, Landscape, Progress
from search.lattice import Floats, Ints, merge_labels, nearest, wrap
from search.sampling import Fit, fit_landscape, grid_shape
from search.vibrations import guest_mass, hessians, vineyard

SCHEMA = "hopping-graph/1"
# Polished points closer than this are one point, Å; well above the polish's 1e-6 Å.
SAME = 1e-3
_MOST_DOUBTFUL = 60
# Curvature, eV/Å², below which a direction counts as free.
_FLAT = 1e-4

_fits: "WeakKeyDictionary[Graph, Fit]" = WeakKeyDictionary()


@dataclass
class Sites:
    """Polished minima: positions (n, 3), Å, wrapped; energies (n,), eV; hessians (n, 3, 3), eV/Å²."""

    positions: Floats
    energies: Floats
    hessians: Floats


@dataclass
class Passes:
    """Polished saddles with their ends: site numbers (n, 2) and images (n, 2, 3), saddles being wrapped."""

    positions: Floats
    energies: Floats
    hessians: Floats
    ends: Ints = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    images: Ints = field(default_factory=lambda: np.empty((0, 2, 3), dtype=np.int64))
    labels: list[dict[str, object]] = field(default_factory=list)


def build_network(
    landscape: Landscape,
    grid: tuple[int, int, int] | float = (50, 50, 50),
    energy_cap: float = 2.0,
    guest: str = "X",
    prefactors: float | str = 1e13,
    seed: int = 0,
    *,
    method: str = "saddles",
    cutoff: float = 4.0,
    keep_unconverged: bool = False,
    surface_tolerance: float = 1e-3,
    progress: Progress | None = None,
) -> Graph:
    """Every minimum, every first-order saddle and every elementary hop of a landscape up to `energy_cap`.

    Parameters
    ----------
    landscape:
        whatever has `cell` and `energy_and_gradient`.
    grid:
        points in each direction at the finest level, or one spacing in Å.
    energy_cap:
        eV above the lowest minimum; sites and passes below it are in.
    guest:
        chemical symbol, written to the graph; needed for "vineyard".
    prefactors:
        one attempt frequency in Hz for all hops, or "vineyard" for each hop's own from Hessians.
    seed:
        where the surface is tested against the landscape; same seed, same network.
    method:
        "saddles" finds everything; "pairs" repeats the recipe of 2017, grid minima and bands between "
        "all pairs
        of sites closer than `cutoff`, with edges over hidden sites flagged `elementary=False`.
    cutoff, keep_unconverged:
        for "pairs": distance in Å, and whether bands that did not converge become edges (`converged=False`).
    surface_tolerance:
        largest sampled difference of surface and landscape below the cap, eV, that needs no refinement.
    progress:
        called as progress(stage, done, total).

    Returns
    -------
    networkx.MultiDiGraph by contract "hopping-graph/1". `graph["search"]` says what was done: evaluations,
    seconds, the surface's sampled error, what was left out and why.

    Raises
    ------
    SearchError
        for arguments and landscapes that cannot give a network.
    """
    attempt = _checked_prefactors(prefactors, guest)
    if not (np.isfinite(energy_cap) and energy_cap > 0):
        raise SearchError(
            f"energy_cap={energy_cap}: wanted eV above the lowest minimum, positive and finite, such as 2.0."
        )
    if method not in {"saddles", "pairs"}:
        raise SearchError(f"method={method!r}: wanted 'saddles' (complete) or 'pairs' (the recipe of 2017).")
    evaluate = Evaluator(landscape, progress=progress)
    if method == "pairs":
        return _from_pairs(
            evaluate, grid_shape(grid, evaluate.cell), energy_cap, guest, attempt, cutoff, keep_unconverged
        )
    fit = fit_landscape(evaluate, grid_shape(grid, evaluate.cell), energy_cap, surface_tolerance, seed)
    # The lowest minimum is not above the lowest point met, so this ceiling is not below the final one.
    ceiling = fit.lowest + energy_cap + 4.0 * min(fit.error.largest, 0.05 * energy_cap)
    sweep = sweep_surface(fit.surface, ceiling, progress)
    sites, passes, notes = _on_landscape(evaluate, fit, sweep, energy_cap)
    network = _write(sites, passes, evaluate.cell, guest, attempt)
    network.graph["search"] = {
        "method": "saddles",
        "grid": list(fit.grid),
        "knots": list(fit.surface.shape),
        "energy_cap": float(energy_cap),
        "seed": int(seed),
        "evaluations": evaluate.evaluations,
        "surface_error_max": fit.error.largest,
        "surface_error_rms": fit.error.rms,
        "surface_gradient_error_rms": fit.error.gradient_rms,
        "surface_error_points": fit.error.points,
        "surface_tolerance": float(surface_tolerance),
        "surface_within_tolerance": bool(fit.error.largest <= surface_tolerance),
        "cells": sweep.cells,
        "cells_below_cap": sweep.below_cap,
        "boxes": sweep.boxes,
        "undecided_cells": sweep.open_cells,
        "critical_points_of_surface": np.bincount(sweep.index, minlength=4).tolist(),
        "smallest_curvature": float(np.abs(sweep.curvatures).min(initial=np.inf)),
        **notes,
    }
    _fits[network] = fit
    return network


def fit_of(network: Graph) -> Fit | None:
    """The surface that `network` was found on, as long as the object lives in the process that built it."""
    return _fits.get(network)


def _checked_prefactors(prefactors: float | str, guest: str) -> float | str:
    if prefactors == "vineyard":
        guest_mass(guest)
        return "vineyard"
    if isinstance(prefactors, str) or not (np.isfinite(prefactors) and prefactors > 0):
        raise SearchError(
            f'prefactors={prefactors!r}: wanted a positive frequency in Hz such as 1e13, or "vineyard".'
        )
    return float(prefactors)


def _on_landscape(
    evaluate: Evaluator, fit: Fit, sweep: Sweep, energy_cap: float
) -> tuple[Sites, Passes, dict[str, object]]:
    """Polish what the surface has, join saddles to sites, keep what lies below the cap."""
    minima, saddles = np.flatnonzero(sweep.index == 0), np.flatnonzero(sweep.index == 1)
    if len(minima) == 0:
        raise SearchError(
            f"No minimum lies within energy_cap={energy_cap} eV of the lowest grid energy "
            f"{fit.lowest:.4f} eV; "
            "the region below the cap is empty on this grid. Use a finer grid or a higher energy_cap."
        )
    low = polish(evaluate, sweep.positions[minima], sweep.hessians[minima], index=0)
    high = polish(evaluate, sweep.positions[saddles], sweep.hessians[saddles], index=1)
    doubtful = _doubtful(
        fit, sweep, np.concatenate([sweep.positions[minima][~low.good], sweep.positions[saddles][~high.good]])
    )
    found_low, found_high = (
        joined(low, near_folds(evaluate, doubtful, 0)),
        joined(high, near_folds(evaluate, doubtful, 1)),
    )
    if not found_low.good.any():
        raise SearchError(
            "No minimum of the surface is a minimum of the landscape: are its gradients those of its "
            "energies?"
        )
    soft = np.abs(np.linalg.eigvalsh(found_low.hessians[found_low.good])).min(axis=1)
    if soft.max() < _FLAT:
        raise SearchError(
            f"Every minimum is flat in some direction (|curvature| below {_FLAT} eV/Å²): the landscape is a "
            "plateau or "
            "does not depend on one coordinate, so it has no isolated sites. Give it its missing dimension."
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


def _write(sites: Sites, passes: Passes, cell: Floats, guest: str, attempt: float | str) -> Graph:
    """The graph by contract 2; both directions of every hop with the same saddle energy."""
    network: Graph = Graph(
        schema=SCHEMA, cell=[[float(x) for x in row] for row in cell], guest=guest, energy_unit="eV"
    )
    for site, (position, energy) in enumerate(zip(sites.positions, sites.energies, strict=True)):
        network.add_node(site, position=[float(x) for x in position], energy=float(energy))
    mass = guest_mass(guest) if attempt == "vineyard" else 0.0
    loops = []
    for row in range(len(passes.energies)):
        a, b = (int(x) for x in passes.ends[row])
        step = passes.images[row, 1] - passes.images[row, 0]
        if a == b and not step.any():
            # Both sides lead to the same place: a bump inside one basin, not a hop.
            loops.append([float(x) for x in passes.positions[row]])
            continue
        for source, target, image, home in (
            (a, b, step, passes.images[row, 0]),
            (b, a, -step, passes.images[row, 1]),
        ):
            frequency = (
                vineyard(sites.hessians[source], passes.hessians[row], mass)
                if attempt == "vineyard"
                else attempt
            )
            network.add_edge(
                source,
                target,
                barrier=float(passes.energies[row] - sites.energies[source]),
                prefactor=float(frequency),
                image=[int(x) for x in image],
                saddle_position=[float(x) for x in passes.positions[row] - home @ cell],
                saddle_energy=float(passes.energies[row]),
                **{"converged": True, "method": "saddle", **(passes.labels[row] if passes.labels else {})},
                hop=row,
            )
    network.graph["loops"] = loops
    return network


def _from_pairs(
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
    positions, energies, at_sites = pairs.grid_sites(evaluate, grid, energy_cap)
    near = pairs.near_pairs(positions, evaluate.cell, cutoff)
    bands = pairs.bands_between(evaluate, positions, near, neb.Settings()) if near else []
    chosen = [
        row for row, band in enumerate(bands) if _usable(band, keep_unconverged, energies.min() + energy_cap)
    ]
    saddles = np.array([bands[row].saddle for row in chosen]).reshape(-1, 3)
    at_saddles = hessians(evaluate, saddles)
    whole = [
        row
        for row, h in enumerate(at_saddles)
        if attempt != "vineyard" or (np.linalg.eigvalsh(h) < 0).sum() == 1
    ]
    images = [[np.zeros(3, dtype=np.int64), near[chosen[row]][2]] for row in whole]
    passes = Passes(
        saddles[whole],
        np.array([bands[chosen[row]].energies.max() for row in whole]),
        at_saddles[whole],
        np.array([near[chosen[row]][:2] for row in whole], dtype=np.int64).reshape(-1, 2),
        np.array(images, dtype=np.int64).reshape(-1, 2, 3),
        [
            {
                "converged": bands[chosen[row]].converged,
                "method": "pairs",
                "elementary": pairs.elementary(bands[chosen[row]]),
            }
            for row in whole
        ],
    )
    network = _write(Sites(positions, energies, at_sites), passes, evaluate.cell, guest, attempt)
    network.graph["search"] = {
        "method": "pairs",
        "grid": list(grid),
        "energy_cap": float(energy_cap),
        "cutoff": float(cutoff),
        "evaluations": evaluate.evaluations,
        "pairs": len(near),
        "bands_not_converged": [
            {"source": int(i), "target": int(j), "image": [int(x) for x in image], "reason": band.reason}
            for (i, j, image), band in zip(near, bands, strict=True)
            if not band.converged
        ],
        "bands_not_elementary": sum(not pairs.elementary(band) for band in bands),
        "refused_for_vineyard": len(chosen) - len(whole),
    }
    return network


def _usable(band: neb.Band, keep_unconverged: bool, ceiling: float) -> bool:
    """Whether a band may become an edge: converged (or asked for), below the cap, a rise on both sides."""
    rises = band.barrier > 0 and band.barrier_back > 0 and bool(np.isfinite(band.energies).all())
    return (band.converged or keep_unconverged) and rises and float(band.energies.max()) <= ceiling
