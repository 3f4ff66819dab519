"""The exact solution against sixty digits, where rates span up to 25 orders of magnitude."""

import mpmath
import numpy as np
import pytest

import kmc
from kmc import rates

DIGITS = 80


def many_digits(graph, temperature, field=None):  # noqa: C901 - a formula written out
    """Diffusion tensor and drift from the textbook formula: πQ = 0, Qχ = −(b − v), in `DIGITS` digits."""
    network = kmc.compile_graph(graph)
    with mpmath.workdps(DIGITS):
        kT = mpmath.mpf(rates.KB * temperature)
        n, m = network.n_sites, network.n_hops
        cell = mpmath.matrix(network.cell.tolist())
        step = []
        for e in range(m):
            i, j = network.source[e], network.target[e]
            moved = mpmath.matrix([[int(c) for c in network.image[e]]]) * cell
            step.append(
                [
                    mpmath.mpf(network.positions[j, a]) - mpmath.mpf(network.positions[i, a]) + moved[a]
                    for a in range(3)
                ]
            )
        w = []
        for e in range(m):
            energy = mpmath.mpf(network.saddle_energy[e]) - mpmath.mpf(network.energies[network.source[e]])
            push = sum(mpmath.mpf(f) * d for f, d in zip(field, step[e], strict=True)) / 2 if field else 0
            w.append(mpmath.mpf(network.prefactor[e]) * mpmath.exp(-(energy - push) / kT))
        Q = mpmath.zeros(n)
        b = mpmath.zeros(n, 3)
        for e in range(m):
            i, j = int(network.source[e]), int(network.target[e])
            Q[i, j] += w[e]
            Q[i, i] -= w[e]
            for a in range(3):
                b[i, a] += w[e] * step[e][a]
        system = Q.T.copy()
        for j in range(n):
            system[0, j] = 1
        pi = mpmath.lu_solve(system, mpmath.matrix([1] + [0] * (n - 1)))
        v = [sum(pi[i] * b[i, a] for i in range(n)) for a in range(3)]
        chi = mpmath.zeros(n, 3)
        for a in range(3):
            right = mpmath.matrix([-(b[i, a] - v[a]) for i in range(1, n)])
            solved = mpmath.lu_solve(Q[1:, 1:], right)
            for i in range(1, n):
                chi[i, a] = solved[i - 1]
        D = np.zeros((3, 3), dtype=object)
        for e in range(m):
            i, j = int(network.source[e]), int(network.target[e])
            taken = [step[e][a] + chi[j, a] - chi[i, a] for a in range(3)]
            for a in range(3):
                for c in range(3):
                    D[a, c] += pi[i] * w[e] * taken[a] * taken[c] / 2
        return (D * mpmath.mpf(10) ** -16).astype(float), np.array([float(x) for x in v]) * 1e-8


def span(graph, temperature):
    log_rates = rates.hop_rates(kmc.compile_graph(graph), temperature).log_rates / np.log(10)
    return np.ptp(log_rates)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("spread", "orders"), [(0.3, 4), (0.9, 13), (1.6, 23)])
def test_every_component_to_twelve_digits(graphs, seed, spread, orders):
    graph = graphs.disordered(12, seed=seed, spread=spread)
    assert span(graph, 300.0) > orders
    expected, _ = many_digits(graph, 300.0)
    np.testing.assert_allclose(kmc.diffusion_tensor(graph, 300.0), expected, rtol=1e-12)


def test_a_slow_direction_beside_fast_ones(graphs):
    """Fast along the face diagonals, 25 orders slower along the axis that leads out of their plane."""
    cell = [[2.0, 0.0, 2.0], [0.0, 2.5, 0.0], [0.0, 0.0, 2.0]]
    hops = [
        (0, 1, (0, 0, 0), 0.1, 1e13),
        (1, 0, (1, 0, -1), 0.15, 1e13),  # along a − c: x only
        (0, 0, (0, 1, 0), 0.2, 1e13),
        (1, 1, (0, 0, 1), 0.1 + 25 * np.log(10) * graphs.KB * 300.0, 1e13),
    ]
    graph = graphs.build(cell, [(0.0, 0.0, 0.0), (1.0, 1.0, 1.5)], [0.0, 0.05], hops)
    expected, _ = many_digits(graph, 300.0)
    D = kmc.diffusion_tensor(graph, 300.0)
    assert expected[2, 2] < 1e-23 * expected[0, 0]
    np.testing.assert_allclose(np.diag(D), np.diag(expected), rtol=1e-12)
    np.testing.assert_allclose(D, expected, rtol=1e-12, atol=1e-12 * expected[2, 2])


@pytest.mark.parametrize("spread", [0.2, 0.6])
def test_driven_graphs(graphs, spread):
    graph = graphs.disordered(10, seed=3, spread=spread)
    field = [0.02, -0.05, 0.01]
    D, v = many_digits(graph, 300.0, field)
    solution = kmc.solve(graph, 300.0, field=field)
    np.testing.assert_allclose(solution.drift, v, rtol=1e-10)
    np.testing.assert_allclose(solution.tensor, D, rtol=1e-9, atol=1e-11 * np.trace(D))
