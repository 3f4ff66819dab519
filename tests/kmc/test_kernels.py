"""Parts of the walk that a diffusivity would not notice."""

import numpy as np
import pytest
from numba import njit
from scipy import stats

import kmc
from kmc import _counts, _random, _tables, _waiting


@njit
def draw_many(n, key, state):
    values = np.empty(n)
    for i in range(n):
        values[i], state = _random.exponential(key, state)
    return values


def test_waiting_times_are_exponential():
    values = draw_many(1_000_000, np.uint64(0x9E3779B97F4A7C15), np.uint64(5))
    assert stats.kstest(values, "expon").pvalue > 1e-4
    for level in (1.0, 5.0, 7.7, 10.0):  # the tail of the ziggurat begins at 7.7
        expected = 1e6 * np.exp(-level)
        assert abs((values > level).sum() - expected) < 4 * np.sqrt(expected)


@njit
def draw_in_advance(n, key):
    values, words, ahead, state = np.empty(n), np.empty(n), np.empty(_waiting.AHEAD), np.uint64(7)
    for first in range(0, n, _waiting.AHEAD):
        _waiting.waiting_times(key, state, ahead)
        for k in range(_waiting.AHEAD):
            values[first + k] = ahead[k]
            words[first + k] = _random.draw(key, state) * 2.0**-64
            state += _random.ADVANCE
    return values, words


def test_waiting_times_made_in_advance_are_exponential_and_know_nothing_of_the_hops():
    n = 64 * 20_000
    values, words = draw_in_advance(n, np.uint64(0x9E3779B97F4A7C15))
    assert stats.kstest(values, "expon").pvalue > 1e-4
    for level in (5.0, 10.0):
        expected = n * np.exp(-level)
        assert abs((values > level).sum() - expected) < 4 * np.sqrt(expected)
    uniform = np.exp(-values)
    for shift in (0, 1, 2):
        a, b = uniform[: n - shift] - 0.5, words[shift:] - 0.5
        assert abs((a * b).mean()) < 4 / 12 / np.sqrt(n)
        joint = np.histogram2d(a, b, bins=16)[0]
        assert stats.chisquare(joint.ravel()).pvalue > 1e-4
    assert abs(((uniform[1:] - 0.5) * (uniform[:-1] - 0.5)).mean()) < 4 / 12 / np.sqrt(n)


@njit
def draw_counts(n, count, mean, p):
    many, some, times, state = np.empty(n), np.empty(n), np.empty(n), np.uint64(3)
    key = np.uint64(0x9E3779B97F4A7C15)
    for i in range(n):
        many[i], state = _counts.poisson(mean, key, state)
        some[i], state = _counts.binomial(count, p, 1.0 - p, key, state)
        times[i], state = _counts.gamma(count, key, state)
    return many, some, times


@pytest.mark.parametrize(("count", "p"), [(1.0, 0.3), (40.0, 0.1), (40.0, 0.6), (3e4, 0.01), (1e9, 0.2)])
def test_counts_have_their_laws(count, p):
    n, rng = 20_000, np.random.default_rng(1)
    many, some, times = draw_counts(n, count, count * p, p)
    for drawn, law in ((many, stats.poisson(count * p)), (some, stats.binom(int(count), p))):
        spread_out = law.cdf(drawn) - rng.random(n) * law.pmf(drawn)  # uniform, if the law is right
        assert stats.kstest(spread_out, "uniform").pvalue > 1e-4
    assert stats.kstest(times, stats.gamma(count).cdf).pvalue > 1e-4


def test_counts_beyond_whole_numbers_still_scatter_as_they_should():
    many, some, times = draw_counts(20_000, 1e24, 1e20, 1e-3)
    for drawn, mean, deviation in ((many, 1e20, 1e10), (some, 1e21, np.sqrt(0.999e21)), (times, 1e24, 1e12)):
        assert stats.kstest((drawn - mean) / deviation, "norm").pvalue > 1e-4


def test_tables_resolve_tiny_probabilities():
    """Thresholds are 64-bit: 1e-15 beside 1 is chosen as often as it should, read off the table itself."""
    p = np.array([1e-15, 0.3, 0.7 - 1e-15])
    table, start, _, _ = _tables.build_table(
        np.array([0, 3]), np.arange(3), p, np.zeros(3, np.int64), np.eye(3, dtype=np.int64), np.ones(1)
    )
    slots = table.reshape(-1, 4)
    share = {}
    for threshold, first, second, _ in slots.tolist():
        own = min(threshold / 2.0**64, 1.0)
        share[first] = share.get(first, 0.0) + own / len(slots)
        share[second] = share.get(second, 0.0) + (1 - own) / len(slots)
    fields = np.int64(_tables.ROW_BITS + 6)
    seen = {word >> int(fields): value for word, value in share.items()}
    np.testing.assert_allclose([seen[1 << 20], seen[1 << 10], seen[1]], p, rtol=1e-3)
    assert start[0] == np.uint64(61) << np.uint64(_tables.ROW_BITS)


@pytest.mark.parametrize("clock", ["mean", "exponential"])
def test_near_and_far_tables_walk_to_the_same_bits(graphs, monkeypatch, clock):
    graph = graphs.disordered(30, seed=1)
    arguments = {"temperature": 700.0, "n_walkers": 45, "n_hops": 500, "seed": 1, "clock": clock}
    near = kmc.simulate(graph, **arguments)
    few = kmc.simulate(graph, **{**arguments, "n_walkers": 5})  # less than a register full: looks ahead
    assert np.array_equal(near.windings[:5], few.windings)
    assert np.array_equal(near.durations[:5], few.durations)
    assert np.array_equal(near.ends[:5], few.ends)


def test_far_windings_are_counted_to_the_last_cell(graphs):
    """Hops that wind 500 cells at once still add up: the packed counters are emptied in time."""
    hops = [(0, 0, (500, 0, 0), 0.2, 1e13), (0, 0, (0, 511, 0), 0.2, 1e13)]
    graph = graphs.build(np.eye(3), [(0, 0, 0)], [0.0], hops)
    D = kmc.diffusion_tensor(graph, 500.0)
    estimate = kmc.tracer_diffusivity(
        kmc.simulate(graph, 500.0, n_walkers=100, n_hops=2000, seed=1), tensor=True
    )
    moved = estimate.error > 0
    assert np.abs((estimate.value - D)[moved] / estimate.error[moved]).max() < 4.5
    hops = [(0, 0, (1, 0, 0), 0.2, 1e13), (0, 0, (600, 0, 0), 0.2, 1e13)]
    far = graphs.build(np.eye(3), [(0, 0, 0)], [0.0], hops)
    with pytest.raises(kmc.GraphError, match="winds 600 cells"):
        kmc.simulate(far, 500.0)
