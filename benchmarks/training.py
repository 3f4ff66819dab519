"""How fast and how well do the optimisers learn water? CPU seconds and errors.

python -m benchmarks.training [--epochs 25] [--only kalman] [--data ../shared/data/n2p2/h2o_rpbe-d3]

The five structures, symmetry functions and networks (27 and 30 inputs, 25-25 nodes, 2827 weights) of n2p2's
example h2o_rpbe-d3. Per optimiser: CPU seconds an epoch (without the symmetry functions, which are computed
once: first line), and training errors after 5 epochs and at the end, in n2p2's units. n2p2's own Kalman filter
on such a machine: 2.0 CPU-s an epoch (48 ms an update); after 25 epochs 1.9e-5 Ha/atom and 1.0e-2 Ha/bohr. Then
the cost of one update of the Kalman filter alone. Last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import ase.units
import numpy as np

from iondiff.training import train
from iondiff.training.optimisers import KalmanFilter

ROOT = Path(__file__).parents[1]
OPTIMISERS = {
    "levenberg-marquardt": {},
    "kalman": {"force_updates": 23.6},
    "kalman, 5 streams": {"kind": "kalman", "streams": 5, "force_updates": 8.0, "forces": 4},
    "l-bfgs": {},
    "adamw": {"rate": 1e-3, "batch": 1},
}


def find_data(given: str | None) -> Path | None:
    """The folder of the water example, or None."""
    for folder in [given] if given else [ROOT.parent / "shared", ROOT.parents[1] / "shared"]:
        path = Path(folder) if given else Path(folder) / "data" / "n2p2" / "h2o_rpbe-d3"
        if (path / "input.data").exists():
            return path
    return None


def water_config(data: Path, kind: str, options: dict, epochs: int) -> dict:
    """n2p2's functions and networks on its five structures, all of them for training."""
    return {
        "data": {
            "train": [str(data / "input.data")], "units": ["bohr", "hartree"], "validation_fraction": 0.0,
        },
        "descriptors": {"file": str(data / "input.nn"), "units": ["bohr", "hartree"]},
        "network": {"hidden": [25, 25]},
        "loss": {"force_weight": 0.3},
        "optimiser": {"kind": kind, "epochs": epochs, "patience": epochs, **options},
    }  # fmt: skip


def measure(data: Path, name: str, options: dict, epochs: int) -> dict:
    config = water_config(data, name, options, epochs)
    started = time.process_time()
    history = train(config).members[0]["history"]
    total = time.process_time() - started
    row = {"optimiser": name, "epoch_s": float(np.median([h["cpu_s"] for h in history])), "total_s": total}
    for epoch in (5, epochs):
        at = history[min(epoch, len(history)) - 1]
        row[f"energy_Ha_{epoch}"] = at["train_energy_meV"] * 1e-3 / ase.units.Hartree
        row[f"force_Ha_bohr_{epoch}"] = at["train_force_eV_A"] / (ase.units.Hartree / ase.units.Bohr)
    return row


def update_seconds(n_weights: int = 2827, repeats: int = 20) -> float:
    """CPU seconds of one update of the Kalman filter with one observation, its derivatives not counted."""
    kalman = KalmanFilter.__new__(KalmanFilter)
    generator = np.random.default_rng(0)
    kalman.lambda0 = 0.9987
    kalman.state = {
        "weights": np.zeros(n_weights), "covariance": np.asfortranarray(100.0 * np.eye(n_weights)),
        "lambda": np.array(0.98),
    }  # fmt: skip
    seconds = []
    for _ in range(repeats):
        column = generator.normal(size=(n_weights, 1))
        started = time.process_time()
        kalman.update(np.ones(1), column)
        seconds.append(time.process_time() - started)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--data", default=None)
    parser.add_argument("--only", nargs="*", default=list(OPTIMISERS), choices=list(OPTIMISERS))
    arguments = parser.parse_args()
    data = find_data(arguments.data)
    if data is None:
        print("the water set of n2p2 is not here (../shared/data/n2p2/h2o_rpbe-d3); nothing measured")
        print(json.dumps({"skipped": True}))
        return
    measure(data, "adamw", {}, 1)  # compile
    rows = []
    print(f"{'':22}{'s/epoch':>9}{'total s':>9}{'Ha/atom':>11}{'Ha/bohr':>10}{'Ha/atom':>11}{'Ha/bohr':>10}")
    print(f"{'':22}{'':>18}{'after 5 epochs':>21}{f'after {arguments.epochs}':>21}")
    for name in arguments.only:
        options = OPTIMISERS[name]
        row = measure(data, options.get("kind", name), options, arguments.epochs) | {"optimiser": name}
        rows.append(row)
        errors = [
            row[f"{what}_{e}"] for e in (5, arguments.epochs) for what in ("energy_Ha", "force_Ha_bohr")
        ]
        print(
            f"{name:22}{row['epoch_s']:9.2f}{row['total_s']:9.1f}"
            f"{errors[0]:11.1e}{errors[1]:10.1e}{errors[2]:11.1e}{errors[3]:10.1e}", flush=True,
        )  # fmt: skip
    update = update_seconds()
    print(f"one update of the Kalman filter, 2827 weights: {1e3 * update:.1f} ms")
    print(json.dumps({"epochs": arguments.epochs, "optimisers": rows, "kalman_update_s": update}))


if __name__ == "__main__":
    main()
