"""Groups of sites joined by fast hops, solved once as an absorbing chain and left in one step.

A walker that enters a group at site s would flicker inside and at last leave through some hop e. With Q the
rates inside the group and x those out of it, N = (D − Q)⁻¹ gives both the mean time Σ_i N_si until it leaves
and the probability N_si x_e of leaving through e. N is built from sums, products and quotients of positive
numbers only, so it is as accurate at a flicker of 1e20 as at 1.
"""
# ruff: noqa: C901 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def fundamental(rates: Any, leave: Any) -> Any:
    """Mean time spent at each site before absorption: (D − Q)⁻¹.

    Parameters
    ----------
    rates
        (n, n), from row to column inside the group; the diagonal is ignored.
    leave
        (n,), total rate out of the group from each site.

    Returns
    -------
    times : (n, n), row: where the walker entered
    """
    n = len(leave)
    q = rates.copy()
    out = leave.copy()
    pivot = np.empty(n)
    for k in range(n):
        pivot[k] = out[k]
        for j in range(k + 1, n):
            pivot[k] += q[k, j]
        for i in range(k + 1, n):
            if q[i, k] > 0.0:
                q[i, k] /= pivot[k]  # kept as the multiplier of row k
                out[i] += q[i, k] * out[k]
                for j in range(k + 1, n):
                    q[i, j] += q[i, k] * q[k, j]
    times = np.zeros((n, n))
    for column in range(n):
        for i in range(column, n):
            total = 1.0 if i == column else 0.0
            for k in range(column, i):
                total += q[i, k] * times[k, column]
            times[i, column] = total
        for i in range(n - 1, -1, -1):
            total = times[i, column]
            for j in range(i + 1, n):
                total += q[i, j] * times[j, column]
            times[i, column] = total / pivot[i]
    return times


@njit(cache=True)
def _root(parent: Any, site: int) -> int:
    while parent[site] != site:
        parent[site] = parent[parent[site]]
        site = parent[site]
    return site


@njit(cache=True)
def flickering_groups(
    n_sites: int,
    source: Any,
    target: Any,
    inside: Any,
    flow: Any,
    order: Any,
    largest: int,
    flicker: float,
    effort: float,
) -> Any:
    """Choose disjoint groups in which a walker makes at least `flicker` hops for each one out.

    Clusters grow as hops are added from the strongest on; of the nested clusters that qualify, the widest is
    taken.

    Parameters
    ----------
    source, target, inside, flow
        (m,): hops, whether they may lie inside a group, and their stationary flows.
    order
        Hops, strongest first.
    largest
        Most sites of a group.
    effort
        Power of the size with which a visit becomes laborious: a group of n sites must flicker (n / 2)^effort
        times as much.

    Returns
    -------
    group : (n,), −1 for sites in none
    """
    parent = np.arange(n_sites)
    size = np.ones(n_sites, dtype=np.int64)
    within = np.zeros(n_sites)
    total = np.zeros(n_sites)
    for e in range(len(source)):
        total[source[e]] += flow[e]
    # Sites of a cluster as a ring, so that two clusters are joined by swapping two links.
    following = np.arange(n_sites)
    marked = np.zeros(n_sites, dtype=np.bool_)
    group = np.full(n_sites, -1, dtype=np.int64)
    for e in order:
        if not inside[e]:
            continue
        a, b = _root(parent, source[e]), _root(parent, target[e])
        if a != b:
            if size[a] < size[b]:
                a, b = b, a
            parent[b] = a
            size[a] += size[b]
            within[a] += within[b]
            total[a] += total[b]
            following[a], following[b] = following[b], following[a]
            marked[a] = False
        within[a] += flow[e]
        # Below, rounding may leave nothing of what goes out; then the cluster flickers more than a float can
        # say.
        least = flicker * (0.5 * size[a]) ** effort
        if not marked[a] and 1 < size[a] <= largest and within[a] >= least * (total[a] - within[a]):
            marked[a] = True
            site = a
            while True:
                group[site] = a
                site = following[site]
                if site == a:
                    break
    return group
