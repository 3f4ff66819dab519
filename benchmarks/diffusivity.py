"""Is the error bar true? Coverage, spread and cost of diffusivities from synthetic trajectories with known D.

python -m benchmarks.diffusivity [--trajectories 1000] [--others 40] [--no-large] [--disk FOLDER] [--only KIND]

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
import sys
import tempfile
import time
import warnings
from pathlib import Path

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


# A process of its own, so that its memory is its own: CPU seconds, memory (GiB) beyond the data, D, its error.
LARGE = """
import resource, time, numpy as np
from iondiff.analysis import diffusivity
rng = np.random.default_rng(0)
walk = np.empty((100_000, 128, 3))
for i in range(128):
    walk[:, i] = np.cumsum(rng.normal(0, 0.3, (100_000, 3)), axis=0)
diffusivity(walk[:400, :4], timestep_ps=1.0)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.process_time()
found = diffusivity(walk, timestep_ps=1.0)
seconds = time.process_time() - begin
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
print(seconds, grown, found.value, found.error)
"""
# 100 000 frames of 1000 atoms in a file, 2.4 GB: CPU seconds, peak GiB of the whole process, D, its error.
ON_DISK = """
import resource, sys, time, numpy as np
from iondiff.analysis import diffusivity
rng = np.random.default_rng(0)
shape = (100_000, 1000, 3)
walk = np.lib.format.open_memmap(sys.argv[1], "w+", np.float64, shape)
place = np.zeros((1000, 3))
for start in range(0, 100_000, 1000):
    path = place + np.cumsum(rng.normal(0, 0.3, (1000, 1000, 3)), axis=0)
    walk[start : start + 1000], place = path, path[-1]
    walk.flush()
    walk._mmap.madvise(4)
del walk
begin = time.process_time()
found = diffusivity(np.load(sys.argv[1], mmap_mode="r"), timestep_ps=1.0)
seconds = time.process_time() - begin
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, found.value, found.error)
"""
# Run inside the other code's environment: reads (trajectories, frames, atoms, 3) and prints for each the
# interval of D in cm²/s and CPU seconds.
READ = """
import sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
walks, start = np.load(sys.argv[1]), float(sys.argv[2])
edge = 1e4
"""
SAY = """
for walk in walks:
    begin = time.process_time()
    low, high = interval(walk)
    print("ROW", low, high, time.process_time() - begin)
