"""Fields, passages, and walkers watched in time."""

import numpy as np
import pytest

import kmc

T = 600.0


def test_uniform_chain_drifts_as_sinh(graphs):
    a, field = 1.5, 0.02
    v = kmc.drift_velocity(graphs.chain([0.3], spacing=a), T, [field, 0, 0], charge=2.0)
    half = 0.5 * 2.0 * field * a / (graphs.KB * T)
    rate = 1e13 * np.exp(-0.3 / (graphs.KB * T))
    np.testing.assert_allclose(v, [2 * a * rate * np.sinh(half) * 1e-8, 0, 0], rtol=1e-12)
    D = kmc.diffusion_tensor(graphs.chain([0.3], spacing=a), T, field=[field, 0, 0], charge=2.0)
    assert D[0, 0] == pytest.approx(a**2 * rate * np.cosh(half) * 1e-16, rel=1e-12)


def test_saddles_off_the_middle_feel_their_own_field(graphs):
    graph = graphs.chain([0.3], spacing=2.0)
    for _, _, data in graph.edges(data=True):
        data["saddle_position"] = [
            0.5,
            0.0,
            0.0,
        ]  # a quarter of the way to the right, three quarters to the left
    v = kmc.drift_velocity(graph, T, [0.05, 0, 0])
    x = 0.05 * 2.0 / (graphs.KB * T)
    rate = 1e13 * np.exp(-0.3 / (graphs.KB * T))
    assert v[0] == pytest.approx(2.0 * rate * (np.exp(0.25 * x) - np.exp(-0.75 * x)) * 1e-8, rel=1e-12)


def test_einstein_relation(graphs):
    graph = graphs.disordered(30, seed=2)
    np.testing.assert_allclose(
        kmc.mobility(graph, T, 2.0), 2 * kmc.diffusion_tensor(graph, T) / (graphs.KB * T)
    )
    field = np.array([2e-6, 1e-6, 0.0])
    v = kmc.drift_velocity(graph, T, field)
    np.testing.assert_allclose(v, kmc.mobility(graph, T) @ field * 1e8, rtol=1e-4)


def test_walk_in_a_field(graphs):
    graph = graphs.disordered(20, seed=4, spread=0.2)
    field = [0.03, -0.01, 0.02]
    solution = kmc.solve(graph, T, field=field)
    run = kmc.simulate(graph, T, n_walkers=200, n_hops=10_000, seed=1, field=field)
    drift = kmc.measured_drift(run)
    assert np.abs((drift.value - solution.drift) / drift.error).max() < 4
    estimate = kmc.tracer_diffusivity(run, tensor=True)
    assert np.abs((estimate.value - solution.tensor) / estimate.error).max() < 4


def test_temperature_dependent_barriers_and_eyring(graphs):
    graph = graphs.chain([0.3], spacing=1.0)
    D = kmc.diffusion_tensor(graph, T, barriers=lambda b, t: b + 1e-4 * t)[0, 0]
    assert pytest.approx(1e13 * np.exp(-0.36 / (graphs.KB * T)) * 1e-16, rel=1e-12) == D
    D = kmc.diffusion_tensor(graph, T, prefactor="eyring")[0, 0]
    assert pytest.approx(2.0836619e10 * T * np.exp(-0.3 / (graphs.KB * T)) * 1e-16, rel=1e-7) == D
    with pytest.raises(kmc.GraphError, match="2 finite barriers"):
        kmc.diffusion_tensor(graph, T, barriers=lambda b, _: -b)


def test_passage_along_a_chain(graphs):
    """On a ring of n sites with one target: mean time k (n − k) / 2Γ."""
    n, rate = 9, 1e13 * np.exp(-0.3 / (8.617333262145179e-5 * T))
    times = kmc.mean_first_passage(graphs.chain([0.3] * n), T, [0])
    np.testing.assert_allclose(times.to_numpy(), [k * (n - k) / (2 * rate) for k in range(n)], rtol=1e-12)
    np.testing.assert_allclose(kmc.residence_times(graphs.chain([0.3] * n), T), 1 / (2 * rate), rtol=1e-12)


