import numpy as np
import pytest
from ase.build import add_adsorbate, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import BFGS

import search
from search import neb
from tests.search.landscapes import Cosines, MorseHost, TwoHarmonics


@pytest.fixture(scope="module")
def host():
    return MorseHost(5)


@pytest.fixture(scope="module")
def network(host):
    return search.build_network(host, grid=(32, 32, 32))


def test_bands_confirm_every_hop(host, network):
    hops = neb.refine(host, network)
    assert len(hops) == network.number_of_edges() // 2
    for hop in hops:
        assert hop.converged, hop.reason
        if hop.elementary:
            assert hop.barrier == pytest.approx(hop.network_barrier, abs=1e-3)


def test_a_band_over_a_third_site_is_split():
    landscape = TwoHarmonics(np.diag([4.0, 40.0, 40.0]))
    network = search.build_network(Cosines(np.diag([4.0, 5.0, 6.0]), [0.2, 0.3, 0.4]))
    assert len(neb.refine(Cosines(np.diag([4.0, 5.0, 6.0]), [0.2, 0.3, 0.4]), network)) == 3
    well = np.array([np.arccos(-0.5) * 4.0 / (2 * np.pi), 40 / 3, 40 / 3])
    ends = well + np.array([4.0, 0.0, 0.0])
    bands = neb.on_landscape(landscape, well[None], ends[None], neb.Settings(n_images=13))
    assert [band.pieces for band in bands] == [2, 2]
    assert all(band.converged for band in bands)
    assert sorted(round(band.barrier, 3) for band in bands) == [0.25, 2.25]
    np.testing.assert_allclose(bands[0].positions[-1], bands[1].positions[0], atol=1e-3)


def test_what_does_not_converge_says_why(host, network):
    hops = neb.refine(host, network, settings=neb.Settings(steps=2))
    assert not all(hop.converged for hop in hops)
    assert all(hop.reason for hop in hops if not hop.converged)


def test_paths_run_from_site_to_image(host, network):
    edges = list(network.edges(keys=True))[:6]
    cell = np.array(network.graph["cell"])
    for (i, j, key), (positions, energies) in zip(
        edges, search.minimum_energy_paths(host, network, edges, n_images=31), strict=True
    ):
        data = network.edges[i, j, key]
        np.testing.assert_allclose(positions[0], network.nodes[i]["position"])
        np.testing.assert_allclose(
            positions[-1], np.array(network.nodes[j]["position"]) + np.array(data["image"]) @ cell
        )
        assert energies.max() <= data["saddle_energy"] + 1e-6
        assert energies.max() > data["saddle_energy"] - 0.02
        steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
        assert steps.max() < 1.2 * steps.mean()


def test_tables_agree_with_the_graph(network):
    sites, hops = search.sites_table(network), search.hops_table(network)
    assert len(sites) == len(network)
    assert len(hops) == network.number_of_edges()
    np.testing.assert_allclose(
        hops["saddle_energy_eV"],
        sites["energy_eV"].to_numpy()[hops["source"]] + hops["barrier_eV"],
        atol=1e-9,
    )
    assert sites["energy_eV"].is_monotonic_increasing


def adatom(symbol, offset):
    slab = fcc100("Al", size=(2, 2, 3))
    add_adsorbate(slab, symbol, 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in slab]))
    slab.positions[-1, 0] += offset * slab.cell[0, 0] / 2
    slab.calc = EMT()
    BFGS(slab, logfile=None).run(fmax=0.005)
    return slab


@pytest.mark.parametrize(("symbol", "barrier"), [("Au", 0.3745), ("Al", 0.2364), ("Cu", 0.3086)])
def test_adatoms_on_aluminium(symbol, barrier):
    ends = adatom(symbol, 0), adatom(symbol, 1)
    (band,) = neb.with_calculator([ends], EMT(), neb.Settings(n_images=7, fmax=0.01))
    assert band.converged, band.reason
    assert band.barrier == pytest.approx(barrier, abs=1e-3)
