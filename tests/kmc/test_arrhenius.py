"""Sweeps and fits."""

import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest

import kmc

TEMPERATURES = [300, 400, 500, 600, 800]


def line(graphs, Ea=0.4, D0=1e-3):
    return D0 * np.exp(-Ea / (graphs.KB * np.array(TEMPERATURES)))


def test_one_barrier_gives_its_own_activation_energy(graphs):
    table = kmc.sweep(graphs.chain([0.37]), temperatures=TEMPERATURES)
    assert list(table.columns) == ["temperature", "D", "D_error", "method"]
    assert (table["D_error"] == 0).all()
    fit = kmc.fit_arrhenius(table)
    assert fit.Ea == pytest.approx(0.37, abs=1e-12)
    assert fit.Ea_error < 1e-10
    assert pytest.approx(1e13 * 1.5**2 * 1e-16 / 3, rel=1e-9) == fit.D0


def test_walk_sweep_agrees_with_exact(graphs):
    graph = graphs.chain([0.2, 0.25, 0.22])
    exact = kmc.sweep(graph, temperatures=[500, 700])
    walked = kmc.sweep(graph, temperatures=[500, 700], method="walk", n_walkers=100, n_hops=5000, seed=1)
    assert (np.abs(walked["D"] - exact["D"]) < 4 * walked["D_error"]).all()
    assert (walked["D_error"] > 0).all()


def test_executors_change_nothing(graphs):
    graph = graphs.chain([0.2, 0.25, 0.22])
    options = {"temperatures": [500, 700], "method": "walk", "n_walkers": 40, "n_hops": 1000, "seed": 1}
    with ProcessPoolExecutor(1) as pool:
        far = kmc.sweep(graph, executor=pool, **options)
    pd.testing.assert_frame_equal(far, kmc.sweep(graph, **options))


def test_weighted_fits_cover_the_truth(graphs):
    rng = np.random.default_rng(0)
    truth = line(graphs)
    inside, z = 0, []
    for _ in range(400):
        relative = np.array([0.2, 0.05, 0.05, 0.02, 0.02])
        table = pd.DataFrame({"temperature": TEMPERATURES, "D": truth * (1 + relative * rng.normal(size=5))})
        table["D_error"] = relative * truth
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kmc.CurvatureWarning)
            fit = kmc.fit_arrhenius(table)
        low, high = fit.Ea_interval(0.95)
        inside += low < 0.4 < high
        z.append((fit.Ea - 0.4) / fit.Ea_error)
    assert 0.92 < inside / 400 < 0.98
    assert abs(np.mean(z)) < 0.3


def test_extrapolation_carries_the_covariance(graphs):
    table = pd.DataFrame({"temperature": TEMPERATURES, "D": line(graphs)})
    table["D_error"] = 0.05 * table["D"]
    fit = kmc.fit_arrhenius(table)
    inside, outside = fit.extrapolate(450.0), fit.extrapolate(200.0)
    assert outside.value == pytest.approx(1e-3 * np.exp(-0.4 / (graphs.KB * 200)), rel=1e-9)
    assert outside.error / outside.value > 3 * inside.error / inside.value
    x = 1 / (graphs.KB * 200)
    c = fit.covariance
    assert (outside.error / outside.value) ** 2 == pytest.approx(c[0, 0] - 2 * x * c[0, 1] + x * x * c[1, 1])


def test_data_without_errors_get_them_from_their_scatter(graphs):
    scatter = np.array([1.1, 0.9, 1.05, 0.97, 1.02])
    bare = pd.DataFrame({"temperature": TEMPERATURES, "D": line(graphs) * scatter})
    fit = kmc.fit_arrhenius(bare)
    assert fit.degrees_of_freedom == 3
    assert 0 < fit.Ea_error < 0.05
    zeros = kmc.fit_arrhenius(bare.assign(D_error=0.0))
    assert (zeros.Ea, zeros.Ea_error) == (fit.Ea, fit.Ea_error)


def test_curvature_is_announced(graphs):
    x = 1 / (graphs.KB * np.array(TEMPERATURES))
    table = pd.DataFrame({"temperature": TEMPERATURES, "D": np.exp(-5 - 0.3 * x - 0.004 * x**2)})
    with pytest.warns(kmc.CurvatureWarning, match="one activation energy does not describe"):
        fit = kmc.fit_arrhenius(table)
    assert fit.curvature == pytest.approx(-0.004, rel=1e-6)