def test_passages_of_large_graphs(graphs, monkeypatch):
    graph = graphs.disordered(60, seed=5)
    exact = kmc.mean_first_passage(graph, T, [3, 17])
    monkeypatch.setattr("kmc.passage.ELIMINATE_UP_TO", 0)
    np.testing.assert_allclose(kmc.mean_first_passage(graph, T, [3, 17]), exact, rtol=1e-6)


def test_what_cannot_be_reached_takes_for_ever(graphs):
    graph = graphs.chain([0.3, 0.3])
    graph.add_node("alone", position=[1.0, 1.0, 1.0], energy=0.0)
    times = kmc.mean_first_passage(graph, T, ["alone"])
    assert times["alone"] == 0
    assert np.isinf(times[0])
    with pytest.raises(kmc.GraphError, match="no target can be reached"):
        kmc.first_passage_times(graph, T, 0, ["alone"])
    with pytest.raises(kmc.GraphError, match="'nobody' is not a node"):
        kmc.mean_first_passage(graph, T, ["nobody"])


def test_sampled_passages_have_the_exact_mean(graphs):
    graph = graphs.disordered(25, seed=6, spread=0.3)
    mean = kmc.mean_first_passage(graph, 900.0, [0])[7]
    times = kmc.first_passage_times(graph, 900.0, 7, [0], n_walkers=2000, seed=1)
    assert abs(times.mean() - mean) < 4 * times.std() / np.sqrt(2000)


def test_two_sites_decay_exponentially(graphs):
    graph = graphs.build(np.eye(3) * 3, [(0, 0, 0), (1, 1, 1)], [0.0, 0.05], [(0, 1, (0, 0, 0), 0.3, 1e13)])
    out, back = (1e13 * np.exp(-b / (graphs.KB * T)) for b in (0.3, 0.25))
    times = np.linspace(0, 3, 7) / (out + back)
    seen = kmc.observe(graph, T, times, n_walkers=4000, seed=1, start=0)
    expected = out / (out + back) * (1 - np.exp(-(out + back) * times))
    share = seen.occupation()
    assert np.all(
        np.abs(share.value[:, 1] - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000) + 1e-12
    )
    np.testing.assert_allclose(np.unique(np.linalg.norm(seen.displacements, axis=2)), [0, np.sqrt(3)])


def test_mean_square_displacement_grows_with_the_exact_slope(graphs):
    graph = graphs.disordered(20, seed=3, spread=0.2)
    D = kmc.diffusion_tensor(graph, T) * 1e16
    step = 60.0 / np.trace(D)
    seen = kmc.observe(graph, T, [0.0, 10 * step, 20 * step], n_walkers=3000, seed=2)
    msd = seen.msd()
    assert not msd.value[0].any()
    slope = (msd.value[2] - msd.value[1]) / (2 * 10 * step)
    error = np.hypot(msd.error[2], msd.error[1]) / (2 * 10 * step)
    assert np.abs((slope - D) / error).max() < 4
    density = seen.van_hove(np.linspace(0, 1000, 2001))
    np.testing.assert_allclose(density.sum(axis=1) * 0.5, 1.0)
    steady = kmc.occupation(graph, T).to_numpy()
    now = seen.occupation().value[2]
    assert np.all(np.abs(now - steady) < 5 * np.sqrt(steady * (1 - steady) / 3000) + 1e-12)


def test_watching_later_does_not_change_earlier(graphs):
    graph = graphs.disordered(20, seed=3)
    rate = 1 / kmc.residence_times(graph, T).mean()
    few = kmc.observe(graph, T, [5 / rate, 20 / rate], n_walkers=50, seed=2)
    many = kmc.observe(graph, T, np.arange(1, 21) / rate, n_walkers=50, seed=2, threads=2)
    assert np.array_equal(few.sites, many.sites[:, [4, 19]])


@pytest.mark.parametrize("times", [[], [1.0, 0.5], [-1.0], [np.nan]])
def test_impossible_times(graphs, times):
    with pytest.raises(kmc.GraphError, match="times are"):
        kmc.observe(graphs.chain([0.3, 0.3]), T, times)
