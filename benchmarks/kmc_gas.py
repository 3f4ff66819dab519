"""How long does a hop of many carriers take? Beside lattice-mc where it is installed.

python -m benchmarks.kmc_gas [--hops 3000000] [--largest 100]

CPU nanoseconds a hop on one core (the mean over a run, and the best of its blocks), simple cubic lattices
with equal and with disordered rates. Every carrier's displacement is followed, occupations and collective
motion too. lattice-mc is run in an environment of its own: LATTICE_MC_PYTHON names its interpreter. kmcos
writes a Fortran program for every model; where it or its compiler is missing, its row says so. Last comes one
JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import kmc
from kmc import Network, _gas_run

HERE = Path(__file__).parent
TEMPERATURE = 600.0


def cubic(side: int, spread: float) -> tuple[Network, tuple[int, int, int]]:
    """Simple cubic: one site repeated, or side³ sites whose energies and saddles scatter by `spread`, eV."""
    n, repeated = (1, side) if spread == 0 else (side**3, 1)
    inner = 1 if spread == 0 else side
    cells = np.stack(np.unravel_index(np.arange(n), (inner,) * 3), axis=1)
    source = np.repeat(np.arange(n), 3)
    ends = cells[source] + np.tile(np.eye(3, dtype=np.int64), (n, 1))
    image, inside = ends // inner, ends % inner
    target = np.ravel_multi_index(tuple(inside.T), (inner,) * 3)
    rng = np.random.default_rng(0)
    energies = rng.normal(0.0, spread, n) if spread else np.zeros(n)
    saddle = np.maximum(energies[source], energies[target]) + 0.3
    if spread:
        saddle += rng.uniform(-2 * spread, 2 * spread, len(saddle))
    saddle, m = np.concatenate([saddle, saddle]), len(source)
    both = np.concatenate([source, target])
    network = Network(
        labels=tuple(range(n)),
        keys=(0,) * (2 * m),
        cell=np.eye(3) * 2.0 * inner,
        positions=cells * 2.0,
        energies=energies,
        source=both,
        target=np.concatenate([target, source]),
        image=np.concatenate([image, -image]),
        barrier=saddle - energies[both],
        saddle_energy=saddle,
        prefactor=np.full(2 * m, 1e13),
        reverse=np.concatenate([np.arange(m, 2 * m), np.arange(m)]),
        saddle_fraction=np.full(2 * m, 0.5),
    )
    return network, (repeated,) * 3


def ours(side: int, spread: float, share: float, hops: int, **options: Any) -> dict[str, Any]:
    network, replicate = cubic(side, spread)
    spent: list[tuple[float, int]] = []
    kernels = {name: getattr(_gas_run, name) for name in ("null_hops", "active_hops")}

    def timed(kernel: Any) -> Any:
        def run(*arguments: Any) -> Any:
            begin = time.thread_time()
            moving = kernel(*arguments)
            made = next(a for a in arguments if isinstance(a, np.ndarray) and a.ndim == 1)
            spent.append((time.thread_time() - begin, int(made.sum())))
            return moving

        return run

    try:
        for name, kernel in kernels.items():
            setattr(_gas_run, name, timed(kernel))
        system = {"replicate": replicate, "seed": 1, "threads": 1} | options
        kmc.simulate_gas(network, round(share * side**3), TEMPERATURE, n_hops=1000, **system)  # compiles
        spent.clear()
        run = kmc.simulate_gas(network, round(share * side**3), TEMPERATURE, n_hops=hops, **system)
    finally:
        for name, kernel in kernels.items():
            setattr(_gas_run, name, kernel)
    each = [seconds / made * 1e9 for seconds, made in spent]
    total, made = map(sum, zip(*spent, strict=True))
    return {
        "code": f"kmc ({run.algorithm})",
        "side": side,
        "rates": "equal" if spread == 0 else "disordered",
        "share": share,
        "walked": run.walked,
        "hops_per_trial": run.efficiency,
        "ns": total / made * 1e9,
        "best_ns": min(each),
    }


def theirs(name: str, script: str, side: int) -> dict[str, Any]:
    """One of the other codes, in its own environment, at half filling."""
    variable = f"{name.upper().replace('-', '_')}_PYTHON"
    row: dict[str, Any] = {"code": name, "side": side, "rates": "equal", "share": 0.5}
    interpreter = os.environ.get(variable)
    if not interpreter:
        return row | {"why_not": f"{variable} is not set"}
    with tempfile.TemporaryDirectory() as folder:
        command = [interpreter, str(HERE / script), str(side)]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, check=True, timeout=600
            )
            return row | {"ns": float(done.stdout.split()[-1])}
        except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            return row | {"why_not": str(reason).strip().splitlines()[-1][:160]}


def why_not_kmcos() -> dict[str, Any]:
    """What keeps kmcos out of the table."""
    reason = "no model of it is built here"
    if not shutil.which("gfortran"):
        reason = "gfortran, which it compiles its models with, is not installed"
    return {"code": "kmcos", "side": 32, "rates": "equal", "share": 0.5, "why_not": reason}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=3_000_000)
    parser.add_argument("--largest", type=int, default=100)
    arguments = parser.parse_args()
    sides = [side for side in (10, 32, 100) if side <= arguments.largest]
    rows = [
        ours(side, spread, share, arguments.hops)
        for spread in (0.0, 0.05)
        for side in sides
        for share in (0.1, 0.5, 0.999)
    ]
    few = max(arguments.hops // 20, 1000)
    rows += [ours(10, 0.0, 0.5, few, algorithm=name) for name in ("active", "sum-tree")]
    near = ours(10, 0.0, 0.5, few, interactions=[0.05])
    rows.append(near | {"code": f"{near['code']}, interacting"})
    rows += [theirs("lattice-mc", "gas_lattice_mc.py", side) for side in sides if side <= 32]
    rows.append(why_not_kmcos())
    for row in rows:
        measured = (
            f"{row['ns']:12.1f} {row.get('best_ns', row['ns']):12.1f}" if "ns" in row else row["why_not"]
        )
        print(f"{row['code']:28} {row['side']:4}³ {row['rates']:>10} {100 * row['share']:6.1f} % {measured}")
    ns = {
        (r["rates"], r["side"]): r["ns"]
        for r in rows
        if r["code"] == "kmc (null-event)" and r["share"] == 0.5
    }
    growth = {}
    for rates in ("equal", "disordered"):
        if (rates, 32) in ns and (rates, 100) in ns:
            growth[rates] = float(np.log(ns[rates, 100] / ns[rates, 32]) / np.log((100 / 32) ** 3))
            print(f"growth from 32³ to 100³ at half filling, {rates} rates: N^{growth[rates]:.2f}")
    print(json.dumps({"benchmark": "kmc_gas", "unit": "ns CPU per hop", "growth": growth, "rows": rows}))


if __name__ == "__main__":
    main()