def test_mixed_tables_ask_which_method(graphs):
    exact = kmc.sweep(graphs.chain([0.2]), temperatures=TEMPERATURES)
    mixed = pd.concat([exact, exact.assign(method="walk", D=2 * exact["D"])])
    with pytest.raises(kmc.GraphError, match=r"several methods \(exact, walk\)"):
        kmc.fit_arrhenius(mixed)
    assert pytest.approx(2 * kmc.fit_arrhenius(exact).D0) == kmc.fit_arrhenius(mixed, method="walk").D0
    with pytest.raises(kmc.GraphError, match="the table holds exact, walk"):
        kmc.fit_arrhenius(mixed, method="md")


def test_two_points_make_a_line(graphs):
    fit = kmc.fit_arrhenius(pd.DataFrame({"temperature": [300, 600], "D": line(graphs)[[0, 3]]}))
    assert fit.Ea == pytest.approx(0.4)
    assert fit.Ea_error == np.inf  # two points say nothing about scatter


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"temperature": [300], "D": [1e-9]}, "at least two temperatures"),
        ({"temperature": [300, 400], "D": [1e-9, 0.0]}, "D at 400 K is 0.0"),
        ({"temperature": [300, 400], "D": [1e-9, np.nan]}, "D at 400 K is nan"),
        ({"temperature": [300, -400], "D": [1e-9, 1e-8]}, "temperature is -400"),
        ({"T": [300, 400], "D": [1e-9, 1e-8]}, "no column 'temperature'"),
        ({"temperature": [300, 400], "D": [1e-9, 1e-8], "D_error": [0.0, 1e-9]}, "D_error is zero at 300 K"),
        ({"temperature": [300, 400], "D": ["a", "b"]}, "not a number"),
    ],
)
def test_impossible_tables(table, message):
    with pytest.raises(kmc.GraphError, match=message):
        kmc.fit_arrhenius(pd.DataFrame(table))


def test_one_temperature_needs_no_list(graphs):
    assert kmc.sweep(graphs.chain([0.2]), temperatures=300)["temperature"].tolist() == [300.0]


def test_impossible_sweeps(graphs):
    graph = graphs.chain([0.2])
    with pytest.raises(kmc.GraphError, match="no temperatures"):
        kmc.sweep(graph, temperatures=[])
    with pytest.raises(kmc.GraphError, match="temperature is -1"):
        kmc.sweep(graph, temperatures=[300, -1])
    with pytest.raises(kmc.GraphError, match="method is 'magic'"):
        kmc.sweep(graph, temperatures=[300], method="magic")


def test_a_walk_that_is_refused_marks_its_row_and_the_fit_leaves_it_out(graphs):
    graph = graphs.chain([0.1] * 40 + [0.25])
    options = {"method": "walk", "n_walkers": 100, "seed": 1, "superbasins": False}
    table = pd.concat(
        [
            kmc.sweep(graph, temperatures=[400], n_hops=200, **options),
            kmc.sweep(graph, temperatures=[1500, 1800, 2200], n_hops=200_000, **options),
        ]
    )
    assert table["converged"].tolist() == [False, True, True, True]
    assert np.isfinite(table["D"]).all()
    with pytest.warns(kmc.NotConvergedWarning, match="400 K"):
        fit = kmc.fit_arrhenius(table)
    assert fit.temperatures.tolist() == [1500, 1800, 2200]


def test_two_temperatures_are_printed_without_an_error(graphs):
    fit = kmc.fit_arrhenius(kmc.sweep(graphs.chain([0.37]), temperatures=[500, 600]))
    assert str(fit).startswith("0.3700 eV (two temperatures, no error)")


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_cluster_sweeps_as_one_process_does(graphs, processes):
    distributed = pytest.importorskip("distributed", reason="the cluster needs the extra 'dask'")
    graph = graphs.chain([0.3, 0.35])
    options = {"temperatures": [500, 700], "method": "walk", "n_walkers": 50, "n_hops": 2000, "seed": 1}
    cluster = distributed.LocalCluster(
        n_workers=2 if processes else 1, threads_per_worker=1, processes=processes, dashboard_address=":0"
    )
    with cluster, distributed.Client(cluster) as client:
        far = kmc.sweep(graph, executor=client.get_executor(), **options)
        gas = {"replicate": (10, 1, 1), "n_hops": 2000, "replicas": 2, "seed": 1}
        there = kmc.simulate_gas(graph, 8, 600.0, executor=client.get_executor(), **gas)
    pd.testing.assert_frame_equal(far, kmc.sweep(graph, **options))
    here = kmc.simulate_gas(graph, 8, 600.0, **gas)
    assert np.array_equal(there.durations, here.durations)
