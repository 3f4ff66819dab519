import numpy as np
import pytest

import search
from tests.search.landscapes import MorseHost, TwoHarmonics


@pytest.fixture(scope="module")
def wells():
    landscape = TwoHarmonics(np.diag([4.0, 5.0, 6.0]))
    return landscape, search.build_network(landscape, energy_cap=20.0, grid=(32, 32, 32))


def test_a_complete_network_passes(wells):
    certificate = search.certify(*wells)
    assert certificate.complete
    assert certificate.undecided == 0
    assert certificate.critical_points == (8, 24, 24, 8)
    assert certificate.surface_error < 1e-4
    assert "COMPLETE" in str(certificate)
    assert "Sampled, not proven" in str(certificate)


def test_what_was_taken_out_is_named(wells):
    landscape, network = wells
    short = network.copy()
    hop = next(iter(short.edges(data=True)))[2]["hop"]
    short.remove_edges_from(
        [(i, j, k) for i, j, k, d in network.edges(keys=True, data=True) if d["hop"] == hop]
    )
    certificate = search.certify(landscape, short)
    assert not certificate.complete
    assert [entry["kind"] for entry in certificate.missing] == ["saddle"]
    assert "NOT complete" in str(certificate)


def test_a_lost_site_is_named(wells):
    landscape, network = wells
    short = network.copy()
    place = short.nodes[3]["position"]
    short.remove_node(3)
    certificate = search.certify(landscape, short)
    minima = [entry for entry in certificate.missing if entry["kind"] == "minimum"]
    np.testing.assert_allclose(minima[0]["position"], place, atol=1e-4)


def test_random_host_closes():
    landscape = MorseHost(5)
    network = search.build_network(landscape, grid=(32, 32, 32))
    certificate = search.certify(landscape, network)
    assert certificate.complete
    assert certificate.critical_points[0] >= len(network)


def test_an_empty_network_is_refused(wells):
    landscape, network = wells
    empty = network.copy()
    empty.remove_nodes_from(list(network))
    with pytest.raises(search.SearchError, match="no sites"):
        search.certify(landscape, empty)
