"""One replica of a lattice gas, block by block; stopped and resumed to the same bits."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kmc import checkpoints
from kmc._gas_active import active_hops, start_active
from kmc._gas_choice import Choice, Surroundings, new_choice
from kmc._gas_null import make_lines, null_hops, sort_walkers
from kmc._gas_rules import BarrierRule, compiled_rule
from kmc._gas_start import starting_sites
from kmc._gas_state import ATTEMPTS, CLOCK, GasState, close_block, empty_windings, new_state, record
from kmc._gas_tables import LARGEST_FIELD, HopTables, unpack
from kmc.interactions import PairTables
from kmc.network import Floats, Integers


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run; plain arrays, so that it travels to other processes."""

    tables: HopTables
    log_unit: float
    pairs: PairTables
    surroundings: Surroundings
    algorithm: str
    vacancies: bool
    rule: str | BarrierRule
    fastest: float
    log_weights: Floats
    counts: tuple[int, ...]
    cell: Floats
    project: Floats
    exact_clock: bool
    seed: int
    boundaries: Integers
    blocks: int
    occupation_blocks: int

    @property
    def levels(self) -> int:
        """Block lengths that are looked at: 1, 2, 4, … blocks."""
        return self.blocks.bit_length()

    def fingerprint(self, replica: int) -> str:
        """Digest of everything that decides the bits of a replica."""
        rule = self.rule if isinstance(self.rule, str) else repr(getattr(self.rule, "__code__", self.rule))
        parts: list[Any] = [
            *self.tables,
            *self.pairs,
            *self.surroundings,
            self.log_weights,
            self.boundaries,
            self.log_unit,
        ]
        words = (
            f"{self.algorithm} {self.vacancies} {rule} {self.counts} {self.exact_clock} {self.seed} {replica}"
        )
        return checkpoints.fingerprint(*parts, np.frombuffer(words.encode(), dtype=np.uint8))


def results_of(plan: Plan) -> dict[str, Any]:
    """Room for what a replica will have seen."""
    fine, species, basis = len(plan.boundaries) - 1, *plan.log_weights.shape
    n = sum(plan.counts)
    shape = (plan.levels, plan.blocks, species)
    return {
        "durations": np.zeros(fine),
        "moved": np.zeros((fine, species, 3)),
        "squared": np.zeros(fine),
        "energy": np.zeros((fine, 2), dtype=np.int64),
        "crossings": np.zeros((fine, 4)),
        "squares": np.zeros((*shape, 3, 3)),
        "cross": np.zeros((*shape, 3, 3)),
        "fourth": np.zeros(shape),
        "occupied": np.zeros((plan.occupation_blocks, species, basis)),
        "occupied_time": np.zeros(plan.occupation_blocks),
        "origin": np.zeros((plan.levels, n, 3)),
        "last": np.zeros((plan.levels, n, 3)),
        "progress": np.zeros(2, dtype=np.int64),  # blocks done; 1 where nothing can move any more
    }


def run_replica(plan: Plan, replica: int, checkpoint: Path | None) -> dict[str, Any]:
    """Walk one replica and say what was seen."""
    roots = np.random.SeedSequence([plan.seed, replica])
    key, word = roots.generate_state(2, np.uint64)
    rng = np.random.default_rng(roots.spawn(1)[0])
    species = np.repeat(np.arange(len(plan.counts)), plan.counts)
    cells = len(plan.tables.basis) // len(plan.tables.degree)
    who = starting_sites(plan.log_weights, cells, list(plan.counts), rng)
    if len(plan.surroundings.arrive):
        # Room for as many carriers as there are sites; those that are outside wait in `spare`.
        plan = _with_room(plan, len(who))
        species = np.zeros(len(who), dtype=np.int64)
    state = new_state(who, species, len(plan.counts), len(plan.tables.degree), key | np.uint64(1), word)
    state.energy[0] = plan.tables.energy[species[who[who >= 0]], plan.tables.basis[who >= 0]].sum()
    engine: _Null | _Active = _Null(plan, state) if plan.algorithm == "null-event" else _Active(plan, state)
    results = results_of(plan)
    _first_origin(plan, state, results)
    arrays = {f"state_{name}": array for name, array in state._asdict().items()}
    arrays |= {f"engine_{name}": array for name, array in engine.arrays().items()} | results
    identity = plan.fingerprint(replica) if checkpoint else ""
    if checkpoint is not None and checkpoint.exists():
        checkpoints.load_into(checkpoint, identity, arrays)
    saved = time.monotonic()
    while results["progress"][0] < plan.blocks and not results["progress"][1]:
        _one_block(plan, state, engine, results)
        ended = results["progress"][0] == plan.blocks or results["progress"][1]
        if checkpoint is not None and (ended or time.monotonic() - saved > checkpoints.INTERVAL):
            checkpoints.save_arrays(checkpoint, identity, arrays)
            saved = time.monotonic()
    empty_windings(state)
    kept = {name: results[name] for name in results if name not in {"origin", "last"}}
    return kept | {
        "made": state.wind[:, 1].copy(),
        "attempts": state.sums[ATTEMPTS],
        "who": state.who,
        "cells": state.cells,
        "energy_end": state.energy.copy(),
    }


