"""How long does a hop take? The package's walk beside a naive and a hand-vectorised C loop, in one run.

python -m benchmarks.kmc_walk [--smallest 29] [--largest 1000000]

Prints CPU nanoseconds a hop on one core (best of several runs), and last one JSON line.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.disordered import disordered_network
from kmc import _kernels, hop_rates
from kmc.exact import percolating_components
from kmc.superbasin import walked_hops
from kmc.walkers import streams, tables

HERE = Path(__file__).parent
TEMPERATURE = 600.0
WALKERS = 64
REPEATS = 7


def compiled(name: str, folder: str) -> ctypes.CDLL | None:
    library = Path(folder) / f"{name}.so"
    command = [
        "gcc",
        "-O3",
        "-march=native",
        "-ffast-math",
        "-shared",
        "-fPIC",
        str(HERE / f"{name}.c"),
        "-o",
        str(library),
        "-lm",
    ]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return ctypes.CDLL(str(library))


def best(function, hops: int) -> float:
    """Nanoseconds of CPU time a hop."""
    function(max(1, hops // 20))
    times = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        function(hops)
        times.append(time.thread_time() - begin)
    return min(times) / hops * 1e9


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def naive(library: ctypes.CDLL, rates, clock: str):
    network = rates.network
    order = np.argsort(network.source, kind="stable")
    first = np.concatenate([[0], np.cumsum(np.bincount(network.source, minlength=network.n_sites))])
    rate = np.exp(rates.log_rates)[order]
    cumulative = np.concatenate([np.cumsum(rate[a:b]) for a, b in pairwise(first)])
    total = np.bincount(network.source, np.exp(rates.log_rates), minlength=network.n_sites)
    target, step, moved = network.target[order].copy(), network.displacements[order].copy(), np.zeros(3)
    begin = int(np.argmax(total > 0))
    library.naive_walk.restype = ctypes.c_double
    arrays = (first, target, cumulative, total, step)

    def walk(hops: int) -> None:
        library.naive_walk(
            ctypes.c_int64(hops),
            ctypes.c_int64(begin),
            *map(pointer, arrays),
            int(clock == "exponential"),
            pointer(moved),
        )

    return walk


def row(n: int, libraries: dict[str, ctypes.CDLL | None]) -> dict[str, float | int | None]:
    network = disordered_network(n)
    rates = hop_rates(network, TEMPERATURE)
    parts = tuple(percolating_components(rates))
    hops = walked_hops(rates, parts, superbasins=False)
    table, start, _, stride, _ = tables(rates, hops)
    keys, states, uniform = streams(1, WALKERS)
    chosen = max(parts, key=lambda part: len(part.sites)).sites
    words = start[chosen[(uniform * len(chosen)).astype(int)]]
    result: dict[str, float | int | None] = {
        "sites": n,
        "hops_a_site": network.n_hops / n,
        "table_MiB": table.nbytes / 2**20,
    }
    count = 20_000_000 if n <= 10_000 else 5_000_000
    for clock in ("mean", "exponential"):

        def walk(hops: int, clock: str = clock) -> None:
            each = max(1, hops // WALKERS)
            seen = (
                np.zeros((WALKERS, 1, 3), np.int64),
                np.zeros((WALKERS, 1)),
                np.zeros((WALKERS, 1), np.int64),
            )
            _kernels.walk(
                table, words, keys, states, np.array([0, each]), 0, 1, stride, clock == "exponential", *seen
            )

        result[f"{clock}_ns"] = best(walk, count)
        if libraries["naive_walk"]:
            result[f"naive_{clock}_ns"] = best(naive(libraries["naive_walk"], rates, clock), count // 10)
    vector = libraries["vector_walk"]
    result["vector_mean_ns"] = None
    if vector:
        vector.vector_walk.restype = ctypes.c_double
        result["vector_mean_ns"] = best(
            lambda hops: vector.vector_walk(ctypes.c_int64(hops // 16), pointer(table), pointer(words)), count
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smallest", type=int, default=29)
    parser.add_argument("--largest", type=int, default=1_000_000)
    asked = parser.parse_args()
    sizes = [n for n in (29, 1_000, 10_000, 100_000, 1_000_000) if asked.smallest <= n <= asked.largest]
    with tempfile.TemporaryDirectory() as folder:
        libraries = {name: compiled(name, folder) for name in ("naive_walk", "vector_walk")}
        rows = [row(n, libraries) for n in sizes]
    columns = (
        "sites",
        "hops_a_site",
        "mean_ns",
        "exponential_ns",
        "naive_mean_ns",
        "naive_exponential_ns",
        "vector_mean_ns",
    )
    print(" ".join(f"{name:>20}" for name in columns))
    for one in rows:
        print(
            " ".join(f"{one[name]:>20.5g}" if one.get(name) is not None else f"{'-':>20}" for name in columns)
        )
    print(
        json.dumps(
            {
                "benchmark": "kmc_walk",
                "unit": "ns CPU per hop per core",
                "temperature": TEMPERATURE,
                "rows": rows,
            }
        )
    )


if __name__ == "__main__":
    main()
