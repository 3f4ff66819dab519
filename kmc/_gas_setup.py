"""From what a user asks for to tables and a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from kmc._gas_choice import EV_PER_QUANTUM, Surroundings
from kmc._gas_rules import BarrierRule
from kmc._gas_run import Plan, interaction_energy
from kmc._gas_start import starting_sites
from kmc._gas_state import new_state
from kmc._gas_tables import HopTables, build_tables
from kmc.exact import percolating_components, solve_rates
from kmc.interactions import Interactions, PairTables, pair_energies_at, pair_tables
from kmc.network import Floats, GraphError, Integers, Network, compile_graph
from kmc.rates import KB, BarrierModel, Rates, hop_rates
from kmc.walkers import count_of, streams

#: Blocks of a run where looking at all carriers is dear, where it is cheap, and fine blocks.
FEWEST_BLOCKS = 64
MOST_BLOCKS = 4096
FINE_BLOCKS = 16384
#: Numbers that a run may remember of the occupation of its sites.
REMEMBER = 8_000_000
#: Carriers whose displacements are followed at most, and sites of a repeated cell.
MOST_SITES = 100_000_000
#: Hops per trial below which null events cost more than knowing all rates.
WORTH_NULL_EVENTS = 0.04


@dataclass(frozen=True)
class System:
    """Carriers, sites and rates, before anything moves."""

    rates: tuple[Rates, ...]
    species: tuple[str, ...]
    counts: tuple[int, ...]
    charges: tuple[float, ...]
    replicate: tuple[int, int, int]
    field: Floats | None


def describe(
    graph: Any,
    n_carriers: Any,
    occupancy: Any,
    temperature: float,
    replicate: Sequence[int],
    charge: Any,
    field: Any,
    prefactor: str,
    barriers: BarrierModel | None,
    source: Any,
    drain: Any,
) -> System:
    """Check what was asked for.

    Raises
    ------
    GraphError
        Says which argument does not fit.
    """
    networks = _networks(graph)
    cells = _replication(replicate)
    n_sites = next(iter(networks.values())).n_sites * int(np.prod(cells))
    if n_sites > MOST_SITES:
        raise GraphError(
            f"replicate is {tuple(replicate)}: {n_sites} sites; at most {MOST_SITES} are simulated"
        )
    open_ends = source is not None or drain is not None
    if open_ends and n_carriers is None and occupancy is None:
        shares = [r.occupation for r in (source, drain) if r is not None and r.occupation is not None]
        occupancy = float(np.mean(shares)) if shares else 0.5
    counts = _counts(n_carriers, occupancy, tuple(networks), n_sites, may_be_empty=open_ends)
    names = tuple(counts)
    if len(networks) == 1 and len(names) > 1:
        networks = dict.fromkeys(names, next(iter(networks.values())))
    elif set(networks) != set(names) and len(networks) > 1:
        raise GraphError(
            f"graphs are given for {', '.join(networks)}, carriers for {', '.join(names)}; name the same "
            "species"
        )
    charges = charges_of(charge, names)
    graphs = networks if len(networks) > 1 else dict.fromkeys(names, next(iter(networks.values())))
    rates = tuple(
        hop_rates(
            graphs[name],
            temperature,
            field=field,
            charge=charges[name],
            prefactor=prefactor,
            barriers=barriers,
        )
        for name in names
    )
    vector = None if field is None else np.asarray(field, dtype=np.float64)
    return System(
        rates=rates,
        species=names,
        counts=tuple(counts.values()),
        charges=tuple(charges[name] for name in names),
        replicate=cells,
        field=vector,
    )


def charges_of(charge: Any, names: Sequence[str]) -> dict[str, float]:
    """Charge of each species, e, from one number or from one for each."""
    by_name = dict(charge) if isinstance(charge, Mapping) else dict.fromkeys(names, charge)
    try:
        charges = {name: float(q) for name, q in by_name.items()}
    except (TypeError, ValueError):
        charges = {}
    if set(charges) != set(names) or not np.isfinite(list(charges.values())).all():
        raise GraphError(f"charge is {charge!r}; wanted a finite charge (e) for each of {', '.join(names)}")
    return charges


def _networks(graph: Any) -> dict[str, Network]:
    if not isinstance(graph, Mapping):
        network = graph if isinstance(graph, Network) else compile_graph(graph)
        name = "carrier" if isinstance(graph, Network) else str(graph.graph.get("guest", "carrier"))
        return {name: network}
    if not graph:
        raise GraphError("no graph was given; wanted one for each species")
    networks = {name: g if isinstance(g, Network) else compile_graph(g) for name, g in graph.items()}
    first_name, first = next(iter(networks.items()))
    for name, other in networks.items():
        same = other.labels == first.labels and other.n_hops == first.n_hops
        same = same and all(
            np.array_equal(getattr(other, part), getattr(first, part))
            for part in ("source", "target", "image", "cell", "positions")
        )
        if not same:
            raise GraphError(
                f"the graphs of {first_name} and {name} differ in nodes, positions or hops; give them the "
                "same sites and hops in the same order, only energies, barriers and prefactors may differ"
            )
    return networks


def _replication(replicate: Sequence[int]) -> tuple[int, int, int]:
    try:
        given = tuple(replicate)
    except TypeError:
        given = ()
    if len(given) != 3:
        raise GraphError(
            f"replicate is {replicate!r}; wanted three whole numbers of at least 1, like (4, 4, 4)"
        )
    a, b, c = (count_of("replicate", n) for n in given)
    return a, b, c


def _counts(
    n_carriers: Any, occupancy: Any, graphs: tuple[str, ...], n_sites: int, *, may_be_empty: bool
) -> dict[str, int]:
    if (n_carriers is None) == (occupancy is None):
        raise GraphError(
            "say how many carriers there are: either n_carriers=, or occupancy= (share of the sites)"
        )
    given = n_carriers if occupancy is None else occupancy
    by_name = dict(given) if isinstance(given, Mapping) else {graphs[0]: given}
    if not by_name:
        raise GraphError(f"n_carriers or occupancy is {given!r}; name at least one species")
    counts = {}
    for name, value in by_name.items():
        if occupancy is not None:
            value = _share(value, n_sites, may_be_empty=may_be_empty)  # noqa: PLW2901 - now a number of carriers
        elif isinstance(value, float) and 0 < value < 1:
            raise GraphError(f"n_carriers is {value!r}; for a share of the sites say occupancy={value!r}")
        counts[name] = int(value) if may_be_empty and value == 0 else count_of("n_carriers", value)
    total = sum(counts.values())
    if total > n_sites:
        raise GraphError(f"{total} carriers do not fit on {n_sites} sites, one on each; replicate the cell")
    if total == n_sites and not may_be_empty:
        raise GraphError(f"{total} carriers fill all {n_sites} sites and none can hop; leave a site empty")
    return counts


def _share(occupancy: Any, n_sites: int, *, may_be_empty: bool) -> int:
    """Carriers that take this share of the sites."""
    number = isinstance(occupancy, int | float | np.number) and not isinstance(occupancy, bool)
    if not number or not 0.0 <= float(occupancy) <= 1.0:
        raise GraphError(f"occupancy is {occupancy!r}; wanted a share of the sites between 0 and 1")
    count = round(float(occupancy) * n_sites)
    if count == 0 and not may_be_empty:
        raise GraphError(
            f"occupancy is {occupancy!r}: of {n_sites} sites that is no carrier; raise it or replicate the cell"
        )
    return count


def make_plan(  # noqa: C901 - one decision after the other
    system: System,
    *,
    n_hops: int,
    seed: int,
    algorithm: str,
    exact_clock: bool,
    interactions: Interactions | None,
    cutoff: float | None,
    rule: str | BarrierRule,
    ends: Any,
    open_axis: int,
) -> Plan:
    """Tables, and the algorithm that suits them."""
    streams(seed, 1)  # refuses what is not a seed
    single = len(system.species) == 1
    if cutoff is not None and interactions is None:
        raise GraphError(
            f"cutoff is {cutoff!r}, but there are no interactions; give interactions= or leave it"
        )
    if ends is not None:
        _check_ends(interactions, open_axis, single=single)
    needs_active = interactions is not None or ends is not None
    if needs_active and algorithm == "null-event":
        raise GraphError(
            "null-event works with rates that do not change; with interactions or open ends choose 'active'"
        )
    n_sites = system.rates[0].network.n_sites * int(np.prod(system.replicate))
    vacancies = single and not needs_active and algorithm in {"auto", "null-event"}
    vacancies = vacancies and 2 * sum(system.counts) > n_sites
    arguments = (list(system.rates), system.replicate)
    tables, log_unit, slot = build_tables(
        *arguments, vacancies=vacancies, open_axis=open_axis if ends else None
    )
    _refuse_self_hops(system, open_axis if ends is not None else None)
    log_weights = np.array([one.log_weights for one in system.rates])
    chosen = "active" if needs_active else "null-event"
    if algorithm != "auto":
        chosen = algorithm
    elif not needs_active:
        efficiency = _hops_per_trial(tables, log_weights, system, seed, vacancies=vacancies)
        if efficiency < WORTH_NULL_EVENTS:
            chosen = "active"
    if chosen != "null-event" and vacancies:
        vacancies = False
        tables, log_unit, slot = build_tables(*arguments, vacancies=False)
    pairs = _no_pairs(tables)
    if interactions is not None:
        charges = dict(zip(system.species, system.charges, strict=True))
        network = system.rates[0].network
        parts = (network, tables, system.replicate, system.species, charges, interactions, cutoff)
        pairs = pair_tables(*parts)
    surroundings, fastest = _surroundings(
        system, tables, slot, log_unit, interacting=interactions is not None
    )
    if ends is not None:
        arrive, leave = _reservoirs(system, tables, ends, open_axis, log_unit)
        surroundings = surroundings._replace(arrive=arrive, leave=leave)
        fastest += float((arrive + leave).max()) * 4.0
    if ends is None:
        tables = tables._replace(place=smooth_places(system, tables))
    blocks = 1 << (min(FEWEST_BLOCKS, n_hops).bit_length() - 1)
    while blocks < MOST_BLOCKS and 2 * blocks * n_sites <= n_hops:
        blocks *= 2
    fine = blocks * min(FINE_BLOCKS // blocks, n_hops // blocks)
    occupation_blocks = min(blocks, FEWEST_BLOCKS)
    while occupation_blocks > 4 and occupation_blocks * log_weights.size > REMEMBER:
        occupation_blocks //= 2
    return Plan(
        tables=tables,
        log_unit=log_unit,
        pairs=pairs,
        surroundings=surroundings,
        algorithm=chosen,
        vacancies=vacancies,
        rule=rule,
        fastest=fastest,
        log_weights=log_weights,
        counts=system.counts,
        cell=system.rates[0].network.cell,
        project=projections(system.rates[0]),
        exact_clock=exact_clock,
        seed=int(seed),
        boundaries=np.arange(fine + 1) * n_hops // fine,
        blocks=blocks,
        occupation_blocks=occupation_blocks,
    )


def smooth_places(system: System, t: HopTables) -> Floats:
    """Coordinates (basis, 3), Å, in which a carrier among the others drifts nowhere, on the average.

    D is the same in any coordinates that differ from positions by a bounded amount. In these, what flickers
    between two sites hardly moves, and blocks may be short. They are exact for one carrier; others enter by
    f_i w_ij (1 − f_j), f being the occupations of Fermi and Dirac. Without equilibrium, positions will do.
    """
    one = system.rates[0]
    if one.driven.any() or system.field is not None or one.network.n_sites == 1:
        return np.asarray(t.place)
    cells = len(t.basis) // len(t.degree)
    log_weights = one.log_weights - one.log_weights.max()
    low, high = -np.log(sum(system.counts) + 1.0) - 800.0, 800.0

    def excess(level: float) -> float:
        return float(expit(log_weights + level).sum() * cells - sum(system.counts))

    level = brentq(excess, low, high) if sum(system.counts) else low
    log_empty = -np.logaddexp(0.0, log_weights + level)
    source, target = one.network.source, one.network.target
    crowded = replace(one, log_conductances=one.log_conductances + log_empty[source] + log_empty[target])
    try:
        corrector = solve_rates(crowded).corrector
    except GraphError:  # rates of too many orders of magnitude
        return np.asarray(t.place)
    smooth: Floats = t.place + corrector
    return smooth


def projections(rates: Rates) -> Floats:
    """For each site (n, 3, 3), onto the directions in which its component percolates."""
    project = np.zeros((rates.network.n_sites, 3, 3))
    for part in percolating_components(rates):
        q, _ = np.linalg.qr(part.vectors[: part.rank].T)
        project[part.sites] = np.eye(3) if part.rank == 3 else np.where(abs(q @ q.T) > 1e-14, q @ q.T, 0.0)
    return project


def _refuse_self_hops(system: System, open_axis: int | None) -> None:
    network, n = system.rates[0].network, np.array(system.replicate)
    around = network.image % n
    if open_axis is not None:
        around[:, open_axis] = network.image[:, open_axis]
    onto_itself = (network.source == network.target) & ~around.any(axis=1)
    if onto_itself.any():
        hop = int(np.argmax(onto_itself))
        raise GraphError(
            f"{network.name_of(hop)} leads onto the carrier's own periodic image when the cell is repeated "
            f"{system.replicate}; repeat it further in that direction"
        )


def _hops_per_trial(
    t: HopTables, log_weights: Floats, system: System, seed: int, *, vacancies: bool
) -> float:
    """Rate of hops that can happen over the rate of trials, in a configuration to begin with."""
    n = len(t.degree)
    cells = len(t.basis) // n
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    who = starting_sites(log_weights, cells, list(system.counts), rng, sweeps=0)
    walkers = np.nonzero((who < 0) == vacancies)[0]
    if len(walkers) > 20_000:
        walkers = rng.choice(walkers, 20_000, replace=False)
    kind = np.zeros(len(walkers), dtype=np.int64)
    if not vacancies:
        kind = np.repeat(np.arange(len(system.counts)), system.counts)[who[walkers]]
    row = kind * n + t.basis[walkers]
    free = (who[t.target[walkers]] < 0) != vacancies
    trials = float(t.bound[t.group[row]].sum())
    return float((t.rate[row] * free).sum()) / trials if trials > 0 else 1.0


def _no_pairs(t: HopTables) -> PairTables:
    n_species = len(t.energy)
    return PairTables(
        first=np.zeros(len(t.degree) + 1, dtype=np.int64),
        partner=np.zeros(0, dtype=np.int64),
        shift=np.zeros((0, 3), dtype=np.int64),
        energy=np.zeros((n_species, n_species, 0), dtype=np.int64),
        own=np.zeros((n_species, *t.manner.shape), dtype=np.int64),
    )


def _surroundings(
    system: System, t: HopTables, slot: Integers, log_unit: float, *, interacting: bool
) -> tuple[Surroundings, float]:
    """What rates depend on, and a bound on the total of a site."""
    network, n_species = system.rates[0].network, len(system.rates)
    width, n = t.manner.shape[1], network.n_sites
    log_rate = np.zeros((n_species * n, width))
    barrier, rise = np.zeros_like(log_rate), np.zeros_like(log_rate)
    for number, one in enumerate(system.rates):
        own = one.network
        high = own.saddle_energy - own.energies[own.source]
        row = number * n + own.source
        log_rate[row, slot] = one.log_rates + high / one.kT - log_unit
        barrier[row, slot] = high
        rise[row, slot] = high - high[own.reverse]
    used = np.arange(width)[None, :] < np.tile(t.degree, n_species)[:, None]
    totals = (
        np.where(used, np.exp(np.minimum(log_rate, 600.0)), 0.0).sum(axis=1)
        if interacting
        else t.rate.sum(axis=1)
    )
    surroundings = Surroundings(
        interacting=interacting,
        log_rate=log_rate,
        barrier=barrier,
        rise=rise,
        thermal=system.rates[0].kT,
        field=np.zeros((n_species, 0), dtype=np.int64),
        shape=np.array(system.replicate, dtype=np.int64),
        stamp=np.zeros(1, dtype=np.int64),
        near=np.zeros(0, dtype=np.int32),
        arrive=np.zeros((0, 2)),
        leave=np.zeros((0, 2)),
        spare=np.zeros(1, dtype=np.int64),
    )
    return surroundings, float(totals.max()) * (1.0 + 1e-9)


def _check_ends(interactions: Any, open_axis: int, *, single: bool) -> None:
    if open_axis not in {0, 1, 2}:
        raise GraphError(f"open_axis is {open_axis!r}; choose 0, 1 or 2, a lattice vector")
    if interactions is not None or not single:
        raise GraphError("open ends are for one species without interactions; leave out source and drain")


def _reservoirs(system: System, t: HopTables, ends: Any, axis: int, log_unit: float) -> tuple[Floats, Floats]:
    """Rates (sites, 2) at which carriers arrive from outside and leave for it, at the two ends."""
    rates, n = system.rates[0], system.rates[0].network.n_sites
    network = rates.network
    kT = KB * rates.temperature
    arrive, leave = np.zeros((len(t.basis), 2)), np.zeros((len(t.basis), 2))
    cells = np.stack(np.unravel_index(np.arange(len(t.basis) // n), system.replicate), axis=1)
    speed = np.exp(rates.log_rates - log_unit)
    for hop in range(network.n_hops):
        end = cells[:, axis] + network.image[hop, axis]
        for side, outside in enumerate((end < 0, end >= system.replicate[axis])):
            reservoir = ends[side]
            if reservoir is None or not outside.any():
                continue
            ghost = network.target[hop]
            if reservoir.occupation is not None:
                taken = reservoir.occupation
            else:
                climb = (network.energies[ghost] - reservoir.chemical_potential) / kT
                taken = 1.0 / (1.0 + np.exp(np.clip(climb, -700, 700)))
            sites = np.nonzero(outside)[0] * n + network.source[hop]
            np.add.at(leave, (sites, side), speed[hop] * (1.0 - taken))
            np.add.at(arrive, (sites, side), speed[network.reverse[hop]] * taken)
    if not arrive.any() and not leave.any():
        raise GraphError(f"no hop leaves the repeated cell along direction {axis}; choose another open_axis")
    return arrive, leave


def energy_error(plan: Plan, seen: dict[str, Any]) -> float:
    """By how much the energies that were kept differ from sums over the last configuration, eV."""
    who = seen["who"]
    taken = np.nonzero(who >= 0)[0]
    species = np.repeat(np.arange(len(plan.counts)), plan.counts)
    if len(plan.surroundings.arrive):
        species = np.zeros(len(who), dtype=np.int64)
    site = int(plan.tables.energy[species[who[taken]], plan.tables.basis[taken]].sum())
    pair = 0
    if plan.pairs.energy.size:
        state = new_state(who, species, len(plan.counts), len(plan.tables.degree), np.uint64(1), np.uint64(0))
        pair = interaction_energy(
            state, pair_energies_at(plan.tables, plan.pairs, plan.surroundings.shape, state)
        )
    kept = seen["energy_end"]
    return abs(int(kept[0]) - site + int(kept[1]) - pair) * EV_PER_QUANTUM
