"""Leaving groups of flickering sites in one hop changes the cost of a walk and nothing else."""

import numpy as np
import pytest

import kmc
from kmc._trapping import fundamental


def pairs_of_wells(graphs, fast=0.05, slow=0.45, n=4):
    """A chain of double wells: fast hops inside each pair, slow ones between pairs."""
    return graphs.chain([fast if i % 2 == 0 else slow for i in range(2 * n)], energies=[0.0, 0.03] * n)


@pytest.mark.parametrize("temperature", [250.0, 400.0])
def test_diffusion_is_that_of_the_plain_walk_and_of_the_exact_solution(graphs, temperature):
    graph = pairs_of_wells(graphs)
    D = np.trace(kmc.diffusion_tensor(graph, temperature)) / 3
    run = kmc.simulate(graph, temperature, n_walkers=200, n_hops=5000, seed=2)
    assert (run.hops.group >= 0).all()
    estimate = kmc.tracer_diffusivity(run)
    assert abs(estimate.value - D) < 4 * estimate.error
    assert estimate.error < 0.05 * D
    plain = kmc.simulate(graph, 900.0, n_walkers=200, n_hops=200_000, seed=2, superbasins=False)
    expected = np.trace(kmc.diffusion_tensor(graph, 900.0)) / 3
    slow = kmc.tracer_diffusivity(plain)
    assert abs(slow.value - expected) < 4 * slow.error


def test_ten_billion_hops_an_exit(graphs):
    """exp(0.6 eV / kT) = 1e10 at 300 K: the plain walk would flicker for ever."""
    graph = pairs_of_wells(graphs, fast=0.03, slow=0.63)
    D = np.trace(kmc.diffusion_tensor(graph, 300.0)) / 3
    estimate = kmc.tracer_diffusivity(kmc.simulate(graph, 300.0, n_walkers=100, n_hops=10_000, seed=1))
    assert abs(estimate.value - D) < 4 * estimate.error
    assert estimate.error < 0.05 * D


def test_disordered_network_deep_below_its_barriers(graphs):
    graph = graphs.disordered(40, seed=3, spread=0.6)
    D = kmc.diffusion_tensor(graph, 220.0)
    estimate = kmc.tracer_diffusivity(
        kmc.simulate(graph, 220.0, n_walkers=300, n_hops=20_000, seed=1), tensor=True
    )
    assert np.abs((estimate.value - D) / estimate.error).max() < 4


def test_exits_and_times_against_plain_linear_algebra():
    rng = np.random.default_rng(0)
    rates, leave = rng.exponential(size=(6, 6)), rng.exponential(size=6)
    np.fill_diagonal(rates, 0.0)
    expected = np.linalg.inv(np.diag(rates.sum(axis=1) + leave) - rates)
    np.testing.assert_allclose(fundamental(rates, leave), expected, rtol=1e-12)


def test_exits_stay_exact_where_subtraction_would_fail():
    """Two sites flickering at rate 1, leaving at 1e-25: N = (1/2ε)(1 + O(ε)) in every entry."""
    eps = 1e-25
    times = fundamental(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([eps, eps]))
    np.testing.assert_allclose(times, 0.5 / eps, rtol=1e-14)


def test_occupied_groups_keep_the_mean_residence_time(graphs):
    """The clock of the reduced walk runs at the exact mean rate of exits."""
    graph = pairs_of_wells(graphs)
    run = kmc.simulate(graph, 300.0, n_walkers=400, n_hops=640, seed=3)
    share = kmc.occupation(graph, 300.0).to_numpy()
    network = run.rates.network
    (part,) = run.components
    between = (run.hops.group[network.source] != run.hops.group[network.target]) | part.windings.any(axis=1)
    rate_of_exits = (share[network.source] * np.exp(run.rates.log_rates))[between].sum()
    per_hop = run.durations.sum(axis=1) / run.n_hops
    assert abs(per_hop.mean() - 1 / rate_of_exits) < 4 * per_hop.std() / np.sqrt(400) + 1e-12 / rate_of_exits


def test_an_exponential_clock_walks_every_hop(graphs):
    run = kmc.simulate(pairs_of_wells(graphs), 400.0, n_walkers=4, n_hops=64, clock="exponential")
    assert (run.hops.group == -1).all()
