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
SHIFT, HALF = WORD(32), WORD(0xFFFFFFFF)
#: Entries of the table of targets up to which caches hold it; beyond, one looks so many attempts (of two
#: words each) ahead.
NEAR = 1 << 17
FAR = 1 << 19
AHEAD_SITE, AHEAD_ROW, AHEAD_END, AHEAD_HOP = WORD(30), WORD(20), WORD(11), WORD(4)
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


class Lines(NamedTuple):
    """What a hop needs, put together so that it comes in few lines of the cache.

    Attributes
    ----------
    threshold, target
        Of each row and each site. Where every site is a row of its own (one cell, one species), both lie in one
        line: the same memory, read as float32 and as int32, and `skip` is where targets begin.
    site, number
        (species · basis, 8), float64, and the same memory as int64: x, y, z (Å), time that carriers left minus
        time that they arrived | site energy (quanta), class.
    edge
        Ends of the classes on the line of weights, (multiple of 8,); infinite for the last and for those that are
        not there.
    room
        (groups,), somewhat more than the members of each class.
    skip
    """

    threshold: Any
    target: Any
    site: Any
    number: Any
    edge: Any
    room: Any
    skip: int


#: Columns of `Lines.site` and `Lines.number`.
TIME, ENERGY, GROUP = 3, 4, 5


