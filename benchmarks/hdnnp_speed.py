"""How long do energy and forces of a high-dimensional neural network potential take? Measured.

python -m benchmarks.hdnnp_speed [--data ../shared/data/n2p2] [--largest 100000] [--repeats 9] [--first]

Microseconds an atom (best of the repeats, in turns), the neighbour list apart, for n2p2's public potentials of
water (RPBE-D3) and Cu2S (PBE), repeated to about a thousand atoms: double and mixed precision, one thread (CPU
time) and two (wall time), a committee of four: its mean with the spread of energies, and with the forces of
every member; the list itself; the cost of water against the number of atoms and its exponent; the shipped
committee of silicon as molecular dynamics asks it. --first: seconds until a new machine, whose kernels are not
compiled, says the first energy of water.

The environment variable N2P2_PREDICT may name a program that evaluates the same structure with n2p2: called as
`program DIRECTORY INPUT_DATA REPEATS`, it prints `S n_atoms energy microseconds_per_atom`
(tests/reference/n2p2/time.cpp). Last, one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.build import bulk

from iondiff.neighbours import neighbour_table
from iondiff.potentials import engine, load
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.n2p2 import read_directory
from iondiff.potentials.network import Network

SYSTEMS = {"h2o_rpbe-d3": (3, 2, 1), "cu2s_pbe": (2, 2, 2)}


class Structure:
    """The first periodic structure of an input.data file, repeated; units of the file."""

    def __init__(self, path: Path, species: tuple[str, ...], times: tuple[int, int, int]) -> None:
        lattice, places, symbols = [], [], []
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["lattice"]:
                lattice.append([float(w) for w in words[1:4]])
            elif words[:1] == ["atom"]:
                places.append([float(w) for w in words[1:4]])
                symbols.append(words[4])
            elif words[:1] == ["end"]:
                break
        cell = np.array(lattice)
        shifts = np.array(list(np.ndindex(times))) @ cell
        self.positions = (np.array(places)[None] + shifts[:, None]).reshape(-1, 3)
        self.positions += 1e-3 * np.random.default_rng(0).normal(size=self.positions.shape)
        self.cell = cell * np.array(times)[:, None]
        self.symbols = symbols * len(shifts)
        self.species = np.array([species.index(s) for s in self.symbols])
        self.pbc = np.array([True] * 3)

    def write(self, path: Path) -> None:
        lines = ["begin"]
        lines += ["lattice " + " ".join(repr(float(x)) for x in row) for row in self.cell]
        lines += [
            f"atom {' '.join(repr(float(x)) for x in row)} {symbol} 0 0 0 0 0"
            for row, symbol in zip(self.positions, self.symbols, strict=True)
        ]
        path.write_text("\n".join([*lines, "energy 0", "charge 0", "end"]) + "\n")


Runs = dict[str, Callable[[], object]]


def best(runs: Runs, repeats: int, clock: Callable[[], float] = time.process_time) -> dict[str, float]:
    """Shortest of the repeats of each, s, taken in turns; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            begin = clock()
            run()
            times[name].append(clock() - begin)
    return {name: min(each[1:]) for name, each in times.items()}


def committee(potential: HDNNP, n_members: int) -> list[HDNNP]:
    """The potential with slightly different weights: the cost is that of a real committee."""
    generator = np.random.default_rng(1)
    members = []
    for _ in range(n_members):
        networks = tuple(
            Network(
                tuple(w * (1 + 0.01 * generator.normal(size=w.shape)) for w in n.weights),
                n.biases,
                n.activations,
            )
            for n in potential.networks
        )
        members.append(dataclasses.replace(potential, networks=networks))
    return members


