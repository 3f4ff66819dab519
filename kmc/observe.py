"""Walkers watched in time: mean square displacement, occupation, trajectories, van Hove, first passages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kmc import _clocked, _visits
from kmc.estimate import Estimate
from kmc.exact import Component, percolating_components, solve_rates
from kmc.network import Floats, Graph, GraphError, Integers, Network, compile_graph
from kmc.passage import mean_first_passage, site_indices
from kmc.rates import Rates, hop_rates
from kmc.superbasin import walked_hops
from kmc.walkers import count_of, member_rows, run_parts, streams, tables

#: Walkers times instants that are remembered at most, and hops that one walker may need.
REMEMBER = 20_000_000
MOST_HOPS = 1_000_000_000


@dataclass(frozen=True)
class Observation:
    """Where walkers were at given times.

    Attributes
    ----------
    rates
        The rates they walked by.
    times
        (t,), s.
    start
        (walkers,), site indices at time zero.
    sites
        (walkers, t), site indices.
    displacements
        (walkers, t, 3), Å, unwrapped, since time zero.
    """

    rates: Rates
    times: Floats
    start: Integers
    sites: Integers
    displacements: Floats

    @property
    def positions(self) -> Floats:
        """Unwrapped trajectories: (walkers, t, 3), Å."""
        begin: Floats = self.rates.network.positions[self.start][:, None]
        return begin + self.displacements

    def msd(self) -> Estimate:
        """Mean square displacement tensor ⟨Δx_a Δx_b⟩ and its standard error: (t, 3, 3), Å²."""
        squares = np.einsum("wta,wtb->wtab", self.displacements, self.displacements)
        n = len(squares)
        return Estimate(squares.mean(axis=0), squares.std(axis=0, ddof=1) / np.sqrt(n), float(n - 1))

    def occupation(self) -> Estimate:
        """Fraction of the walkers on each site and its standard error: (t, sites)."""
        n, n_sites = len(self.sites), self.rates.network.n_sites
        share = np.array([np.bincount(now, minlength=n_sites) for now in self.sites.T]) / n
        return Estimate(share, np.sqrt(share * (1.0 - share) / max(n - 1, 1)), float(n - 1))

    def van_hove(self, edges: Sequence[float] | Floats) -> Floats:
        """Self part of the van Hove function, (t, bins), 1/Å: density of the distance moved (edges: Å)."""
        bins = np.asarray(edges, dtype=np.float64)
        if bins.ndim != 1 or len(bins) < 2 or not (np.diff(bins) > 0).all():
            raise GraphError(f"edges are {edges!r}; wanted at least two increasing distances in Å")
        distance = np.linalg.norm(self.displacements, axis=2)
        counts = np.array([np.histogram(now, bins)[0] for now in distance.T])
        density: Floats = counts / (len(distance) * np.diff(bins))
        return density


@dataclass(frozen=True)
class StreamedObservation:
    """The same for more walkers than memory should hold: they walk again, part by part, for every question.

    Attributes
    ----------
    rates, times
        As in `Observation`.
    n_walkers
        Number of walkers.
    part
        Observation of walkers first … last − 1, to the same bits each time.
    """

    rates: Rates
    times: Floats
    n_walkers: int
    part: Callable[[int, int], Observation]

    def parts(self) -> Iterator[Observation]:
        """All walkers, as many at a time as memory should hold."""
        size = max(1, REMEMBER // len(self.times))
        for first in range(0, self.n_walkers, size):
            yield self.part(first, min(first + size, self.n_walkers))

    def msd(self) -> Estimate:
        """Mean square displacement tensor and its standard error: (t, 3, 3), Å²."""
        n = self.n_walkers
        middle, total, square = (np.zeros((len(self.times), 3, 3)) for _ in range(3))
        for number, seen in enumerate(self.parts()):
            moved = np.einsum("wta,wtb->wtab", seen.displacements, seen.displacements)
            if number == 0:  # sums are about it, so that squares of large numbers do not cancel
                middle = moved.mean(axis=0)
            total += (moved - middle).sum(axis=0)
            square += ((moved - middle) ** 2).sum(axis=0)
        variance = np.maximum(square - total**2 / n, 0.0) / max(n - 1, 1)
        return Estimate(middle + total / n, np.sqrt(variance / n), float(n - 1))

    def occupation(self) -> Estimate:
        """Fraction of the walkers on each site and its standard error: (t, sites)."""
        n, n_sites = self.n_walkers, self.rates.network.n_sites
        counts = np.zeros((len(self.times), n_sites), dtype=np.int64)
        for seen in self.parts():
            counts += np.array([np.bincount(now, minlength=n_sites) for now in seen.sites.T])
        share = counts / n
        return Estimate(share, np.sqrt(share * (1.0 - share) / max(n - 1, 1)), float(n - 1))

    def van_hove(self, edges: Sequence[float] | Floats) -> Floats:
        """Self part of the van Hove function, (t, bins), 1/Å."""
        density = np.zeros((len(self.times), max(len(edges) - 1, 0)))
        for seen in self.parts():
            density += seen.van_hove(edges) * (len(seen.start) / self.n_walkers)
        return density


def observe(
    graph: Graph | Network,
    temperature: float,
    times: Iterable[float],
    n_walkers: int = 1000,
    *,
    seed: int = 0,
    start: Hashable | None = None,
    threads: int | None = None,
    **options: Any,
) -> Observation | StreamedObservation:
    """Watch independent walkers at given times, with true (exponential) waiting times.

    Parameters
    ----------
    graph, temperature, options
        As in `kmc.simulate` (field, charge, prefactor, barriers).
    times
        Increasing, s, from 0 on.
    start
        A node on which all begin; None: the steady state.

    Returns
    -------
    Observation
        With all trajectories. Beyond 2e7 places (walkers times instants) a `StreamedObservation`, with the
        same `msd`, `occupation` and `van_hove` and gives trajectories in `parts`.

    Raises
    ------
    GraphError
        Times not increasing, more instants than memory should hold, or a walker that would need more than a
        billion hops.
    """
    n_walkers = count_of("n_walkers", n_walkers)
    instants = np.array(list(times), dtype=np.float64)
    if (
        len(instants) == 0
        or not np.isfinite(instants).all()
        or instants[0] < 0
        or (np.diff(instants) <= 0).any()
    ):
        raise GraphError(f"times are {instants.tolist()}; wanted increasing seconds from 0 on")
    if len(instants) > REMEMBER:
        raise GraphError(f"{len(instants)} times are more than {REMEMBER}; ask for fewer")
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    rates = hop_rates(network, temperature, **options)
    components = tuple(percolating_components(rates))
    prepared = tables(rates, walked_hops(rates, components, superbasins=False))
    if start is None:
        ladder = np.cumsum(solve_rates(rates).occupation)
    else:
        ladder = (np.arange(network.n_sites) >= site_indices(network, [start])[0]).astype(np.float64)
    watch = partial(_watch, rates, components, prepared, ladder / ladder[-1], instants, seed, threads)
    if n_walkers * len(instants) > REMEMBER:
        return StreamedObservation(rates, instants, n_walkers, watch)
    return watch(0, n_walkers)


def _watch(
    rates: Rates,
    components: tuple[Component, ...],
    prepared: tuple[Any, Any, Any, int, Any],
    ladder: Floats,
    instants: Floats,
    seed: int,
    threads: int | None,
    first: int,
    last: int,
) -> Observation:
    """Walkers first … last − 1, that begin on the rungs of a ladder of probabilities (sites,)."""
    network, n_walkers = rates.network, last - first
    table, words, row, _, _ = prepared
    keys, states, uniform = streams(seed, n_walkers, first)
    begin = np.searchsorted(ladder, uniform, side="right")
    at = words[begin]
    rows = np.zeros((n_walkers, len(instants)), dtype=np.int64)
    windings = np.zeros((n_walkers, len(instants), 3), dtype=np.int64)
    finished = []

    def part(mine: slice) -> None:
        arrays = (at[mine], keys[mine], states[mine], instants, MOST_HOPS, rows[mine], windings[mine])
        finished.append(_clocked.watch(table, *arrays))

    run_parts(part, n_walkers, threads)
    if not all(finished):
        raise GraphError(
            f"a walker needs more than {MOST_HOPS:.0e} hops to reach {instants[-1]:g} s; ask for less"
        )
    sites = np.searchsorted(row, rows, side="right") - 1
    vectors = np.zeros((network.n_sites, 3, 3))
    for component in components:
        vectors[component.sites] = component.vectors
    place = network.positions - rates.offset @ network.cell
    moved = np.einsum("wti,wij->wtj", windings, vectors[begin]) + place[sites] - place[begin][:, None]
    return Observation(rates, instants, begin, sites, moved)


def first_passage_times(
    graph: Graph | Network,
    temperature: float,
    source: Hashable,
    targets: Iterable[Hashable],
    n_walkers: int = 1000,
    *,
    seed: int = 0,
    threads: int | None = None,
    **options: Any,
) -> Floats:
    """Times after which walkers from `source` first stand on one of `targets` (in any cell): (n_walkers,), s.

    Groups of sites among which they would flicker are left in one hop, with the duration that the whole visit has.

    Raises
    ------
    GraphError
        A node does not exist, no target can be reached, or a walker would need more than a billion hops.
    """
    n_walkers = count_of("n_walkers", n_walkers)
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    goals = list(targets)
    begin, end = site_indices(network, [source])[0], site_indices(network, goals)
    means = mean_first_passage(network, temperature, goals, **options).to_numpy()
    if not np.isfinite(means[begin]):
        raise GraphError(f"no target can be reached from {source!r}; check that a chain of hops leads there")
    rates = hop_rates(network, temperature, **options)
    apart = np.zeros(network.n_sites, dtype=bool)
    apart[end] = True
    hops = walked_hops(rates, (), superbasins=True, drawn=True, apart=apart)
    table, words, row, _, _ = tables(rates, hops)
    is_target = np.zeros(len(table) // 4, dtype=bool)
    is_target[row[end]] = True
    keys, states, _ = streams(seed, n_walkers)
    at, times, finished = np.full(n_walkers, words[begin]), np.zeros(n_walkers), []

    def part(mine: slice) -> None:
        arrays = (at[mine], keys[mine], states[mine], is_target, MOST_HOPS)
        if hops.escapes is None:
            finished.append(_clocked.arrive(table, *arrays, times[mine]))
        else:
            visits = (hops.escapes, member_rows(hops, table, row), words)
            finished.append(_visits.arrive_with_visits(table, *arrays, *visits, times[mine]))

    run_parts(part, n_walkers, threads)
    if not all(finished):
        raise GraphError(f"a walker needs more than {MOST_HOPS:.0e} hops; kmc.mean_first_passage needs none")
    return times
