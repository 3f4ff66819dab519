"""What is chosen from, and what rates depend on, where rates depend on who stands around."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc._gas_tables import BARE_INLINE

EV_PER_QUANTUM = 2.0**-48
#: Classes, each a factor of two: rates more than 2^GROUPS below the fastest share the last.
GROUPS = 200
CHUNK = 256


class Choice(NamedTuple):
    """What is chosen from.

    Attributes
    ----------
    rate, total
        (sites, width + 2), (sites,): of everything that can happen on a site, in units of the fastest rate;
        the last two columns are exchanges with the reservoirs at the left and right end.
    group, place
        (sites,), class of a site (−1: none) and its place there.
    count
        (groups,).
    chunk, members, free
        Members of class g in pieces of 256: number k is members[chunk[g, k >> 8], k & 255]. free[0] counts
        the pieces not in use, listed from free[1] on.
    tree
        Sums of totals; length 1 where composition and rejection is used.
    span
        (3,), exponent of the fastest class; the first and last class in use.
    """

    rate: Any
    total: Any
    group: Any
    place: Any
    count: Any
    chunk: Any
    members: Any
    free: Any
    tree: Any
    span: Any


class Surroundings(NamedTuple):
    """What rates depend on.

    Attributes
    ----------
    interacting
        Whether anything but exclusion acts.
    log_rate, barrier, rise
        (species · basis, width): logarithm of the rate without its barrier, barrier and rise of the site
        energy, eV.
    thermal
        kT, eV.
    field
        (species, sites), quanta: what a carrier of that species would feel there.
    shape
        (3,), replication.
    stamp
        (sites + 1,): when a site was last looked at; the last entry counts.
    near
        (sites,), room for a list of sites.
    arrive, leave
        (sites, 2): rates of exchange with the reservoirs at the two ends; no rows without open ends.
    spare
        (carriers + 1,): numbers of carriers that are outside; the last entry counts them.
    """

    interacting: bool
    log_rate: Any
    barrier: Any
    rise: Any
    thermal: float
    field: Any
    shape: Any
    stamp: Any
    near: Any
    arrive: Any
    leave: Any
    spare: Any


def new_choice(sites: int, width: int, fastest: float, *, tree: bool) -> Choice:
    """Nothing can happen yet. `fastest`: a bound on the total of any site."""
    pieces = 1 if tree else -(-sites // CHUNK) + GROUPS + 1
    groups = 1 if tree else GROUPS
    leaves = 1 << max(1, math.ceil(math.log2(max(sites, 2))))
    return Choice(
        rate=np.zeros((sites, width + 2)),
        total=np.zeros(sites),
        group=np.full(sites, -1, dtype=np.int16),
        place=np.zeros(sites, dtype=np.int32),
        count=np.zeros(groups, dtype=np.int64),
        chunk=np.zeros((groups, 1 if tree else -(-sites // CHUNK) + 1), dtype=np.int32),
        members=np.zeros((pieces, CHUNK), dtype=np.int32),
        free=np.concatenate([[pieces], np.arange(pieces)]).astype(np.int64),
        tree=np.zeros(2 * leaves if tree else 1),
        span=np.array([math.frexp(fastest)[1], groups, -1], dtype=np.int64),
    )


@njit(**BARE_INLINE)
def put(
    site: int,
    total: float,
    totals: Any,
    group: Any,
    place: Any,
    count: Any,
    chunk: Any,
    members: Any,
    free: Any,
    tree: Any,
    span: Any,
) -> None:
    """Give a site a new total."""
    totals[site] = total
    if len(tree) > 1:
        node = len(tree) // 2 + site
        tree[node] = total
        while node > 1:
            node >>= 1
            tree[node] = tree[2 * node] + tree[2 * node + 1]
    else:
        new = -1
        if total > 0.0:
            _, exponent = math.frexp(total)
            new = min(max(span[0] - exponent, 0), GROUPS - 1)
        old = group[site]
        if new != old:
            if old >= 0:
                count[old] -= 1
                last, at = count[old], place[site]
                moved = members[chunk[old, last >> 8], last & 255]
                members[chunk[old, at >> 8], at & 255] = moved
                place[moved] = at
                if last & 255 == 0:
                    free[0] += 1
                    free[free[0]] = chunk[old, last >> 8]
            group[site] = new
            if new >= 0:
                at = count[new]
                if at & 255 == 0:
                    chunk[new, at >> 8] = free[free[0]]
                    free[0] -= 1
                members[chunk[new, at >> 8], at & 255] = site
                place[site] = at
                count[new] += 1
                span[1], span[2] = min(span[1], new), max(span[2], new)
