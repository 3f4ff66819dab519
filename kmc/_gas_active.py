"""Rates that depend on who stands around: only hops that can happen have one.

Every site that something can happen on has a total: of the hops of its carrier to empty neighbours, or of
arrivals from a reservoir. Sites are chosen by composition and rejection (classes by powers of two, a rejected
choice advances time like a null event, so that no sum has to be kept), or from a tree of sums. After a hop
the totals of all sites that could have noticed are written anew.
"""
# ruff: noqa: C901, PLR0912, PLR0915 - loops over arrays, compiled as one piece

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kmc._bits import fold
from kmc._gas_choice import EV_PER_QUANTUM, Choice, Surroundings, put
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
    empty_windings,
)
from kmc._gas_tables import BARE, BARE_INLINE, HopTables
from kmc._random import ADVANCE, exponential
from kmc.interactions import PairTables

WORD = np.uint64


@njit(**BARE_INLINE)
def _total_of(
    site: int,
    who: Any,
    species: Any,
    basis: Any,
    target: Any,
    degree: Any,
    static: Any,
    own: Any,
    interacting: bool,
    log_rate: Any,
    barrier: Any,
    rise: Any,
    thermal: float,
    field: Any,
    arrive: Any,
    leave: Any,
    rate: Any,
    rule: Any,
) -> float:
    """Write the rates of one site anew; their sum."""
    carrier, base = who[site], basis[site]
    width, total = target.shape[1], 0.0
    if carrier >= 0:
        kind = species[carrier]
        row = kind * len(degree) + base
        before = 0.0
        if interacting:
            before = field[kind, site] * EV_PER_QUANTUM
        for k in range(degree[base]):
            end = target[site, k]
            speed = 0.0
            if who[end] < 0:
                if interacting:
                    after = (field[kind, end] - own[kind, base, k]) * EV_PER_QUANTUM
                    high = max(rule(barrier[row, k], before, after), rise[row, k] + after - before, 0.0)
                    speed = math.exp(log_rate[row, k] - high / thermal)
                else:
                    speed = static[row, k]
            rate[site, k] = speed
            total += speed
    if len(arrive) > 0:
        for end in range(2):
            speed = leave[site, end] if carrier >= 0 else arrive[site, end]
            rate[site, width + end] = speed
            total += speed
    return total


