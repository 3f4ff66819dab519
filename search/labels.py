"""Labels of equivalent sites and hops on a finished network."""

import numpy as np
from ase import Atoms

from search.graph import Graph
from search.lattice import Floats, Ints
from search.symmetry import Hop, Moves, Operations, as_image, distinct_hops, operations, orbits

# Sites and saddles that an operation takes this close to another, Å, are its copies.
TOLERANCE = 0.05


def label_symmetry(network: Graph, atoms: Atoms, symprec: float = 1e-2) -> Graph:
    """Write `orbit` on every node and edge: equal numbers for what the symmetry of `atoms` makes equal.

    Also writes `multiplicity` on nodes (sites of the orbit), the space group, and
    graph["search"]["without_partner"]: sites (numbers) that some operation takes where no site is. In a
    complete network of a symmetric landscape there are none. Changes the network and returns it.
    """
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    ops = operations(atoms, symprec)
    ops = Operations(ops.rotations, ops.translations, cell, ops.symbol)
    label_by(network, ops)
    return network


def label_by(network: Graph, ops: Operations) -> None:
    """As `label_symmetry`, by given operations."""
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    nodes = list(network)
    positions = np.array([network.nodes[n]["position"] for n in nodes], dtype=np.float64).reshape(-1, 3)
    numbers, images = ops.permutations(positions, TOLERANCE)
    labels = orbits(numbers)
    counts = np.bincount(labels, minlength=1)
    for row, site in enumerate(nodes):
        network.nodes[site]["orbit"] = int(labels[row])
        network.nodes[site]["multiplicity"] = int(counts[labels[row]])
    for (i, j, key), label in _hop_labels(network, ops, numbers, images, cell).items():
        network.edges[i, j, key]["orbit"] = label
    network.graph["space_group"] = ops.symbol
    notes = network.graph.setdefault("search", {})
    notes["without_partner"] = [nodes[row] for row in np.flatnonzero((numbers < 0).any(axis=0))]
    notes["distinct_sites"] = int(labels.max(initial=-1)) + 1


def _hop_labels(
    network: Graph, ops: Operations, numbers: Ints, images: Ints, cell: Floats
) -> dict[tuple[int, int, int], int]:
    """Orbits of edges; parallel hops between the same ends are told apart by where their saddles go."""
    row = {site: r for r, site in enumerate(network)}
    edges = list(network.edges(keys=True, data=True))
    saddles = np.array([data.get("saddle_position", [np.nan] * 3) for *_, data in edges]).reshape(-1, 3)
    if not edges or not np.isfinite(saddles).all():
        return {}
    places, place_images = ops.permutations(saddles, TOLERANCE)
    # A hop goes over the place of its own saddle: the first edge that has it stands for the place.
    same = np.array([int(np.flatnonzero(_near(saddles, s, cell))[0]) for s in saddles])
    hops = []
    for number, (i, j, _, data) in enumerate(edges):
        over = same[number]
        shift = np.rint((saddles[number] - saddles[over]) @ np.linalg.inv(cell)).astype(np.int64)
        image = as_image(np.array(data["image"]))
        hops.append(Hop(row[i], row[j], image, int(over), as_image(shift)))
    moved = np.where(places >= 0, same[places], -1)
    shifts = np.rint((saddles[places] - saddles[moved]) @ np.linalg.inv(cell)).astype(np.int64)
    moves = Moves(ops.on_images, (numbers, images), (moved, place_images + shifts))
    copies = distinct_hops(hops, moves)
    parents = {parent: label for label, parent in enumerate(sorted({c.parent for c in copies.values()}))}
    return {(i, j, key): parents[copies[hop].parent] for (i, j, key, _), hop in zip(edges, hops, strict=True)}


def _near(saddles: Floats, saddle: Floats, cell: Floats) -> Ints:
    away = (saddles - saddle) @ np.linalg.inv(cell)
    away = (away - np.rint(away)) @ cell
    return np.asarray(np.linalg.norm(away, axis=1) < TOLERANCE)
