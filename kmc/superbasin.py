"""Superbasins: which sites flicker, and how a walk leaves them without flickering.

A group keeps its sites. A walk that counts mean times gives each of them new hops: one for every way out of the
whole group, with the probability that a walker entering there leaves that way, and the mean time it needs (where
carriers drift, the mean and variance of the time of each way). A walk in real time draws each visit, its duration
and its last site, from their joint law (`kmc._escape`). Either way what is walked is the same walk, watched only
when it enters or leaves a group: nothing changes in law, but for the durations of a walk that counts their means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kmc._driven import solve_driven
from kmc._escape import Escapes, eliminate, gathered
from kmc._trapping import flickering_groups, fundamental
from kmc.exact import Component
from kmc.network import Floats, Integers, Network
from kmc.rates import Rates

#: Hops inside a group for each hop out of it, from which on the group is worth solving.
FLICKER = 100.0
#: Most sites in a group, and most replaced hops (sites times ways out) of one group and of all groups.
LARGEST_GROUP = 256
LARGEST_EXITS = 200_000
MOST_HOPS = 4_000_000
#: Most sites of a group whose visits are drawn; n sites must then flicker (n / 2)^DRAWN_EFFORT times as much, ...
LARGEST_DRAWN = 32
DRAWN_EFFORT = 2.5
#: ... and all groups together must save this factor of hops, for a walk with groups is slower by the hop.
WORTHWHILE = 4.0


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
    moments
        (2, m), where carriers drift and mean times are counted: mean and standard deviation, s, of the time of each
        hop, given where it was entered.
    escapes
        Where visits to groups are drawn: how. Then a site of a group has its own hops out of it only, and no time.
    """

    source: Integers
    target: Integers
    windings: Integers
    probability: Floats
    residence: Floats
    entered: Floats
    group: Integers
    moments: Floats | None = None
    escapes: Escapes | None = None

    def entry_weights(self, sites: Integers) -> Floats:
        """How often each of these sites is entered in the steady state, (sites,), up to a constant."""
        weights: Floats = np.exp(self.entered[sites] - self.entered[sites].max())
        return weights


def walked_hops(
    rates: Rates,
    components: Sequence[Component],
    *,
    superbasins: bool,
    drawn: bool = False,
    apart: Any = None,
) -> WalkedHops:
    """The hops of a walk, superbasins removed if asked for.

    Parameters
    ----------
    rates, components
        Of the walk; what percolates nowhere is not walked and gets no superbasins.
    superbasins
        Whether there are to be any.
    drawn
        Visits take random times; else mean ones.
    apart
        (n,), sites that stay out of all groups; then every other site may be in one, whether its component percolates
        or not, and windings are not counted. None: those of the components may.
    """
    network = rates.network
    windings = np.zeros((network.n_hops, 3), dtype=np.int64)
    walked = np.full(network.n_hops, apart is not None)
    flow = rates.log_conductances.copy()
    for part in components:
        windings[part.hops] = part.windings
        walked[part.hops] = True
        if rates.driven[part.index]:
            occupied = np.zeros(network.n_sites)
            occupied[part.sites] = solve_driven(rates, part).occupation
            with np.errstate(divide="ignore"):
                flow[part.hops] = np.log(occupied[network.source[part.hops]]) + rates.log_rates[part.hops]
    group = np.full(network.n_sites, -1, dtype=np.int64)
    if superbasins:
        may_be_inside = walked & ~windings.any(axis=1)
        if apart is not None:
            may_be_inside &= ~(apart[network.source] | apart[network.target])
        group = _choose_groups(network, flow, may_be_inside, drawn=drawn)
    same = (group[network.source] >= 0) & (group[network.source] == group[network.target])
    inside = same & ~windings.any(axis=1)
    if drawn and apart is None and inside.any() and not _is_worthwhile(flow[walked], inside[walked]):
        group[:], inside[:] = -1, False
    outside = np.nonzero(~inside)[0]
    entered = np.full(network.n_sites, -np.inf)
    np.logaddexp.at(entered, network.target[outside], flow[outside])
    probability, residence = _plain(rates)
    stays = np.array([residence[network.source]] * 2) if rates.driven.any() and not drawn else None
    plain = WalkedHops(
        network.source, network.target, windings, probability, residence, entered, group, stays
    )
    if not inside.any():
        return plain
    return _drawn(rates, plain, inside) if drawn else _solved(rates, plain, inside)


def _is_worthwhile(flow: Floats, inside: Any) -> bool:
    often = np.exp(flow - flow.max())
    return bool(often[inside].sum() >= (WORTHWHILE - 1.0) * often[~inside].sum())


