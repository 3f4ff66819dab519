"""Saddle searches with a full potential, frequencies from many atoms, and the comparison of networks."""

import numpy as np
import pytest
from ase.build import add_adsorbate, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.optimize import BFGS

import search
from search.calculators import Evaluations
from search.modes import attempt_frequency, closed_frequencies, modes
from tests.search.landscapes import Cosines, MorseHost, TwoHarmonics


@pytest.fixture(scope="module")
def hollow():
    slab = fcc100("Al", size=(2, 2, 3))
    add_adsorbate(slab, "Cu", 1.7, "hollow")
    slab.center(axis=2, vacuum=4.0)
    slab.set_constraint(FixAtoms(mask=[atom.tag > 1 for atom in slab]))
    slab.calc = EMT()
    BFGS(slab, logfile=None).run(fmax=0.005)
    return slab


@pytest.fixture(scope="module")
def found(hollow):
    return search.saddle_searches([hollow], EMT(), searches=5, seed=1)


def test_the_bridge_of_the_surface_is_found_again(found):
    barriers = [saddle.barrier for saddle in found.saddles if saddle.leaves]
    assert min(abs(barrier - 0.3086) for barrier in barriers) < 2e-3
    assert "hops that the network does not have" in str(found)
    assert found.searches == 5
    assert sum(saddle.found for saddle in found.saddles) + sum(found.failed.values()) == 5


def test_every_saddle_has_one_imaginary_mode_and_no_force(hollow, found):
    with Evaluations(hollow, EMT()) as evaluate:
        for saddle in found.saddles:
            _, gradient = evaluate(saddle.positions.reshape(1, -1))
            assert np.linalg.norm(gradient.reshape(-1, 3), axis=1).max() < 0.011
            assert (saddle.frequencies < 0).sum() == 1


@pytest.mark.slow
def test_same_seed_same_saddles(hollow, found):
    again = search.saddle_searches([hollow], EMT(), searches=5, seed=1)
    assert [s.energy for s in again.saddles] == [s.energy for s in found.saddles]


def test_vineyard_refuses_what_is_no_saddle(hollow, found):
    with Evaluations(hollow, EMT()) as evaluate:
        site = modes(evaluate, hollow.positions[evaluate.moving].ravel())
        bridge = next(s for s in found.saddles if abs(s.barrier - 0.3086) < 2e-3)
        saddle = modes(evaluate, bridge.positions.ravel())
        assert 1e12 < attempt_frequency(site, saddle) < 1e13
        with pytest.raises(search.SearchError, match="first-order saddle"):
            attempt_frequency(site, site)


def test_translations_are_taken_out_when_all_atoms_vibrate():
    from ase.build import bulk

    atoms = bulk("Al", cubic=True)
    with Evaluations(atoms, EMT()) as evaluate:
        found = modes(evaluate, atoms.positions.ravel())
    assert len(found.frequencies) == 3 * 4 - 3
    assert found.frequencies.min() > 1.0


def test_frequencies_close_around_loops():
    random = np.random.default_rng(3)
    sources, targets = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2])
    weights = random.standard_normal(3)
    mean = np.exp(random.standard_normal(4)) * 1e12
    ratio = weights[targets] - weights[sources]
    exact = mean * np.exp(0.5 * ratio), mean * np.exp(-0.5 * ratio)
    forward, backward, change = closed_frequencies(*exact, sources, targets, 3)
    np.testing.assert_allclose(forward, exact[0], rtol=1e-9)
    assert change < 1e-9
    bent = exact[0] * np.array([1.0, 1.0, 1.3, 1.0])
    forward, backward, change = closed_frequencies(bent, exact[1], sources, targets, 3)
    loop = np.log(forward / backward)
    assert loop[0] + loop[1] + loop[2] == pytest.approx(0.0, abs=1e-12)
    assert 0.0 < change < 0.5 * np.log(1.3)


def test_searches_that_cannot_start(hollow):
    with pytest.raises(search.SearchError, match="sites is empty"):
        search.saddle_searches([], EMT())
    with pytest.raises(search.SearchError, match="fixed atom"):
        search.saddle_searches([hollow], EMT(), guest=0)
    with pytest.raises(search.SearchError, match="searches=0"):
        search.saddle_searches([hollow], EMT(), searches=0)


@pytest.mark.slow
def test_pairs_beside_the_complete_network(capsys):
    landscape = MorseHost(5)
    complete = search.build_network(landscape, grid=(24, 24, 24), energy_cap=1.2)
    pairs = search.build_network(landscape, grid=(24, 24, 24), energy_cap=1.2, method="pairs", cutoff=2.2)
    notes = pairs.graph["search"]
    assert notes["pairs"] >= len(notes["bands_not_converged"]) + pairs.number_of_edges() // 2
    found = search.compare_networks(pairs, complete)
    assert str(found) in capsys.readouterr().out
    assert str(found) == notes["beside_complete"]
    assert found.shared_sites + len(found.missing_sites) == len(complete)
    assert found.shared_hops + len(found.missing_hops) == complete.number_of_edges()
    assert found.shared_hops + len(found.extra_hops) == pairs.number_of_edges()
    assert found.barrier_difference < 0.01
    itself = search.compare_networks(complete, complete)
    assert itself.diffusivity == itself.reference_diffusivity == itself.elementary_diffusivity
    assert not itself.missing_hops
    assert not itself.extra_hops


def test_pairs_over_a_hidden_site_or_a_ridge_are_flagged(capsys):
    """Two wells along each axis: pairs lead over the well between them, or over a corner, or are hops."""
    landscape = TwoHarmonics(np.diag([4.0, 4.5, 5.0]))
    pairs = search.build_network(landscape, grid=(16, 16, 16), energy_cap=20.0, method="pairs", cutoff=4.1)
    complete = search.build_network(landscape, grid=(16, 16, 16), energy_cap=20.0)
    found = search.compare_networks(pairs, complete)
    assert (found.shared_hops, found.missing_hops) == (48, [])
    assert {pairs.edges[hop]["elementary"] for hop in found.extra_hops} == {False}
    assert sum(d["elementary"] for *_, d in pairs.edges(data=True)) == 48
    assert found.diffusivity > found.reference_diffusivity
    assert found.elementary_diffusivity == pytest.approx(found.reference_diffusivity, rel=1e-3)
    assert str(found) in capsys.readouterr().out


def test_a_missing_hop_is_named():
    landscape = Cosines(4.0 * np.eye(3), [0.1, 0.2, 0.3])
    network = search.build_network(landscape, grid=(20, 20, 20))
    short = network.copy()
    short.remove_edge(0, 0, 0)
    found = search.compare_networks(short, network)
    assert found.missing_hops == [(0, 0, 0)]
    assert "1 missing" in str(found)