def n2p2_microseconds(program: str, directory: Path, structure: Structure, repeats: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.data"
        structure.write(path)
        found = subprocess.run(
            [program, str(directory), str(path), str(repeats)], capture_output=True, text=True, check=True
        )
    return next(float(line.split()[3]) for line in found.stdout.splitlines() if line.startswith("S "))


def measure(name: str, data: Path, repeats: int) -> dict[str, float]:
    potential = read_directory(data / name)
    plan = engine.compile(potential).with_threads(1)
    s = Structure(data / name / "input.data", potential.species, SYSTEMS[name])
    table = neighbour_table(s.positions, s.cell, s.pbc, potential.cutoff)
    n = len(s.positions)

    def run(chosen: engine.Plan, each: bool = True) -> Callable[[], engine.Evaluation]:
        return lambda: engine.evaluate(
            chosen, s.positions, s.cell, s.pbc, s.species, table, member_forces=each
        )

    mixed = plan.with_precision("mixed")
    four = engine.compile(committee(potential, 4)).with_threads(1)
    alone = {
        "double": run(plan),
        "mixed": run(mixed),
        "committee_of_4": run(four, each=False),
        "and_forces_of_members": run(four),
        "neighbour_list": lambda: neighbour_table(s.positions, s.cell, s.pbc, potential.cutoff),
    }
    result = {"atoms": n, "neighbours": len(table[1]) / n}
    result |= {f"{key}_us": t / n * 1e6 for key, t in best(alone, repeats).items()}
    result["mixed_force_error"] = float(np.abs(run(plan)().forces - run(mixed)().forces).max())
    result["committee_of_4_over_one"] = result["committee_of_4_us"] / result["double_us"]
    result |= two_threads({"double": plan, "mixed": mixed}, run, repeats)
    program = os.environ.get("N2P2_PREDICT")
    if program:
        result["n2p2_us"] = n2p2_microseconds(program, data / name, s, repeats)
        result["n2p2_over_double"] = result["n2p2_us"] / result["double_us"]
        result["n2p2_over_mixed"] = result["n2p2_us"] / result["mixed_us"]
    return result


def two_threads(plans: dict[str, engine.Plan], run: Callable, repeats: int) -> dict[str, float]:
    """How many times as fast two threads are as one, by wall time."""
    speedups = {}
    for name, plan in plans.items():
        wall = best({"1": run(plan), "2": run(plan.with_threads(2))}, 3 * repeats, time.perf_counter)
        speedups[f"two_threads_{name}"] = wall["1"] / wall["2"]
    return speedups


def silicon(repeats: int) -> dict[str, float]:
    """The shipped committee, through the kernels that molecular dynamics calls; ms a step."""
    potential = load(Path(__file__).parents[1] / "case_studies/elements/Si.nnp")
    one, several = engine.compile(potential.members[0]), engine.compile(potential.members)
    result: dict[str, float] = {}
    for times in (2, 3):
        atoms = bulk("Si", cubic=True).repeat(times)
        atoms.positions += 0.2 * np.random.default_rng(0).normal(size=atoms.positions.shape)
        n = len(atoms)
        table = neighbour_table(atoms.positions, atoms.cell.array, atoms.pbc, potential.cutoff + 0.3)
        fixed = atoms.positions, atoms.cell.array, np.zeros(n, dtype=np.int64), *table
        results = np.empty((n, 3)), np.empty(n), np.empty((3, 3))

        def run(plan: engine.Plan, fixed: tuple = fixed, results: tuple = results) -> Callable[[], object]:
            kernel, integers, reals = plan.compiled()
            return lambda: kernel(*fixed, integers, reals, *results)

        plans = {"one": one, "committee": several, "mixed_committee": several.with_precision("mixed")}
        alone = {name: run(plan.with_threads(1)) for name, plan in plans.items()}
        found = {name: 1e3 * t for name, t in best(alone, 3 * repeats).items()}
        found["committee_over_one"] = found["committee"] / found["one"]
        found |= two_threads({"committee": several.with_threads(1)}, run, 3 * repeats)
        result |= {f"{n}_{key}": value for key, value in found.items()}
    return result


_FIRST = """
import sys, time
begin = time.perf_counter()
from iondiff.potentials import load
from iondiff.potentials.n2p2_data import read_structures
units = ("bohr", "hartree")
atoms = read_structures(sys.argv[1] + "/input.data", units)[0]
atoms.calc = load(sys.argv[1], units).calculator()
atoms.get_potential_energy()
print(time.perf_counter() - begin, time.process_time())
"""


def first_energy(data: Path) -> dict[str, float]:
    """Seconds until the first energy of water with nothing compiled, and in the next process."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in ("nothing_compiled", "next_process"):
            command = [sys.executable, "-c", _FIRST, str(data / "h2o_rpbe-d3")]
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            found[f"{name}_wall_s"], found[f"{name}_cpu_s"] = (float(x) for x in out.stdout.split())
    return found


def growth(data: Path, largest: int) -> dict[str, object]:
    name = "h2o_rpbe-d3"
    potential = read_directory(data / name)
    plan = engine.compile(potential).with_threads(1)
    rows = []
    for times in (1, 2, 3, 4, 6, 8):
        s = Structure(data / name / "input.data", potential.species, (times, times, times))
        n = len(s.positions)
        if n > largest:
            break
        table = neighbour_table(s.positions, s.cell, s.pbc, potential.cutoff)

        def run(s=s, table=table):
            engine.evaluate(plan, s.positions, s.cell, s.pbc, s.species, table)

        rows.append((n, best({"": run}, 3 if n < 10_000 else 1)[""]))
    atoms, seconds = np.array(rows).T
    exponent = float(np.polyfit(np.log(atoms), np.log(seconds), 1)[0])
    return {"atoms": atoms.tolist(), "us_per_atom": (seconds / atoms * 1e6).tolist(), "exponent": exponent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/n2p2"))
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--first", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, object] = {}

    def tell(name: str, found: dict[str, float]) -> None:
        results[name] = found
        print(name)
        for key, value in found.items():
            print(f"  {key:26s} {value:12.4g}", flush=True)

    for name in SYSTEMS:
        tell(name, measure(name, arguments.data, arguments.repeats))
    tell("silicon, ms a step", silicon(arguments.repeats))
    if arguments.first:
        tell("first energy", first_energy(arguments.data))
    grown = growth(arguments.data, arguments.largest)
    results["growth"] = grown
    print("atoms and CPU microseconds an atom, water, double:")
    for n, us in zip(grown["atoms"], grown["us_per_atom"], strict=True):
        print(f"  {int(n):8d} {us:8.2f}")
    print(f"  exponent {grown['exponent']:.3f}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
