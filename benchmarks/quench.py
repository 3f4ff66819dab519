"""How long a melt-quench of silicon takes, and how much of it is not the forces.

python -m benchmarks.quench [--potential FILE] [--steps 1000]

Without FILE (anything that `iondiff.potentials.load` reads) the potential is Stillinger-Weber's. Last one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ase.build import bulk

from iondiff.dynamics import run
from iondiff.dynamics._drivers import CompiledDriver
from iondiff.dynamics._setup import make_rules, make_state
from iondiff.dynamics.ensembles import as_ensemble
from iondiff.dynamics.schedules import Ramp
from iondiff.potentials import load
from iondiff.potentials.classical import StillingerWeber

MELT, END, STEP_FS = 2500.0, 300.0, 2.0
RATES = (1e13, 1e12, 1e11)


def row(repeat: int, potential: Any, steps: int) -> dict[str, Any]:
    """One size: CPU seconds for 1000 steps of the hot liquid in NPT, share outside the forces, hours for each rate."""
    atoms = bulk("Si", cubic=True) * ((repeat,) * 3)
    liquid = run(atoms, potential, "nvt", STEP_FS, 1000, 2 * MELT, every=10**6).atoms
    flat, zero = Ramp(((0.0, MELT),)), Ramp(((0.0, 0.0),))
    rules = make_rules(liquid, as_ensemble("npt"), STEP_FS, 1.0, flat, zero, True, (None, (0.3, 3.0), 0.5))
    state = make_state(liquid, rules, float(rules.temperatures[0, 1]), 0)
    driver = CompiledDriver(potential, liquid, 0.8)
    driver.begin(state)
    begin, wall = time.process_time(), time.perf_counter()
    run(liquid, potential, "npt", STEP_FS, steps, MELT, every=200)
    whole, wall = time.process_time() - begin, time.perf_counter() - wall
    begin = time.process_time()
    for _ in range(max(5, steps // 20)):
        driver.begin(state)
    forces = (time.process_time() - begin) / max(5, steps // 20) * steps
    each = whole / steps
    hours = {f"{rate:.0e}": (MELT - END) / rate * 1e15 / STEP_FS * each / 3600 for rate in RATES}
    return {
        "atoms": len(atoms),
        "cpu_s_per_1000_steps": 1000 * each,
        "wall_s_per_1000_steps": 1000 * wall / steps,
        "share_outside_forces": max(0.0, 1.0 - forces / whole),
        "cpu_hours_by_rate_K_per_s": hours,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--potential")
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    potential: Any = load(arguments.potential) if arguments.potential else StillingerWeber()
    rows = [row(repeat, potential, arguments.steps) for repeat in (2, 3)]
    last = f"CPU hours from {MELT:g} to {END:g} K at a rate (K/s)"
    print(f"{'atoms':>6} {'CPU s/1000 steps':>18} {'outside forces':>15}   {last}")
    for one in rows:
        hours = ", ".join(f"{rate}: {value:.3g}" for rate, value in one["cpu_hours_by_rate_K_per_s"].items())
        share = f"{one['share_outside_forces']:>15.1%}"
        print(f"{one['atoms']:>6} {one['cpu_s_per_1000_steps']:>18.3g} {share}   {hours}")
    name = arguments.potential or "Stillinger-Weber"
    print(json.dumps({"benchmark": "quench", "potential": name, "timestep_fs": STEP_FS, "rows": rows}))


if __name__ == "__main__":
    main()
