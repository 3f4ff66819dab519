"""What does the Hessian preconditioner save? Calculator calls per label, with and without it.

    python benchmarks/labeller.py --points 10

Points are drawn as the labeller draws them. The Hessian itself costs 6 calls per host atom, once; the table
says after how many labels that is paid back.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from ase.io import read

from iondiff.sampling import draw_points, host_hessian, relax_host
from iondiff.sampling.calculators import make_calculator

HOST = Path(__file__).parents[1] / "case_studies" / "cu_ta2o5" / "host.extxyz"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", type=Path, default=HOST)
    parser.add_argument("--guest", default="Cu")
    parser.add_argument("--calculator", default="iondiff.sampling.calculators:CHGNetForces")
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--spring", type=float, default=1.0, help="eV/Å²")
    parser.add_argument("--fmax", type=float, default=0.02, help="eV/Å")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    host = read(options.host)
    host.calc = make_calculator(options.calculator)
    host_energy = host.get_potential_energy()
    points, _ = draw_points(host, options.points, seed=options.seed)

    started = time.perf_counter()
    hessian = host_hessian(host)
    hessian_seconds = time.perf_counter() - started
    labels, seconds = {}, {}
    for name, matrix in (("with", hessian), ("without", None)):
        started = time.perf_counter()
        labels[name] = [
            relax_host(
                host,
                options.guest,
                point,
                options.spring,
                options.fmax,
                hessian=matrix,
                host_energy=host_energy,
            )
            for point in points
        ]
        seconds[name] = (time.perf_counter() - started) / len(points)

    calls = {name: [label.evaluations for label in found] for name, found in labels.items()}
    print(f"{'point':>5} {'calls with':>11} {'without':>8} {'energy, eV':>11} {'difference, meV':>16}")
    pairs = list(zip(labels["with"], labels["without"], strict=True))
    for i, (quick, plain) in enumerate(pairs):
        difference = 1e3 * (quick.energy - plain.energy)
        print(
            f"{i:5d} {quick.evaluations:11d} {plain.evaluations:8d} {quick.energy:11.4f} {difference:16.2f}"
        )
    means = {name: float(np.mean(found)) for name, found in calls.items()}
    hessian_calls = 6 * len(host)
    saved = means["without"] - means["with"]
    paid_back = int(np.ceil(hessian_calls / saved)) if saved > 0 else None
    print(f"mean  {means['with']:11.1f} {means['without']:8.1f}")
    print(f"Hessian: {hessian_calls} calls, {hessian_seconds:.0f} s; paid back after {paid_back} labels")
    print(
        json.dumps(
            {
                "benchmark": "labeller",
                "calculator": options.calculator,
                "points": len(points),
                "calls_with_hessian": means["with"],
                "calls_without": means["without"],
                "ratio": means["without"] / means["with"],
                "hessian_calls": hessian_calls,
                "labels_to_pay_back": paid_back,
                "seconds_per_label_with": seconds["with"],
                "seconds_per_label_without": seconds["without"],
                "largest_energy_difference_meV": max(1e3 * abs(a.energy - b.energy) for a, b in pairs),
                "unconverged": sum(not label.converged for found in labels.values() for label in found),
            }
        )
    )


if __name__ == "__main__":
    main()
