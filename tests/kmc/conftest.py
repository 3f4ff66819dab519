"""Hopping graphs with known answers, and random ones without."""

from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from scipy import constants

KB = constants.k / constants.e


def build(cell, positions, energies, hops):
    """Graph from undirected hops (i, j, image, saddle energy, prefactor)."""
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=np.asarray(cell, float).tolist(), guest="Li")
    for i, (position, energy) in enumerate(zip(positions, energies, strict=True)):
        graph.add_node(i, position=[float(x) for x in position], energy=float(energy))
    for i, j, image, saddle, prefactor in hops:
        cells = [int(x) for x in image]
        there = {"barrier": float(saddle - energies[i]), "prefactor": float(prefactor)}
        back = {"barrier": float(saddle - energies[j]), "prefactor": float(prefactor)}
        graph.add_edge(i, j, image=cells, **there)
        graph.add_edge(j, i, image=[-x for x in cells], **back)
    return graph


def chain(barriers, energies=None, spacing=1.5, prefactor=1e13):
    """Sites on a line along x; `barriers` are saddle energies of the hops i -> i + 1."""
    n = len(barriers)
    energies = np.zeros(n) if energies is None else energies
    hops = [(i, (i + 1) % n, (int(i == n - 1), 0, 0), barriers[i], prefactor) for i in range(n)]
    return build(np.diag([n * spacing, 3.0, 3.0]), [(i * spacing, 0, 0) for i in range(n)], energies, hops)


def lattice(cell, fractional, neighbours, barrier=0.3, prefactor=1e13):
    """Sites of equal energy, joined wherever a pair is at one of the distances `neighbours` (Å)."""
    cell, fractional = np.asarray(cell, float), np.asarray(fractional, float)
    reach = range(-3, 4)
    images = np.array([(a, b, c) for a in reach for b in reach for c in reach])
    hops = []
    for i in range(len(fractional)):
        for j in range(len(fractional)):
            steps = (fractional[j] - fractional[i] + images) @ cell
            length = np.linalg.norm(steps, axis=1)
            near = images[np.any(np.abs(length[:, None] - np.atleast_1d(neighbours)) < 1e-6, axis=1)]
            hops += [(i, j, image, barrier, prefactor) for image in near if (i, *image) < (j, *(-image))]
    return build(cell, fractional @ cell, np.zeros(len(fractional)), hops)


def disordered(n, seed=0, spread=0.5, site_spread=0.1, cell=None, close=1.25):
    """Random sites in a (triclinic) cell, hops between near ones, random energies and barriers."""
    rng = np.random.default_rng(seed)
    if cell is None:
        cell = np.array([[1.0, 0.1, 0.0], [0.3, 1.1, 0.1], [-0.2, 0.2, 0.95]]) * n ** (1 / 3) * 2.0
    fractional = rng.random((n, 3))
    energies = rng.normal(0.0, site_spread, n)
    images = np.array([(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)])
    hops = []
    for i in range(n):
        steps = (fractional[None, :, None] - fractional[i] + images[None, None]) @ cell
        length = np.linalg.norm(steps[0], axis=-1)
        for j, k in zip(*np.nonzero(length < 2.0 * close), strict=True):
            if (i, *images[k]) < (j, *(-images[k])):
                saddle = max(energies[i], energies[j]) + rng.uniform(0.05, 0.05 + spread)
                hops.append((i, int(j), images[k], saddle, 1e13))
    return build(cell, fractional @ cell, energies, hops)


def supercell(graph, matrix):
    """The same crystal in the cell `matrix` @ cell: integers, positive determinant."""
    matrix = np.asarray(matrix)
    cell = np.array(graph.graph["cell"])
    count = round(np.linalg.det(matrix))
    inverse = np.linalg.inv(matrix)
    found = {}
    for shift in np.ndindex(*(2 * abs(matrix).sum(axis=0) + 1)):
        where = tuple(np.mod(np.rint((np.array(shift) @ inverse) * count), count).astype(int))
        found.setdefault(where, np.array(shift))
    shifts = list(found.items())
    assert len(shifts) == count
    number = {where: k for k, (where, _) in enumerate(shifts)}
    big = nx.MultiDiGraph(schema="hopping-graph/1", cell=(matrix @ cell).tolist(), guest="Li")
    home = {}
    for label, data in graph.nodes(data=True):
        for k, (_, shift) in enumerate(shifts):
            position = np.array(data["position"]) + shift @ cell
            wrap = np.floor(position @ np.linalg.inv(matrix @ cell) + 1e-9).astype(int)
            home[label, k] = wrap
            inside = position - wrap @ matrix @ cell
            big.add_node((label, k), position=inside.tolist(), energy=data["energy"])
    for i, j, data in graph.edges(data=True):
        for k, (_, shift) in enumerate(shifts):
            end = shift + np.array(data["image"])
            where = tuple(np.mod(np.rint((end @ inverse) * count), count).astype(int))
            other = number[where]
            cells = np.rint((end - shifts[other][1]) @ inverse).astype(int)
            image = cells + home[j, other] - home[i, k]
            big.add_edge((i, k), (j, other), **{**data, "image": image.tolist()})
    return big


@pytest.fixture(scope="session")
def graphs():
    return SimpleNamespace(
        build=build, chain=chain, lattice=lattice, disordered=disordered, supercell=supercell, KB=KB
    )
