"""The graph contract: a NetworkX hopping graph, checked and laid out as flat arrays.

Site i sits at ``position[i]``; hop e leaves ``source[e]`` and arrives at ``position[target[e]] + image[e] @
cell``. Hops carry their periodic image, so there is no minimum-image guess anywhere in this package.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import networkx as nx
import numpy as np
import numpy.typing as npt

from kmc._forest import spanning_forest

Graph: TypeAlias = "nx.MultiDiGraph[Any]"
Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

SCHEMA = "hopping-graph/1"
SADDLE_TOLERANCE_EV = 1e-6
LOOP_TOLERANCE = 1e-6  # of the logarithm of a prefactor ratio carried around a loop
INSIDE_TOLERANCE = 1e-8  # in fractions of a lattice vector: what wrapping leaves behind


#: Numbers beyond this overflow when they are squared or added up; none of Å, eV or Hz comes near it.
LARGEST_NUMBER = 1e60
LARGEST_IMAGE = 2**31


class GraphError(ValueError):
    """A hopping graph, or a question asked of it, cannot be answered; the message names the node or edge."""


def shown(value: Any, longest: int = 200) -> str:
    """A value in a message, cut where a file of a stranger would make it endless."""
    text = value if isinstance(value, str) and len(value) > longest else repr(value)
    return text if len(text) <= longest else text[:longest] + " ..."


@dataclass(frozen=True)
class Network:
    """A hopping graph as arrays.

    Attributes
    ----------
    labels
        The n nodes of the graph, in its order; rows of the site arrays.
    keys
        The m edge keys of the graph, in its order; rows of the hop arrays.
    cell
        (3, 3), Å, rows are lattice vectors.
    positions
        (n, 3), Å.
    energies
        (n,), eV.
    source, target
        (m,), site indices.
    image
        (m, 3), cells crossed by each hop.
    barrier
        (m,), eV.
    saddle_energy
        (m,), eV; the same for a hop and its reverse (the mean of what the two say).
    prefactor
        (m,), Hz.
    reverse
        (m,), index of the hop that undoes each hop.
    saddle_fraction
        (m,), how far along the hop its saddle lies; 0.5 where the graph does not say.
    """

    labels: tuple[Hashable, ...]
    keys: tuple[Hashable, ...]
    cell: Floats
    positions: Floats
    energies: Floats
    source: Integers
    target: Integers
    image: Integers
    barrier: Floats
    saddle_energy: Floats
    prefactor: Floats
    reverse: Integers
    saddle_fraction: Floats

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.labels)

    @property
    def n_hops(self) -> int:
        """Number of directed hops."""
        return len(self.source)

    @property
    def displacements(self) -> Floats:
        """Where each hop leads: (m, 3), Å."""
        moved: Floats = self.positions[self.target] - self.positions[self.source] + self.image @ self.cell
        return moved

    def name_of(self, hop: int) -> str:
        """A hop in words, for messages."""
        ends = f"{shown(self.labels[self.source[hop]])} -> {shown(self.labels[self.target[hop]])}"
        return f"hop {ends} (key {shown(self.keys[hop])}, image {self.image[hop].tolist()})"


def validate(graph: Graph) -> None:
    """Check a graph against contract 2, to the letter.

    Beyond what `compile_graph` needs, the positions lie inside the cell, a guest is named, and the
    prefactors obey detailed balance: their forward/backward ratios close around every loop.

    Raises
    ------
    GraphError
        The first thing found wrong, naming the node or edge and saying what to do.
    """
    network = compile_graph(graph)
    if not isinstance(graph.graph.get("guest"), str):
        raise GraphError(
            f"the graph's guest is {shown(graph.graph.get('guest'))}; name the species that hops, like 'Li'"
        )
    fractional = network.positions @ np.linalg.inv(network.cell)
    outside = np.any((fractional < -INSIDE_TOLERANCE) | (fractional > 1 + INSIDE_TOLERANCE), axis=1)
    if outside.any():
        site = int(np.argmax(outside))
        raise GraphError(
            f"node {shown(network.labels[site])} lies outside the cell, at fractional "
            f"{np.round(fractional[site], 6).tolist()}; "
            "wrap its position and correct the images of its hops"
        )
    _, gap = prefactor_weights(network)
    if network.n_hops and gap.max() > LOOP_TOLERANCE:
        hop = int(np.argmax(gap))
        raise GraphError(
            f"{network.name_of(hop)}: the prefactor ratios do not close around a loop through it (off "
            "by a factor "
            f"{np.exp(gap[hop]):.6g}), so no equilibrium exists; correct the prefactors of the hops in "
            "that loop"
        )


def prefactor_weights(network: Network) -> tuple[Floats, Floats]:
    """Site weights that the prefactors imply, and by how much each hop contradicts them.

    Detailed balance asks ν_ij / ν_ji = g_j / g_i. The logarithm of g is carried along a spanning forest,
    with mean zero in each connected component (nothing relates components to each other).

    Returns
    -------
    log_weights : (n,), ln g
    gap : (m,), |ln(ν_ij / ν_ji) − ln(g_j / g_i)|
    """
    step = np.log(network.prefactor) - np.log(network.prefactor[network.reverse])
    return site_potential(network, step)


def site_potential(network: Network, step: Floats) -> tuple[Floats, Floats]:
    """Site function whose differences along hops are `step` (m,), and by how much each hop contradicts it.

    Returns
    -------
    potential : (n,), mean zero in each component
    gap : (m,), |step − (potential[target] − potential[source])|
    """
    if not step.any():
        return np.zeros(network.n_sites), np.zeros(network.n_hops)
    order = np.argsort(network.saddle_energy, kind="stable")
    forest = spanning_forest(network.n_sites, network.source, network.target, network.image, step, order)
    component, potential = forest[0], forest[2]
    counts = np.bincount(component)
    potential = potential - (np.bincount(component, potential) / counts)[component]
    gap = np.abs(step - (potential[network.target] - potential[network.source]))
    return potential, gap


def compile_graph(graph: Graph) -> Network:
    """Lay a graph out as arrays, refusing whatever would make an answer meaningless.

    Prefactors need not obey detailed balance here (a driven ring is a fair question); `validate` asks for
    that too.

    Parameters
    ----------
    graph
        A `networkx.MultiDiGraph` with the attributes of contract 2.

    Raises
    ------
    GraphError
        Names the node or edge.
    """
    if not isinstance(graph, nx.MultiDiGraph):
        raise GraphError(
            f"got {type(graph).__name__}; a hopping graph is a networkx.MultiDiGraph: nx.MultiDiGraph(graph)"
        )
    if graph.graph.get("schema") != SCHEMA:
        raise GraphError(
            f"the graph's schema is {shown(graph.graph.get('schema'))}; this version reads {SCHEMA!r}"
        )
    if graph.number_of_nodes() == 0:
        raise GraphError("the graph has no nodes; add the sites between which the guest hops")
    cell = _cell(graph)
    labels = tuple(graph.nodes)
    index = {label: i for i, label in enumerate(labels)}
    sites = [data for _, data in graph.nodes(data=True)]
    # Flat lists and no tuple an edge: a million of those would keep the garbage collector busy.
    around = [neighbours for _, neighbours in graph.adjacency()]
    parallel = [hops for neighbours in around for hops in neighbours.values()]
    copies = np.array([len(hops) for hops in parallel], dtype=np.int64)
    degree = np.array([len(neighbours) for neighbours in around], dtype=np.int64)
    source = np.repeat(np.repeat(np.arange(len(labels)), degree), copies)
    reached = [index[label] for neighbours in around for label in neighbours]
    target = np.repeat(np.array(reached, dtype=np.int64), copies)
    keys = tuple([key for hops in parallel for key in hops])
    hop_data = [data for hops in parallel for data in hops.values()]
    names = _EdgeNames(labels, source, target, keys, hop_data)
    site_names = _NodeNames(labels)
    positions = _numbers(site_names, sites, "position", 3)
    energies = _numbers(site_names, sites, "energy", 0)
    image = _numbers(names, hop_data, "image", 3)
    barrier = _numbers(names, hop_data, "barrier", 0)
    prefactor = _numbers(names, hop_data, "prefactor", 0)
    _refuse(image != np.rint(image), names, "image", image, "whole numbers of cells")
    _refuse(np.abs(image) > LARGEST_IMAGE, names, "image", image, f"at most {LARGEST_IMAGE} cells away")
    _refuse(
        barrier < 0,
        names,
        "barrier",
        barrier,
        "at least 0 eV (saddle energy minus energy of the source node)",
    )
    _refuse(prefactor <= 0, names, "prefactor", prefactor, "a frequency above 0 Hz")
    whole = np.rint(image).astype(np.int64)
    _refuse(
        (source == target) & ~whole.any(axis=1),
        names,
        "image",
        whole,
        "another cell (this hop leads nowhere)",
    )
    saddle = energies[source] + barrier
    reverse = _reverse_hops(names, source, target, whole, saddle, prefactor)
    disagreement = np.abs(saddle - saddle[reverse])
    if hop_data and disagreement.max() > SADDLE_TOLERANCE_EV:
        hop = int(np.argmax(disagreement))
        raise GraphError(
            f"{names[hop]}: its saddle lies at {saddle[hop]:.9g} eV, that of its reverse at "
            f"{saddle[reverse[hop]]:.9g} eV; "
            "make energy[source] + barrier the same in both directions"
        )
    displacement = positions[target] - positions[source] + whole @ cell
    return Network(
        labels=labels,
        keys=keys,
        cell=cell,
        positions=positions,
        energies=energies,
        source=source,
        target=target,
        image=whole,
        barrier=barrier,
        saddle_energy=0.5 * (saddle + saddle[reverse]),
        prefactor=prefactor,
        reverse=reverse,
        saddle_fraction=_saddle_fraction(names, positions[source], displacement, cell, reverse),
    )


class _NodeNames:
    """Nodes in words, written only when a message needs them."""

    def __init__(self, labels: tuple[Hashable, ...]):
        self.labels = labels

    def __getitem__(self, site: int) -> str:
        return f"node {shown(self.labels[site])}"


class _EdgeNames:
    """Edges in words, written only when a message needs them."""

    def __init__(
        self,
        labels: tuple[Hashable, ...],
        source: Integers,
        target: Integers,
        keys: tuple[Hashable, ...],
        rows: list[dict[str, Any]],
    ):
        self.labels, self.source, self.target, self.keys, self.rows = labels, source, target, keys, rows

    def ends(self, hop: int) -> tuple[Hashable, Hashable]:
        return self.labels[self.source[hop]], self.labels[self.target[hop]]

    def __getitem__(self, hop: int) -> str:
        source, target = self.ends(hop)
        image = shown(self.rows[hop].get("image"))
        key = shown(self.keys[hop])
        return f"edge {shown(source)} -> {shown(target)} (key {key}, image {image})"


def _cell(graph: Graph) -> Floats:
    given = graph.graph.get("cell")
    try:
        cell = np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        cell = np.zeros(0)
    if cell.shape != (3, 3) or not (np.abs(cell) < LARGEST_NUMBER).all():
        raise GraphError(
            f"the graph's cell is {shown(given)}; wanted three lattice vectors of three finite numbers, in Å"
        )
    lengths = np.linalg.norm(cell, axis=1)
    if not abs(np.linalg.det(cell)) > 1e-9 * float(np.prod(lengths)):
        raise GraphError(
            f"the graph's cell {cell.tolist()} has no volume; give three independent lattice vectors, in Å"
        )
    return cell


def _numbers(names: Any, rows: list[dict[str, Any]], attribute: str, width: int) -> Floats:
    """One attribute of all nodes or edges as finite float64, (rows,) or (rows, width)."""
    shape = (len(rows), width) if width else (len(rows),)
    try:
        values = np.array([row[attribute] for row in rows])
        if values.dtype.kind in "fiu" and values.shape == shape and (np.abs(values) < LARGEST_NUMBER).all():
            return values.astype(np.float64)
    except (KeyError, ValueError, TypeError, OverflowError):
        pass  # the slow look below finds which row it was
    if not rows:
        return np.zeros(shape)
    wanted = f"{width} finite numbers" if width else "a finite number"
    for i, row in enumerate(rows):
        if attribute not in row:
            raise GraphError(
                f"{names[i]} has no {attribute!r}; was it added only as the end of an edge? Give it {wanted}"
            )
        if not _is_numeric(row[attribute], width):
            raise GraphError(f"{names[i]}: {attribute} is {shown(row[attribute])}; wanted {wanted}, not text")
    return np.array([row[attribute] for row in rows], dtype=np.float64)


def _is_numeric(value: Any, width: int) -> bool:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        return False
    shape = (width,) if width else ()
    return array.dtype.kind in "fiu" and array.shape == shape and bool((np.abs(array) < LARGEST_NUMBER).all())


def _refuse(bad: Any, names: _EdgeNames, attribute: str, values: Any, wanted: str) -> None:
    rows: list[list[int]] = np.argwhere(bad).tolist()
    if rows:
        hop = rows[0][0]
        raise GraphError(f"{names[hop]}: {attribute} is {np.asarray(values)[hop].tolist()}; wanted {wanted}")


def _reverse_hops(
    names: _EdgeNames, source: Integers, target: Integers, image: Integers, saddle: Floats, prefactor: Floats
) -> Integers:
    """Index (m,) of each hop's reverse; parallel hops are paired by saddle energy, then prefactor."""
    forward, backward = _hop_numbers(source, target, image)
    by_forward, by_backward = np.argsort(forward), np.argsort(backward)
    ordered = forward[by_forward]
    if (ordered[1:] == ordered[:-1]).any():
        tie_break = [prefactor, np.round(saddle / (10 * SADDLE_TOLERANCE_EV))]
        by_forward = np.lexsort([*tie_break, forward])
        by_backward = np.lexsort([*tie_break, backward])
    if not np.array_equal(forward[by_forward], backward[by_backward]):
        here = np.column_stack([source, target, image])
        raise GraphError(_lonely(names, here, np.column_stack([target, source, -image])))
    reverse = np.empty(len(source), dtype=np.int64)
    reverse[by_backward] = by_forward
    return reverse


