"""One walker, in other people's programs and here: CPU nanoseconds a hop, in one run.

KMCPY_PYTHON=... LATTICE_MC_PYTHON=... KMCOS_PYTHON=... python -m benchmarks.kmc_others

Each variable names the interpreter of an environment of its own into which that package was installed. kmcos
generates Fortran from a model and needs gfortran; without it the table says so. Compiling is not counted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

import kmc
from benchmarks.disordered import disordered_network

HERE = Path(__file__).parent / "others"
TEMPERATURE = 600.0
WALKERS, HOPS = 64, 1_000_000


def ours(network) -> float:
    """The public door, tables and all, over enough hops for them not to matter; every thread counted."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        kmc.simulate(
            network,
            temperature=TEMPERATURE,
            n_walkers=WALKERS,
            n_hops=HOPS,
            seed=1,
            superbasins=False,
            clock="exponential",
        )
        times.append(time.process_time() - begin)
    return min(times) / (WALKERS * HOPS) * 1e9


def theirs(variable: str, driver: str, question: dict[str, object]) -> float | str:
    python = os.environ.get(variable)
    if python is None:
        return f"not run: {variable} is not set"
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"  # the tools that came with it
    done = subprocess.run(
        [python, str(HERE / driver)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )
    if done.returncode:
        return f"did not run: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
    return float(done.stdout.strip().splitlines()[-1])


def cubic(edge: int) -> kmc.Network:
    """A simple cubic lattice of one kind of hop, 1 Å apart."""
    sites = np.arange(edge**3).reshape(edge, edge, edge)
    place = np.stack(np.unravel_index(np.arange(edge**3), sites.shape), axis=1)
    source, target, image = [], [], []
    for axis in range(3):
        for sign in (1, -1):
            source.append(sites.ravel())
            target.append(np.roll(sites, -sign, axis).ravel())
            end = place[:, axis] + sign
            wound = np.zeros((edge**3, 3), np.int64)
            wound[:, axis] = np.floor_divide(end, edge)
            image.append(wound)
    n, m = edge**3, 6 * edge**3
    return kmc.Network(
        labels=tuple(range(n)),
        keys=(0,) * m,
        cell=np.eye(3) * edge,
        positions=place.astype(float),
        energies=np.zeros(n),
        source=np.concatenate(source),
        target=np.concatenate(target),
        image=np.concatenate(image),
        barrier=np.full(m, 0.3),
        saddle_energy=np.full(m, 0.3),
        prefactor=np.full(m, 1e13),
        reverse=reverse_of(np.concatenate(source), np.concatenate(target), np.concatenate(image)),
        saddle_fraction=np.full(m, 0.5),
    )


def reverse_of(source: np.ndarray, target: np.ndarray, image: np.ndarray) -> np.ndarray:
    where = {key: hop for hop, key in enumerate(zip(source, target, map(tuple, image), strict=True))}
    return np.array(
        [where[t, s, tuple(-i)] for s, t, i in zip(source, target, image, strict=True)], dtype=np.int64
    )


def main() -> None:
    network = disordered_network(29)
    rates = kmc.hop_rates(network, TEMPERATURE)
    question = {
        "sites": network.n_sites,
        "source": network.source.tolist(),
        "target": network.target.tolist(),
        "image": network.image.tolist(),
        "rate": np.exp(rates.log_rates).tolist(),
        "temperature": TEMPERATURE,
        "hops": 5_000,
    }
    lattice = {"edge": 8, "carriers": 1, "hops": 2_000}
    no_fortran = (
        None if shutil.which("gfortran") else "not run: it compiles Fortran, and there is no gfortran"
    )
    rows: list[tuple[str, str, float | str]] = [
        ("disordered, 29 sites", "here", ours(network)),
        ("disordered, 29 sites", "kmcpy", theirs("KMCPY_PYTHON", "drive_kmcpy.py", question)),
        ("simple cubic, 8x8x8", "here", ours(cubic(8))),
        ("simple cubic, 8x8x8", "lattice-mc", theirs("LATTICE_MC_PYTHON", "drive_lattice_mc.py", lattice)),
        (
            "disordered, 29 sites",
            "kmcos",
            no_fortran or theirs("KMCOS_PYTHON", "drive_kmcos_walk.py", question | {"hops": 1_000_000}),
        ),
    ]
    for problem, who, figure in rows:
        print(f"{problem:<22} {who:<12} {figure if isinstance(figure, str) else format(figure, '12.4g')}")
    print(json.dumps({"benchmark": "kmc_others", "unit": "ns CPU per hop", "rows": rows}))


if __name__ == "__main__":
    main()
