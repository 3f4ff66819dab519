"""Pictures say what they show: points where the numbers are, units on the axes, a word where nothing is."""

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import kmc
from iondiff import plot
from iondiff.errors import PlotError
from kmc.rates import KB

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

TEMPERATURES = np.array([300.0, 400.0, 600.0])


@pytest.fixture
def ax():
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    yield axes
    pyplot.close(figure)


def table(method="exact"):
    D = 1e-3 * np.exp(-0.4 / (KB * TEMPERATURES))
    return pd.DataFrame({"temperature": TEMPERATURES, "D": D, "D_error": 0.1 * D, "method": method})


def chain():
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=np.diag([3.0, 4.0, 5.0]).tolist(), guest="Cu")
    graph.add_node(0, position=[0.0, 0.0, 0.0], energy=0.0)
    for sign in (1, -1):
        graph.add_edge(0, 0, barrier=0.5, prefactor=1e13, image=[sign, 0, 0])
    return graph


def test_arrhenius_draws_the_points_and_the_energy(ax):
    assert plot.arrhenius(pd.concat([table(), table("walk")]), ax=ax) is ax
    first = ax.containers[0].lines[0]
    assert first.get_xdata() == pytest.approx(1000 / TEMPERATURES)
    assert first.get_ydata() == pytest.approx(table()["D"].to_numpy())
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "exact: 0.400 eV" in words
    assert "walk: 0.400 eV" in words
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("1000/T (1/K)", "D (cm²/s)", "log")


def test_a_users_own_table_needs_two_columns(ax):
    plot.arrhenius(table()[["temperature", "D"]], label="mine", fit=False, ax=ax)
    with pytest.raises(PlotError, match="no column D"):
        plot.arrhenius(table().drop(columns="D"), ax=ax)
    with pytest.raises(PlotError, match="no row"):
        plot.arrhenius(table().assign(D=0.0), ax=ax)


def test_barriers_mark_what_carries(ax):
    plot.barriers(chain(), ax=ax)
    assert ax.get_xlabel() == "barrier (eV)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["1D: 0.500 eV"]
    assert sum(patch.get_height() for patch in ax.patches) == 2
    assert kmc.percolation(chain()).rank == 1


def test_parity_says_its_error(ax):
    plot.parity([1.0, 2.0], [1.0, 2.2], unit="eV/Å", label="test", ax=ax)
    assert ax.get_legend().get_texts()[0].get_text() == "test: RMSE 0.141 eV/Å"
    with pytest.raises(PlotError, match="2 values and predicted 3"):
        plot.parity([1, 2], [1, 2, 3], ax=ax)


def test_concentration_sorts_and_names_its_columns(ax):
    rows = pd.DataFrame({"occupancy": [0.5, 0.1], "D": [1.0, 2.0], "D_error": [0.1, 0.1]})
    plot.concentration(rows, ax=ax)
    assert ax.containers[0].lines[0].get_xdata().tolist() == [0.1, 0.5]
    with pytest.raises(PlotError, match="no column sigma"):
        plot.concentration(rows, ["sigma"], ax=ax)
