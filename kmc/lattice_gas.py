"""Many carriers on one hopping graph: no two on a site, energies between them if there are any.

The graph is one cell; it is repeated as arrays, never as Python objects. What is simulated is the same
continuous-time Markov chain whatever the algorithm; `Gas.algorithm` says which one was taken, and why not
another is in `docs/lattice_gas.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pandas as pd

from kmc import _gas_setup
from kmc._gas_choice import EV_PER_QUANTUM
from kmc._gas_equilibrium import discarded_blocks
from kmc._gas_rules import BarrierRule, compiled_rule
from kmc._gas_run import Plan, run_replica
from kmc.estimate import Estimate
from kmc.interactions import Interactions
from kmc.network import Floats, Graph, GraphError, Integers, Network
from kmc.percolation import Percolation, percolation
from kmc.rates import BarrierModel, Rates
from kmc.walkers import CLOCKS, count_of

ALGORITHMS = ("auto", "null-event", "active", "sum-tree")


@dataclass(frozen=True)
class Reservoir:
    """What holds carriers at an open end.

    The sites just outside are taken with the probability of Fermi and Dirac at this chemical potential, or
    with a fixed one, independently at every attempt.

    Attributes
    ----------
    occupation
        Probability that a site outside is taken, 0 to 1.
    chemical_potential
        eV; give this or `occupation`.
    """

    occupation: float | None = None
    chemical_potential: float | None = None

    def __post_init__(self) -> None:
        given = [x for x in (self.occupation, self.chemical_potential) if x is not None]
        if len(given) != 1 or not np.isfinite(given[0]):
            raise GraphError("a reservoir has an occupation (0 to 1) or a chemical potential (eV): give one")
        if self.occupation is not None and not 0.0 <= self.occupation <= 1.0:
            raise GraphError(f"a reservoir's occupation is {self.occupation!r}; wanted a number from 0 to 1")


@dataclass(frozen=True)
class Gas:
    """What many carriers did.

    Arrays of blocks begin with (replicas, fine blocks) or (replicas, blocks); a block is a number of fine
    blocks, all hold the same number of hops.

    Attributes
    ----------
    rates
        Of each species, on the cell that was repeated.
    species, counts, charges
        Names, carriers of each, and their charges in e.
    replicate
        How often the cell was repeated along each lattice vector.
    algorithm
        "null-event", "active" (composition and rejection over hops that can happen) or "sum-tree".
    walked
        "carriers", or "vacancies" where these were fewer.
    n_hops
        Hops of each replica, of all carriers together.
    clock, seed
        As in `kmc.simulate`.
    durations
        (replicas, fine), s.
    moved
        (replicas, fine, species, 3), Å: sum of all hops.
    squared
        (replicas, fine), Å²: sum of the squared lengths of all hops.
    energy
        (replicas, fine), eV: site and interaction energies of all carriers at the end of each fine block.
    squares, cross, fourth
        (replicas, levels, blocks, species, 3, 3) twice, (replicas, levels, blocks, species): Σ over carriers
        of ΔrΔrᵀ (Å²) over blocks of 1, 2, 4, … blocks, at the block where they end; the same with the one
        before; ‖Δr‖⁴ (Å⁴).
    occupied, occupied_time
        (replicas, occupation blocks, species, sites), s summed over cells, and (replicas, occupation blocks),
        s.
    crossings
        (replicas, fine, 4): carriers in and out at the left end, in and out at the right end.
    made
        (replicas, carriers), hops of each.
    attempts
        (replicas,), trials, those in which nothing happened included.
    sites
        (replicas, carriers), site of the repeated cell on which each ended.
    discarded
        Blocks at the beginning, before equilibrium, that no result uses.
    equilibrated
        False where the run still drifts.
    stuck
        Whether some replica came to a state that nothing can leave.
    field
        (3,), V/Å, or None.
    open_axis
        Lattice direction with open ends, or None.
    """

    rates: tuple[Rates, ...]
    species: tuple[str, ...]
    counts: tuple[int, ...]
    charges: tuple[float, ...]
    replicate: tuple[int, int, int]
    algorithm: str
    walked: str
    n_hops: int
    clock: str
    seed: int
    durations: Floats
    moved: Floats
    squared: Floats
    energy: Floats
    squares: Floats
    cross: Floats
    fourth: Floats
    occupied: Floats
    occupied_time: Floats
    crossings: Floats
    made: Integers
    attempts: Floats
    sites: Integers
    energy_error: float
    discarded: int
    equilibrated: bool
    stuck: bool
    interacting: bool
    field: Floats | None
    open_axis: int | None

    @property
    def network(self) -> Network:
        """The cell that was repeated (of the first species)."""
        return self.rates[0].network

    @property
    def temperature(self) -> float:
        """K."""
        return self.rates[0].temperature

    @property
    def n_carriers(self) -> int:
        """Carriers of all species (at the beginning, where ends are open)."""
        return sum(self.counts)

    @property
    def n_sites(self) -> int:
        """Sites of the repeated cell."""
        return self.network.n_sites * int(np.prod(self.replicate))

    @property
    def cell(self) -> Floats:
        """The repeated cell: (3, 3), Å."""
        repeated: Floats = np.array(self.replicate)[:, None] * self.network.cell
        return repeated

    @property
    def volume(self) -> float:
        """Of the repeated cell, Å³."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def replicas(self) -> int:
        """Independent runs."""
        return len(self.durations)

    @property
    def blocks(self) -> int:
        """Blocks of a replica."""
        return int(self.squares.shape[2])

    @cached_property
    def percolation(self) -> Percolation:
        """Percolation of the graph (of the first species), whatever the carriers did."""
        return percolation(self.network)

    @property
    def efficiency(self) -> float:
        """Hops per trial."""
        return float(self.made.sum() / max(self.attempts.sum(), 1.0))

    def occupation(self) -> Estimate:
        """Share of time each site of the cell is taken, over all its copies: (species, sites)."""
        blocks = self.occupied.shape[1]
        first = -(-self.discarded * blocks // self.blocks)
        time = self.occupied_time[:, first:].reshape(-1)
        taken = self.occupied[:, first:].reshape(-1, *self.occupied.shape[2:])
        taken, time = taken[time > 0], time[time > 0]
        cells = float(np.prod(self.replicate))
        share = taken.sum(axis=0) / (time.sum() * cells)
        left = taken / cells - time[:, None, None] * share
        n = len(time)
        spread = np.sqrt((left**2).sum(axis=0) * n / max(n - 1, 1)) / time.sum()
        # Blocks in a row know of each other: neighbours' products count too, where they add.
        pairs = np.zeros_like(share)
        for replica in np.split(left, self.replicas) if n % self.replicas == 0 else [left]:
            pairs += (replica[1:] * replica[:-1]).sum(axis=0)
        spread = np.sqrt(spread**2 + 2.0 * np.maximum(pairs, 0.0) / time.sum() ** 2)
        return Estimate(share, spread, float(max(n - 1, 1)))

    def occupations(self) -> pd.DataFrame:
        """The same as a table: node, species, energy (eV), occupation, error."""
        estimate = self.occupation()
        rows = []
        for number, name in enumerate(self.species):
            energies = self.rates[number].network.energies
            rows.append(
                pd.DataFrame(
                    {
                        "node": pd.Series(list(self.network.labels), dtype=object),
                        "species": name,
                        "energy": energies,
                        "occupation": np.asarray(estimate.value)[number],
                        "error": np.asarray(estimate.error)[number],
                    }
                )
            )
        return pd.concat(rows, ignore_index=True)

    def summary(self) -> dict[str, Any]:
        """How the run went: algorithm, equilibration, percolation, trapping."""
        return {
            "algorithm": self.algorithm,
            "walked": self.walked,
            "hops_per_trial": self.efficiency,
            "carriers": self.n_carriers,
            "sites": self.n_sites,
            "time_s": float(self.durations.sum()),
            "hops_per_carrier": float(self.made.sum() / max(self.made.size, 1)),
            "never_moved": float((self.made == 0).mean()),
            "discarded": self.discarded / self.blocks,
            "equilibrated": self.equilibrated,
            "stuck": self.stuck,
            "percolates_in": self.percolation.rank,
            "confined": float(self._confined()),
            "energy_error_eV": self.energy_error,
        }

    def _confined(self) -> float:
        """Share of the carriers that live in parts of the graph that lead nowhere."""
        component = self.rates[0].component[self.sites % self.network.n_sites]
        return float((self.percolation.components["rank"].to_numpy()[component] == 0).mean())


def simulate_gas(
    graph: Graph | Network | Mapping[str, Graph | Network],
    n_carriers: int | Mapping[str, int] | None = None,
    temperature: float | None = None,
    *,
    occupancy: float | Mapping[str, float] | None = None,
    replicate: Sequence[int] = (1, 1, 1),
    n_hops: int = 1_000_000,
    seed: int = 0,
    replicas: int = 1,
    algorithm: str = "auto",
    clock: str = "mean",
    interactions: Interactions | None = None,
    cutoff: float | None = None,
    barrier_rule: str | BarrierRule = "kinetically-resolved",
    field: Sequence[float] | Floats | None = None,
    charge: float | Mapping[str, float] = 1.0,
    source: Reservoir | None = None,
    drain: Reservoir | None = None,
    open_axis: int = 0,
    prefactor: str = "graph",
    barriers: BarrierModel | None = None,
    checkpoint: str | Path | None = None,
    executor: Executor | None = None,
    threads: int | None = None,
) -> Gas:
    """Walk many carriers that exclude each other through a repeated hopping graph.

    Parameters
    ----------
    graph
        A hopping graph (contract 2), or one for each species: the same nodes and hops, other energies.
    n_carriers, occupancy
        Carriers in the repeated cell, or the share of its sites they take; by species where there are
        several.
    temperature
        K.
    replicate
        How often the cell is repeated along each lattice vector.
    n_hops
        Hops of all carriers together, in each replica.
    seed, replicas
        Replica i draws from its own stream (seed, i); the answer does not depend on threads or executor.
    algorithm
        "auto", "null-event", "active" or "sum-tree".
    clock
        "mean" (less noise) or "exponential" (true waiting times).
    interactions
        Pair energies: [first shell, second shell, …] in eV, a function of the distance in Å (with `cutoff`),
        `ScreenedCoulomb`, or {(species, species): one of these}.
    cutoff
        Å, of functions of distance.
    barrier_rule
        "kinetically-resolved": a barrier changes by half of what the end feels more than the start.
        "initial-state": it falls by what the start feels. Or a function (barrier, before, after) -> barrier,
        in eV, with the interaction energies of the carrier before and after the hop. No barrier is lower than
        nothing or than the climb.
    field, charge
        V/Å, and e (by species).
    source, drain
        Reservoirs at the lower and upper end of the direction `open_axis`, which is then not periodic.
    prefactor, barriers
        As in `kmc.rates.hop_rates`.
    checkpoint
        A file to save the state to every few seconds (one for each replica); where it exists, the run goes on
        from there, to the same bits.
    executor
        Any `concurrent.futures.Executor`; one replica is one task. None: threads.
    threads
        At most this many; None: as many as Numba was told to use.

    Returns
    -------
    Gas
        For `kmc.tracer_diffusivity`, `charge_diffusivity`, `haven_ratio`, `correlation_factor`,
        `conductivity`, `mobility`, `current`.

    Raises
    ------
    GraphError
        The graph is not sound or an argument does not fit.
    """
    if algorithm not in ALGORITHMS:
        raise GraphError(f"algorithm is {algorithm!r}; choose one of {', '.join(ALGORITHMS)}")
    if clock not in CLOCKS:
        raise GraphError(f"clock is {clock!r}; choose 'mean' or 'exponential'")
    n_hops, replicas = count_of("n_hops", n_hops), count_of("replicas", replicas)
    compiled_rule(barrier_rule)
    if temperature is None:
        raise GraphError("no temperature was given; say temperature=, in K")
    for name, end in (("source", source), ("drain", drain)):
        if end is not None and not isinstance(end, Reservoir):
            raise GraphError(
                f"{name} is {end!r}; wanted kmc.Reservoir(occupation=…) or (chemical_potential=…)"
            )
    if threads is not None:
        threads = count_of("threads", threads)
    system = _gas_setup.describe(
        graph,
        n_carriers,
        occupancy,
        temperature,
        replicate,
        charge,
        field,
        prefactor,
        barriers,
        source,
        drain,
    )
    plan = _gas_setup.make_plan(
        system,
        n_hops=n_hops,
        seed=seed,
        algorithm=algorithm,
        exact_clock=clock == "exponential",
        interactions=interactions,
        cutoff=cutoff,
        rule=barrier_rule,
        ends=(source, drain) if source is not None or drain is not None else None,
        open_axis=open_axis,
    )
    seen = _run(plan, replicas, checkpoint, executor, threads)
    return _collect(
        system, plan, seen, n_hops, clock, None if source is None and drain is None else open_axis
    )


def _run(
    plan: Plan, replicas: int, checkpoint: str | Path | None, executor: Executor | None, threads: int | None
) -> list[dict[str, Any]]:
    files: list[Path | None] = [None] * replicas
    if checkpoint is not None:
        path = Path(checkpoint)
        files = [path.with_name(f"{path.name}.{i}") if i else path for i in range(replicas)]
    task = partial(run_replica, plan)
    if executor is not None:
        return list(executor.map(task, range(replicas), files))
    workers = min(threads or numba.get_num_threads(), replicas)
    if workers <= 1:
        return [task(i, file) for i, file in enumerate(files)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(task, range(replicas), files))


def _collect(
    system: _gas_setup.System,
    plan: Plan,
    seen: list[dict[str, Any]],
    n_hops: int,
    clock: str,
    open_axis: int | None,
) -> Gas:
    def stack(name: str) -> Any:
        return np.array([one[name] for one in seen])

    second = np.exp(-plan.log_unit)
    durations = stack("durations") * second
    energy = stack("energy") * EV_PER_QUANTUM
    crossings = stack("crossings")
    series = [energy.sum(axis=2)] if energy.any() else []
    exact_start = len(system.species) == 1 and plan.pairs.energy.size == 0 and open_axis is None
    exact_start &= system.field is None and np.ptp(plan.log_weights) == 0.0
    if open_axis is not None:
        series.append((crossings @ np.array([1.0, -1.0, 1.0, -1.0])).cumsum(axis=1))
    done = min(int(one["progress"][0]) for one in seen)
    discarded, calm = (0, True) if exact_start else discarded_blocks(durations, series, plan.blocks)
    sites = np.full((len(seen), sum(plan.counts)), -1, dtype=np.int64)
    if open_axis is None:
        for row, one in zip(sites, seen, strict=True):
            taken = np.nonzero(one["who"] >= 0)[0]
            row[one["who"][taken]] = taken
    return Gas(
        rates=system.rates,
        species=system.species,
        counts=system.counts,
        charges=system.charges,
        replicate=system.replicate,
        algorithm=plan.algorithm,
        walked="vacancies" if plan.vacancies else "carriers",
        n_hops=n_hops,
        clock=clock,
        seed=plan.seed,
        durations=durations,
        moved=stack("moved"),
        squared=stack("squared"),
        energy=energy.sum(axis=2),
        squares=stack("squares"),
        cross=stack("cross"),
        fourth=stack("fourth"),
        occupied=stack("occupied") * second,
        occupied_time=stack("occupied_time") * second,
        crossings=crossings,
        made=stack("made"),
        attempts=stack("attempts"),
        sites=sites,
        energy_error=max(_gas_setup.energy_error(plan, one) for one in seen),
        discarded=discarded,
        equilibrated=calm,
        stuck=done < plan.blocks or any(one["progress"][1] for one in seen),
        interacting=plan.pairs.energy.size > 0,
        field=system.field,
        open_axis=open_axis,
    )
