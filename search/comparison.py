"""Two networks of one landscape beside each other: which sites and hops one has and the other lacks."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from search.diffusion import diffusivity
from search.errors import SearchError
from search.graph import Graph
from search.lattice import Floats, nearest

Edge = tuple[int, int, int]


@dataclass(frozen=True)
class Comparison:
    """What a network has of a reference network; hops are counted in both directions.

    missing_sites: numbers in the reference; extra_sites: numbers in the network; missing_hops, extra_hops:
    edges (source, target, key) of the reference and of the network; barrier_difference: largest, eV, of the
    shared hops. diffusivity, elementary_diffusivity, reference_diffusivity: cm²/s at `temperature`, K, of
    the network, of the network without its hops flagged `elementary=False`, and of the reference.
    """

    shared_sites: int
    missing_sites: list[int]
    extra_sites: list[int]
    shared_hops: int
    missing_hops: list[Edge]
    extra_hops: list[Edge]
    barrier_difference: float
    temperature: float
    diffusivity: float
    elementary_diffusivity: float
    reference_diffusivity: float

    def __str__(self) -> str:
        return (
            f"sites: {self.shared_sites} shared, {len(self.missing_sites)} missing, "
            f"{len(self.extra_sites)} extra; hops: {self.shared_hops} shared, "
            f"{len(self.missing_hops)} missing, {len(self.extra_hops)} extra; barriers of shared hops within "
            f"{1e3 * self.barrier_difference:.2f} meV; D at {self.temperature:g} K: "
            f"{self.diffusivity:.3g} cm²/s{_times(self.diffusivity, self.reference_diffusivity)}, without "
            f"hops flagged as not elementary {self.elementary_diffusivity:.3g} cm²/s"
            f"{_times(self.elementary_diffusivity, self.reference_diffusivity)}; the reference has "
            f"{self.reference_diffusivity:.3g} cm²/s"
        )


def _times(one: float, other: float) -> str:
    return f" ({one / other:.3g} times)" if other > 0 else ""


def compare_networks(
    network: Graph,
    reference: Graph,
    site_tolerance: float = 0.1,
    energy_tolerance: float = 0.01,
    temperature: float = 500.0,
) -> Comparison:
    """Match sites closer than `site_tolerance`, Å, then hops between them in the same images.

    Parallel hops are matched by their saddle energies, to `energy_tolerance`, eV. The diffusivities are
    those at `temperature`, K.

    Raises
    ------
    SearchError
        when the two networks have different cells, or for a temperature that is not positive.
    """
    if not temperature > 0:
        raise SearchError(f"temperature={temperature}: wanted K above zero, such as 500.")
    cell = np.asarray(reference.graph["cell"], dtype=np.float64)
    if not np.allclose(np.asarray(network.graph["cell"], dtype=np.float64), cell, atol=1e-6):
        raise SearchError("The two networks have different cells; compare networks of one landscape.")
    mine, theirs = list(network), list(reference)
    here, there = _positions(network, mine), _positions(reference, theirs)
    match = nearest(here, there, cell, site_tolerance)
    partner = {mine[row]: theirs[m] for row, m in enumerate(match) if m >= 0}
    shift = {
        mine[row]: np.rint((here[row] - there[m]) @ np.linalg.inv(cell)).astype(np.int64)
        for row, m in enumerate(match)
        if m >= 0
    }
    waiting: dict[tuple[int, ...], list[tuple[float, Edge]]] = defaultdict(list)
    for i, j, key, data in reference.edges(keys=True, data=True):
        top = float(reference.nodes[i]["energy"]) + float(data["barrier"])
        waiting[(i, j, *(int(x) for x in data["image"]))].append((top, (i, j, key)))
    shared, extra, worst = 0, [], 0.0
    for i, j, key, data in network.edges(keys=True, data=True):
        found = None
        if i in partner and j in partner:
            image = np.array(data["image"], dtype=np.int64) + shift[j] - shift[i]
            top = float(network.nodes[i]["energy"]) + float(data["barrier"])
            left = waiting[(partner[i], partner[j], *(int(x) for x in image))]
            found = min(left, key=lambda entry: abs(entry[0] - top), default=None)
            if found is not None and abs(found[0] - top) <= energy_tolerance:
                left.remove(found)
                worst = max(worst, abs(reference.edges[found[1]]["barrier"] - float(data["barrier"])))
                shared += 1
                continue
        extra.append((i, j, key))
    return Comparison(
        shared_sites=len(set(partner.values())),
        missing_sites=sorted(set(theirs) - set(partner.values())),
        extra_sites=sorted(set(mine) - set(partner)),
        shared_hops=shared,
        missing_hops=[edge for left in waiting.values() for _, edge in left],
        extra_hops=extra,
        barrier_difference=worst,
        temperature=float(temperature),
        diffusivity=diffusivity(network, temperature),
        elementary_diffusivity=diffusivity(_elementary(network), temperature),
        reference_diffusivity=diffusivity(reference, temperature),
    )


def _elementary(network: Graph) -> Graph:
    """The network without hops flagged as leading over something else."""
    kept: Graph = network.copy()
    kept.remove_edges_from(
        [
            (i, j, key)
            for i, j, key, data in network.edges(keys=True, data=True)
            if not data.get("elementary", True)
        ]
    )
    return kept


def _positions(network: Graph, sites: list[int]) -> Floats:
    return np.array([network.nodes[site]["position"] for site in sites], dtype=np.float64).reshape(-1, 3)
