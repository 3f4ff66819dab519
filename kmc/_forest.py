"""Spanning forests of periodic graphs: components, what their loops wind around, and from when on."""
# ruff: noqa: C901, PLR0912 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def _find(parent: Any, offset: Any, potential: Any, site: int) -> int:
    """Root of a site; on return the site and all on its way hang directly below the root."""
    root = site
    while parent[root] != root:
        root = parent[root]
    while parent[site] != root and site != root:
        # Fold the path: walk it once from below, carrying what is left of the way to the root.
        above = parent[site]
        total = offset[site].copy()
        height = potential[site]
        while above != root:
            total += offset[above]
            height += potential[above]
            above = parent[above]
        above = parent[site]
        parent[site] = root
        offset[site] = total
        potential[site] = height
        site = above
    return root


@njit(cache=True)
def add_vector(basis: Any, rank: int, vector: Any) -> int:
    """Add an integer vector to `rank` independent rows of (3, 3) if it depends on none; the new rank."""
    if rank == 3 or (vector[0] == 0 and vector[1] == 0 and vector[2] == 0):
        return rank
    if rank > 0:
        a = basis[0]
        if rank == 1:
            x = a[1] * vector[2] - a[2] * vector[1]
            y = a[2] * vector[0] - a[0] * vector[2]
            z = a[0] * vector[1] - a[1] * vector[0]
            if x == 0 and y == 0 and z == 0:
                return rank
        else:
            b = basis[1]
            x = a[1] * b[2] - a[2] * b[1]
            y = a[2] * b[0] - a[0] * b[2]
            z = a[0] * b[1] - a[1] * b[0]
            if x * vector[0] + y * vector[1] + z * vector[2] == 0:
                return rank
    for axis in range(3):
        basis[rank, axis] = vector[axis]
    return rank + 1


@njit(cache=True)
def spanning_forest(n_sites: int, source: Any, target: Any, image: Any, step: Any, order: Any) -> Any:
    """Add hops one by one and keep those that join two components (Kruskal), counting loops that wind.

    Parameters
    ----------
    source, target, image
        (m,), (m,), (m, 3): the hops.
    step
        (m,) a number gained along each hop; it becomes a site function along the forest.
    order
        The hops to add, first to last.

    Returns
    -------
    component : (n,) numbered from 0 by their lowest site
    offset : (n, 3) lattice vector of each site such that image + offset[target] − offset[source] = 0 on the
    forest potential : (n,) such that potential[target] − potential[source] = step on the forest
    rank_hop : (n, 3) for component c the hop with which its first cluster percolates in 1, 2, 3 directions;
    −1: never best_hop : (3,) the same over the whole graph
    """
    parent = np.arange(n_sites)
    offset = np.zeros((n_sites, 3), dtype=np.int64)
    potential = np.zeros(n_sites)
    size = np.ones(n_sites, dtype=np.int64)
    basis = np.zeros((n_sites, 3, 3), dtype=np.int64)
    rank = np.zeros(n_sites, dtype=np.int64)
    reached = np.full((n_sites, 3), -1, dtype=np.int64)
    when = np.full((n_sites, 3), len(order) + 1, dtype=np.int64)
    for position in range(len(order)):
        hop = order[position]
        i, j = source[hop], target[hop]
        a = _find(parent, offset, potential, i)
        b = _find(parent, offset, potential, j)
        shift = np.zeros(3, dtype=np.int64)
        for axis in range(3):
            at_i = offset[i, axis] if i != a else 0
            at_j = offset[j, axis] if j != b else 0
            shift[axis] = image[hop, axis] + at_j - at_i
        height = step[hop] + (potential[i] if i != a else 0.0) - (potential[j] if j != b else 0.0)
        if a == b:
            top = a
            rank[a] = add_vector(basis[a], rank[a], shift)
        else:
            top, low, sign = (a, b, 1) if size[a] >= size[b] else (b, a, -1)
            parent[low] = top
            offset[low] = -sign * shift
            potential[low] = sign * height
            size[top] += size[low]
            for k in range(rank[low]):
                rank[top] = add_vector(basis[top], rank[top], basis[low, k])
            for k in range(3):
                if when[low, k] < when[top, k]:
                    when[top, k] = when[low, k]
                    reached[top, k] = reached[low, k]
        for k in range(rank[top]):
            if when[top, k] > position:
                when[top, k] = position
                reached[top, k] = hop
    component = np.full(n_sites, -1, dtype=np.int64)
    number = np.full(n_sites, -1, dtype=np.int64)
    rank_hop = np.full((n_sites, 3), -1, dtype=np.int64)
    count = 0
    for site in range(n_sites):
        root = _find(parent, offset, potential, site)
        if number[root] < 0:
            number[root] = count
            rank_hop[count] = reached[root]
            count += 1
        component[site] = number[root]
    best_hop = np.full(3, -1, dtype=np.int64)
    for k in range(3):
        earliest = len(order) + 1
        for site in range(n_sites):
            if parent[site] == site and when[site, k] < earliest:
                earliest = when[site, k]
                best_hop[k] = reached[site, k]
    return component, offset, potential, rank_hop[:count], best_hop
