"""What the martingale buys: error bars of D from the same walks, by blocks and with the exact corrector added.

python -m benchmarks.kmc_estimators

`gain` is the factor by which the blocks would need more hops for the error bar of the martingale. Where blocks are too
short against the slowest axis, their estimate is refused. Last, one JSON line.
"""

from __future__ import annotations

import json

import numpy as np

import kmc
from benchmarks.disordered import disordered_network

WALKERS = 300
#: Sites, temperature (K), hops of each walker.
CASES = (
    (29, 600.0, 2_000),
    (29, 600.0, 50_000),
    (29, 300.0, 2_000),
    (29, 300.0, 50_000),
    (1_000, 600.0, 2_000),
    (1_000, 600.0, 50_000),
    (1_000, 300.0, 50_000),
    (1_000, 300.0, 500_000),
)


def row(sites: int, temperature: float, hops: int) -> dict[str, float | int | bool]:
    network = disordered_network(sites)
    exact = float(np.trace(kmc.diffusion_tensor(network, temperature))) / 3
    run = kmc.simulate(network, temperature, n_walkers=WALKERS, n_hops=hops, seed=1)
    blocks = kmc.tracer_diffusivity(run, check=False)
    try:
        kmc.tracer_diffusivity(run)
        refused = False
    except kmc.NotConvergedError:
        refused = True
    martingale = kmc.tracer_diffusivity(run, estimator="martingale", check=False)
    return {
        "sites": sites,
        "temperature": temperature,
        "hops": hops,
        "blocks_off": blocks.value / exact - 1,
        "blocks_error": blocks.error / exact,
        "refused": refused,
        "martingale_off": martingale.value / exact - 1,
        "martingale_error": martingale.error / exact,
        "gain": (blocks.error / martingale.error) ** 2,
    }


def main() -> None:
    rows = [row(*case) for case in CASES]
    print(" ".join(f"{name:>17}" for name in rows[0]))
    for one in rows:
        print(
            " ".join(
                f"{value!s:>17}" if isinstance(value, bool) else f"{value:>17.4g}" for value in one.values()
            )
        )
    print(json.dumps({"benchmark": "kmc_estimators", "walkers": WALKERS, "rows": rows}))


if __name__ == "__main__":
    main()