def _with_room(plan: Plan, sites: int) -> Plan:
    """With numbers for as many carriers as there are sites."""
    n = sum(plan.counts)
    spare = np.concatenate([np.arange(sites - 1, n - 1, -1), np.zeros(n), [sites - n]]).astype(np.int64)
    surroundings = plan.surroundings._replace(spare=spare)
    return replace(plan, surroundings=surroundings, counts=(sites,))


def _first_origin(plan: Plan, state: GasState, results: dict[str, Any]) -> None:
    nothing = np.zeros((plan.levels, len(plan.log_weights), 3, 3))
    if len(plan.surroundings.arrive):
        return
    record(
        plan.tables,
        state,
        plan.project,
        plan.cell,
        results["origin"],
        results["last"],
        plan.levels,
        nothing,
        nothing.copy(),
        nothing[..., 0, 0].copy(),
    )
    results["last"][:] = 0.0


def _one_block(plan: Plan, state: GasState, engine: _Null | _Active, results: dict[str, Any]) -> None:
    done = int(results["progress"][0])
    fine = (len(plan.boundaries) - 1) // plan.blocks
    mine = slice(done * fine, (done + 1) * fine)
    seen = [results[name][mine] for name in ("durations", "moved", "squared", "energy", "crossings")]
    moving = engine.walk(np.diff(plan.boundaries)[mine], seen)
    results["progress"][0] += 1
    ends = int(np.gcd(done + 1, plan.blocks)).bit_length()  # block lengths 1, 2, 4, … that end here
    every = plan.blocks // plan.occupation_blocks
    if not len(plan.surroundings.arrive):
        record(
            plan.tables,
            state,
            plan.project,
            plan.cell,
            results["origin"],
            results["last"],
            ends,
            *(results[name][:, done] for name in ("squares", "cross", "fourth")),
        )
    results["occupied_time"][done // every] += state.sums[CLOCK]
    close_block(plan.tables, state, results["occupied"][done // every])
    if not moving:
        results["progress"][1] = 1


class _Null:
    """The null-event algorithm on a state."""

    def __init__(self, plan: Plan, state: GasState):
        self.plan, self.state, self.room = plan, state, _room(plan.tables)
        self.walkers = sort_walkers(plan.tables, state.who, state.species, vacancies=plan.vacancies)
        self.lines = make_lines(plan.tables)

    def arrays(self) -> dict[str, Any]:
        """What changes."""
        return dict(self.walkers._asdict())

    def walk(self, hops: Integers, seen: list[Any]) -> bool:
        """Blocks of so many hops each; False where nothing can move any more."""
        plan = self.plan
        return bool(
            null_hops(
                plan.tables,
                self.state,
                self.walkers,
                self.lines,
                hops,
                self.room,
                plan.vacancies,
                plan.exact_clock,
                tuple(seen),
            )
        )


class _Active:
    """The algorithms that know all rates, on a state."""

    def __init__(self, plan: Plan, state: GasState):
        self.plan, self.state, self.room = plan, state, _room(plan.tables)
        sites, width = plan.tables.target.shape
        one = plan.surroundings
        self.surroundings = one._replace(
            field=np.zeros((len(plan.counts), sites), dtype=np.int64),
            stamp=np.zeros(sites + 1, dtype=np.int64),
            near=np.zeros(sites, dtype=np.int32),
            spare=one.spare.copy(),
        )
        self.choice: Choice = new_choice(sites, width, plan.fastest, tree=plan.algorithm == "sum-tree")
        self.rule = compiled_rule(plan.rule)
        start_active(plan.tables, state, plan.pairs, self.surroundings, self.choice, self.rule)
        state.energy[1] = interaction_energy(state, self.surroundings.field)

    def arrays(self) -> dict[str, Any]:
        """What changes."""
        changing = {name: getattr(self.surroundings, name) for name in ("field", "stamp", "near", "spare")}
        return changing | dict(self.choice._asdict())

    def walk(self, hops: Integers, seen: list[Any]) -> bool:
        """Blocks of so many hops each; False where nothing can move any more."""
        plan = self.plan
        arguments = (plan.tables, self.state, plan.pairs, self.surroundings, self.choice, self.rule)
        return bool(active_hops(*arguments, hops, self.room, plan.exact_clock, tuple(seen)))


def interaction_energy(state: GasState, field: Any) -> int:
    """Σ over pairs of carriers, in quanta, from scratch; every pair counts once."""
    sites = np.nonzero(state.who >= 0)[0]
    return int(field[state.species[state.who[sites]], sites].sum()) // 2


def _room(t: HopTables) -> int:
    """Hops after which packed windings must be emptied."""
    distinct = np.zeros((len(t.winding), 3), dtype=np.int64)
    for row, packed in zip(distinct, t.winding, strict=True):
        unpack(row, packed)
    return int(LARGEST_FIELD // max(1, np.abs(distinct).max()))
