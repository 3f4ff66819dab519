"""Null-event composition-rejection: exclusion with rates that know nothing of the neighbours.

Every walker (a carrier, or a vacancy where these are fewer) has a class by the sum of its rates, padded to the
upper end of the class. A class is chosen by its weight, a walker of it by chance, a slot of its row by one
comparison with all thresholds. A blocked hop, like the padding, is an event in which nothing happens but time
passes: the law is exact, and nothing needs to be known about neighbours before they are hopped on.
"""
# ruff: noqa: C901, PLR0912, PLR0915 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc._bits import fold
from kmc._gas_state import ATTEMPTS, CLOCK, SINCE, SQUARED, GasState
from kmc._gas_tables import LANE, HopTables
from kmc._random import ADVANCE, exponential

WORD = np.uint64
SHIFT = WORD(32)
LOW = WORD(0xFFFFFFFF)
#: Attempts in a row without a hop after which one looks whether any hop is possible.
PATIENCE = 10_000_000


class Walkers(NamedTuple):
    """The walkers by composition class.

    Attributes
    ----------
    site
        (slots,): members of class g are site[first[g] : first[g] + count[g]].
    first, count
        (groups,).
    """

    site: Any
    first: Any
    count: Any


def sort_walkers(t: HopTables, who: Any, species: Any, *, vacancies: bool) -> Walkers:
    """Walkers of a configuration, class by class, with room for as many as there are sites of the class."""
    n_basis, n_groups = len(t.degree), len(t.bound)
    walkers = np.nonzero(who < 0 if vacancies else who >= 0)[0]
    kind = np.zeros(len(walkers), dtype=np.int64) if vacancies else species[who[walkers]]
    group = t.group[kind * n_basis + t.basis[walkers]]
    room = np.zeros(n_groups, dtype=np.int64)
    for one in range(len(t.group) // n_basis):
        members = np.bincount(t.group[one * n_basis : (one + 1) * n_basis], minlength=n_groups)
        room += members * (len(t.basis) // n_basis)
    room = np.minimum(room, len(walkers))
    first = np.concatenate([[0], np.cumsum(room)[:-1]])
    count = np.bincount(group, minlength=n_groups)
    site = np.zeros(int(room.sum()), dtype=np.int32)
    order = np.argsort(group, kind="stable")
    rank = np.arange(len(walkers)) - np.repeat(np.cumsum(count) - count, count)
    site[first[group[order]] + rank] = walkers[order]
    return Walkers(site, first.astype(np.int64), count.astype(np.int64))


@njit(cache=True, inline="always")
def _slot(row: Any, u: Any) -> int:
    """How many thresholds of a row lie at or below u."""
    k = 0
    if len(row) == LANE:
        for j in range(LANE):
            k += u >= row[j]
    else:
        for j in range(len(row)):
            k += u >= row[j]
    return k


@njit(cache=True, nogil=True)
def null_hops(
    t: HopTables, s: GasState, w: Walkers, hops: int, vacancies: bool, exact_clock: bool
) -> int:
    """Make that many hops; fewer where nothing moved for a long while. The number made."""
    key, state = s.stream[0], s.stream[1]
    clock, squared, attempts = s.sums[CLOCK], s.sums[SQUARED], 0
    n_groups, n_basis = len(w.count), len(t.degree)
    many_species = len(t.group) > n_basis
    total = 0.0
    for g in range(n_groups):
        total += w.count[g] * t.bound[g]
    step = 1.0 / total
    walkers = WORD(w.count[0])
    made, idle, kind = 0, 0, 0
    while made < hops:
        attempts += 1
        state += ADVANCE
        bits = fold(state, state ^ key)
        group = 0
        if n_groups == 1:
            at = np.int64(((bits >> SHIFT) * walkers) >> SHIFT)
        else:
            left = float(bits >> WORD(11)) * 2.0**-53 * total
            while group < n_groups - 1 and left >= w.count[group] * t.bound[group]:
                left -= w.count[group] * t.bound[group]
                group += 1
            while w.count[group] == 0:  # rounding led past the last class with a member
                group -= 1
            at = min(np.int64(left / t.bound[group]), w.count[group] - 1) + w.first[group]
        here = w.site[at]
        base = t.basis[here]
        row = base
        if many_species:
            kind = s.species[s.who[here]]
            row = kind * n_basis + base
        state += ADVANCE
        u = np.float32(float(fold(state, state ^ key) >> WORD(11)) * 2.0**-53)
        k = _slot(t.threshold[row], u)
        if exact_clock:
            while_there, state = exponential(key, state)
            clock += step * while_there
        else:
            clock += step
        there = t.target[here, k]
        carrier = s.who[there]
        if (carrier >= 0) != vacancies:
            idle += 1
            if idle > PATIENCE:
                break
            continue
        idle = 0
        made += 1
        end = t.basis[there]
        if vacancies:
            s.who[there] = -1
            start, stop = end, base
        else:
            carrier = s.who[here]
            s.who[here] = -1
            start, stop = base, end
        s.who[here if vacancies else there] = carrier
        w.site[at] = there
        which = t.image[base, k]
        s.wind[carrier, 0] += t.winding[which]
        s.wind[carrier, 1] += 1
        length = 0.0
        for i in range(3):
            d = t.vector[which, i] + (t.place[stop, i] - t.place[start, i])
            s.moved[kind, i] += d
            length += d * d
        squared += length
        if n_basis > 1:
            s.occupied[kind, start] += clock
            s.occupied[kind, stop] -= clock
            s.energy[0] += t.energy[kind, stop] - t.energy[kind, start]
        if n_groups > 1:
            new = t.group[kind * n_basis + end]
            if new != group:
                w.count[group] -= 1
                w.site[at] = w.site[w.first[group] + w.count[group]]
                w.site[w.first[new] + w.count[new]] = there
                w.count[new] += 1
                total = 0.0
                for g in range(n_groups):
                    total += w.count[g] * t.bound[g]
                step = 1.0 / total
    s.stream[1] = state
    s.sums[CLOCK] = clock
    s.sums[SQUARED] = squared
    s.sums[ATTEMPTS] += attempts
    s.sums[SINCE] += made
    return made


@njit(cache=True)
def can_move(t: HopTables, s: GasState) -> bool:
    """Whether any hop is possible at all."""
    for site in range(len(s.who)):
        if s.who[site] >= 0:
            for k in range(t.degree[t.basis[site]]):
                if s.who[t.target[site, k]] < 0:
                    return True
    return False
