"""How long does a hop of many carriers take? Beside lattice-mc and kmcos where they are installed.

python -m benchmarks.kmc_gas [--hops 3000000] [--sides 10 32 100] [--shares 0.1 0.5 0.999] [--rates equal]

CPU nanoseconds a hop on one core, simple cubic lattices with equal and with disordered rates: everything from
the first hop to the last, with every carrier's displacement followed, occupations and collective motion kept;
then the walk alone, mean and best of its blocks. The others run in environments of their own: LATTICE_MC_PYTHON
and KMCOS_PYTHON name their interpreters, and what is missing is said in the row. Last comes one JSON line.
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
#: Hops a site, at least: what a run does a fixed number of times does not count then.
FEWEST = 30


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
    """One row of the table."""
    spent: dict[str, list[float]] = {"walk": [], "all": []}

    def timed(function: Any, book: list[float]) -> Any:
        def run(*arguments: Any) -> Any:
            begin = time.thread_time()
            answer = function(*arguments)
            book.append(time.thread_time() - begin)
            return answer

        return run

    names = {"null_hops": "walk", "active_hops": "walk", "_one_block": "all"}
    kept = {name: getattr(_gas_run, name) for name in names}
    system = {"seed": 1, "threads": 1} | options
    hops = max(hops, FEWEST * side**3)
    small, copies = cubic(4, spread)
    kmc.simulate_gas(small, 32, TEMPERATURE, replicate=copies, n_hops=1000, **system)  # compiles
    network, copies = cubic(side, spread)
    try:
        for name, book in names.items():
            setattr(_gas_run, name, timed(kept[name], spent[book]))
        begin = time.thread_time()
        run = kmc.simulate_gas(
            network, round(share * side**3), TEMPERATURE, replicate=copies, n_hops=hops, **system
        )
        seconds = time.thread_time() - begin
    finally:
        for name, function in kept.items():
            setattr(_gas_run, name, function)
    return {
        "code": f"kmc ({run.algorithm})",
        "side": side,
        "rates": "equal" if spread == 0 else "disordered",
        "share": share,
        "walked": run.walked,
        "hops_per_trial": run.efficiency,
        "ns": sum(spent["all"]) / hops * 1e9,
        "walk_ns": sum(spent["walk"]) / hops * 1e9,
        "best_ns": min(spent["walk"]) * len(spent["walk"]) / hops * 1e9,
        "set_up_s": seconds - sum(spent["all"]),
    }


def theirs(name: str, script: str, side: int, hops: int) -> dict[str, Any]:
    """One of the other codes, in its own environment, at half filling: the best of three runs."""
    variable = f"{name.upper().replace('-', '_')}_PYTHON"
    row: dict[str, Any] = {"code": name, "side": side, "rates": "equal", "share": 0.5}
    interpreter = os.environ.get(variable)
    if not interpreter:
        return row | {"why_not": f"{variable} is not set"}
    if name == "kmcos" and not shutil.which("gfortran"):
        return row | {"why_not": "gfortran, which it compiles its models with, is not installed"}
    given = json.dumps({"edge": side, "carriers": side**3 // 2, "hops": hops})
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [interpreter, str(HERE / "others" / script)],
                cwd=folder,
                input=given,
                capture_output=True,
                text=True,
                check=True,
                timeout=600,
            )
            return row | {"ns": float(done.stdout.split()[-1])}
        except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
            reason = getattr(error, "stderr", None) or str(error)
            return row | {"why_not": str(reason).strip().splitlines()[-1][:160]}


def table(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    spreads = {"equal": 0.0, "disordered": 0.05}
    rows = [
        ours(side, spreads[rates], share, arguments.hops)
        for rates in arguments.rates
        for side in arguments.sides
        for share in arguments.shares
    ]
    few = max(arguments.hops // 5, 1000)
    if "equal" in arguments.rates:
        rows += [ours(10, 0.0, 0.5, few, algorithm=name) for name in ("active", "sum-tree")]
        near = ours(10, 0.0, 0.5, few, interactions=[0.05])
        rows.append(near | {"code": f"{near['code']}, interacting"})
        sides = [side for side in arguments.sides if side <= 32]
        rows += [theirs("lattice-mc", "drive_lattice_mc.py", side, 10) for side in sides]
        rows += [theirs("kmcos", "drive_kmcos.py", side, arguments.hops // 3) for side in sides]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, default=3_000_000)
    parser.add_argument("--sides", type=int, nargs="+", default=[10, 32, 100])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.5, 0.999])
    parser.add_argument(
        "--rates", nargs="+", default=["equal", "disordered"], choices=["equal", "disordered"]
    )
    rows = table(parser.parse_args())
    print(f"{'':49}{'filled':>8} {'ns a hop':>12} {'walk':>12} {'its best':>12} {'set up, s':>12}")
    for row in rows:
        columns = ("ns", "walk_ns", "best_ns", "set_up_s")
        measured = " ".join(f"{row[x]:12.1f}" for x in columns if x in row) or row["why_not"]
        print(f"{row['code']:30} {row['side']:4}³ {row['rates']:>11} {100 * row['share']:6.1f} % {measured}")
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
