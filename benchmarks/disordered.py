"""Disordered hopping graphs of any size, made without NetworkX where they are large."""

from __future__ import annotations

import networkx as nx
import numpy as np
from scipy.spatial import cKDTree

from kmc import Network


def disordered_network(
    n: int, seed: int = 0, hops_a_site: float = 7.0, barriers: tuple[float, float] = (0.1, 0.6)
) -> Network:
    """Random sites in a cubic cell, hops between near ones; energies spread by 0.1 eV, barriers in eV."""
    rng = np.random.default_rng(seed)
    length = 2.0 * n ** (1 / 3)
    positions = rng.random((n, 3)) * length
    reach = (hops_a_site * 8.0 * 3 / (4 * np.pi)) ** (1 / 3)
    pairs = cKDTree(positions, boxsize=length).query_pairs(reach, output_type="ndarray").astype(np.int64)
    i, j = pairs.T
    image = -np.rint((positions[j] - positions[i]) / length).astype(np.int64)
    energies = rng.normal(0.0, 0.1, n)
    saddle = np.maximum(energies[i], energies[j]) + rng.uniform(*barriers, len(i))
    source, target = np.concatenate([i, j]), np.concatenate([j, i])
    saddles = np.concatenate([saddle, saddle])
    m = len(i)
    return Network(
        labels=tuple(range(n)),
        keys=(0,) * (2 * m),
        cell=np.eye(3) * length,
        positions=positions,
        energies=energies,
        source=source,
        target=target,
        image=np.concatenate([image, -image]),
        barrier=saddles - energies[source],
        saddle_energy=saddles,
        prefactor=np.full(2 * m, 1e13),
        reverse=np.concatenate([np.arange(m, 2 * m), np.arange(m)]),
        saddle_fraction=np.full(2 * m, 0.5),
    )


def as_graph(network: Network) -> nx.MultiDiGraph:
    """The same as a NetworkX graph, as a user would bring it."""
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=network.cell.tolist(), guest="X")
    for i, (position, energy) in enumerate(
        zip(network.positions.tolist(), network.energies.tolist(), strict=True)
    ):
        graph.add_node(i, position=position, energy=energy)
    rows = zip(
        network.source.tolist(),
        network.target.tolist(),
        network.image.tolist(),
        network.barrier.tolist(),
        strict=True,
    )
    for source, target, image, barrier in rows:
        graph.add_edge(source, target, image=image, barrier=barrier, prefactor=1e13)
    return graph
