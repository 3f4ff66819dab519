"""Is the error bar true? Coverage, spread and cost of diffusivities from synthetic trajectories with known D.

python -m benchmarks.diffusivity [--trajectories 1000] [--others 40] [--no-large]

Kinds of motion: `benchmarks/trajectories.py`. coverage: share of nominal 95 % intervals that hold the truth;
refused: share of trajectories called too short (not counted in the coverage); spread: standard deviation of D
over the truth; bound: Cramér-Rao, where it is known in closed form. Other codes run in environments of their
own, whose interpreters the variables KINISI_PYTHON, PYMATGEN_PYTHON and GEMDAT_PYTHON name; without them
their rows say so. Last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
import warnings

import numpy as np

from benchmarks import trajectories
from iondiff.analysis import NotDiffusiveError, diffusivity
from iondiff.analysis._window import curvature_axis

CM2_S = trajectories.CM2_PER_S


def with_cell(maker, **options):
    walk, D, cells = maker(**options)
    return {"positions": walk, "cell": cells}, D


def plain(maker, **options):
    walk, D = maker(**options)
    return {"positions": walk}, D


def triclinic(rng, frames=500, atoms=16, D=0.05):
    walk, D = trajectories.brownian(rng, frames, atoms, D)
    return (
        (walk @ np.linalg.inv(trajectories.TRICLINIC) % 1.0) @ trajectories.TRICLINIC,
        D,
        trajectories.TRICLINIC,
    )


def wandering(rng, frames=500, atoms=32, D=0.05, wander=0.2):
    walk, D = trajectories.brownian(rng, frames, atoms, D)
    return walk + np.cumsum(rng.normal(0.0, wander, (frames, 1, 3)), axis=0), D


def rattled(rng, noise=0.1, **options):
    walk, D = trajectories.lattice_gas(rng, **options)
    return walk + rng.normal(0.0, noise, walk.shape), D


T = trajectories
CASES = {
    "Brownian": (plain, T.brownian, {"frames": 1000, "atoms": 16}),
    "Brownian, noise": (plain, T.brownian, {"frames": 1000, "atoms": 16, "noise": 0.5}),
    "Brownian, noise, 1 ion": (plain, T.brownian, {"frames": 400, "atoms": 1, "noise": 0.3}),
    "Brownian, short": (plain, T.brownian, {"frames": 60, "atoms": 4}),
    "cages": (plain, T.cages, {"frames": 1000, "atoms": 32}),
    "cages, slow": (plain, T.cages, {"frames": 2000, "atoms": 16, "rate": 0.03, "relaxation": 3.0}),
    "cages, back-jumps": (plain, T.cages, {"frames": 2000, "atoms": 32, "back": 0.3}),
    "cages, white": (plain, T.cages, {"frames": 500, "atoms": 8, "relaxation": 0.0}),
    "lattice gas, 1 vacancy": (plain, T.lattice_gas, {"vacancies": 1, "rate": 1.0}),
    "lattice gas, 6 of 64": (plain, T.lattice_gas, {"vacancies": 6}),
    "lattice gas, 20 of 64": (plain, T.lattice_gas, {"vacancies": 20, "rate": 0.1}),
    "lattice gas, rattling": (plain, rattled, {"vacancies": 6, "noise": 0.2}),
    "drift": (plain, T.drifting, {"frames": 500, "atoms": 8}),
    "wandering cell": (plain, wandering, {}),
    "NPT, wrapped": (with_cell, T.breathing, {"frames": 500, "atoms": 16}),
    "NPT, unwrapped": (with_cell, T.breathing, {"frames": 500, "atoms": 16, "wrapped": False}),
    "triclinic, wrapped": (with_cell, triclinic, {}),
}


def bound(frames: int, atoms: int, D: float = 0.05, noise: float = 0.0, **_: float) -> float:
    """Cramér-Rao bound on the relative error of D, D and the localisation noise both unknown."""
    s = curvature_axis(frames - 1)
    spectrum = 2.0 * D + noise**2 * s
    slopes = np.stack([np.full_like(s, 2.0 * D), s]) / spectrum
    information = 1.5 * atoms * slopes @ slopes.T
    return float(np.sqrt(np.linalg.inv(information)[0, 0]))


def coverage(name: str, count: int) -> dict[str, object]:
    """One kind of motion, `count` trajectories."""
    form, maker, options = CASES[name]
    rng = np.random.default_rng([len(name), 2026])
    inside, values, errors, seconds, refused = 0, [], [], 0.0, 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(count):
            given, D = form(maker, rng=rng, **options)
            begin = time.process_time()
            try:
                found = diffusivity(timestep_ps=1.0, **given)
            except NotDiffusiveError:
                refused += 1
                continue
            finally:
                seconds += time.process_time() - begin
            low, high = found.interval(0.95)
            inside += low < D * CM2_S < high
            values.append(float(found.value) / D / CM2_S)
            errors.append(float(found.error) / D / CM2_S)
    kept = max(len(values), 1)
    return {
        "kind": name,
        "coverage": inside / kept,
        "refused": refused / count,
        "bias": float(np.mean(values)) - 1.0,
        "spread": float(np.std(values)),
        "error": float(np.sqrt(np.mean(np.square(errors)))),
        "bound": bound(**options) if maker is T.brownian else None,
        "ms": 1e3 * seconds / count,
    }


# Run inside the other code's environment: reads positions and prints (D in cm²/s, error, CPU seconds) a
# trajectory.
LARGE = """
import resource, time, numpy as np
from iondiff.analysis import diffusivity
rng = np.random.default_rng(0)
walk = np.empty((100_000, 128, 3))
for i in range(128):
    walk[:, i] = np.cumsum(rng.normal(0, 0.3, (100_000, 3)), axis=0)
diffusivity(walk[:400, :4], timestep_ps=1.0) begin = time.process_time() found = diffusivity(walk,
timestep_ps=1.0) print(time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss /
2**20, found.value, found.error)
"""
KINISI = """
import sys, time, numpy as np
"""


def large() -> dict[str, float]:
    """100 000 frames of 128 atoms in a process of its own: CPU seconds, and peak GiB with the data."""
    from sys import executable

    done = subprocess.run(
        [executable, "-c", LARGE], capture_output=True, text=True, check=True, env=os.environ
    )
    seconds, memory, value, error = map(float, done.stdout.split())
    return {"cpu_s": seconds, "peak_GiB": memory, "D": value, "error": error, "truth": 0.045e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=1000)
    parser.add_argument("--others", type=int, default=40)
    parser.add_argument("--no-large", action="store_true")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    columns = ("coverage", "refused", "bias", "spread", "error", "bound", "ms")
    print(f"{'kind':26}" + "".join(f"{name:>10}" for name in columns))
    rows = []
    for name in CASES:
        if given.only not in name:
            continue
        rows.append(coverage(name, given.trajectories))
        cells = [f"{rows[-1][c]:10.4f}" if rows[-1][c] is not None else f"{'-':>10}" for c in columns]
        print(f"{name:26}" + "".join(cells), flush=True)
    size = None if given.no_large else large()
    print(json.dumps({"benchmark": "diffusivity", "rows": rows, "large": size}))


if __name__ == "__main__":
    main()
