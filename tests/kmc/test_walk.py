"""The walk against the exact solution, in sigmas."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kmc
from kmc._random import draw


def sigmas(estimate, expected):
    return (np.asarray(estimate.value) - expected) / np.asarray(estimate.error)


@pytest.mark.parametrize("clock", ["mean", "exponential"])
@pytest.mark.parametrize("estimator", ["blocks", "martingale"])
def test_walk_agrees_with_the_exact_tensor(graphs, clock, estimator):
    graph = graphs.disordered(29, seed=2, spread=0.3, site_spread=0.05)
    D = kmc.diffusion_tensor(graph, 700.0)
    run = kmc.simulate(graph, 700.0, n_walkers=300, n_hops=20_000, seed=11, clock=clock)
    assert abs(sigmas(kmc.tracer_diffusivity(run, estimator=estimator), np.trace(D) / 3)) < 4
    full = kmc.tracer_diffusivity(run, estimator=estimator, tensor=True)
    assert np.abs(sigmas(full, D)).max() < 4
    np.testing.assert_allclose(full.value, full.value.T, rtol=1e-12)


def test_the_martingale_buys_precision_without_changing_the_answer(graphs):
    graph = graphs.disordered(29, seed=2)
    run = kmc.simulate(graph, 600.0, n_walkers=300, n_hops=50_000, seed=3)
    plain, sharp = (kmc.tracer_diffusivity(run, estimator=e) for e in ("blocks", "martingale"))
    assert sharp.error < plain.error
    assert abs(plain.value - sharp.value) < 4 * plain.error


def test_errors_cover_the_truth(graphs):
    """Over many seeds the standardised deviation has unit variance."""
    graph = graphs.chain([0.3, 0.35, 0.25], energies=[0.0, 0.05, 0.1])
    D = kmc.diffusion_tensor(graph, 600.0)[0, 0] / 3
    z = np.array(
        [
            sigmas(kmc.tracer_diffusivity(kmc.simulate(graph, 600.0, n_walkers=64, n_hops=2000, seed=s)), D)
            for s in range(200)
        ]
    )
    assert abs(z.mean()) < 4 / np.sqrt(len(z)) + 0.1
    assert 0.8 < z.std() < 1.2


@pytest.mark.parametrize("clock", ["mean", "exponential"])
@pytest.mark.parametrize("estimator", ["blocks", "martingale"])
def test_biased_ring(graphs, clock, estimator):
    """Where carriers drift, times that scatter spread them: the mean clock has to know by how much."""
    graph = graphs.chain([0.3, 0.3, 0.3], spacing=1.0)
    for i, j, data in graph.edges(data=True):
        data["prefactor"] = 3e12 if j == (i + 1) % 3 else (1 + i) * 3e11
    solution = kmc.solve(graph, 500.0)
    run = kmc.simulate(graph, 500.0, n_walkers=200, n_hops=20_000, seed=5, clock=clock)
    estimate = kmc.tracer_diffusivity(run, tensor=True, estimator=estimator)
    assert abs(estimate.value[0, 0] - solution.tensor[0, 0]) < 4 * estimate.error[0, 0]
    assert estimate.error[0, 0] < 0.03 * solution.tensor[0, 0]
    drift = kmc.measured_drift(run)
    assert abs(drift.value[0] - solution.drift[0]) < 4 * drift.error[0]


@given(seed=st.integers(0, 10_000), temperature=st.floats(150.0, 1500.0))
@settings(max_examples=8, deadline=None)
def test_walk_agrees_on_graphs_nobody_chose(graphs, seed, temperature):
    graph = graphs.disordered(12, seed=seed, spread=0.3)
    D = kmc.diffusion_tensor(graph, temperature)
    for clock, field in (("mean", None), ("exponential", None), ("mean", [0.02, -0.01, 0.03])):
        expected = kmc.diffusion_tensor(graph, temperature, field=field) if field else D
        run = kmc.simulate(graph, temperature, 100, 2000, seed=seed, clock=clock, field=field)
        estimate = kmc.tracer_diffusivity(run, check=False)
        if estimate.error > 0:
            assert abs(estimate.value - np.trace(expected) / 3) < 5.5 * estimate.error


def test_many_components_are_judged_together(graphs):
    """Forty chains with twenty-five walkers each: few events in each, enough in all."""
    one = graphs.chain([0.3, 0.4], energies=[0.0, 0.1])
    graph = nx.disjoint_union_all([one] * 40)
    graph.graph.update(one.graph)
    estimate = kmc.tracer_diffusivity(kmc.simulate(graph, 500.0, n_walkers=1000, n_hops=5000, seed=1))
    expected = np.trace(kmc.diffusion_tensor(one, 500.0)) / 3
    assert abs(estimate.value - expected) < 4 * estimate.error


def test_one_walker_is_enough(graphs):
    graph = graphs.chain([0.3, 0.35, 0.25], energies=[0.0, 0.05, 0.1])
    exact = np.trace(kmc.diffusion_tensor(graph, 600.0)) / 3
    estimate = kmc.tracer_diffusivity(kmc.simulate(graph, 600.0, n_walkers=1, n_hops=100_000, seed=2))
    assert abs(estimate.value - exact) < 4 * estimate.error < exact


def test_very_cold_walks_stay_within_a_float(graphs):
    graph = graphs.disordered(29, seed=1, spread=1.0, site_spread=0.3)
    expected = np.trace(kmc.diffusion_tensor(graph, 20.0)) / 3  # 1e-257 cm²/s
    estimate = kmc.tracer_diffusivity(kmc.simulate(graph, 20.0, n_walkers=200, n_hops=2000, seed=1))
    assert 0 < estimate.error < 0.1 * expected
    assert abs(estimate.value - expected) < 4 * estimate.error


def test_directions_that_lead_nowhere_are_exactly_zero(graphs):
    run = kmc.simulate(
        graphs.chain([0.3, 0.4], energies=[0.0, 0.1]), 600.0, n_walkers=50, n_hops=5000, seed=1
    )
    estimate = kmc.tracer_diffusivity(run, tensor=True)
    assert np.count_nonzero(estimate.value) == 1
    assert np.count_nonzero(estimate.error) == 1
    low, high = estimate.interval(0.95)
    assert low[0, 0] < estimate.value[0, 0] < high[0, 0]


def test_a_graph_that_percolates_nowhere(graphs):
    graph = graphs.build(np.eye(3) * 3, [(0, 0, 0), (1, 1, 1)], [0.0, 0.1], [(0, 1, (0, 0, 0), 0.3, 1e13)])
    estimate = kmc.tracer_diffusivity(kmc.simulate(graph, 400.0))
    assert (estimate.value, estimate.error) == (0.0, 0.0)


def test_disconnected_parts_add_up(graphs):
    hops = [(0, 0, (1, 0, 0), 0.4, 1e13), (1, 1, (0, 1, 0), 0.4, 1e13), (1, 1, (0, 0, 1), 0.45, 1e13)]
    graph = graphs.build(np.eye(3) * 2, [(0, 0, 0), (1, 1, 1), (1, 0, 0)], [0.1, 0.0, -0.05], hops)
    D = kmc.diffusion_tensor(graph, 600.0)
    run = kmc.simulate(graph, 600.0, n_walkers=400, n_hops=2000, seed=4)
    estimate = kmc.tracer_diffusivity(run, tensor=True)
    assert np.abs(np.diag(sigmas_or_zero(estimate, D))).max() < 4


def sigmas_or_zero(estimate, expected):
    moved = estimate.error > 0
    return np.where(
        moved, (estimate.value - expected) / np.where(moved, estimate.error, 1.0), estimate.value - expected
    )


def test_too_short_blocks_are_refused_with_what_there_is(graphs):
    # Forty equal hops, then a high one: 200 hops do not even cross the plateau between two high ones.
    graph = graphs.chain([0.1] * 40 + [0.25])
    run = kmc.simulate(graph, 400.0, n_walkers=400, n_hops=200, seed=1, superbasins=False)
    with pytest.raises(kmc.NotConvergedError, match="so far") as refusal:
        kmc.tracer_diffusivity(run)
    assert np.isfinite(refusal.value.estimate.value)


def test_same_seed_same_bits_whatever_the_threads(graphs):
    graph = graphs.disordered(40, seed=9)
    runs = [kmc.simulate(graph, 600.0, n_walkers=100, n_hops=1000, seed=7, threads=t) for t in (1, 2, 5)]
    for other in runs[1:]:
        assert np.array_equal(runs[0].windings, other.windings)
        assert np.array_equal(runs[0].durations, other.durations)
        assert np.array_equal(runs[0].ends, other.ends)
    different = kmc.simulate(graph, 600.0, n_walkers=100, n_hops=1000, seed=8)
    assert not np.array_equal(runs[0].ends, different.ends)


def test_displacements_connect_the_sites(graphs):
    """Positions put together from windings are those of the sites, up to whole lattice vectors."""
    graph = graphs.disordered(15, seed=1)
    run = kmc.simulate(graph, 800.0, n_walkers=20, n_hops=640, seed=1)
    network = run.rates.network
    moved = run.displacements().sum(axis=1)
    ends = network.positions[run.begins] + moved
    cells = (ends - network.positions[run.ends[:, -1]]) @ np.linalg.inv(network.cell)
    np.testing.assert_allclose(cells, np.rint(cells), atol=1e-9)
    assert np.abs(cells).max() > 1


def test_hops_are_chosen_by_their_rates(graphs):
    """One site, six exits from 1 to 1e-6 of the rate: the winding counts follow Poisson's law."""
    barriers = [0.10, 0.16, 0.22]
    hops = [(0, 0, row, s, 1e13) for row, s in zip(np.eye(3, dtype=int), barriers, strict=True)]
    graph = graphs.build(np.eye(3), [(0, 0, 0)], [0.0], hops)
    run = kmc.simulate(graph, 300.0, n_walkers=500, n_hops=64, seed=2)
    weights = np.exp(-np.array(barriers) / (graphs.KB * 300.0))
    expected = weights / weights.sum()
    seen = (run.windings.astype(float) ** 2).sum(axis=(0, 1)) / (500 * 64)
    order = np.argsort(-seen)
    assert np.all(np.abs(seen[order] - expected) < 4 * np.sqrt(expected / (500 * 64)) + 1e-12)