def _solved(rates: Rates, plain: WalkedHops, inside: Any) -> WalkedHops:
    """Members get a hop for every way out of their group, and the mean time that it needs."""
    network, group = rates.network, plain.group
    residence = plain.residence.copy()
    free = np.nonzero(group[network.source] < 0)[0]
    pieces = [(network.source[free], free, plain.probability[free])]
    moments = [] if plain.moments is None else [plain.moments[:, free]]
    for sites, hops, exits in _groups(network, group, inside):
        inner, outward, leave, unit = _rates_of(rates, sites, hops, exits)
        times = fundamental(inner, leave)
        last = np.searchsorted(sites, network.source[exits])
        chance = times[:, last] * outward
        chance /= chance.sum(axis=1, keepdims=True)  # one but for rounding
        residence[sites] = times.sum(axis=1) * np.exp(-unit)
        pieces.append((np.repeat(sites, len(exits)), np.tile(exits, len(sites)), chance.ravel()))
        if moments:
            moments.append(_exit_moments(times, last) * np.exp(-unit))
    source, hop, chance = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    return replace(
        plain,
        source=source,
        target=network.target[hop],
        windings=plain.windings[hop],
        probability=chance,
        residence=residence,
        moments=np.concatenate(moments, axis=1) if moments else None,
    )


def _exit_moments(times: Floats, last: Integers) -> Floats:
    """Mean and standard deviation (2, sites · exits) of the time of a visit, given entry and last site.

    With N the mean times at each site, the moments of the time are k! Nᵏ⁺¹ / N, entry by entry: sums of positive
    numbers. They are taken in units of the longest time, lest they overflow.
    """
    scale = times.max()
    once = times / scale
    twice = once @ once
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(once > 0, twice / once, 0.0)
        square = np.where(once > 0, 2.0 * (once @ twice) / once, 0.0)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    moments: Floats = np.array([mean[:, last].ravel(), spread[:, last].ravel()]) * scale
    return moments


def _drawn(rates: Rates, plain: WalkedHops, inside: Any) -> WalkedHops:
    """Members keep their own hops out of the group; what comes before one of those is drawn."""
    network = rates.network
    kept = np.nonzero(~inside)[0]
    chance = plain.probability.copy()
    residence = plain.residence.copy()
    plans = []
    for sites, hops, exits in _groups(network, plain.group, inside):
        inner, outward, leave, unit = _rates_of(rates, sites, hops, exits)
        of = np.searchsorted(sites, network.source[exits])
        chance[exits] = outward / leave[of]
        residence[sites] = 0.0
        order = np.argsort((inner > 0).sum(axis=1), kind="stable")  # few neighbours first: few detours
        plans.append((sites[order], np.exp(-unit), eliminate(inner[np.ix_(order, order)], leave[order])))
    return replace(
        plain,
        source=network.source[kept],
        target=network.target[kept],
        windings=plain.windings[kept],
        probability=chance[kept],
        residence=residence,
        escapes=gathered(network.n_sites, plans),
    )


def _groups(network: Network, group: Integers, inside: Any) -> Iterator[tuple[Integers, Integers, Integers]]:
    """Sites, inner hops and ways out of each group."""
    home = group[network.source]
    lists = (
        _by_group(np.arange(network.n_sites), group),
        _by_group(np.nonzero(inside)[0], home[inside]),
        _by_group(np.nonzero(~inside)[0], home[~inside]),
    )
    for name in np.unique(group[group >= 0]):
        sites, hops, exits = (
            items[np.searchsorted(keys, name) : np.searchsorted(keys, name, side="right")]
            for items, keys in lists
        )
        yield sites, hops, exits


def _by_group(items: Integers, key: Integers) -> tuple[Integers, Integers]:
    order = np.argsort(key, kind="stable")
    return items[order], key[order]


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


def _choose_groups(network: Network, exponent: Floats, may_be_inside: Any, *, drawn: bool) -> Integers:
    flow = np.exp(exponent - exponent.max())
    order = np.argsort(-exponent, kind="stable")
    largest, effort = (LARGEST_DRAWN, DRAWN_EFFORT) if drawn else (LARGEST_GROUP, 0.0)
    hops = (network.source, network.target, may_be_inside, flow, order)
    while True:
        group: Integers = flickering_groups(network.n_sites, *hops, largest, FLICKER, effort)
        member = group[network.source] >= 0
        within = member & (group[network.source] == group[network.target]) & may_be_inside
        sites = np.bincount(group[group >= 0], minlength=network.n_sites)
        exits = np.bincount(group[network.source[member & ~within]], minlength=network.n_sites)
        cost = sites * exits
        if drawn or (cost.max(initial=0) <= LARGEST_EXITS and cost.sum() <= MOST_HOPS) or largest <= 2:
            return group
        largest //= 2


def _rates_of(
    rates: Rates, sites: Integers, hops: Integers, exits: Integers
) -> tuple[Floats, Floats, Floats, float]:
    """Rates inside (n, n), of the ways out (exits,) and by site (n,), in units of the fastest way out (its logarithm).

    In that unit, what flickers may exceed a float; such hops are as good as infinitely fast.
    """
    network = rates.network
    unit = float(rates.log_rates[exits].max())
    inner = np.zeros((len(sites), len(sites)))
    ends = (np.searchsorted(sites, network.source[hops]), np.searchsorted(sites, network.target[hops]))
    np.add.at(inner, ends, np.exp(np.minimum(rates.log_rates[hops] - unit, 600.0)))
    outward: Floats = np.exp(rates.log_rates[exits] - unit)
    leave = np.zeros(len(sites))
    np.add.at(leave, np.searchsorted(sites, network.source[exits]), outward)
    return inner, outward, leave, unit
