"""At which energies the sites of a network connect through the whole crystal, and by which hops."""

from dataclasses import dataclass, field

import numpy as np

from search.errors import SearchError
from search.graph import Graph
from search.lattice import Floats, Ints

Edge = tuple[int, int, int]


@dataclass(frozen=True)
class Percolation:
    """Lowest energies at which sites connect without end, eV above the lowest site; infinite for never.

    energies: (3,), in at least one, two, three independent directions. hops: the edge (source, target, key)
    whose pass completes each, None for never. directions: (3), the lattice vectors (whole numbers) that span
    the connected directions when each is reached.
    """

    energies: tuple[float, float, float]
    hops: tuple[Edge | None, Edge | None, Edge | None]
    directions: tuple[list[list[int]], list[list[int]], list[list[int]]] = field(default=([], [], []))

    @property
    def dimension(self) -> int:
        """In how many independent directions the whole network conducts."""
        return int(np.isfinite(self.energies).sum())

    def __str__(self) -> str:
        lines = []
        for count, (energy, hop) in enumerate(zip(self.energies, self.hops, strict=True), 1):
            if hop is None:
                lines.append(f"{count} direction{'s' * (count > 1)}: never")
            else:
                lines.append(f"{count} direction{'s' * (count > 1)}: {energy:.4f} eV, over hop {hop}")
        return "\n".join(lines)


def percolation(network: Graph) -> Percolation:
    """Fill the network with passes from the lowest up, and see when it holds together without end.

    Sites joined so far keep their lattice translation to one of them; a pass between two sites of one group
    whose translations do not cancel is a way through the crystal (union-find with displacements). The rank
    of a group's ways is the number of directions in which it goes on for ever.

    Raises
    ------
    SearchError
        for a network without sites.
    """
    if network.number_of_nodes() == 0:
        raise SearchError("The network has no sites, so nothing percolates.")
    lowest = min(float(data["energy"]) for _, data in network.nodes(data=True))
    passes = sorted(
        (float(network.nodes[i]["energy"]) + float(data["barrier"]), i, j, key)
        for i, j, key, data in network.edges(keys=True, data=True)
    )
    groups = _Groups(list(network))
    energies: list[float] = [np.inf] * 3
    hops: list[Edge | None] = [None] * 3
    directions: list[list[list[int]]] = [[], [], []]
    reached = 0
    for energy, i, j, key in passes:
        rank = groups.join(i, j, np.array(network.edges[i, j, key]["image"], dtype=np.int64))
        while reached < rank:
            energies[reached], hops[reached] = energy - lowest, (i, j, key)
            directions[reached] = groups.ways_of(i)
            reached += 1
        if reached == 3:
            break
    return Percolation(tuple(energies), tuple(hops), tuple(directions))  # type: ignore[arg-type]


class _Groups:
    """Sites joined by passes, each with its lattice translation to the root of its group."""

    def __init__(self, sites: list[int]) -> None:
        self.parent = {site: site for site in sites}
        self.offset: dict[int, Ints] = {site: np.zeros(3, dtype=np.int64) for site in sites}
        self.ways: dict[int, list[Ints]] = {site: [] for site in sites}

    def root(self, site: int) -> tuple[int, Ints]:
        """The root of a site's group, and the image of the site relative to it."""
        offset = np.zeros(3, dtype=np.int64)
        while self.parent[site] != site:
            offset = offset + self.offset[site]
            site = self.parent[site]
        return site, offset

    def join(self, i: int, j: int, image: Ints) -> int:
        """Join i with j in `image`; the rank of the ways through the crystal that the group then has."""
        (a, at_i), (b, at_j) = self.root(i), self.root(j)
        way = at_i + image - at_j
        if a == b:
            if way.any() and _rank([*self.ways[a], way]) > len(self.ways[a]):
                self.ways[a].append(way)
            return len(self.ways[a])
        # Unwrapped, j + image is i's neighbour, so the root b stands in image `way` as seen from a.
        self.parent[b], self.offset[b] = a, way
        for other in self.ways.pop(b):
            if _rank([*self.ways[a], other]) > len(self.ways[a]):
                self.ways[a].append(other)
        return len(self.ways[a])

    def ways_of(self, site: int) -> list[list[int]]:
        """Independent lattice vectors along which the group of a site goes on for ever."""
        return [[int(x) for x in way] for way in self.ways[self.root(site)[0]]]


def _rank(vectors: list[Ints]) -> int:
    whole: Floats = np.array(vectors, dtype=np.float64)
    return int(np.linalg.matrix_rank(whole))