def test_random_words_look_random():
    keys, states, _ = kmc.walkers.streams(3, 64)
    counters = states[:, None] + np.arange(1, 513, dtype=np.uint64) * np.uint64(0xA0761D6478BD642F)
    words = np.array(
        [[draw(key, counter) for counter in row] for key, row in zip(keys, counters, strict=True)],
        dtype=np.uint64,
    )
    bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 64)
    n = len(bits)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * 0.5 / np.sqrt(n)
    u = words.astype(float) / 2.0**64
    for lag in (1, 2, 3):
        product = (u[:, lag:] - 0.5) * (u[:, :-lag] - 0.5)
        assert abs(product.mean()) < 4 / 12 / np.sqrt(product.size)
    across = np.corrcoef(u) - np.eye(64)
    assert np.abs(across).max() < 5 / np.sqrt(512)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_walkers": 0}, "n_walkers is 0"),
        ({"n_hops": 1.5}, "n_hops is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"clock": "wall"}, "clock is 'wall'"),
        ({"temperature": -3}, "temperature is -3"),
        ({"field": [1, 2]}, "three finite numbers"),
        ({"prefactor": "guess"}, "prefactor is 'guess'"),
    ],
)
def test_impossible_arguments(graphs, arguments, message):
    with pytest.raises(kmc.GraphError, match=message):
        kmc.simulate(graphs.chain([0.2, 0.3]), **{"temperature": 300.0, **arguments})
