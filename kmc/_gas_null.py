"""Null-event composition-rejection: exclusion with rates that know nothing of the neighbours.

Every walker (a carrier, or a vacancy where these are fewer) has a class by the sum of its rates, padded to
the upper end of the class. A class is chosen by its weight, a walker of it by chance, a slot of its row by
one comparison with all thresholds. A blocked hop, like the padding, is an event in which nothing happens but
time passes: the law is exact, and nothing needs to be known about neighbours before they are hopped on.
"""
# ruff: noqa: C901, PLR0912, PLR0915 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc._bits import fold, prefetch
from kmc._gas_state import ATTEMPTS, CLOCK, SINCE, GasState, empty_windings
from kmc._gas_tables import BARE, BARE_INLINE, LANE, HopTables
from kmc._random import ADVANCE, exponential

WORD = np.uint64
SHIFT = WORD(32)
#: Entries of the table of targets up to which caches hold it; beyond, one looks so many attempts (of two
#: words each) ahead.
NEAR = 1 << 19
AHEAD_SITE, AHEAD_ROW, AHEAD_END = (WORD((2 * n * int(ADVANCE)) % 2**64) for n in (24, 16, 8))
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


@njit(**BARE_INLINE)
def _walker(bits: Any, total: float, first: Any, count: Any, bound: Any) -> Any:
    """Class of the walker that a random word chooses, and its place in the list."""
    group = 0
    if len(count) == 1:
        at = np.int64(((bits >> SHIFT) * WORD(count[0])) >> SHIFT)
    else:
        left = float(bits >> WORD(11)) * 2.0**-53 * total
        while group < len(count) - 1 and left >= count[group] * bound[group]:
            left -= count[group] * bound[group]
            group += 1
        while count[group] == 0:  # rounding led past the last class with a member
            group -= 1
        at = np.int64(min(left / bound[group], float(count[group] - 1))) + first[group]
    return group, at


@njit(cache=True)
def can_move(t: HopTables, s: GasState) -> bool:
    """Whether any hop is possible at all."""
    for site in range(len(s.who)):
        if s.who[site] >= 0:
            for k in range(t.degree[t.basis[site]]):
                if s.who[t.target[site, k]] < 0:
                    return True
    return False


@njit(**BARE)
def null_hops(
    t: HopTables,
    s: GasState,
    w: Walkers,
    hops: Any,
    room: int,
    vacancies: bool,
    exact_clock: bool,
    seen: Any,
) -> bool:
    """Make blocks of so many hops. False where nothing can move any more.

    Parameters
    ----------
    hops
        (blocks,).
    room
        Hops after which packed windings must be emptied.
    seen
        What `kmc._gas_run.results_of` keeps of every fine block: durations, moved, squared, energy,
        crossings.
    """
    # Arrays by name: looking them up in a tuple costs a count of references each time.
    threshold, target, image, group_of, bound, basis = (
        t.threshold,
        t.target,
        t.image,
        t.group,
        t.bound,
        t.basis,
    )
    winding, vector, place, site_energy, degree = t.winding, t.vector, t.place, t.energy, t.degree
    lengths = t.length
    who, species, wind, moved, occupied, energy = s.who, s.species, s.wind, s.moved, s.occupied, s.energy
    site, first, count = w.site, w.first, w.count
    key, state = s.stream[0], s.stream[1]
    durations, all_moved, squares, energies, _ = seen
    clock, attempts, moving, since = s.sums[CLOCK], 0, True, int(s.sums[SINCE])
    n_groups, n_basis = len(count), len(degree)
    many_species = len(group_of) > n_basis
    total = 0.0
    for g in range(n_groups):
        total += count[g] * bound[g]
    step = 1.0 / total
    width = target.shape[1]
    far = target.size > NEAR and not exact_clock
    idle, kind = 0, 0
    for block in range(len(hops)):
        before, squared = clock, 0.0
        made = 0
        while made < hops[block]:
            attempts += 1
            state += ADVANCE
            bits = fold(state, state ^ key)
            if far:
                # The same words, drawn early: what they will ask for is fetched meanwhile. A walker may have
                # gone elsewhere when its turn comes; then the fetch was in vain.
                soon = state + AHEAD_SITE
                _, at = _walker(fold(soon, soon ^ key), total, first, count, bound)
                prefetch(site, WORD(at))
                soon = state + AHEAD_ROW
                _, at = _walker(fold(soon, soon ^ key), total, first, count, bound)
                here = site[at]
                prefetch(target, WORD(here * width))
                prefetch(who, WORD(here))
                if n_basis > 1:
                    prefetch(threshold, WORD(basis[here] * width))
                soon = state + AHEAD_END
                _, at = _walker(fold(soon, soon ^ key), total, first, count, bound)
                here = site[at]
                soon += ADVANCE
                u = np.float32(float(fold(soon, soon ^ key) >> WORD(11)) * 2.0**-53)
                there = target[here, _slot(threshold[basis[here]], u)]
                prefetch(who, WORD(there))
                carrier = who[here]
                if carrier >= 0:
                    prefetch(wind, WORD(2 * carrier))
                if n_basis > 1:
                    prefetch(occupied, WORD(basis[there]))
            group, at = _walker(bits, total, first, count, bound)
            here = site[at]
            base = basis[here]
            row = base
            if many_species:
                kind = species[who[here]]
                row = kind * n_basis + base
            state += ADVANCE
            u = np.float32(float(fold(state, state ^ key) >> WORD(11)) * 2.0**-53)
            k = _slot(threshold[row], u)
            if exact_clock:
                while_there, state = exponential(key, state)
                clock += step * while_there
            else:
                clock += step
            there = target[here, k]
            carrier = who[there]
            if (carrier >= 0) != vacancies:
                idle += 1
                if idle > PATIENCE:
                    if not can_move(t, s):
                        moving = False
                        break
                    idle = 0
                continue
            idle = 0
            made += 1
            since += 1
            if since >= room:
                empty_windings(s)
                since = 0
            end = basis[there]
            if vacancies:
                who[there] = -1
                start, stop = end, base
            else:
                carrier = who[here]
                who[here] = -1
                start, stop = base, end
            who[here if vacancies else there] = carrier
            site[at] = there
            which = image[base, k]
            wind[carrier, 0] += winding[which]
            wind[carrier, 1] += 1
            for i in range(3):
                moved[kind, i] += vector[which, i] + (place[stop, i] - place[start, i])
            squared += lengths[base, k]
            if n_basis > 1:
                occupied[kind, start] += clock
                occupied[kind, stop] -= clock
                energy[0] += site_energy[kind, stop] - site_energy[kind, start]
            if n_groups > 1:
                new = group_of[kind * n_basis + end]
                if new != group:
                    count[group] -= 1
                    site[at] = site[first[group] + count[group]]
                    site[first[new] + count[new]] = there
                    count[new] += 1
                    total = 0.0
                    for g in range(n_groups):
                        total += count[g] * bound[g]
                    step = 1.0 / total
        durations[block] = clock - before
        squares[block] = squared
        for one in range(len(moved)):
            for i in range(3):
                all_moved[block, one, i] = moved[one, i]
                moved[one, i] = 0.0
        energies[block, 0], energies[block, 1] = energy[0], energy[1]
        if not moving:
            break
    s.stream[1] = state
    s.sums[CLOCK] = clock
    s.sums[ATTEMPTS] += attempts
    s.sums[SINCE] = since
    return moving
