"""Superbasins: which sites flicker, and the hops that replace their flickering.

A group keeps its sites, but each of them gets new hops: one for every way out of the whole group, with the
probability that a walker entering there leaves that way, and the mean time it needs. What is walked
afterwards is the same walk, watched only when it enters or leaves a group: displacements and mean times are
identical in law, so D is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kmc._driven import solve_driven
from kmc._trapping import flickering_groups, fundamental
from kmc.exact import Component
from kmc.network import Floats, Integers
from kmc.rates import Rates

#: Hops inside a group for each hop out of it, from which on the group is worth solving.
FLICKER = 100.0
#: Most sites in a group, and most replaced hops (sites times ways out) of one group and of all groups.
LARGEST_GROUP = 256
LARGEST_EXITS = 200_000
MOST_HOPS = 4_000_000


@dataclass(frozen=True)
class WalkedHops:
    """Hops as they are walked: the graph's own, or those that leave superbasins.

    Attributes
    ----------
    source, target
        (m,), site indices.
    windings
        (m, 3), in the lattice vectors of each component.
    probability
        (m,), sums to one over the hops of a site.
    residence
        (n,), mean time until a walker that came to this site makes one of these hops, s.
    entered
        (n,), logarithm of the stationary rate at which each site is entered, up to a constant.
    group
        (n,), superbasin of each site, −1 for none.
    """

    source: Integers
    target: Integers
    windings: Integers
    probability: Floats
    residence: Floats
    entered: Floats
    group: Integers

    def entry_weights(self, sites: Integers) -> Floats:
        """How often each of these sites is entered in the steady state, (sites,), up to a constant."""
        weights: Floats = np.exp(self.entered[sites] - self.entered[sites].max())
        return weights


def walked_hops(rates: Rates, components: Sequence[Component], *, superbasins: bool) -> WalkedHops:
    """The hops of a walk, superbasins removed if asked for (and the walk has detailed balance)."""
    network = rates.network
    windings = np.zeros((network.n_hops, 3), dtype=np.int64)
    for part in components:
        windings[part.hops] = part.windings
    group = np.full(network.n_sites, -1, dtype=np.int64)
    if superbasins and not rates.driven.any():
        walked = np.zeros(len(rates.driven), dtype=bool)
        walked[[part.index for part in components]] = True
        group = _choose_groups(rates, windings, walked[rates.component[network.source]])
    same = (group[network.source] >= 0) & (group[network.source] == group[network.target])
    inside = same & ~windings.any(axis=1)
    outside = np.nonzero(~inside)[0]
    probability, residence = _plain(rates)
    entered = np.full(network.n_sites, -np.inf)
    np.logaddexp.at(entered, network.target[outside], rates.log_conductances[outside])
    for part in components:
        if rates.driven[part.index]:
            leaving = np.log(solve_driven(rates, part).occupation) - np.log(residence[part.sites])
            entered[part.sites] = leaving  # as often as they are left
    if not inside.any():
        return WalkedHops(network.source, network.target, windings, probability, residence, entered, group)
    free = outside[group[network.source[outside]] < 0]
    pieces = [(network.source[free], free, probability[free])]
    members = np.argsort(group, kind="stable")
    members = members[np.searchsorted(group[members], 0) :]
    ways_out = outside[group[network.source[outside]] >= 0]
    ways_out = ways_out[np.argsort(group[network.source[ways_out]], kind="stable")]
    hops_inside = np.nonzero(inside)[0]
    hops_inside = hops_inside[np.argsort(group[network.source[hops_inside]], kind="stable")]
    for name in np.unique(group[members]):
        sites = _between(members, group[members], name)
        exits = _between(ways_out, group[network.source[ways_out]], name)
        hops = _between(hops_inside, group[network.source[hops_inside]], name)
        chance, time = _solve_group(rates, sites, hops, exits)
        residence[sites] = time
        pieces.append((np.repeat(sites, len(exits)), np.tile(exits, len(sites)), chance.ravel()))
    source, hop, chance = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    return WalkedHops(source, network.target[hop], windings[hop], chance, residence, entered, group)


def _between(items: Integers, sorted_keys: Integers, key: int) -> Integers:
    found: Integers = items[
        np.searchsorted(sorted_keys, key) : np.searchsorted(sorted_keys, key, side="right")
    ]
    return found


def _plain(rates: Rates) -> tuple[Floats, Floats]:
    """Probability (m,) of each hop of its site, and mean residence time (n,), s; zero where none leave."""
    network = rates.network
    top = np.full(network.n_sites, -np.inf)
    np.maximum.at(top, network.source, rates.log_rates)
    relative = np.exp(rates.log_rates - top[network.source])
    total = np.bincount(network.source, relative, minlength=network.n_sites)
    residence = np.zeros(network.n_sites)
    leads = total > 0
    residence[leads] = np.exp(-top[leads]) / total[leads]
    return relative / total[network.source], residence


def _choose_groups(rates: Rates, windings: Integers, walked: Any) -> Integers:
    network = rates.network
    exponent = rates.log_conductances
    flow = np.exp(exponent - exponent.max())
    order = np.argsort(-exponent, kind="stable")
    inside = walked & ~windings.any(axis=1)
    largest = LARGEST_GROUP
    while True:
        group = flickering_groups(
            network.n_sites, network.source, network.target, inside, flow, order, largest, FLICKER
        )
        member = group[network.source] >= 0
        within = member & (group[network.source] == group[network.target]) & inside
        sites = np.bincount(group[group >= 0], minlength=network.n_sites)
        exits = np.bincount(group[network.source[member & ~within]], minlength=network.n_sites)
        cost = sites * exits
        if (cost.max(initial=0) <= LARGEST_EXITS and cost.sum() <= MOST_HOPS) or largest <= 2:
            break
        largest //= 2
    chosen: Integers = group
    return chosen


def _solve_group(rates: Rates, sites: Integers, hops: Integers, exits: Integers) -> tuple[Floats, Floats]:
    """Probability (sites, exits) of leaving by each exit, and mean time (sites,), s, by site of entry."""
    network = rates.network
    place = {int(site): row for row, site in enumerate(sites)}
    rows = np.array([place[site] for site in network.source[hops].tolist()], dtype=np.int64)
    columns = np.array([place[site] for site in network.target[hops].tolist()], dtype=np.int64)
    exit_rows = np.array([place[site] for site in network.source[exits].tolist()], dtype=np.int64)
    unit = float(rates.log_rates[exits].max())
    # In units of the fastest way out, what flickers may exceed a float; such hops are as good as infinitely
    # fast.
    inner = np.zeros((len(sites), len(sites)))
    np.add.at(inner, (rows, columns), np.exp(np.minimum(rates.log_rates[hops] - unit, 600.0)))
    outward = np.exp(rates.log_rates[exits] - unit)
    leave = np.bincount(exit_rows, outward, minlength=len(sites))
    times = fundamental(inner, leave)
    chance = times[:, exit_rows] * outward
    # Sums to one but for rounding.
    return chance / chance.sum(axis=1, keepdims=True), times.sum(axis=1) * np.exp(-unit)