def _aligned(shape: tuple[int, int], dtype: Any) -> Any:
    """Zeros that begin where a line of the cache begins."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, dtype=np.uint8)
    begin = -room.ctypes.data % 64
    return room[begin : begin + size].view(dtype).reshape(shape)


def make_lines(t: HopTables) -> Lines:
    """Copy the tables to where they are quick to read."""
    (sites, width), rows, n = t.target.shape, len(t.group), len(t.degree)
    threshold, target, skip = t.threshold, t.target, 0
    if sites == rows == n and n > 1:
        line = _aligned((n, 2 * width), np.int32)
        threshold, target, skip = line.view(np.float32), line, width
        threshold[:, :width] = t.threshold
        target[:, width:] = t.target
    site = _aligned((rows, LANE), np.float64)
    number = site.view(np.int64)
    site[:, :TIME] = np.tile(t.place, (rows // n, 1))
    number[:, ENERGY], number[:, GROUP] = t.energy.ravel(), t.group
    edge = np.full(LANE * -(-len(t.bound) // LANE), np.inf)
    return Lines(threshold, target, site, number, edge, np.zeros(len(t.bound), dtype=np.int64), skip)


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


@njit(**BARE_INLINE)
def _slot(threshold: Any, row: int, width: int, u: Any) -> int:
    """How many thresholds of a row lie at or below u."""
    k = 0
    if width == LANE:
        for j in range(LANE):
            k += u >= threshold[row, j]
    else:
        for j in range(width):
            k += u >= threshold[row, j]
    return k


@njit(**BARE_INLINE)
def _walker(key: Any, state: Any, total: float, first: Any, count: Any, edge: Any, room: Any) -> Any:
    """Class of the walker that the next random words choose, its place in the list, and the state after them.

    With several classes, a word chooses the class and another one the place, as a share of a room that is a
    little larger than the class and does not follow every change of it: so the place that a word means can be
    told long before. The few words that lead past the end choose again by their other half.
    """
    group = 0
    state += ADVANCE
    bits = fold(state, state ^ key)
    if len(count) == 1:
        at = np.int64(((bits >> SHIFT) * WORD(count[0])) >> SHIFT)
    else:
        # Below total, however it is rounded: total is the edge of the last class that has members.
        left = float(bits >> WORD(11)) * 2.0**-53 * total
        if len(edge) == LANE:
            for j in range(LANE):
                group += left >= edge[j]
        else:
            for j in range(len(edge)):
                group += left >= edge[j]
        state += ADVANCE
        bits = fold(state, state ^ key)
        at = np.int64(((bits >> SHIFT) * WORD(room[group])) >> SHIFT)
        if at >= count[group]:
            at = np.int64(((bits & HALF) * WORD(count[group])) >> SHIFT)
        at += first[group]
    return group, at, state


@njit(**BARE_INLINE)
def _weigh(begin: int, count: Any, bound: Any, edge: Any, room: Any) -> Any:
    """Write the edges of the classes from `begin` on; the sum of all weights."""
    total = edge[begin - 1] if begin > 0 else 0.0
    for g in range(begin, len(count)):
        total += count[g] * bound[g]
        if g < len(count) - 1:
            edge[g] = total
        if count[g] > room[g]:
            room[g] = count[g] + (count[g] >> 5) + 1
    return total


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
    lines: Lines,
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
    manner, bound, basis = t.manner, t.bound, t.basis
    winding, vector, lengths = t.winding, t.vector, t.length
    threshold, target, skip, edge, spare = lines.threshold, lines.target, lines.skip, lines.edge, lines.room
    known, number = lines.site, lines.number
    who, species, wind, moved, energy = s.who, s.species, s.wind, s.moved, s.energy
    site, first, count = w.site, w.first, w.count
    key, state = s.stream[0], s.stream[1]
    durations, all_moved, squares, energies, _ = seen
    clock, attempts, moving, since = s.sums[CLOCK], 0, True, int(s.sums[SINCE])
    n_groups, n_basis, width = len(count), len(t.degree), t.target.shape[1]
    one_cell = len(basis) == n_basis
    many_species = len(moved) > 1
    spare[:] = 0
    total = _weigh(0, count, bound, edge, spare)
    step = 1.0 / total
    far = t.target.size > NEAR and not exact_clock
    farther = t.target.size > FAR
    stages = (2 if n_basis > 1 else 1) if farther else 0
    stride, base = np.int64(target.shape[1]), np.int64(0)
    trial = ADVANCE * WORD(3 if n_groups > 1 else 2)
    idle, kind = 0, 0
    for block in range(len(hops)):
        before, squared = clock, 0.0
        made = 0
        while made < hops[block]:
            attempts += 1
            if far:
                # The same words, drawn early: what they will ask for is fetched meanwhile. A walker may have
                # gone elsewhere when its turn comes; then the fetch was in vain.
                if farther:
                    _, at, _ = _walker(key, state + AHEAD_SITE * trial, total, first, count, edge, spare)
                    prefetch(site, WORD(at))
                _, at, _ = _walker(key, state + AHEAD_ROW * trial, total, first, count, edge, spare)
                here = site[at]
                prefetch(target, WORD(here * stride))
                prefetch(who, WORD(here))
                if n_basis > 1 and skip == 0:
                    base = np.int64(here) if one_cell else np.int64(basis[here])
                    prefetch(threshold, WORD(base * stride))
                for stage in range(stages):
                    soon = state + (AHEAD_HOP if stage else AHEAD_END) * trial
                    _, at, soon = _walker(key, soon, total, first, count, edge, spare)
                    here = site[at]
                    soon += ADVANCE
                    u = np.float32(float(fold(soon, soon ^ key) >> WORD(11)) * 2.0**-53)
                    if n_basis > 1:
                        base = np.int64(here) if one_cell else np.int64(basis[here])
                    there = target[here, skip + _slot(threshold, base, width, u)]
                    carrier = who[here]
                    if stage == 0:
                        prefetch(who, WORD(there))
                        if n_basis == 1 and carrier >= 0:
                            prefetch(wind, WORD(2 * carrier))
                    elif (who[there] >= 0) == vacancies:
                        if vacancies:
                            carrier = who[there]
                        if carrier >= 0:
                            prefetch(wind, WORD(2 * carrier))
                        prefetch(manner, WORD(base * width))
                        prefetch(known, WORD(base * LANE))
                        prefetch(known, WORD((there if one_cell else basis[there]) * LANE))
            group, at, state = _walker(key, state, total, first, count, edge, spare)
            here = site[at]
            if n_basis > 1:
                base = np.int64(here) if one_cell else np.int64(basis[here])
            row = base
            if many_species:
                kind = species[who[here]]
                row = kind * n_basis + base
            state += ADVANCE
            u = np.float32(float(fold(state, state ^ key) >> WORD(11)) * 2.0**-53)
            k = _slot(threshold, row, width, u)
            if exact_clock:
                while_there, state = exponential(key, state)
                clock += step * while_there
            else:
                clock += step
            there = target[here, skip + k]
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
            if vacancies:
                who[there] = -1
                who[here] = carrier
            else:
                carrier = who[here]
                who[here] = -1
                who[there] = carrier
            site[at] = there
            which = manner[base, k]
            wind[carrier, 0] += winding[which]
            wind[carrier, 1] += 1
            squared += lengths[which]
            if n_basis == 1:
                for i in range(3):
                    moved[kind, i] += vector[which, i]
                continue
            end = row - base + (np.int64(there) if one_cell else np.int64(basis[there]))
            start, stop = (end, row) if vacancies else (row, end)
            for i in range(3):
                moved[kind, i] += vector[which, i] + (known[stop, i] - known[start, i])
            known[start, TIME] += clock
            known[stop, TIME] -= clock
            energy[0] += number[stop, ENERGY] - number[start, ENERGY]
            if n_groups > 1:
                new = number[end, GROUP]
                if new != group:
                    count[group] -= 1
                    site[at] = site[first[group] + count[group]]
                    site[first[new] + count[new]] = there
                    count[new] += 1
                    total = _weigh(min(group, new), count, bound, edge, spare)
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
    for one in range(len(moved)):
        for site_of_cell in range(n_basis):
            s.occupied[one, site_of_cell] += known[one * n_basis + site_of_cell, TIME]
            known[one * n_basis + site_of_cell, TIME] = 0.0
    s.stream[1] = state
    s.sums[CLOCK] = clock
    s.sums[ATTEMPTS] += attempts
    s.sums[SINCE] = since
    return moving