def _hop_numbers(source: Integers, target: Integers, image: Integers) -> tuple[Integers, Integers]:
    """One whole number for what identifies a hop, and the number that its reverse has: (m,) each."""
    ends = int(max(source.max(initial=0), target.max(initial=0))) + 1
    width = 2 * int(np.abs(image).max(initial=0)) + 1
    if ends**2 * width**3 < 2**62:
        place = np.array([width**2, width, 1])
        middle = (width**3 - 1) // 2
        shift = image @ place
        return (
            (source * ends + target) * width**3 + middle + shift,
            (target * ends + source) * width**3 + middle - shift,
        )
    both = np.concatenate(
        [np.column_stack([source, target, image]), np.column_stack([target, source, -image])]
    )
    numbers: Integers = np.unique(both, axis=0, return_inverse=True)[1].reshape(2, -1)
    return numbers[0], numbers[1]


def _lonely(names: _EdgeNames, forward: Integers, backward: Integers) -> str:
    available: dict[tuple[int, ...], int] = {}
    for row in map(tuple, forward.tolist()):
        available[row] = available.get(row, 0) + 1
    for hop, row in enumerate(map(tuple, backward.tolist())):
        available[row] = available.get(row, 0) - 1
        if available[row] < 0:
            source, target = names.ends(hop)
            wanted = f"{shown(target)} -> {shown(source)} with image {list(row[2:])}"
            return f"{names[hop]} has no reverse; add the edge {wanted}, or remove this one"
    return "some hop has no reverse"


