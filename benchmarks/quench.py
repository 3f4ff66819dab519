"""How long a melt-quench of silicon takes with the shipped potential, and how much of it is not the forces.

python -m benchmarks.quench [--potential FILE | --sw] [--steps 1000] [--member]

FILE is anything that `iondiff.potentials.load` reads; --member takes the first network of a committee. Hours are
those of the cooling alone, from 2500 to 300 K. Last one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numba
from ase.build import bulk

from iondiff.dynamics import run
from iondiff.dynamics._drivers import CompiledDriver
from iondiff.dynamics._setup import make_rules, make_state
from iondiff.dynamics.ensembles import as_ensemble
from iondiff.dynamics.schedules import Ramp
from iondiff.potentials import Committee, load
from iondiff.potentials.classical import StillingerWeber

SHIPPED = Path(__file__).parent.parent / "case_studies" / "elements" / "Si.nnp"
MELT, END, STEP_FS = 2500.0, 300.0, 2.0
RATES = (1e13, 1e12, 1e11)


def row(repeat: int, potential: Any, steps: int, threads: int) -> dict[str, Any]:
    """One size: seconds for 1000 steps of the hot liquid in NPT, share outside the forces, hours for each rate."""
    numba.set_num_threads(threads)  # before the potential is compiled
    atoms = bulk("Si", cubic=True) * ((repeat,) * 3)
    liquid = run(atoms, potential, "nvt", STEP_FS, 500, 2 * MELT, every=10**6).atoms
    flat, zero = Ramp(((0.0, MELT),)), Ramp(((0.0, 0.0),))
    rules = make_rules(liquid, as_ensemble("npt"), STEP_FS, 1.0, flat, zero, True, (None, (0.3, 3.0), 0.5))
    state = make_state(liquid, rules, float(rules.temperatures[0, 1]), 0)
    driver = CompiledDriver(potential, liquid, 0.8)
    driver.begin(state)
    run(liquid, potential, "npt", STEP_FS, 20, MELT)  # compiled by now
    begin, wall = time.process_time(), time.perf_counter()
    run(liquid, potential, "npt", STEP_FS, steps, MELT, every=200)
    whole, wall = time.process_time() - begin, time.perf_counter() - wall
    calls = max(5, steps // 10)
    begin = time.perf_counter()
    for _ in range(calls):
        driver.begin(state)
    forces = (time.perf_counter() - begin) / calls * steps
    hours = {f"{rate:.0e}": (MELT - END) / rate * 1e15 / STEP_FS * wall / steps / 3600 for rate in RATES}
    return {
        "atoms": len(atoms),
        "threads": threads,
        "wall_s_per_1000_steps": 1000 * wall / steps,
        "cpu_s_per_1000_steps": 1000 * whole / steps,
        "us_per_atom_and_step": 1e6 * wall / steps / len(atoms),
        "share_outside_forces": max(0.0, 1.0 - forces / wall),
        "wall_hours_by_rate_K_per_s": hours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potential", type=Path, default=SHIPPED)
    parser.add_argument("--sw", action="store_true", help="Stillinger-Weber's silicon instead")
    parser.add_argument("--member", action="store_true", help="the first network of a committee")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)})
    )
    arguments = parser.parse_args()

    def fresh() -> Any:  # a potential keeps the number of threads it was first asked with
        potential = StillingerWeber() if arguments.sw else load(arguments.potential)
        return potential.members[0] if arguments.member and isinstance(potential, Committee) else potential

    rows = [row(repeat, fresh(), arguments.steps, n) for repeat in (2, 3) for n in arguments.threads]
    head = f"{'atoms':>6} {'threads':>8} {'s/1000 steps':>13} {'outside forces':>15}"
    print(f"{head}   hours from {MELT:g} to {END:g} K at a rate (K/s)")
    for one in rows:
        hours = ", ".join(f"{rate}: {value:.3g}" for rate, value in one["wall_hours_by_rate_K_per_s"].items())
        share = f"{one['share_outside_forces']:>15.1%}"
        print(
            f"{one['atoms']:>6} {one['threads']:>8} {one['wall_s_per_1000_steps']:>13.3g} {share}   {hours}"
        )
    name = "Stillinger-Weber" if arguments.sw else arguments.potential.name
    one = fresh()
    size = len(one) if isinstance(one, Committee) else 1
    print(
        json.dumps(
            {"benchmark": "quench", "potential": name, "members": size, "timestep_fs": STEP_FS, "rows": rows}
        )
    )


if __name__ == "__main__":
    main()
