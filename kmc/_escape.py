"""How long a walker flickers in a group of sites, and from which of them it leaves at last: drawn exactly.

Sites are eliminated one by one, without subtractions; eliminating site k replaces i → k → j by hops of their own. Put
back in the reverse order, the number of hops that went by way of k is binomial, the number of idle returns i → k → i
Poisson in the time spent at i, and the time spent at k a sum of as many exponential waiting times as there were
visits. A flicker of 1e20 hops costs no more than one of a hundred (kinetic path sampling: M. Athènes and
V. V. Bulatov, Phys. Rev. Lett. 113, 230601 (2014); here with times in place of the counts of idle returns).
"""
# ruff: noqa: C901 - loops over arrays, compiled as one piece

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc import _counts


class Escapes(NamedTuple):
    """What `escape` needs of all groups, one after the other.

    Sites of a group are numbered from 0 in the order of elimination; as a target, the number of its sites stands for
    everything outside.

    Attributes
    ----------
    group
        (sites of the graph,), its group, −1 for none.
    local
        (sites of the graph,), number within the group.
    first
        (groups + 1,), where each group's sites begin in the arrays below.
    tick
        (groups,), s: the unit in which rates and times of the group are kept.
    site
        (members,), index in the graph.
    pivot
        (members,), rate of leaving once all earlier sites are eliminated.
    first_way, share
        (members + 1,), (ways,): cumulative probabilities of where one goes then, by target.
    first_detour, start, end, by_way, direct
        (members + 1,), then (detours,): hops start → end of which the share `by_way` goes by this site.
    first_idle, idler, idle_rate
        (members + 1,), (idlers,), (idlers,): sites that go to this one and come back, and at which rate.
    """

    group: Any
    local: Any
    first: Any
    tick: Any
    site: Any
    pivot: Any
    first_way: Any
    share: Any
    first_detour: Any
    start: Any
    end: Any
    by_way: Any
    direct: Any
    first_idle: Any
    idler: Any
    idle_rate: Any


@njit(cache=True)
def eliminate(rates: Any, leave: Any) -> Any:
    """Plan of one group.

    Parameters
    ----------
    rates
        (n, n), from row to column inside the group; the diagonal is ignored.
    leave
        (n,), total rate out of the group from each site.

    Returns
    -------
    pivot : (n,)
    ways : (n, n + 1), cumulative probabilities
    detours : (·, 3) of by-way site, start, end, and (·, 2) of their shares
    idlers : (·, 2) of by-way site, idler, and their rates (·,)
    """
    n = len(leave)
    q = np.zeros((n, n + 1))
    q[:, :n] = rates
    q[:, n] = leave
    pivot = np.empty(n)
    ways = np.zeros((n, n + 1))
    most = 0
    for k in range(n):
        most += (n - k) * (n - k)
    hop, shares = np.empty((most, 3), dtype=np.int64), np.empty((most, 2))
    idler, idle = np.empty((n * n, 2), dtype=np.int64), np.empty(n * n)
    n_detours, n_idlers = 0, 0
    for k in range(n):
        total = 0.0
        for j in range(k + 1, n + 1):
            total += q[k, j]
            ways[k, j] = total
        pivot[k] = total
        ways[k] /= total
        for i in range(k + 1, n):
            if q[i, k] == 0.0:
                continue
            if q[k, i] > 0.0:
                idler[n_idlers, 0], idler[n_idlers, 1] = k, i
                idle[n_idlers] = q[i, k] * (q[k, i] / total)
                n_idlers += 1
            for j in range(k + 1, n + 1):
                through = q[i, k] * (q[k, j] / total)
                if j == i or through == 0.0:
                    continue
                both = q[i, j] + through
                hop[n_detours, 0], hop[n_detours, 1], hop[n_detours, 2] = k, i, j
                shares[n_detours, 0], shares[n_detours, 1] = through / both, q[i, j] / both
                n_detours += 1
                q[i, j] = both
    return pivot, ways, hop[:n_detours], shares[:n_detours], idler[:n_idlers], idle[:n_idlers]