def _saddle_fraction(
    names: _EdgeNames, start: Floats, displacement: Floats, cell: Floats, reverse: Integers
) -> Floats:
    """How far along each hop its saddle lies, (m,), from `saddle_position` where both directions give one."""
    missing = (np.nan, np.nan, np.nan)
    given = [row.get("saddle_position") for row in names.rows]
    if given.count(None) == len(given):
        return np.full(len(start), 0.5)
    try:
        saddles = np.array([missing if position is None else position for position in given], dtype=float)
        fits = saddles.shape == (len(given), 3) and not (np.abs(saddles) > LARGEST_NUMBER).any()
    except (ValueError, TypeError, OverflowError):
        fits = False
    if not fits:
        hop = next(i for i, x in enumerate(given) if x is not None and not _is_numeric(x, 3))
        raise GraphError(
            f"{names[hop]}: saddle_position is {shown(given[hop])}; wanted 3 finite numbers, Å, or none"
        )
    offset = saddles - start - 0.5 * displacement
    known = np.isfinite(offset).all(axis=1)
    offset[~known] = 0.0
    # Of all copies of the saddle, the one nearest to the middle of the hop.
    offset -= np.rint(offset @ np.linalg.inv(cell)) @ cell
    length_squared = np.maximum(np.einsum("ij,ij->i", displacement, displacement), 1e-300)
    fraction: Floats = np.clip(0.5 + np.einsum("ij,ij->i", offset, displacement) / length_squared, 0.0, 1.0)
    # A hop and its reverse share one saddle: their fractions add up to one.
    both: npt.NDArray[np.bool_] = known & known.take(reverse)
    return np.where(both, 0.5 * (fraction + 1.0 - fraction[reverse]), 0.5)
