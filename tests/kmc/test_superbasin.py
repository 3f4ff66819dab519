"""Leaving groups of flickering sites in one hop changes the cost of a walk and nothing else."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

import kmc
from kmc._escape import eliminate, escape, gathered
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


@pytest.mark.parametrize("options", [{"clock": "exponential"}, {"field": [0.02, 0.0, 0.0]}])
def test_ten_billion_hops_an_exit_in_real_time_and_in_a_field(graphs, options):
    graph = pairs_of_wells(graphs, fast=0.03, slow=0.63)
    field = options.get("field")
    exact = kmc.solve(graph, 300.0, field=field)
    run = kmc.simulate(graph, 300.0, n_walkers=100, n_hops=3000, seed=1, **options)
    estimate = kmc.tracer_diffusivity(run, tensor=True)
    assert abs(estimate.value - exact.tensor)[0, 0] < 4 * estimate.error[0, 0] < 0.3 * exact.tensor[0, 0]
    if field:
        drift = kmc.measured_drift(run)
        assert abs(drift.value - exact.drift)[0] < 4 * drift.error[0] < 0.3 * exact.drift[0]


def test_superbasins_in_a_field_change_nothing(graphs):
    """Strong enough to drift, warm enough for the plain walk: both against the exact solution."""
    graph, field = pairs_of_wells(graphs), [0.02, 0.0, 0.0]
    exact = kmc.diffusion_tensor(graph, 700.0, field=field)[0, 0]
    for options in ({}, {"superbasins": False}, {"clock": "exponential"}):
        run = kmc.simulate(graph, 700.0, n_walkers=200, n_hops=20_000, seed=2, field=field, **options)
        # The plain walk flickers too much for blocks to be long; the martingale does not mind.
        estimate = kmc.tracer_diffusivity(run, tensor=True, estimator="martingale")
        assert abs(estimate.value[0, 0] - exact) < 4 * estimate.error[0, 0]


@pytest.mark.parametrize("scale", [1.0, 0.05])
@pytest.mark.parametrize("n", [2, 5])
def test_visits_have_the_law_of_the_plain_walk(n, scale):
    """Last site and duration of a visit, drawn as a whole and hop by hop."""
    rng = np.random.default_rng(n)
    rates, leave = rng.exponential(size=(n, n)), scale * rng.exponential(size=n)
    np.fill_diagonal(rates, 0.0)
    plan = gathered(n, [(np.arange(n), 2.0, eliminate(rates, leave))])
    count = 20_000
    last, times = draw_visits(plan, n, count)
    jump, stay = rates / (total := rates.sum(axis=1) + leave)[:, None], 2.0 / total
    at, slow = np.zeros(count, dtype=int), np.zeros(count)
    ladder = np.cumsum(jump, axis=1)
    inside = np.ones(count, dtype=bool)
    while inside.any():
        slow[inside] += rng.exponential(size=inside.sum()) * stay[at[inside]]
        going = (rng.random(inside.sum())[:, None] > ladder[at[inside]]).sum(axis=1)
        moved = np.nonzero(inside)[0]
        at[moved[going < n]] = going[going < n]
        inside[moved[going == n]] = False
    for site in range(n):
        assert stats.ks_2samp(times[last == site], slow[at == site]).pvalue > 1e-4
    expected = count * fundamental(rates, leave)[0] * leave
    assert (((np.bincount(last, minlength=n) - expected) ** 2) / expected).sum() < stats.chi2.isf(1e-4, n - 1)


def test_visits_of_a_flicker_beyond_all_counting():
    """1e25 hops inside for one out: durations are then exponential, with the mean that linear algebra gives."""
    eps = 1e-25
    rates, leave = np.array([[0.0, 3.0], [1.0, 0.0]]), np.array([eps, 2 * eps])
    times = draw_visits(gathered(2, [(np.arange(2), 1.0, eliminate(rates, leave))]), 2, 20_000)[1]
    mean = fundamental(rates, leave)[0].sum()
    assert stats.kstest(times / mean, "expon").pvalue > 1e-4


@njit
def draw_visits(plan, n, count):
    last, times = np.empty(count, dtype=np.int64), np.empty(count)
    hops, spent, state = np.zeros((n, n + 1)), np.zeros(n), np.uint64(1)
    for i in range(count):
        last[i], times[i], state = escape(plan, 0, np.uint64(0x9E3779B97F4A7C15), state, hops, spent)
    return last, times


@pytest.mark.parametrize("options", [{"clock": "exponential"}, {"field": [0.02, 0.0, 0.01]}])
def test_threads_and_interruptions_change_no_bit(graphs, tmp_path, options):
    graph = pairs_of_wells(graphs)
    system = {"temperature": 300.0, "n_walkers": 100, "n_hops": 320, "seed": 4, **options}
    one, two = (kmc.simulate(graph, **system, threads=threads) for threads in (1, 2))
    saved = kmc.simulate(graph, **system, checkpoint=tmp_path / "walk.npz")
    again = kmc.simulate(graph, **system, checkpoint=tmp_path / "walk.npz")
    for other in (two, saved, again):
        for name in ("windings", "durations", "spreads", "ends"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
    assert (one.hops.group >= 0).any()


def test_passages_through_superbasins_have_the_exact_mean(graphs):
    """Three rare exits of 1e10 hops each: the plain walk would hop for hours."""
    graph = pairs_of_wells(graphs, fast=0.03, slow=0.63)
    exact = kmc.mean_first_passage(graph, 300.0, [4])[0]
    times = kmc.first_passage_times(graph, 300.0, 0, [4], n_walkers=1000, seed=1)
    assert abs(times.mean() - exact) < 4 * times.std() / np.sqrt(1000)
    # Of many exits, each as likely to go either way: spread out, and all but exponential from its quarter on.
    late = times[times > np.quantile(times, 0.25)] - np.quantile(times, 0.25)
    assert stats.kstest(late / late.mean(), "expon").pvalue > 1e-4
