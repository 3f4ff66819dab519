"""What is proven about a network, what is sampled, and what is missing."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.critical import Sweep, polish, sweep_surface
from search.errors import SearchError
from search.fits import fit_of
from search.graph import Graph
from search.landscape import Evaluator, Landscape, Progress
from search.lattice import Floats, merge_labels, nearest, wrap
from search.progress import shown
from search.sampling import fit_landscape, grid_shape, sample_error

# Surface and landscape put the same critical point this close together, Å, unless it is nearly degenerate.
_PARTNER = 0.05


@dataclass(frozen=True)
class Certificate:
    """The account of a network against its landscape.

    Attributes
    ----------
    complete:
        no cell undecided and no critical point of the surface missing from the network.
    cells, cells_below_cap, undecided:
        cells of the surface, those that reach below the cap, and those of them left undecided.
    critical_points:
        how many minima, first-order, second-order saddles and maxima the surface has below the cap.
    missing:
        positions (Å) and energies (eV) of minima and first-order saddles that belong into the network and
        are not in it.
    beyond_surface:
        sites and passes of the network that the surface does not have (found on the landscape near folds).
    not_on_landscape:
        critical points of the surface that the landscape was found not to have.
    smallest_curvature:
        smallest curvature, sign aside, at any critical point below the cap, eV/Å²: near zero, small errors
        make or unmake points.
    surface_error, surface_error_rms, gradient_error_rms, sampled_points:
        largest and root mean square differences of surface and landscape at fresh random points below the
        cap.
    surface_tolerance:
        the largest difference, eV, that was wanted; the statement warns where it is exceeded.
    """

    complete: bool
    cells: int
    cells_below_cap: int
    undecided: int
    critical_points: tuple[int, int, int, int]
    missing: list[dict[str, Any]]
    beyond_surface: int
    not_on_landscape: int
    smallest_curvature: float
    surface_error: float
    surface_error_rms: float
    gradient_error_rms: float
    sampled_points: int
    energy_cap: float
    boxes: int = 0
    evaluations: int = 0
    seconds: float = field(default=0.0, compare=False)
    surface_tolerance: float = 1e-3

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return {**vars(self), "critical_points": list(self.critical_points)}

    def __str__(self) -> str:
        minima, saddles, second, maxima = self.critical_points
        verdict = "COMPLETE on the surface" if self.complete else "NOT complete"
        lines = [
            f"Certificate: {verdict}, up to {self.energy_cap:g} eV above the lowest site.",
            f"Proven, by bounds from the spline's own coefficients (up to rounding): of {self.cells} cells "
            f"{self.cells_below_cap} reach below the cap; {self.undecided} are undecided; the others "
            f"hold no critical "
            f"point or exactly one of {minima} minima, {saddles} first-order saddles, {second} "
            f"second-order saddles, "
            f"{maxima} maxima.",
            f"Compared: {len(self.missing)} of them missing from the network; {self.not_on_landscape} of "
            f"the surface not "
            f"on the landscape; {self.beyond_surface} of the network not on the surface.",
            f"Sampled, not proven: at {self.sampled_points} random points below the cap surface and "
            f"landscape differ by "
            f"at most {1e3 * self.surface_error:.3g} meV (rms {1e3 * self.surface_error_rms:.3g} meV, "
            f"gradients rms "
            f"{1e3 * self.gradient_error_rms:.3g} meV/Å). The smallest |curvature| is "
            f"{self.smallest_curvature:.3g} eV/Å².",
        ]
        if not self.surface_error <= self.surface_tolerance:
            lines.append(
                f"The surface is not within {1e3 * self.surface_tolerance:.3g} meV of the landscape everywhere: where "
                "it is not, as along walls and kinks, it may hide points or have some of its own."
            )
        return "\n".join(lines)


def certify(
    landscape: Landscape,
    network: Graph,
    *,
    grid: tuple[int, int, int] | float | None = None,
    energy_cap: float | None = None,
    surface_tolerance: float | None = None,
    seed: int = 1,
    progress: Progress | bool | None = None,
) -> Certificate:
    """Check a network against its landscape, cell by cell.

    The surface of `build_network` is used again when `network` still has it; a network read from a file
    gets a new one, from `grid` and `energy_cap` (by default those written in the network).

    Returns
    -------
    Certificate; print it for its plain-language statement.

    Raises
    ------
    SearchError
        for a network without sites, or without a cap when none is given.
    """
    began = time.perf_counter()
    if network.number_of_nodes() == 0:
        raise SearchError(
            "The network has no sites: there is nothing to certify. Build it with search.build_network."
        )
    written = network.graph.get("search", {})
    cap = energy_cap if energy_cap is not None else written.get("energy_cap")
    if cap is None:
        raise SearchError(
            "The network does not say up to which energy it is complete: give energy_cap, in eV."
        )
    with shown(progress) as tell:
        evaluate = Evaluator(landscape, progress=tell)
        fit = fit_of(network) if grid is None else None
        evaluate.plateaus = evaluate.plateaus if fit is None else fit.plateaus
        if fit is None:
            wanted = grid if grid is not None else written.get("grid", (50, 50, 50))
            fit = fit_landscape(
                evaluate, grid_shape(wanted, evaluate.cell), float(cap), surface_tolerance, seed
            )
        ceiling = min(data["energy"] for _, data in network.nodes(data=True)) + float(cap)
        sweep = sweep_surface(fit.surface, ceiling, tell)
        missing, absent, beyond = _compare(evaluate, sweep, network, ceiling)
        error = sample_error(evaluate, fit.surface, ceiling, np.random.default_rng([seed, 7]))
    counts = np.bincount(sweep.index, minlength=4)
    return Certificate(
        complete=sweep.open_cells == 0 and not missing,
        cells=sweep.cells,
        cells_below_cap=sweep.below_cap,
        undecided=sweep.open_cells,
        critical_points=(int(counts[0]), int(counts[1]), int(counts[2]), int(counts[3])),
        missing=missing,
        beyond_surface=beyond,
        not_on_landscape=absent,
        smallest_curvature=float(np.abs(sweep.curvatures).min(initial=np.inf)),
        surface_error=error.largest,
        surface_error_rms=error.rms,
        gradient_error_rms=error.gradient_rms,
        sampled_points=error.points,
        surface_tolerance=fit.tolerance,
        energy_cap=float(cap),
        boxes=sweep.boxes,
        evaluations=evaluate.evaluations,
        seconds=time.perf_counter() - began,
    )


def _compare(
    evaluate: Evaluator, sweep: Sweep, network: Graph, ceiling: float
) -> tuple[list[dict[str, Any]], int, int]:
    """Missing critical points, how many of the surface the landscape lacks, how many the surface lacks."""
    missing: list[dict[str, Any]] = []
    absent = beyond = 0
    for index, listed in enumerate(_listed(network)):
        rows = np.flatnonzero(sweep.index == index)
        partner = nearest(sweep.positions[rows], listed, evaluate.cell, _PARTNER)
        # A listed point may stand for one critical point of the surface only.
        values, first = np.unique(partner, return_index=True)
        taken = np.zeros(len(rows), dtype=bool)
        taken[first[values >= 0]] = True
        beyond += len(listed) - int((values >= 0).sum())
        alone = rows[~taken]
        final = polish(evaluate, sweep.positions[alone], sweep.hessians[alone], index)
        absent += int((~final.good).sum())
        known = nearest(final.positions, listed, evaluate.cell, 1e-3) >= 0
        for row in np.flatnonzero(final.good & ~known & (final.energies <= ceiling)):
            position = wrap(final.positions[row : row + 1], evaluate.cell)[0]
            missing.append(
                {
                    "kind": ("minimum", "saddle")[index],
                    "position": [float(x) for x in position],
                    "energy": float(final.energies[row]),
                }
            )
    return missing, absent, beyond


def _listed(network: Graph) -> tuple[Floats, Floats]:
    """Positions of the network's sites (n, 3) and distinct passes (m, 3), Å.

    Loops inside a basin count as passes.
    """
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    sites = np.array([data["position"] for _, data in network.nodes(data=True)]).reshape(-1, 3)
    found = [data["saddle_position"] for _, _, data in network.edges(data=True) if "saddle_position" in data]
    found += network.graph.get("loops", []) + network.graph.get("search", {}).get(
        "saddles_without_two_ends", []
    )
    passes = wrap(np.array(found, dtype=np.float64).reshape(-1, 3), cell)
    labels = merge_labels(passes, cell, 1e-3)
    return sites, passes[np.unique(labels, return_index=True)[1]]
