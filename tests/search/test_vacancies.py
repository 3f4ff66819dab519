"""Vacancy and interstitial networks with cheap potentials, against ASE's bands and closed forms."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.mep import NEB
from ase.optimize import FIRE, LBFGS

import kmc
import search

BOLTZMANN = 8.617333262e-5
QUICK = search.neb.Settings(n_images=5, fmax=0.02)


def ase_barrier(crystal, first, last, settings):
    """ASE's own band for the atom at `last` hopping into the vacancy at `first`."""
    ends = []
    for gone in (first, last):
        atoms = crystal.copy()
        if gone == last:
            atoms.positions[last] = atoms.positions[first]
        del atoms[first]
        atoms.calc = EMT()
        LBFGS(atoms, logfile=None).run(fmax=0.003)
        ends.append(atoms)
    images = [ends[0], *[ends[0].copy() for _ in range(settings.n_images - 2)], ends[1]]
    for image in images[1:-1]:
        image.calc = EMT()
    band = NEB(images, k=settings.spring, climb=False, method="improvedtangent")
    band.interpolate(mic=True)
    FIRE(band, logfile=None).run(fmax=settings.climb_below)
    band.climb = True
    FIRE(band, logfile=None).run(fmax=settings.fmax)
    energies = [image.get_potential_energy() for image in images]
    return max(energies) - energies[0]


@pytest.mark.parametrize("metal", ["Cu", "Al"])
def test_all_hops_of_an_fcc_metal_are_one_and_ase_agrees(metal):
    crystal = bulk(metal, cubic=True) * (2, 2, 2)
    network = search.vacancy_network(crystal, metal, EMT(), cutoff=3.0)
    kmc.validate(network)
    assert (len(network), network.number_of_edges()) == (32, 32 * 12)
    barriers = [d["barrier"] for *_, d in network.edges(data=True)]
    assert np.ptp(barriers) < 1e-9
    first, last = 0, int(np.argsort(crystal.get_distances(0, range(32), mic=True))[1])
    expected = ase_barrier(crystal, first, last, search.neb.Settings(n_images=7))
    assert barriers[0] == pytest.approx(expected, abs=5e-3)


def test_one_atom_a_cell_hops_to_its_own_images_and_diffuses_by_the_closed_form():
    network = search.vacancy_network(bulk("Al"), "Al", EMT(), cutoff=3.0, settings=QUICK)
    kmc.validate(network)
    assert (len(network), network.number_of_edges()) == (1, 12)
    assert len({tuple(d["image"]) for *_, d in network.edges(data=True)}) == 12
    barrier, a = network.edges[0, 0, 0]["barrier"], 4.05
    rate = 1e13 * np.exp(-barrier / (BOLTZMANN * 700.0))
    # Twelve hops of a/√2, D = Σ k d² / 6.
    np.testing.assert_allclose(
        kmc.diffusion_tensor(network, temperature=700.0),
        np.eye(3) * a**2 * rate * 1e-16,
        atol=1e-9 * a**2 * rate * 1e-16,
    )


def test_saddles_lie_between_their_places():
    network = search.vacancy_network(bulk("Al"), "Al", EMT(), cutoff=3.0, settings=QUICK)
    cell, site = np.array(network.graph["cell"]), np.array(network.nodes[0]["position"])
    for *_, d in network.edges(data=True):
        np.testing.assert_allclose(d["saddle_position"], site + np.array(d["image"]) @ cell / 2, atol=0.02)


def layered():
    """Three Cu layers and one Au layer, stacked along z: two kinds of Cu places."""
    atoms = bulk("Cu", cubic=True) * (1, 1, 2)
    atoms.numbers[np.isclose(atoms.get_scaled_positions()[:, 2], 0.0)] = 79
    atoms.set_cell(atoms.cell * [1.03, 1.03, 1.05], scale_atoms=True)
    return atoms


@pytest.mark.slow
def test_symmetry_changes_the_work_and_nothing_else():
    arguments = {"cutoff": 2.8, "settings": QUICK, "supercell": (2, 2, 1)}
    quick = search.vacancy_network(layered(), "Cu", EMT(), **arguments)
    slow = search.vacancy_network(layered(), "Cu", EMT(), symmetry=False, **arguments)
    kmc.validate(quick)
    assert quick.graph["search"]["evaluations"] < 0.5 * slow.graph["search"]["evaluations"]
    assert quick.graph["search"]["distinct_sites"] == 2
    assert quick.number_of_edges() == slow.number_of_edges()

    def barriers(network):
        return {(i, j, tuple(d["image"])): d["barrier"] for i, j, d in network.edges(data=True)}

    mine, theirs = barriers(quick), barriers(slow)
    assert mine.keys() == theirs.keys()
    for hop, barrier in mine.items():
        assert barrier == pytest.approx(theirs[hop], abs=2e-3)


def glass():
    """A small metallic glass in a sheared cell, relaxed."""
    random = np.random.default_rng(4)
    cell = np.array([[6.9, 0, 0], [1.1, 6.8, 0], [-0.6, 0.9, 7.1]])
    atoms = Atoms("Cu20", scaled_positions=random.random((20, 3)), cell=cell, pbc=True)
    atoms.numbers[:4] = 47
    atoms.calc = EMT()
    FIRE(atoms, logfile=None).run(fmax=0.01, steps=2000)
    return atoms


