"""From which energy on a hopping graph leads anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kmc._forest import spanning_forest
from kmc.network import Floats, Graph, Network, compile_graph


@dataclass(frozen=True)
class Percolation:
    """Percolation of a hopping graph as its hops open in order of saddle energy.

    Attributes
    ----------
    rank
        In how many independent directions the graph percolates: 0 to 3.
    energies
        (3,), eV: lowest saddle energy at which one connected cluster of sites percolates in 1, 2, 3
        directions; infinite where it never does.
    barriers
        (3,), eV: the same above the lowest site energy of the graph.
    hops
        For each number of directions, the hop (source, target, key) that opens it; None where none does.
    components
        Table of the connected components: sites, rank, lowest site energy, and energy_1, energy_2, energy_3
        (eV).
    """

    rank: int
    energies: Floats
    barriers: Floats
    hops: tuple[tuple[object, object, object] | None, ...]
    components: pd.DataFrame


def percolation(graph: Graph | Network) -> Percolation:
    """Percolation rank and thresholds, from the hops' saddle energies; temperature plays no part.

    Raises
    ------
    GraphError
        The graph is not sound.
    """
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    order = np.argsort(network.saddle_energy, kind="stable")
    forest = spanning_forest(
        network.n_sites, network.source, network.target, network.image, np.zeros(network.n_hops), order
    )
    component, rank_hop, best_hop = forest[0], forest[3], forest[4]
    with_never = np.append(network.saddle_energy, np.inf)  # hop −1 reads the last entry: never
    energies = with_never[best_hop]
    lowest = np.full(len(rank_hop), np.inf)
    np.minimum.at(lowest, component, network.energies)
    thresholds = with_never[rank_hop]
    table = pd.DataFrame(
        {
            "sites": np.bincount(component),
            "rank": (rank_hop >= 0).sum(axis=1),
            "lowest_energy": lowest,
            "energy_1": thresholds[:, 0],
            "energy_2": thresholds[:, 1],
            "energy_3": thresholds[:, 2],
        }
    )
    return Percolation(
        rank=int((best_hop >= 0).sum()),
        energies=energies,
        barriers=energies - network.energies.min(),
        hops=tuple(_hop(network, int(hop)) for hop in best_hop),
        components=table,
    )


def _hop(network: Network, hop: int) -> tuple[object, object, object] | None:
    if hop < 0:
        return None
    return network.labels[network.source[hop]], network.labels[network.target[hop]], network.keys[hop]