@njit(cache=True)
def start_active(t: HopTables, s: GasState, p: PairTables, e: Surroundings, c: Choice, rule: Any) -> None:
    """Interaction energies and rates of a configuration, from scratch."""
    who, species, basis, target, degree = s.who, s.species, t.basis, t.target, t.degree
    field, shape = e.field, e.shape
    field[:] = 0
    if e.interacting:
        for site in range(len(who)):
            if who[site] < 0:
                continue
            kind, base, cell = species[who[site]], basis[site], site // len(degree)
            for pair in range(p.first[base], p.first[base + 1]):
                x = (cell // (shape[1] * shape[2]) + p.shift[pair, 0]) % shape[0]
                y = (cell // shape[2] + p.shift[pair, 1]) % shape[1]
                z = (cell + p.shift[pair, 2]) % shape[2]
                other = ((x * shape[1] + y) * shape[2] + z) * len(degree) + p.partner[pair]
                for felt in range(len(field)):
                    field[felt, other] += p.energy[felt, kind, pair]
    for site in range(len(who)):
        total = _total_of(
            site,
            who,
            species,
            basis,
            target,
            degree,
            t.rate,
            p.own,
            e.interacting,
            e.log_rate,
            e.barrier,
            e.rise,
            e.thermal,
            field,
            e.arrive,
            e.leave,
            c.rate,
            rule,
        )
        put(site, total, c.total, c.group, c.place, c.count, c.chunk, c.members, c.free, c.tree, c.span)


@njit(**BARE)
def active_hops(
    t: HopTables,
    s: GasState,
    p: PairTables,
    e: Surroundings,
    c: Choice,
    rule: Any,
    hops: Any,
    room: int,
    exact_clock: bool,
    seen: Any,
) -> bool:
    """Make blocks of so many hops (exchanges with reservoirs count). False where nothing can move.

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
    who, species, basis, target, degree = s.who, s.species, t.basis, t.target, t.degree
    lengths = t.length
    static, manner, winding, vector, place_of = t.rate, t.manner, t.winding, t.vector, t.place
    site_energy, own, first, partner, shift, pair_energy = (
        t.energy,
        p.own,
        p.first,
        p.partner,
        p.shift,
        p.energy,
    )
    interacting, log_rate, barrier, rise, thermal = e.interacting, e.log_rate, e.barrier, e.rise, e.thermal
    field, shape, stamp, near, arrive, leave, spare = (
        e.field,
        e.shape,
        e.stamp,
        e.near,
        e.arrive,
        e.leave,
        e.spare,
    )
    rates, totals, group, place, count, chunk = c.rate, c.total, c.group, c.place, c.count, c.chunk
    members, free, tree, span = c.members, c.free, c.tree, c.span
    wind, occupied, moved, sums, energy = s.wind, s.occupied, s.moved, s.sums, s.energy
    key, state = s.stream[0], s.stream[1]
    durations, all_moved, squares, energies, crossings = seen
    width, since, n_basis, n_spare = target.shape[1], int(sums[SINCE]), len(degree), len(spare) - 1
    nx, ny, nz = shape[0], shape[1], shape[2]
    by_tree = len(tree) > 1
    clock, attempts, moving = sums[CLOCK], 0, True
    for block in range(len(hops)):
        before = clock
        made = 0
        while made < hops[block]:
            weight = 0.0
            if by_tree:
                weight = tree[1]
            else:
                while span[1] < span[2] and count[span[1]] == 0:
                    span[1] += 1
                while span[2] > span[1] and count[span[2]] == 0:
                    span[2] -= 1
                bound = math.ldexp(1.0, span[0] - span[1])
                for g in range(span[1], span[2] + 1):
                    weight += count[g] * bound
                    bound *= 0.5
            if weight <= 0.0:
                moving = False
                break
            site, left = -1, 0.0
            while True:
                attempts += 1
                wait = 1.0
                if exact_clock:
                    wait, state = exponential(key, state)
                clock += wait / weight
                state += ADVANCE
                left = (float(fold(state, state ^ key) >> WORD(11)) + 0.5) * 2.0**-53 * weight
                if by_tree:
                    node = 1
                    while node < len(tree) // 2:
                        node *= 2
                        if left >= tree[node] and tree[node + 1] > 0.0:
                            left -= tree[node]
                            node += 1
                    site = node - len(tree) // 2
                    break
                g = span[1]
                bound = math.ldexp(1.0, span[0] - g)
                while g < span[2] and left >= count[g] * bound:
                    left -= count[g] * bound
                    g += 1
                    bound *= 0.5
                at = np.int64(min(left / bound, float(count[g] - 1)))
                if at < 0:
                    continue  # rounding led to a class without a member
                site = members[chunk[g, at >> 8], at & 255]
                left -= at * bound
                if left < totals[site]:
                    break
            carrier, start = who[site], basis[site]
            k = -1
            slot = 0 if carrier >= 0 else width
            while slot < width + 2:
                if slot == degree[start]:
                    slot = width
                speed = rates[site, slot]
                if speed > 0.0:
                    k = slot
                    if left < speed:
                        break
                    left -= speed
                slot += 1
            made += 1
            since += 1
            if since >= room:
                empty_windings(s)
                since = 0
            n_ends = 1
            kind = 0
            if k < width:
                there = target[site, k]
                stop = basis[there]
                kind = species[carrier]
                if interacting:
                    energy[1] += field[kind, there] - own[kind, start, k] - field[kind, site]
                energy[0] += site_energy[kind, stop] - site_energy[kind, start]
                who[site], who[there] = -1, carrier
                which = manner[start, k]
                wind[carrier, 0] += winding[which]
                wind[carrier, 1] += 1
                for i in range(3):
                    moved[kind, i] += vector[which, i] + (place_of[stop, i] - place_of[start, i])
                sums[SQUARED] += lengths[which]
                occupied[kind, start] += clock
                occupied[kind, stop] -= clock
                ends, signs = (np.int64(site), np.int64(there)), (-1, 1)
                n_ends = 2
            elif carrier >= 0:
                who[site] = -1
                spare[spare[n_spare]] = carrier
                spare[n_spare] += 1
                sums[LEFT_OUT if k == width else RIGHT_OUT] += 1.0
                energy[0] -= site_energy[0, start]
                occupied[0, start] += clock
                ends, signs = (np.int64(site), np.int64(site)), (-1, 0)
            else:
                spare[n_spare] -= 1
                who[site] = spare[spare[n_spare]]
                sums[LEFT_IN if k == width else RIGHT_IN] += 1.0
                energy[0] += site_energy[0, start]
                occupied[0, start] -= clock
                ends, signs = (np.int64(site), np.int64(site)), (1, 0)
            # All that feel the change, then all that hop to one of these, each once.
            stamp[-1] += 1
            now, listed = stamp[-1], 0
            for number in range(n_ends):
                site = int(ends[number])
                if stamp[site] != now:
                    stamp[site] = now
                    near[listed] = site
                    listed += 1
                if interacting:
                    base, cell = basis[site], site // n_basis
                    x, y, z = cell // (ny * nz), (cell // nz) % ny, cell % nz
                    for pair in range(first[base], first[base + 1]):
                        a, b, d = x + shift[pair, 0], y + shift[pair, 1], z + shift[pair, 2]
                        a -= nx if a >= nx else 0
                        b -= ny if b >= ny else 0
                        d -= nz if d >= nz else 0
                        other = ((a * ny + b) * nz + d) * n_basis + partner[pair]
                        for felt in range(len(field)):
                            field[felt, other] += signs[number] * pair_energy[felt, kind, pair]
                        if stamp[other] != now:
                            stamp[other] = now
                            near[listed] = other
                            listed += 1
            for number in range(listed):
                site = near[number]
                for slot in range(degree[basis[site]]):
                    end = target[site, slot]
                    if who[end] >= 0 and stamp[end] != now:
                        stamp[end] = now
                        near[listed] = end
                        listed += 1
            for number in range(listed):
                site = near[number]
                if who[site] < 0 and totals[site] == 0.0 and len(arrive) == 0:
                    continue
                total = _total_of(
                    site,
                    who,
                    species,
                    basis,
                    target,
                    degree,
                    static,
                    own,
                    interacting,
                    log_rate,
                    barrier,
                    rise,
                    thermal,
                    field,
                    arrive,
                    leave,
                    rates,
                    rule,
                )
                put(site, total, totals, group, place, count, chunk, members, free, tree, span)
        durations[block] = clock - before
        squares[block] = sums[SQUARED]
        for kind in range(len(moved)):
            for i in range(3):
                all_moved[block, kind, i] = moved[kind, i]
                moved[kind, i] = 0.0
        energies[block, 0], energies[block, 1] = energy[0], energy[1]
        for side in range(4):
            crossings[block, side] = sums[LEFT_IN + side]
            sums[LEFT_IN + side] = 0.0
        sums[SQUARED] = 0.0
        if not moving:
            break
    sums[CLOCK] = clock
    sums[ATTEMPTS] += attempts
    s.stream[1] = state
    sums[SINCE] = since
    return moving
