"""How exact, and how long? Diffusion tensors of disordered graphs against eighty digits.

python -m benchmarks.kmc_exact [--largest 100000]

CPU seconds (best of three) of `kmc.diffusion_tensor` on a NetworkX graph, reading it included (graph_s), and
of the solution alone (solve_s). Errors are the largest of any component, relative: against multi-precision
arithmetic where that is affordable, else between elimination and iteration. Last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import mpmath
import numpy as np

import kmc
from benchmarks.disordered import as_graph, disordered_network
from kmc import exact, hop_rates
from kmc.rates import KB

DIGITS = 80


def many_digits(network: kmc.Network, temperature: float) -> np.ndarray:
    """Textbook formula by a plain dense solve in `DIGITS` digits; in detailed balance, π is Boltzmann's."""
    with mpmath.workdps(DIGITS):
        kT = mpmath.mpf(KB * temperature)
        n = network.n_sites
        pi = [mpmath.exp(-mpmath.mpf(e) / kT) for e in network.energies]
        total = sum(pi)
        laplacian, right, pairs = mpmath.zeros(n), mpmath.zeros(n, 3), []
        for e in np.nonzero(np.arange(network.n_hops) < network.reverse)[0]:
            i, j = int(network.source[e]), int(network.target[e])
            c = (
                mpmath.mpf(network.prefactor[e])
                * mpmath.exp(-mpmath.mpf(network.saddle_energy[e]) / kT)
                / total
            )
            moved = mpmath.matrix([[int(x) for x in network.image[e]]]) * mpmath.matrix(network.cell.tolist())
            ends = zip(network.positions[j], network.positions[i], strict=True)
            step = [mpmath.mpf(b) - mpmath.mpf(a) + moved[k] for k, (b, a) in enumerate(ends)]
            pairs.append((i, j, c, step))
            laplacian[i, i] += c
            laplacian[j, j] += c
            laplacian[i, j] -= c
            laplacian[j, i] -= c
            for a in range(3):
                right[i, a] += c * step[a]
                right[j, a] -= c * step[a]
        chi = mpmath.zeros(n, 3)
        for a in range(3):
            solved = mpmath.lu_solve(laplacian[1:, 1:], right[1:, a])
            for i in range(1, n):
                chi[i, a] = solved[i - 1]
        D = np.zeros((3, 3), dtype=object)
        for i, j, c, step in pairs:
            taken = [step[a] + chi[j, a] - chi[i, a] for a in range(3)]
            for a in range(3):
                for b in range(3):
                    D[a, b] += c * taken[a] * taken[b]
        return (D * mpmath.mpf(10) ** -16).astype(float)


def seconds(function) -> float:
    times = []
    for _ in range(3):
        begin = time.thread_time()  # idle threads of a linear algebra library do not count
        function()
        times.append(time.thread_time() - begin)
    return min(times)


def iterated(network: kmc.Network, temperature: float) -> np.ndarray:
    limit, exact.ELIMINATE_UP_TO = exact.ELIMINATE_UP_TO, 0
    try:
        return kmc.diffusion_tensor(network, temperature)
    finally:
        exact.ELIMINATE_UP_TO = limit


def row(n: int, temperature: float) -> dict[str, float | int | None]:
    network = disordered_network(n)
    graph = as_graph(network)
    solution = kmc.solve(network, temperature)
    expected = many_digits(network, temperature) if n <= 60 else None
    compared = (
        iterated(network, temperature) if expected is None and n <= exact.ELIMINATE_UP_TO else solution.tensor
    )
    error = float(np.abs(solution.tensor / (compared if expected is None else expected) - 1).max())
    return {
        "sites": n,
        "temperature": temperature,
        "orders": float(np.ptp(hop_rates(network, temperature).log_rates) / np.log(10)),
        "graph_s": seconds(lambda: kmc.diffusion_tensor(graph, temperature)),
        "solve_s": seconds(lambda: kmc.solve(network, temperature)),
        "error_mpmath": error if expected is not None else None,
        "error_iterated": error if expected is None and n <= exact.ELIMINATE_UP_TO else None,
        "residual": solution.residual,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000)
    largest = parser.parse_args().largest
    kmc.diffusion_tensor(disordered_network(10), 300.0)
    iterated(disordered_network(40), 600.0)  # compile both
    cases = [
        (29, 600.0),
        (29, 300.0),
        (29, 120.0),
        (300, 600.0),
        (1_000, 600.0),
        (1_000, 300.0),
        (10_000, 600.0),
        (100_000, 600.0),
    ]
    rows = [row(n, temperature) for n, temperature in cases if n <= largest]
    columns = list(rows[0])
    print(" ".join(f"{name:>14}" for name in columns))
    for one in rows:
        print(" ".join(f"{one[name]:>14.4g}" if one[name] is not None else f"{'-':>14}" for name in columns))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"benchmark": "kmc_exact", "rows": rows, "peak_memory_MiB": memory}))


if __name__ == "__main__":
    main()
