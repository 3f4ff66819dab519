"""Rates that depend on who stands around: only hops that can happen have one.

Every site that something can happen on has a total: of the hops of its carrier to empty neighbours, or of
arrivals from a reservoir. Sites are chosen by composition and rejection (classes by powers of two, a rejected
choice advances time like a null event, so that no sum has to be kept), or from a tree of sums. After a hop the
totals of all sites that could have noticed are written anew.
"""
# ruff: noqa: C901, PLR0912, PLR0915 - loops over arrays, compiled as one piece

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc._bits import fold
from kmc._gas_state import (
    ATTEMPTS,
    CLOCK,
    LEFT_IN,
    LEFT_OUT,
    RIGHT_IN,
    RIGHT_OUT,
    SINCE,
    SQUARED,
    GasState,
)
from kmc._gas_tables import HopTables
from kmc._random import ADVANCE, exponential
from kmc.interactions import PairTables

WORD = np.uint64
EV_PER_QUANTUM = 2.0**-48
#: Classes, each a factor of two: rates more than 2^GROUPS below the fastest share the last.
GROUPS = 200
CHUNK = 256


class Choice(NamedTuple):
    """What is chosen from.

    Attributes
    ----------
    rate, total
        (sites, width + 2), (sites,): of everything that can happen on a site, in units of the fastest rate; the
        last two columns are exchanges with the reservoirs at the left and right end.
    group, place
        (sites,), class of a site (−1: none) and its place there.
    count
        (groups,).
    chunk, members, free
        Members of class g in pieces of 256: number k is members[chunk[g, k >> 8], k & 255]. free[0] counts the
        pieces not in use, listed from free[1] on.
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
        (species · basis, width): logarithm of the rate without its barrier, barrier and rise of the site energy,
        eV.
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


@njit(cache=True)
def _put(c: Choice, site: int, total: float) -> None:
    """Give a site a new total."""
    c.total[site] = total
    if len(c.tree) > 1:
        node = len(c.tree) // 2 + site
        c.tree[node] = total
        while node > 1:
            node >>= 1
            c.tree[node] = c.tree[2 * node] + c.tree[2 * node + 1]
        return
    new = -1
    if total > 0.0:
        _, exponent = math.frexp(total)
        new = min(max(c.span[0] - exponent, 0), GROUPS - 1)
    old = c.group[site]
    if new == old:
        return
    if old >= 0:
        c.count[old] -= 1
        last, at = c.count[old], c.place[site]
        moved = c.members[c.chunk[old, last >> 8], last & 255]
        c.members[c.chunk[old, at >> 8], at & 255] = moved
        c.place[moved] = at
        if last & 255 == 0:
            c.free[0] += 1
            c.free[c.free[0]] = c.chunk[old, last >> 8]
    c.group[site] = new
    if new >= 0:
        at = c.count[new]
        if at & 255 == 0:
            c.chunk[new, at >> 8] = c.free[c.free[0]]
            c.free[0] -= 1
        c.members[c.chunk[new, at >> 8], at & 255] = site
        c.place[site] = at
        c.count[new] += 1
        c.span[1], c.span[2] = min(c.span[1], new), max(c.span[2], new)


@njit(cache=True)
def _refresh(t: HopTables, s: GasState, p: PairTables, e: Surroundings, c: Choice, rule: Any, site: int) -> None:
    """Write the rates of one site anew."""
    who, base = s.who[site], t.basis[site]
    width, total = t.target.shape[1], 0.0
    open_ends = len(e.arrive) > 0
    if who < 0:
        if open_ends:
            for end in range(2):
                c.rate[site, width + end] = e.arrive[site, end]
                total += e.arrive[site, end]
        _put(c, site, total)
        return
    kind = s.species[who]
    row = kind * len(t.degree) + base
    for k in range(t.degree[base]):
        end = t.target[site, k]
        rate = 0.0
        if s.who[end] < 0:
            if e.interacting:
                before = e.field[kind, site] * EV_PER_QUANTUM
                after = (e.field[kind, end] - p.own[kind, base, k]) * EV_PER_QUANTUM
                barrier = rule(e.barrier[row, k], before, after)
                barrier = max(barrier, e.rise[row, k] + after - before, 0.0)
                rate = math.exp(e.log_rate[row, k] - barrier / e.thermal)
            else:
                rate = t.rate[row, k]
        c.rate[site, k] = rate
        total += rate
    if open_ends:
        for end in range(2):
            c.rate[site, width + end] = e.leave[site, end]
            total += e.leave[site, end]
    _put(c, site, total)


@njit(cache=True)
def _partner(t: HopTables, e: Surroundings, x: int, y: int, z: int, partner: int, shift: Any) -> int:
    """Number of a site some cells away from cell (x, y, z)."""
    x += shift[0]
    y += shift[1]
    z += shift[2]
    x -= e.shape[0] if x >= e.shape[0] else 0
    y -= e.shape[1] if y >= e.shape[1] else 0
    z -= e.shape[2] if z >= e.shape[2] else 0
    return ((x * e.shape[1] + y) * e.shape[2] + z) * len(t.degree) + partner


@njit(cache=True)
def _note(e: Surroundings, site: int, count: int) -> int:
    """Put a site on the list of this hop, once."""
    if e.stamp[site] != e.stamp[-1]:
        e.stamp[site] = e.stamp[-1]
        e.near[count] = site
        count += 1
    return count


@njit(cache=True)
def _spread(
    t: HopTables, p: PairTables, e: Surroundings, site: int, kind: int, sign: int, count: int
) -> int:
    """A carrier appears on (sign 1) or leaves (−1) a site: all around feel it and are put on the list."""
    count = _note(e, site, count)
    if not e.interacting:
        return count
    base = t.basis[site]
    cell = site // len(t.degree)
    z = cell % e.shape[2]
    y = (cell // e.shape[2]) % e.shape[1]
    x = cell // (e.shape[1] * e.shape[2])
    for pair in range(p.first[base], p.first[base + 1]):
        other = _partner(t, e, x, y, z, p.partner[pair], p.shift[pair])
        for felt in range(len(e.field)):
            e.field[felt, other] += sign * p.energy[felt, kind, pair]
        count = _note(e, other, count)
    return count


@njit(cache=True)
def _refresh_near(
    t: HopTables, s: GasState, p: PairTables, e: Surroundings, c: Choice, rule: Any, count: int
) -> None:
    """Write anew the rates of all sites on the list and of all that hop to one of them."""
    direct = count
    for number in range(direct):
        site = e.near[number]
        for k in range(t.degree[t.basis[site]]):
            end = t.target[site, k]
            if s.who[end] >= 0:
                count = _note(e, end, count)
    for number in range(count):
        _refresh(t, s, p, e, c, rule, e.near[number])


@njit(cache=True)
def start_active(t: HopTables, s: GasState, p: PairTables, e: Surroundings, c: Choice, rule: Any) -> None:
    """Interaction energies and rates of a configuration, from scratch."""
    e.field[:] = 0
    for site in range(len(s.who)):
        if s.who[site] >= 0:
            e.stamp[-1] += 1
            _spread(t, p, e, site, s.species[s.who[site]], 1, 0)
    for site in range(len(s.who)):
        _refresh(t, s, p, e, c, rule, site)


@njit(cache=True, nogil=True)
def active_hops(
    t: HopTables,
    s: GasState,
    p: PairTables,
    e: Surroundings,
    c: Choice,
    rule: Any,
    hops: int,
    exact_clock: bool,
) -> bool:
    """Make that many hops (exchanges with reservoirs count). False where nothing can move."""
    key, state = s.stream[0], s.stream[1]
    width, made = t.target.shape[1], 0
    by_tree = len(c.tree) > 1
    while made < hops:
        weight = 0.0
        if by_tree:
            weight = c.tree[1]
        else:
            while c.span[1] < c.span[2] and c.count[c.span[1]] == 0:
                c.span[1] += 1
            while c.span[2] > c.span[1] and c.count[c.span[2]] == 0:
                c.span[2] -= 1
            for g in range(c.span[1], c.span[2] + 1):
                weight += c.count[g] * math.ldexp(1.0, c.span[0] - g)
        if weight <= 0.0:
            break
        site, left = -1, 0.0
        while True:
            s.sums[ATTEMPTS] += 1
            wait = 1.0
            if exact_clock:
                wait, state = exponential(key, state)
            s.sums[CLOCK] += wait / weight
            state += ADVANCE
            left = (float(fold(state, state ^ key) >> WORD(11)) + 0.5) * 2.0**-53 * weight
            if by_tree:
                node = 1
                while node < len(c.tree) // 2:
                    node *= 2
                    if left >= c.tree[node] and c.tree[node + 1] > 0.0:
                        left -= c.tree[node]
                        node += 1
                site = node - len(c.tree) // 2
                break
            g = c.span[1]
            bound = math.ldexp(1.0, c.span[0] - g)
            while g < c.span[2] and left >= c.count[g] * bound:
                left -= c.count[g] * bound
                g += 1
                bound *= 0.5
            at = min(np.int64(left / bound), c.count[g] - 1)
            site = c.members[c.chunk[g, at >> 8], at & 255]
            left -= at * bound
            if left < c.total[site]:
                break
        k, last = 0, -1
        who, base = s.who[site], t.basis[site]
        for slot in range(0 if who >= 0 else width, width + 2):
            if slot < width and slot >= t.degree[base]:
                continue
            rate = c.rate[site, slot]
            if rate > 0.0:
                last = slot
                if left < rate:
                    break
                left -= rate
        k = last
        e.stamp[-1] += 1
        made += 1
        if k >= width:
            _exchange(t, s, p, e, c, rule, site, k - width)
            continue
        _hop(t, s, p, e, c, rule, site, k)
    s.stream[1] = state
    s.sums[SINCE] += made
    return made == hops


@njit(cache=True)
def _hop(
    t: HopTables, s: GasState, p: PairTables, e: Surroundings, c: Choice, rule: Any, site: int, k: int
) -> None:
    """A carrier hops from a site through one of its slots."""
    there, carrier = t.target[site, k], s.who[site]
    start, end, kind = t.basis[site], t.basis[there], s.species[carrier]
    if e.interacting:
        s.energy[1] += e.field[kind, there] - p.own[kind, start, k] - e.field[kind, site]
    s.energy[0] += t.energy[kind, end] - t.energy[kind, start]
    s.who[site], s.who[there] = -1, carrier
    which = t.image[start, k]
    s.wind[carrier, 0] += t.winding[which]
    s.wind[carrier, 1] += 1
    for i in range(3):
        d = t.vector[which, i] + (t.place[end, i] - t.place[start, i])
        s.moved[kind, i] += d
        s.sums[SQUARED] += d * d
    s.occupied[kind, start] += s.sums[CLOCK]
    s.occupied[kind, end] -= s.sums[CLOCK]
    count = _spread(t, p, e, site, kind, -1, 0)
    count = _spread(t, p, e, there, kind, 1, count)
    _refresh_near(t, s, p, e, c, rule, count)


@njit(cache=True)
def _exchange(
    t: HopTables, s: GasState, p: PairTables, e: Surroundings, c: Choice, rule: Any, site: int, end: int
) -> None:
    """A carrier arrives from a reservoir or leaves for it."""
    base, n = t.basis[site], len(e.spare) - 1
    if s.who[site] >= 0:
        carrier, sign = s.who[site], -1
        s.who[site] = -1
        e.spare[e.spare[n]] = carrier
        e.spare[n] += 1
        s.sums[LEFT_OUT if end == 0 else RIGHT_OUT] += 1
    else:
        e.spare[n] -= 1
        carrier, sign = e.spare[e.spare[n]], 1
        s.who[site] = carrier
        s.sums[LEFT_IN if end == 0 else RIGHT_IN] += 1
    s.energy[0] += sign * t.energy[0, base]
    s.occupied[0, base] -= sign * s.sums[CLOCK]
    count = _spread(t, p, e, site, 0, sign, 0)
    _refresh_near(t, s, p, e, c, rule, count)