@pytest.mark.slow
def test_a_glass_has_detailed_balance_and_says_what_it_left_out():
    rough = search.neb.Settings(n_images=5, fmax=0.05, steps=100, max_splits=1)
    network = search.vacancy_network(
        glass(), "Ag", EMT(), cutoff=4.0, settings=rough, supercell=(1, 1, 1), keep_unconverged=True
    )
    kmc.validate(network)
    notes = network.graph["search"]
    assert notes["distinct_sites"] == len(network) == 4 - len(notes["unstable_sites"])
    kept = {d["orbit"] for *_, d in network.edges(data=True)}
    lost = [entry for entry in notes["not_converged"] if not entry["kept"]]
    assert notes["distinct_hops"] == len(kept) + len(notes["not_elementary"]) + len(lost)
    assert network.graph["charge_sign"] == -1
    assert all(entry["reason"] for entry in notes["not_converged"])


def test_frequencies_obey_detailed_balance():
    network = search.vacancy_network(
        layered(),
        "Cu",
        EMT(),
        cutoff=3.0,
        settings=QUICK,
        supercell=(2, 2, 1),
        prefactors="vineyard",
        radius=2.9,
    )
    kmc.validate(network)
    prefactors = [d["prefactor"] for *_, d in network.edges(data=True)]
    assert 1e12 < min(prefactors) < max(prefactors) < 1e14
    for listed in network.graph["search"]["modes_THz"]:
        assert (np.array(listed["saddle"]) < 0).sum() == 1
        assert (np.array(listed["source"]) > 0).all()


def test_carbon_between_aluminium_atoms():
    network = search.vacancy_network(
        bulk("Al", cubic=True),
        "C",
        EMT(),
        cutoff=2.2,
        mechanism="interstitial",
        settings=QUICK,
        supercell=(2, 2, 2),
    )
    kmc.validate(network)
    # Four octahedral and eight tetrahedral gaps a cell; an octahedral one has eight tetrahedral neighbours.
    assert sorted(np.bincount([d["orbit"] for _, d in network.nodes(data=True)])) == [4, 8]
    octahedral = [n for n, d in network.nodes(data=True) if network.nodes[n]["orbit"] == 0]
    across = [(i, j) for i, j in network.edges() if (i in octahedral) is not (j in octahedral)]
    assert len(across) in (0, 64)


@pytest.mark.slow
def test_interstitialcy_moves_a_charge_the_whole_way():
    network = search.vacancy_network(
        bulk("Cu", cubic=True),
        "Cu",
        EMT(),
        cutoff=2.0,
        mechanism="interstitialcy",
        settings=QUICK,
        supercell=(2, 2, 2),
    )
    kmc.validate(network)
    assert network.graph["charge_sign"] == 1
    assert network.number_of_edges() > 0


class Stops(EMT):
    """A calculator that is interrupted after some calls."""

    left = 10**9

    def calculate(self, *args, **kwargs):
        type(self).left -= 1
        if type(self).left < 0:
            raise KeyboardInterrupt
        super().calculate(*args, **kwargs)


def test_an_interrupted_search_goes_on_to_the_same_answer(tmp_path):
    arguments = {"cutoff": 3.0, "settings": QUICK}
    whole = search.vacancy_network(bulk("Al"), "Al", EMT(), **arguments)
    file = tmp_path / "kept"
    for stop in (7, 13):
        Stops.left = stop
        with pytest.raises(KeyboardInterrupt):
            search.vacancy_network(bulk("Al"), "Al", Stops(), checkpoint=file, **arguments)
    with file.open("ab") as torn:
        torn.write(b"half a record")
    Stops.left = whole.graph["search"]["evaluations"] - 15
    again = search.vacancy_network(bulk("Al"), "Al", Stops(), checkpoint=file, **arguments)
    assert list(again.edges(data=True)) == list(whole.edges(data=True))


def test_a_checkpoint_of_another_calculator_is_refused(tmp_path):
    file = tmp_path / "kept"
    search.vacancy_network(bulk("Al"), "Al", EMT(), cutoff=3.0, settings=QUICK, checkpoint=file)
    other = LennardJones(sigma=2.5, epsilon=0.1)
    with pytest.raises(search.SearchError, match="another calculator"):
        search.vacancy_network(bulk("Al"), "Al", other, cutoff=3.0, settings=QUICK, checkpoint=file)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"species": "Li"}, "not in the structure"),
        ({"cutoff": 2.0}, "within the cutoff"),
        ({"cutoff": -1.0}, "cutoff=-1.0"),
        ({"mechanism": "magic"}, "mechanism='magic'"),
        ({"supercell": (1, 1, 1)}, "own image"),
        ({"calculator": None}, "calculator is None"),
        ({"prefactors": "harmonic"}, "vineyard"),
        ({"symprec": 0.0}, "symprec=0.0"),
    ],
)
def test_arguments_that_cannot_serve(arguments, words):
    usual = {"species": "Al", "calculator": EMT(), "cutoff": 3.0}
    with pytest.raises(search.SearchError, match=words):
        search.vacancy_network(bulk("Al"), **{**usual, **arguments})


def test_a_calculator_that_raises_is_named_with_its_image():
    with pytest.raises(search.SearchError, match=r"raised .* at image 0"):
        search.vacancy_network(bulk("Fe"), "Fe", EMT(), cutoff=3.0)