"""
KINISI = """
import scipp as sc
from ase import Atoms
from kinisi.analyze import DiffusionAnalyzer
def interval(walk):
    # A host of one atom far away that stays: kinisi takes the drift of the others out.
    still = np.broadcast_to(walk[:1].mean(axis=1, keepdims=True), (len(walk), 1, 3))
    walk = np.concatenate([walk, still], axis=1) + 0.5 * edge
    symbols = ["Li"] * (walk.shape[1] - 1) + ["O"]
    frames = [Atoms(symbols, frame, cell=[edge] * 3, pbc=True) for frame in walk]
    lags = np.unique(np.geomspace(1, len(walk) // 2, 50).astype(int)) * 1.0
    found = DiffusionAnalyzer.from_ase(
        frames, "Li", time_step=sc.scalar(1.0, unit="ps"), step_skip=sc.scalar(1, unit="dimensionless"),
        dt=sc.array(dims=["time interval"], values=lags, unit="ps"), progress=False,
    )
    found.diffusion(sc.scalar(start, unit="ps"), progress=False)
    samples = sc.to_unit(found.D, "cm^2/s").values
    return np.quantile(samples, [0.025, 0.975])
"""
PYMATGEN = """
from pymatgen.analysis.diffusion.analyzer import DiffusionAnalyzer
from pymatgen.core import Lattice, Structure
def interval(walk):
    still = np.zeros((1, 3))
    first = np.concatenate([walk[0], still]) + 0.5 * edge
    symbols = ["Li"] * walk.shape[1] + ["O"]
    structure = Structure(Lattice.cubic(edge), symbols, first, coords_are_cartesian=True)
    moved = np.concatenate([walk - walk[0], np.zeros((len(walk), 1, 3))], axis=1).transpose(1, 0, 2)
    found = DiffusionAnalyzer(structure, moved, "Li", 300, 1000, 1, smoothed="max")
    half = 1.96 * found.diffusivity_std_dev
    return found.diffusivity - half, found.diffusivity + half
"""
GEMDAT = """
from gemdat import Trajectory
from gemdat.metrics import TrajectoryMetricsStd
from pymatgen.core import Lattice, Species
def interval(walk):
    places = (walk + 0.5 * edge) / edge
    whole = Trajectory(
        species=[Species("Li")] * walk.shape[1], coords=places, lattice=Lattice.cubic(edge).matrix,
        constant_lattice=True, time_step=1e-12, metadata={"temperature": 300},
    )
    # Its error bar is the standard deviation over ten parts.
    found = TrajectoryMetricsStd(whole.split(10)).tracer_diffusivity(dimensions=3)
    half = 1.96 * found.std_dev
    return (found.n - half) * 1e4, (found.n + half) * 1e4
"""
OTHERS = {
    "kinisi": ("KINISI_PYTHON", KINISI),
    "pymatgen": ("PYMATGEN_PYTHON", PYMATGEN),
    "GEMDAT": ("GEMDAT_PYTHON", GEMDAT),
}
#: Where the motion is diffusive, in ps: kinisi wants to be told, and is told well.
ASKED = {"Brownian": 1.0, "Brownian, noise": 1.0, "cages": 10.0, "lattice gas, 1 vacancy": 10.0}


def other(code: str, kind: str, count: int) -> dict[str, object] | None:
    """Another code's intervals for `count` trajectories of one kind; None: it is not installed here."""
    variable, body = OTHERS[code]
    if not os.environ.get(variable):
        return None
    _, maker, options = CASES[kind]
    rng = np.random.default_rng([len(kind), 2026])
    made = [maker(rng=rng, **options) for _ in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walks.npy"
        np.save(path, np.array([walk for walk, _ in made]))
        done = subprocess.run(
            [os.environ[variable], "-c", READ + body + SAY, str(path), str(ASKED[kind])],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
        )  # fmt: skip
    if done.returncode:
        return {"kind": kind, "code": code, "failed": done.stderr.strip().splitlines()[-1]}
    rows = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("ROW")]
    low, high, seconds = np.array(rows, dtype=float).T
    truth = np.array([D for _, D in made]) * CM2_S
    middle = 0.5 * (low + high) / truth
    return {
        "kind": kind, "code": code, "coverage": float(np.mean((low < truth) & (truth < high))),
        "bias": float(middle.mean() - 1.0), "spread": float(middle.std()),
        "error": float(np.sqrt(np.mean(((high - low) / truth / 3.92) ** 2))), "ms": 1e3 * float(np.median(seconds)),
    }  # fmt: skip


def large() -> dict[str, float]:
    """100 000 frames of 128 atoms in memory."""
    return _alone("cpu_s", "GiB_beyond_data", LARGE)


def on_disk(folder: str) -> dict[str, float]:
    """100 000 frames of 1000 atoms, mapped."""
    path = Path(folder) / "large.npy"
    try:
        return _alone("cpu_s", "peak_GiB", ON_DISK, str(path))
    finally:
        path.unlink(missing_ok=True)


def _alone(first: str, second: str, script: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True, env=os.environ
    )
    names = (first, second, "D", "error")
    return dict(zip(names, map(float, done.stdout.split()), strict=True)) | {"truth": 0.045e-4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=1000)
    parser.add_argument("--others", type=int, default=40)
    parser.add_argument("--no-large", action="store_true")
    parser.add_argument("--disk", default="", help="folder with 2.4 GB to spare, for the trajectory on disk")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    columns = ("coverage", "refused", "bias", "spread", "error", "bound", "ms")
    print(f"{'kind':34}" + "".join(f"{name:>10}" for name in columns))
    rows = []
    for name in CASES:
        if given.only not in name:
            continue
        rows.append(coverage(name, given.trajectories))
        cells = [f"{rows[-1][c]:10.4f}" if rows[-1][c] is not None else f"{'-':>10}" for c in columns]
        print(f"{name:34}" + "".join(cells), flush=True)
    others = []
    for kind in ASKED:
        for code in OTHERS:
            row = other(code, kind, given.others) if given.others and given.only in kind else None
            if row is None:
                continue
            others.append(row)
            cells = [f"{row[c]:10.4f}" if c in row else f"{'-':>10}" for c in columns]
            print(f"{kind + ', ' + code:34}" + "".join(cells) + str(row.get("failed", "")), flush=True)
    size = None if given.no_large else large()
    disk = on_disk(given.disk) if given.disk else None
    print("100 000 frames of 128 atoms:", size, "\n100 000 frames of 1000 atoms on disk:", disk)
    print(
        json.dumps({"benchmark": "diffusivity", "rows": rows, "others": others, "large": size, "disk": disk})
    )


if __name__ == "__main__":
    main()
