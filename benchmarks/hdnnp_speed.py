"""How long do energy and forces of a high-dimensional neural network potential take? Measured.

python -m benchmarks.hdnnp_speed [--data ../shared/data/n2p2] [--largest 100000] [--repeats 7]

CPU microseconds an atom (best of the repeats), the neighbour list apart, for n2p2's public potentials of
water (RPBE-D3) and Cu2S (PBE), repeated to about a thousand atoms: double and mixed precision, one thread and
two (wall time), committees of four with the forces of every member; the cost of water against the number of
atoms and its exponent. The environment variable N2P2_PREDICT may name a program that evaluates the same
structure with n2p2: called as `program DIRECTORY INPUT_DATA REPEATS`, it prints
`S n_atoms energy microseconds_per_atom`. Last, one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from iondiff.neighbours import neighbour_table
from iondiff.potentials import engine
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.n2p2 import read_directory
from iondiff.potentials.network import Network

SYSTEMS = {"h2o_rpbe-d3": (2, 2, 1), "cu2s_pbe": (2, 2, 2)}


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


def best(function, repeats: int, clock=time.process_time) -> float:
    """Shortest of the repeats, s; the first call is not counted."""
    function()
    times = []
    for _ in range(repeats):
        begin = clock()
        function()
        times.append(clock() - begin)
    return min(times)


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

    def cost(chosen, clock=time.process_time, each=True):
        def run():
            engine.evaluate(chosen, s.positions, s.cell, s.pbc, s.species, table, member_forces=each)

        return best(run, repeats, clock) / n * 1e6

    mixed = plan.with_precision("mixed")
    exact = engine.evaluate(plan, s.positions, s.cell, s.pbc, s.species, table)
    rough = engine.evaluate(mixed, s.positions, s.cell, s.pbc, s.species, table)
    four = engine.compile(committee(potential, 4)).with_threads(1)
    result = {
        "atoms": n,
        "neighbours": len(table[1]) / n,
        "double_us": cost(plan),
        "mixed_us": cost(mixed),
        "mixed_force_error": float(np.abs(exact.forces - rough.forces).max()),
        "one_thread_wall_us": cost(plan, time.perf_counter),
        "two_threads_wall_us": cost(plan.with_threads(2), time.perf_counter),
        "committee_of_4_us": cost(four),
        "its_mean_and_energies_us": cost(four, each=False),
    }
    program = os.environ.get("N2P2_PREDICT")
    if program:
        result["n2p2_us"] = n2p2_microseconds(program, data / name, s, repeats)
        result["n2p2_over_double"] = result["n2p2_us"] / result["double_us"]
        result["n2p2_over_mixed"] = result["n2p2_us"] / result["mixed_us"]
    return result


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

        rows.append((n, best(run, 3 if n < 10_000 else 1)))
    atoms, seconds = np.array(rows).T
    exponent = float(np.polyfit(np.log(atoms), np.log(seconds), 1)[0])
    return {"atoms": atoms.tolist(), "us_per_atom": (seconds / atoms * 1e6).tolist(), "exponent": exponent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/n2p2"))
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    for name in SYSTEMS:
        found = measure(name, arguments.data, arguments.repeats)
        results[name] = found
        print(name)
        for key, value in found.items():
            print(f"  {key:24s} {value:12.4g}")
    grown = growth(arguments.data, arguments.largest)
    results["growth"] = grown
    print("atoms and CPU microseconds an atom, water, double:")
    for n, us in zip(grown["atoms"], grown["us_per_atom"], strict=True):
        print(f"  {int(n):8d} {us:8.2f}")
    print(f"  exponent {grown['exponent']:.3f}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
