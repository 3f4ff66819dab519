"""Climbing-image nudged elastic bands, many at once.

Three doors: through the hops of a network, between points of a landscape, between structures with any ASE
calculator. How bands relax stands in `search.bands`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from search.bands import DENT, Band, Settings, dent_of, relax_bands, spread
from search.calculators import Batch, Evaluations
from search.errors import SearchError
from search.fits import fit_of
from search.graph import Graph
from search.idpp import idpp_path
from search.landscape import Evaluator, Landscape, Progress
from search.lattice import Floats
from search.minimise import minimise
from search.paths import Edge, ends_of, minimum_energy_paths, paths_on_surface
from search.progress import shown

__all__ = [
    "DENT",
    "Band",
    "RefinedHop",
    "Settings",
    "dent_of",
    "minimise",
    "on_landscape",
    "one_direction",
    "refine",
    "relax_bands",
    "spread",
    "with_calculator",
]


def on_landscape(
    landscape: Landscape, starts: Floats, ends: Floats, settings: Settings | None = None
) -> list[Band]:
    """Bands between minima starts (n, 3) and ends (n, 3), Å, unwrapped; they begin as straight lines."""
    evaluate = Evaluator(landscape)
    return relax_bands(
        lambda x: evaluate(x, stage="bands"),
        [np.stack(pair) for pair in zip(starts, ends, strict=True)],
        settings,
    )


@dataclass
class RefinedHop:
    """A hop of a network and the bands that answered it: one if it is elementary, more if it was split."""

    edge: Edge
    bands: list[Band]
    barrier: float
    network_barrier: float
    elementary: bool
    converged: bool
    reason: str

    @property
    def positions(self) -> Floats:
        """Images of the whole hop (m, 3), Å, unwrapped from the source on."""
        return np.concatenate([self.bands[0].positions, *[band.positions[1:] for band in self.bands[1:]]])

    @property
    def energies(self) -> Floats:
        """Energies of `positions`, eV."""
        return np.concatenate([self.bands[0].energies, *[band.energies[1:] for band in self.bands[1:]]])


def refine(
    landscape: Landscape,
    network: Graph,
    edges: Sequence[Edge] | None = None,
    settings: Settings | None = None,
) -> list[RefinedHop]:
    """Check hops of a network with climbing-image bands through their saddles, one answer for each edge.

    Without `edges` every hop is taken in one of its two directions. Bands start as the descents from the
    saddles and, where the network was built in this process, relax on its fitted surface before they
    converge on the landscape. The barriers found stand beside the network's; nothing is written to it.
    """
    chosen = list(edges) if edges is not None else one_direction(network)
    evaluate = Evaluator(landscape)
    fit = fit_of(network)
    guide = None if fit is None else fit.surface
    evaluate.plateaus = evaluate.plateaus if fit is None else fit.plateaus
    lows = np.array([[network.nodes[site]["energy"] for site in edge[:2]] for edge in chosen]).reshape(-1, 2)
    known = [None] * len(chosen) if fit is None else paths_on_surface(fit.surface, network, chosen)
    answers: dict[int, list[Band]] = {}
    # First along the surface's descents; what has none, or fails from there, along the landscape's own.
    for again in (False, True):
        numbers = [n for n, path in enumerate(known) if (path is None) is again]
        if again:
            numbers += [n for n, bands in answers.items() if not all(band.converged for band in bands)]
        paths = (
            _starting_paths(landscape, network, [chosen[n] for n in numbers])
            if again
            else [path for path in known if path is not None]
        )
        for n in numbers:
            answers[n] = []
        for band in relax_bands(
            lambda x: evaluate(x, stage="bands"),
            paths,
            settings,
            guide=None if again else guide,
            ends=lows[numbers],
        ):
            answers[numbers[band.parent]].append(band)
    return [_refined(edge, answers[number], network) for number, edge in enumerate(chosen)]


def _starting_paths(landscape: Landscape, network: Graph, edges: Sequence[Edge]) -> list[Floats]:
    """The descents from each hop's saddle: a straight line may cut through walls or slide to another pass."""
    known = [edge for edge in edges if network.edges[edge].get("saddle_position") is not None]
    paths = {
        edge: path
        for edge, (path, _) in zip(known, minimum_energy_paths(landscape, network, known), strict=True)
    }
    return [paths[edge] if edge in paths else np.array(ends_of(network, edge)) for edge in edges]


def _refined(edge: Edge, bands: list[Band], network: Graph) -> RefinedHop:
    top = max(float(band.energies.max()) for band in bands)
    return RefinedHop(
        edge=edge,
        bands=bands,
        barrier=top - float(bands[0].energies[0]),
        network_barrier=float(network.edges[edge]["barrier"]),
        elementary=len(bands) == 1,
        converged=all(band.converged for band in bands),
        reason="; ".join(band.reason for band in bands if band.reason),
    )


def one_direction(network: Graph) -> list[Edge]:
    """Every hop in one of its two directions: the first met of each pair of edges with one saddle."""
    seen: set[tuple[Any, ...]] = set()
    chosen: list[Edge] = []
    for source, target, key, data in network.edges(keys=True, data=True):
        image = tuple(data["image"])
        saddle = round(network.nodes[source]["energy"] + data["barrier"], 9)
        hop = data.get("hop", saddle)
        reverse = (target, source, tuple(-x for x in image), hop)
        if reverse in seen:
            continue
        seen.add((source, target, image, hop))
        chosen.append((source, target, key))
    return chosen


def with_calculator(
    pairs: Sequence[tuple[Atoms, Atoms]],
    calculator: Any,  # any ASE calculator
    settings: Settings | None = None,
    batch: Batch | None = None,
    *,
    start: str = "linear",
    checkpoint: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> list[Band]:
    """Bands between pairs of relaxed structures with an ASE calculator.

    All pairs must have the same atoms, cell and constraints; fixed atoms stay. Each atom goes the shortest
    way. `batch` may compute many images in one call: list of Atoms -> energies (n,), eV, forces (n,
    n_atoms, 3), eV/Å. `start` is "linear" or "idpp" (Smidstrup et al., J. Chem. Phys. 140, 214106 (2014));
    `checkpoint` names a file in which finished evaluations are kept, so that an interrupted run goes on.
    """
    if not pairs:
        return []
    if start not in {"linear", "idpp"}:
        raise SearchError(f"start={start!r}: wanted 'linear' or 'idpp'.")
    settings = settings or Settings()
    with (
        shown(progress) as tell,
        Evaluations(pairs[0][0], calculator, batch, checkpoint, tell) as evaluate,
    ):
        paths = []
        for first, last in pairs:
            if len(first) != len(last) or (first.numbers != last.numbers).any():
                raise SearchError("The two ends of a band must have the same atoms in the same order.")
            begin = first.positions[evaluate.moving]
            step = find_mic(last.positions[evaluate.moving] - begin, first.cell, first.pbc)[0]  # type: ignore[no-untyped-call]
            path = np.stack([begin.ravel(), (begin + step).ravel()])
            if start == "idpp":
                path = idpp_path(evaluate.base, evaluate.moving, path, settings.n_images)
            paths.append(path)
        return relax_bands(lambda x: evaluate(x, "bands"), paths, settings)
