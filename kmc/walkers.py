"""Independent walkers on a hopping graph: every hop happens, none is rejected.

Walkers start in equilibrium (in the occupation seen hop by hop, so that no hop is thrown away), all those of
one graph component together. They count what they wind around the cell, in whole numbers; positions come
back at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np

from kmc import _kernels, _moments, _tables, _visits
from kmc.checkpoints import WalkState, fingerprint, run_with_checkpoints
from kmc.exact import Component, percolating_components
from kmc.network import Floats, Graph, GraphError, Integers, Network, compile_graph
from kmc.rates import BarrierModel, Rates, component_log_sum, hop_rates
from kmc.superbasin import WalkedHops, walked_hops

#: Blocks each walker is divided into, and the most numbers a run may remember.
BLOCKS = 64
REMEMBER = 4_000_000
CLOCKS = ("mean", "exponential")


@dataclass(frozen=True)
class Walk:
    """What a number of walkers did.

    Attributes
    ----------
    rates
        The rates they walked by.
    hops
        The hops they walked: superbasins are left in one.
    components
        The percolating components; each walker lives in one.
    home
        (walkers,), index into `components`.
    component_weights
        (components,), probability of a carrier to be in each.
    begins
        (walkers,), site each walker started from.
    ends
        (walkers, blocks), site at the end of each block.
    windings
        (walkers, blocks, 3), integers: what each walker wound in each block, in its component's lattice
        vectors.
    durations
        (walkers, blocks), s.
    spreads
        (walkers, blocks), s: standard deviation of each duration, given the hops; zero where it does not matter:
        where nothing drifts, and where durations are random themselves.
    n_hops
        Hops of each walker.
    clock
        "mean": each visit counts its mean residence time; "exponential": a random one.
    seed
        The seed.
    """

    rates: Rates
    hops: WalkedHops
    components: tuple[Component, ...]
    home: Integers
    component_weights: Floats
    begins: Integers
    ends: Integers
    windings: Integers
    durations: Floats
    spreads: Floats
    n_hops: int
    clock: str
    seed: int

    @property
    def temperature(self) -> float:
        """K."""
        return self.rates.temperature

    @property
    def n_walkers(self) -> int:
        """Number of walkers."""
        return len(self.home)

    def displacements(self) -> Floats:
        """True displacement of each walker over each block: (walkers, blocks, 3), Å."""
        network = self.rates.network
        at = network.positions - self.rates.offset @ network.cell
        vectors = np.array([part.vectors for part in self.components])
        begins = np.concatenate([self.begins[:, None], self.ends[:, :-1]], axis=1)
        wound = np.einsum("wbi,wij->wbj", self.windings, vectors[self.home])
        moved: Floats = wound + at[self.ends] - at[begins]
        return moved


def simulate(
    graph: Graph | Network,
    temperature: float,
    n_walkers: int = 1000,
    n_hops: int = 100_000,
    *,
    seed: int = 0,
    clock: str = "mean",
    superbasins: bool = True,
    checkpoint: str | Path | None = None,
    field: Sequence[float] | Floats | None = None,
    charge: float = 1.0,
    prefactor: str = "graph",
    barriers: BarrierModel | None = None,
    threads: int | None = None,
) -> Walk:
    """Walk independent carriers through a hopping graph by kinetic Monte Carlo.

    Parameters
    ----------
    graph
        A hopping graph (contract 2).
    temperature
        K.
    n_walkers, n_hops
        Walkers, and hops of each.
    seed
        Walker i draws from its own stream (seed, i): the same answer with any number of threads.
    clock
        "mean" (less noise, the same diffusivity) or "exponential" (true waiting times).
    superbasins
        Leave groups of sites that fast hops join, chosen by themselves, in one hop (see `kmc.superbasin`).
        Nothing else changes in law; a hop may then be a long one.
    checkpoint
        A file to write the state to every few seconds. Where it exists and belongs to this very walk, the
        walk goes on from there, to the same bits.
    field, charge, prefactor, barriers
        As in `kmc.rates.hop_rates`.
    threads
        At most this many; None: as many as Numba was told to use.

    Raises
    ------
    GraphError
        The graph is not sound, or an argument does not fit.
    """
    n_walkers, n_hops = count_of("n_walkers", n_walkers), count_of("n_hops", n_hops)
    if clock not in CLOCKS:
        raise GraphError(f"clock is {clock!r}; choose 'mean' or 'exponential'")
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    rates = hop_rates(
        network, temperature, field=field, charge=charge, prefactor=prefactor, barriers=barriers
    )
    components = tuple(percolating_components(rates))
    if not components:
        return _nobody(rates, clock, n_hops, seed)
    if n_walkers < len(components):
        raise GraphError(
            f"n_walkers is {n_walkers}, but {len(components)} disconnected parts of the graph percolate; "
            "take at least one for each"
        )
    exact = clock == "exponential"
    hops = walked_hops(rates, components, superbasins=superbasins, drawn=exact)
    prepared = tables(rates, hops)
    table, start, row = prepared[:3]
    keys, states, uniform = streams(seed, n_walkers)
    home = np.arange(n_walkers) * len(components) // n_walkers
    begins = _starting_sites(hops, components, home, uniform)
    blocks = max(1, min(BLOCKS, n_hops, REMEMBER // n_walkers))
    state = WalkState(
        done=0,
        words=start[begins],
        states=states,
        windings=np.zeros((n_walkers, blocks, 3), dtype=np.int64),
        durations=np.zeros((n_walkers, blocks)),
        variances=np.zeros((n_walkers, blocks)),
        ends=np.zeros((n_walkers, blocks), dtype=np.int64),
    )
    boundaries = np.arange(blocks + 1) * n_hops // blocks
    advance, slowest = _way_to_walk(hops, prepared, keys, boundaries, threads, exact=exact)
    if checkpoint is None:
        advance(state, 0, blocks)
    else:
        identity = fingerprint(table, state.words, keys, boundaries, exact)
        state = run_with_checkpoints(Path(checkpoint), identity, state, blocks, advance)
    return Walk(
        rates=rates,
        hops=hops,
        components=components,
        home=home,
        component_weights=_weights(rates, components),
        begins=begins,
        ends=np.searchsorted(row, state.ends, side="right") - 1,
        windings=state.windings,
        durations=state.durations,
        spreads=np.sqrt(state.variances) * slowest,
        n_hops=n_hops,
        clock=clock,
        seed=seed,
    )


def _way_to_walk(
    hops: WalkedHops,
    prepared: tuple[Any, Any, Any, int, Any],
    keys: Any,
    boundaries: Integers,
    threads: int | None,
    *,
    exact: bool,
) -> tuple[Callable[[WalkState, int, int], None], float]:
    """A function that walks some blocks (state, first, last), and the unit, s, of its standard deviations of time."""
    table, start, row, stride, chosen = prepared
    slowest, moments, visits = 1.0, None, None
    if hops.moments is not None:
        mean, spread = hops.moments
        slowest = float(spread.max(initial=0.0)) or 1.0
        moments = _moments.moment_table(chosen, mean, (spread / slowest) ** 2)
    elif hops.escapes is not None:
        visits = (hops.escapes, member_rows(hops, table, row), start)

    def advance(state: WalkState, first: int, last: int) -> None:
        def part(mine: slice) -> None:
            walkers = (state.words[mine], keys[mine], state.states[mine], boundaries)
            moved, took, end = state.windings[mine], state.durations[mine], state.ends[mine]
            if moments is not None:
                scatter = state.variances[mine]
                _moments.walk_with_moments(
                    table, moments, *walkers, first, last, stride, moved, took, scatter, end
                )
            elif visits is not None:
                _visits.walk_with_visits(table, *walkers, first, last, stride, *visits, moved, took, end)
            else:
                _kernels.walk(table, *walkers, first, last, stride, exact, moved, took, end)

        run_parts(part, len(keys), threads)

    return advance, slowest


def streams(seed: int, count: int, first: int = 0) -> tuple[Any, Any, Floats]:
    """Random streams of walkers first … first + count − 1.

    Returns
    -------
    keys, states : (count,), uint64
    uniform : (count,), in [0, 1), for the choice of a starting site
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise GraphError(f"seed is {seed!r}; wanted a whole number of at least 0")
    roots = np.random.SeedSequence(int(seed)).generate_state(3, np.uint64)
    walkers = np.arange(first, first + count, dtype=np.uint64)
    keys, states, words = (_scramble(root + walkers * np.uint64(0x9E3779B97F4A7C15)) for root in roots)
    return keys | np.uint64(1), states, (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _scramble(x: Any) -> Any:
    """The finaliser of splitmix64: every input bit reaches every output bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def run_parts(advance: Any, count: int, threads: int | None) -> None:
    """Call advance(slice) over all of range(count), spread over threads in whole groups of lanes."""
    workers = min(threads or numba.get_num_threads(), -(-count // _kernels.LANES))
    size = -(-count // (_kernels.LANES * 4 * workers)) * _kernels.LANES
    parts = [slice(first, min(first + size, count)) for first in range(0, count, size)]
    if workers <= 1:
        for part in parts:
            advance(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(advance, parts):
            pass


def tables(rates: Rates, hops: WalkedHops) -> tuple[Any, Any, Any, int, Any]:
    """Alias tables, word and first slot of every site, how often to empty the counters, and the hops of slots."""
    largest = max(1, int(np.abs(hops.windings).max(initial=1)))
    if largest > _tables.LARGEST_FIELD:
        raise GraphError(
            f"a hop winds {largest} cells; the walk goes to {_tables.LARGEST_FIELD}, are the images right?"
        )
    if not np.isfinite(hops.residence).all():
        raise GraphError(
            f"a residence time at {rates.temperature} K is beyond what a float holds; raise the temperature"
        )
    n_sites = len(hops.residence)
    degree = np.bincount(hops.source, minlength=n_sites)
    slots = int((2 ** np.ceil(np.log2(np.maximum(degree, 2)))).sum())
    if slots > _tables.LARGEST_ROW:
        raise GraphError(
            f"{len(hops.source)} hops need {slots} slots; a walk's table holds {_tables.LARGEST_ROW}"
        )
    order = np.argsort(hops.source, kind="stable")
    first_hop = np.zeros(n_sites + 1, dtype=np.int64)
    np.cumsum(degree, out=first_hop[1:])
    table, start, row, chosen = _tables.build_table(
        first_hop, order, hops.probability, hops.target, hops.windings, hops.residence
    )
    return table, start, row, _tables.LARGEST_FIELD // largest, chosen


def member_rows(hops: WalkedHops, table: Any, row: Any) -> Integers:
    """Site of each row of a table whose visits are drawn, −1 for all others."""
    member = np.full(len(table) // 4, -1, dtype=np.int64)
    sites = np.nonzero(hops.group >= 0)[0]
    member[row[sites]] = sites
    return member


def _starting_sites(
    hops: WalkedHops, components: Sequence[Component], home: Integers, uniform: Floats
) -> Integers:
    """Sites (walkers,) drawn as they are entered: the steady state as seen hop by hop."""
    begins = np.empty(len(home), dtype=np.int64)
    for index, part in enumerate(components):
        ladder = np.cumsum(hops.entry_weights(part.sites))
        mine = home == index
        begins[mine] = part.sites[np.searchsorted(ladder / ladder[-1], uniform[mine], side="right")]
    return begins


def _weights(rates: Rates, components: Sequence[Component]) -> Floats:
    log_sums = component_log_sum(rates.log_weights, rates.component)
    shares = np.exp(log_sums - log_sums.max())
    weights: Floats = shares[[part.index for part in components]] / shares.sum()
    return weights


def _nobody(rates: Rates, clock: str, n_hops: int, seed: int) -> Walk:
    """A walk on a graph that percolates nowhere: there is nothing to learn from walking it."""
    none = np.zeros(0, dtype=np.int64)
    empty = np.zeros((0, 1), dtype=np.int64)
    windings, times = np.zeros((0, 1, 3), dtype=np.int64), np.zeros((0, 1))
    hops = walked_hops(rates, (), superbasins=False)
    return Walk(rates, hops, (), none, np.zeros(0), none, empty, windings, times, times, n_hops, clock, seed)


def count_of(name: str, value: int) -> int:
    """A whole number of at least one, or a sentence that says so."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise GraphError(f"{name} is {value!r}; wanted a whole number of at least 1")
    return int(value)
