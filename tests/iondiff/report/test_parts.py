"""The parts behind the page: where hops are drawn, how numbers are rounded."""

import doctest

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import iondiff.report._numbers
import iondiff.report._style
from iondiff.report import cell_edges, hop_lines
from iondiff.report._html import script_json
from iondiff.report._numbers import rounded, scientific, with_error
from iondiff.report._percolation import percolation_path
from iondiff.report._scene import barrier_bins

CELL = [[10.0, 0.0, 0.0], [6.0, 8.0, 0.0], [1.0, 2.0, 9.0]]


@pytest.fixture
def two_sites():
    """Two sites near opposite faces of a skewed cell, joined inside and across the boundary."""
    network = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL, guest="Li")
    network.add_node("a", position=[1.0, 1.0, 1.0], energy=0.0)
    network.add_node("b", position=[14.0, 8.0, 7.0], energy=0.2)
    for image, saddle in (([0, 0, 0], 0.9), ([-1, -1, -1], 0.5)):
        where = (np.array([15.0, 9.0, 8.0]) + np.array(image) @ np.array(CELL) * 0).tolist()
        extra = {"saddle_position": where} if image[0] else {}
        network.add_edge("a", "b", barrier=saddle, prefactor=1e12, image=image, **extra)
        network.add_edge("b", "a", barrier=saddle - 0.2, prefactor=2e12, image=[-i for i in image], **extra)
    return network


def test_each_pair_is_drawn_once_to_the_right_image(two_sites):
    hops = hop_lines(two_sites)
    assert len(hops.names) == 2
    crossing = int(np.flatnonzero(hops.crosses)[0])
    np.testing.assert_allclose(hops.end[crossing], [14 - 17, 8 - 10, 7 - 9])
    np.testing.assert_allclose(hops.barriers[crossing], [0.5, 0.3])
    np.testing.assert_allclose(hops.prefactors[crossing], [1e12, 2e12])
    assert hops.uphill[crossing] == 0.5
    assert hops.saddle_energy[crossing] == pytest.approx(0.5)


def test_saddle_is_drawn_in_the_image_next_to_its_hop(two_sites):
    hops = hop_lines(two_sites)
    crossing = int(np.flatnonzero(hops.crosses)[0])
    np.testing.assert_allclose(hops.middle[crossing], [15 - 17, 9 - 10, 8 - 9])
    inside = 1 - crossing
    np.testing.assert_allclose(hops.middle[inside], (hops.start[inside] + hops.end[inside]) / 2)


def spans(hops, rows, top):
    """Whether hops up to a saddle energy lead from a site to another copy of itself, by search alone."""
    links = {}
    for row in rows:
        if hops.saddle_energy[row] <= top:
            (source, target), image = hops.names[row], hops.images[row]
            links.setdefault(source, []).append((target, image))
            links.setdefault(target, []).append((source, -image))
    for start in links:
        seen, stack = {start: (0, 0, 0)}, [(start, np.zeros(3, int))]
        while stack:
            here, cell = stack.pop()
            for there, image in links[here]:
                place = tuple(cell + image)
                if seen.setdefault(there, place) != place:
                    return True
                if (there, place) not in seen:
                    seen[there, place] = place
                    stack.append((there, cell + image))
    return False


@pytest.mark.parametrize("seed", range(6))
def test_the_lowest_way_through_leads_through_and_nothing_lower_does(make_run, tmp_path, seed):
    from iondiff.report import read_run

    network = read_run(make_run(tmp_path / "run", n_sites=25, seed=seed)).network
    hops = hop_lines(network)
    path = percolation_path(hops)
    top = hops.saddle_energy[path].max()
    assert spans(hops, path, top)
    assert not spans(hops, range(len(hops.names)), np.nextafter(top, -np.inf))
    # Without any one of its hops the path is cut: it is one loop.
    for row in path:
        assert not spans(hops, [other for other in path if other != row], top)
    # Its windings add up to a whole number of cells that is not nothing.
    total, here = np.zeros(3, int), None
    for row in path:
        (source, target), image = hops.names[row], hops.images[row]
        forward = here in (None, source)
        total += image if forward else -image
        here = target if forward else source
    assert total.any()
    assert here == hops.names[path[0]][0]


def test_a_chain_that_ends_leads_nowhere():
    network = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL, guest="Li")
    for site in range(3):
        network.add_node(site, position=[1.0 + site, 1.0, 1.0], energy=0.0)
    for site in range(2):
        network.add_edge(site, site + 1, barrier=0.3, prefactor=1e12, image=[1, 0, 0])
        network.add_edge(site + 1, site, barrier=0.3, prefactor=1e12, image=[-1, 0, 0])
    assert len(percolation_path(hop_lines(network))) == 0


@pytest.mark.parametrize("image", ["-1 -1 -1", "[-1, -1, -1]", "(-1,-1,-1)"])
def test_current_is_found_in_either_direction(two_sites, image):
    table = pd.DataFrame({"source": ["a"], "target": ["b"], "key": [1], "image": [image], "share": [0.7]})
    hops = hop_lines(two_sites, table)
    assert hops.share[hops.crosses] == [0.7]
    assert hops.carries.tolist() == hops.crosses.tolist()
    back = pd.DataFrame({"source": ["b"], "target": ["a"], "key": [1], "image": ["1 1 1"], "share": [-0.7]})
    np.testing.assert_array_equal(hop_lines(two_sites, back).share, hops.share)


def test_hop_to_its_own_image_is_drawn_once():
    network = nx.MultiDiGraph(schema="hopping-graph/1", cell=CELL, guest="Li")
    network.add_node(0, position=[1.0, 1.0, 1.0], energy=0.0)
    for image in ([0, 1, 0], [0, -1, 0]):
        network.add_edge(0, 0, barrier=0.5, prefactor=1e12, image=image)
    hops = hop_lines(network)
    assert hops.images.tolist() == [[0, 1, 0]]
    np.testing.assert_allclose(hops.end - hops.start, [[6.0, 8.0, 0.0]])


def test_cell_has_twelve_edges():
    edges = cell_edges(np.array(CELL))
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    np.testing.assert_allclose(np.sort(lengths), np.sort(np.repeat(np.linalg.norm(CELL, axis=1), 4)))


@pytest.mark.parametrize("high", [0.01, 0.4, 1.7, 3.0, 40.0, 1e6])
def test_bins_hold_every_barrier(high):
    barriers = np.linspace(0.0, high, 101)
    edges = barrier_bins(barriers)
    assert edges[0] <= 0.0
    assert edges[-1] >= high
    assert 2 <= len(edges) <= 9


def test_missing_numbers_are_dashes():
    assert rounded(float("nan")) == with_error(None, 0.1) == scientific(float("inf")) == "–"
    assert with_error(0.83, float("nan"), "eV") == "0.830 eV"


def test_script_data_is_strict_json_without_tags():
    assert script_json({"a": [float("nan"), np.float64(1.5)], "b": "</script>"}) == (
        '{"a":[null,1.5],"b":"\\u003c/script\\u003e"}'
    )


@pytest.mark.parametrize("module", [iondiff.report._numbers, iondiff.report._style])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0
