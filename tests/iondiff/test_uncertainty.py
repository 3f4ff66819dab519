"""The potential's error, carried into D and the activation energy, against what can be worked out by hand."""

import networkx as nx
import numpy as np
import pytest

import kmc
from iondiff.uncertainty import error_at_height, perturbed, potential_uncertainty

BINS = [
    {"from_eV": 0.0, "to_eV": 1.0, "rmse_meV": 10.0},
    {"from_eV": 1.0, "to_eV": None, "rmse_meV": 40.0},
]


def cubic(barrier=1.5):
    """One site, three hops onto its own images, and back."""
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=(3.0 * np.eye(3)).tolist(), guest="Cu")
    graph.add_node(0, position=[0.1, 0.2, 0.3], energy=-2.0)
    for axis in range(3):
        for sign in (1, -1):
            image = [0, 0, 0]
            image[axis] = sign
            graph.add_edge(0, 0, barrier=barrier, prefactor=1e13, image=image)
    return graph


def test_errors_are_those_of_the_height():
    assert error_at_height(BINS, np.array([-0.1, 0.5, 1.0, 9.0])) == pytest.approx([0.01, 0.01, 0.04, 0.04])


def test_perturbed_networks_stay_sound():
    generator = np.random.default_rng(0)
    for _ in range(20):
        changed = perturbed(cubic(0.02), -2.0, BINS, generator)
        kmc.validate(changed)
        assert all(data["barrier"] >= 0.0 for _, _, data in changed.edges(data=True))


def test_a_single_hop_in_one_dimension_has_the_error_of_its_barrier():
    graph = cubic()
    graph.remove_edges_from(
        [edge for edge in list(graph.edges(keys=True)) if graph.edges[edge]["image"][0] == 0]
    )
    found = potential_uncertainty(graph, [500.0, 1000.0], BINS, -2.0, draws=400, seed=1)
    # One site (10 meV) and one pass (40 meV): the barrier's error is their root sum of squares.
    expected = np.hypot(0.01, 0.04)
    assert found["activation_energy_eV"] == pytest.approx(expected, rel=4 / np.sqrt(2 * 400))
    kt = 8.617333262e-5 * 500.0
    assert np.log(found["D_factor"]["500"]) == pytest.approx(expected / kt, rel=4 / np.sqrt(2 * 400))


def test_same_seed_same_answer():
    first, second = (
        potential_uncertainty(cubic(), [500, 800], BINS, -2.0, draws=5, seed=3) for _ in range(2)
    )
    assert first == second
