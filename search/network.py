"""The complete hopping network of a landscape, and the only writer of the graph contract."""

from pathlib import Path

import numpy as np
from ase import Atoms

from search.comparison import compare_networks
from search.critical import sweep_surface
from search.errors import SearchError
from search.fits import keep_fit
from search.graph import Graph
from search.joining import sites_and_passes
from search.labels import label_by
from search.landscape import Evaluator, Landscape, Progress, checked_landscape
from search.pairs import network_of_pairs
from search.progress import shown
from search.remembered import RememberedLandscape
from search.sampling import fit_landscape, grid_shape
from search.symmetry import symmetry_of
from search.vibrations import guest_mass
from search.writing import write_graph


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
    surface_tolerance: float | None = None,
    host: Atoms | None = None,
    symprec: float = 1e-2,
    checkpoint: str | Path | None = None,
    progress: Progress | bool | None = None,
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
        "saddles" finds everything; "pairs" repeats the recipe of 2017, grid minima and bands between all
        pairs of sites closer than `cutoff`, with edges over hidden sites flagged `elementary=False`; it
        prints how its sites, hops and diffusivity differ from those of the complete network.
    cutoff, keep_unconverged:
        for "pairs": distance in Å, and whether bands that did not converge become edges (`converged=False`).
    surface_tolerance:
        largest sampled difference of surface and landscape below the cap, eV, that needs no refinement; by
        default 1 meV, and less where all energies are small.
    host, symprec:
        the atoms around the guest, if the landscape does not carry them as `host`: where they are a crystal
        to `symprec` Å, and the landscape has its symmetry, equivalent grid points are asked once and
        equivalent sites and hops labelled (`orbit`).
    checkpoint:
        file that keeps every answer of a slow landscape (`search.RememberedLandscape`): a search that was
        killed is started again with it and goes on from there, to the same network.
    progress:
        True for a bar, or called as progress(stage, done, total).

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
    atoms = host if host is not None else getattr(landscape, "host", None)
    if checkpoint is not None:
        checked_landscape(landscape)
        landscape = RememberedLandscape(landscape, checkpoint)
    ops = symmetry_of(landscape, atoms, symprec) if isinstance(atoms, Atoms) else None
    with shown(progress) as tell:
        evaluate = Evaluator(landscape, progress=tell)
        evaluate.symmetry = ops
        shape = grid_shape(grid, evaluate.cell)
        complete = _complete(evaluate, shape, energy_cap, guest, attempt, surface_tolerance, seed)
        if method == "saddles":
            return complete
        evaluate = Evaluator(landscape, progress=tell)
        evaluate.symmetry = ops
        network = network_of_pairs(evaluate, shape, energy_cap, guest, attempt, cutoff, keep_unconverged)
    compared = compare_networks(network, complete)
    network.graph["search"]["beside_complete"] = str(compared)
    print(f"Pairs beside the complete network: {compared}")  # asked for with the method
    return network


def _complete(
    evaluate: Evaluator,
    shape: tuple[int, int, int],
    energy_cap: float,
    guest: str,
    attempt: float | str,
    surface_tolerance: float | None,
    seed: int,
) -> Graph:
    """The network from all critical points of the fitted surface."""
    fit = fit_landscape(evaluate, shape, energy_cap, surface_tolerance, seed)
    # The lowest minimum is not above the lowest point met, so this ceiling is not below the final one.
    ceiling = fit.lowest + energy_cap + 4.0 * min(fit.error.largest, 0.05 * energy_cap)
    sweep = sweep_surface(fit.surface, ceiling, evaluate.progress)
    sites, passes, notes = sites_and_passes(evaluate, fit, sweep, energy_cap)
    network = write_graph(sites, passes, evaluate.cell, guest, attempt)
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
        "surface_tolerance": fit.tolerance,
        "surface_within_tolerance": bool(fit.error.largest <= fit.tolerance),
        "cells": sweep.cells,
        "cells_below_cap": sweep.below_cap,
        "boxes": sweep.boxes,
        "undecided_cells": sweep.open_cells,
        "critical_points_of_surface": np.bincount(sweep.index, minlength=4).tolist(),
        "smallest_curvature": float(np.abs(sweep.curvatures).min(initial=np.inf)),
        **notes,
    }
    if evaluate.symmetry is not None:
        label_by(network, evaluate.symmetry)
    keep_fit(network, fit)
    return network


def _checked_prefactors(prefactors: float | str, guest: str) -> float | str:
    if prefactors == "vineyard":
        guest_mass(guest)
        return "vineyard"
    if isinstance(prefactors, str) or not (np.isfinite(prefactors) and prefactors > 0):
        raise SearchError(
            f'prefactors={prefactors!r}: wanted a positive frequency in Hz such as 1e13, or "vineyard".'
        )
    return float(prefactors)
