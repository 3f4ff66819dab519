"""Minimum energy paths of hops that are already in a network."""

from collections.abc import Sequence

import numpy as np

from search import descent
from search.errors import SearchError
from search.graph import Graph
from search.landscape import Evaluator, Landscape
from search.lattice import Floats, shortest_vectors
from search.surface import Surface
from search.vibrations import hessians

Edge = tuple[int, int, int]


def minimum_energy_path(
    landscape: Landscape, network: Graph, edge: Edge, n_images: int = 21
) -> tuple[Floats, Floats]:
    """Steepest descent from the saddle of `edge` (source, target, key) down both sides.

    Returns positions (n_images, 3), Å, unwrapped, at equal arc lengths from position[source] to
    position[target] + image @ cell, and their energies (n_images,), eV, on the landscape.

    Raises
    ------
    SearchError
        when the edge is not there, has no saddle, or its saddle does not lead to its two ends.
    """
    return minimum_energy_paths(landscape, network, [edge], n_images)[0]


def minimum_energy_paths(
    landscape: Landscape, network: Graph, edges: list[Edge], n_images: int = 21
) -> list[tuple[Floats, Floats]]:
    """`minimum_energy_path` for many edges, all descents advanced together."""
    if n_images < 3:
        raise SearchError(
            f"n_images={n_images}: a path needs its two ends and at least one image between them."
        )
    if not edges:
        return []
    evaluate = Evaluator(landscape)
    saddles = np.array([_saddle(network, edge) for edge in edges])
    _, arrived, lines = descent.on_landscape(evaluate, saddles, hessians(evaluate, saddles))
    paths = [
        _resampled(_oriented(network, edge, pair, ok), n_images)
        for edge, pair, ok in zip(edges, lines, arrived, strict=True)
    ]
    energies, _ = evaluate(np.concatenate(paths), stage="paths")
    return [(path, energies[i * n_images : (i + 1) * n_images]) for i, path in enumerate(paths)]


def paths_on_surface(surface: Surface, network: Graph, edges: Sequence[Edge]) -> list[Floats | None]:
    """Descents (m, 3), Å, from the saddles of `edges` on a fitted surface; None where they end elsewhere."""
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    line = np.empty((2000, 3))
    paths: list[Floats | None] = []
    for edge in edges:
        start, end = ends_of(network, edge)
        saddle = network.edges[edge].get("saddle_position")
        paths.append(None)
        if saddle is None:
            continue
        top = surface.nearby(np.array(saddle, dtype=np.float64))
        if top is None:
            continue
        # Coarse steps will do: a band relaxes from here.
        gone = [descent.one_side(surface, top, side, line, step=0.1) for side in (1.0, -1.0)]
        for first, second in (gone, gone[::-1]):
            whole = np.concatenate([first[::-1], second])
            back, image = shortest_vectors(whole[:1] - start, cell)
            whole = whole + image[0] @ cell
            off = max(float(np.linalg.norm(back)), float(np.linalg.norm(whole[-1] - end)))
            if off < 2.0 * descent.CAPTURE + 0.05:
                whole[0], whole[-1] = start, end
                paths[-1] = whole
                break
    return paths


def ends_of(network: Graph, edge: Edge) -> tuple[Floats, Floats]:
    """Start and end of a hop, Å, the end in the image that the hop leads to."""
    source, target, key = edge
    if not network.has_edge(source, target, key):
        raise SearchError(f"The network has no hop {edge}; wanted (source, target, key) of one of its edges.")
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    start, end = (np.array(network.nodes[site]["position"], dtype=np.float64) for site in (source, target))
    return start, end + np.array(network.edges[edge]["image"]) @ cell


def _saddle(network: Graph, edge: Edge) -> Floats:
    ends_of(network, edge)
    position = network.edges[edge].get("saddle_position")
    if position is None:
        raise SearchError(
            f"Hop {edge} has no saddle_position; only hops found with their saddle have a path."
        )
    return np.array(position, dtype=np.float64)


def _oriented(network: Graph, edge: Edge, lines: list[Floats], arrived: np.ndarray) -> Floats:
    """The two descents as one line from source to target image, in the image in which the hop starts."""
    start, end = ends_of(network, edge)
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    for first, second in (lines, lines[::-1]):
        line = np.concatenate([first[::-1], second[1:]])
        back, image = shortest_vectors(line[:1] - start, cell)
        line = line + image[0] @ cell
        off = max(float(np.linalg.norm(back)), float(np.linalg.norm(line[-1] - end)))
        if arrived.all() and off < 0.05:
            line[0], line[-1] = start, end
            return np.asarray(line)
    raise SearchError(
        f"The saddle of hop {edge} does not lead down to its two ends on this landscape: is it the "
        f"network's own?"
    )


def _resampled(line: Floats, n_images: int) -> Floats:
    """`n_images` points at equal arc lengths along a line (m, 3)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    wanted = np.linspace(0.0, length[-1], n_images)
    return np.asarray(np.stack([np.interp(wanted, length, line[:, axis]) for axis in range(3)], axis=1))