def gathered(n_sites: int, plans: Sequence[tuple[Any, float, Any]]) -> Escapes:
    """All groups in one: their sites in order of elimination, the unit of time in s, and what `eliminate` said."""
    sizes = [len(sites) for sites, _, _ in plans]
    first = np.concatenate([[0], np.cumsum(sizes)])
    site = np.concatenate([sites for sites, _, _ in plans])
    group, local = np.full(n_sites, -1), np.full(n_sites, -1)
    group[site] = np.repeat(np.arange(len(plans)), sizes)
    local[site] = np.concatenate([np.arange(size) for size in sizes])
    pivot, ways, hops, shares, idlers, idle = zip(*(found for _, _, found in plans), strict=True)
    by = np.concatenate([found[:, 0] + begin for found, begin in zip(hops, first, strict=False)])
    idle_by = np.concatenate([found[:, 0] + begin for found, begin in zip(idlers, first, strict=False)])
    members = np.arange(len(site) + 1)
    hop, share = np.concatenate(hops), np.concatenate(shares)
    return Escapes(
        group=group,
        local=local,
        first=first,
        tick=np.array([tick for _, tick, _ in plans]),
        site=site,
        pivot=np.concatenate(pivot),
        first_way=np.concatenate([[0], np.cumsum(np.repeat(np.array(sizes) + 1, sizes))]),
        share=np.concatenate([table.ravel() for table in ways]),
        first_detour=np.searchsorted(by, members),
        start=hop[:, 1].copy(),
        end=hop[:, 2].copy(),
        by_way=share[:, 0].copy(),
        direct=share[:, 1].copy(),
        first_idle=np.searchsorted(idle_by, members),
        idler=np.concatenate(idlers)[:, 1].copy(),
        idle_rate=np.concatenate(idle),
    )


@njit(cache=True)
def escape(plan: Escapes, site: int, key: Any, state: Any, count: Any, spent: Any) -> Any:
    """One visit to a group, from a site of entry.

    Parameters
    ----------
    plan
        Of all groups.
    site
        Index in the graph.
    count, spent
        (n, n + 1), (n,) scratch for the largest group.

    Returns
    -------
    site : index in the graph of the last site of the visit
    time : s
    state : of the random stream
    """
    group = plan.group[site]
    begin = plan.first[group]
    n = plan.first[group + 1] - begin
    count[:n, : n + 1] = 0.0
    spent[:n] = 0.0
    # The way up: from each site, with all earlier ones eliminated, to a later one, and at last out.
    k = plan.local[site]
    spent[k] = 1.0
    while k < n:
        u, state = _counts.uniform(key, state)
        ways = plan.first_way[begin + k]
        upward = k + 1
        while upward < n and plan.share[ways + upward] < u:
            upward += 1
        count[k, upward] = 1.0
        if upward < n:
            spent[upward] = 1.0
        k = upward
    time = 0.0
    for k in range(n - 1, -1, -1):
        visits = spent[k]
        for at in range(plan.first_detour[begin + k], plan.first_detour[begin + k + 1]):
            i, j = plan.start[at], plan.end[at]
            if count[i, j] > 0.0:
                through, state = _counts.binomial(count[i, j], plan.by_way[at], plan.direct[at], key, state)
                count[i, j] -= through
                count[i, k] += through
                count[k, j] += through
                visits += through
        for at in range(plan.first_idle[begin + k], plan.first_idle[begin + k + 1]):
            i = plan.idler[at]
            if spent[i] > 0.0:
                returns, state = _counts.poisson(spent[i] * plan.idle_rate[at], key, state)
                count[i, k] += returns
                count[k, i] += returns
                visits += returns
        if visits > 0.0:
            total, state = _counts.gamma(visits, key, state)
            spent[k] = total / plan.pivot[begin + k]
            time += spent[k]
    for i in range(n):
        if count[i, n] > 0.0:
            return plan.site[begin + i], time * plan.tick[group], state
    return site, time, state  # not reached: somebody leaves
