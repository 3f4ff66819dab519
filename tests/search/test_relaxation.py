"""A rigid host's network taken over to the full potential: carbon between aluminium atoms."""

import networkx as nx
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from ase.mep import NEB
from ase.optimize import BFGS

import kmc
import search

A = 4.05
QUICK = search.neb.Settings(n_images=5, fmax=0.02)


def rigid_network(guest="C"):
    """An octahedral and a tetrahedral gap of fcc, the hop between them, and a second copy of the latter."""
    places = {
        0: ([A / 2, 0, 0], 0.0),
        1: ([A / 4, A / 4, A / 4], 0.7),
        2: ([A / 4 + 0.08, A / 4, A / 4], 0.7),
    }
    network = nx.MultiDiGraph(schema="hopping-graph/1", cell=(A * np.eye(3)).tolist(), guest=guest)
    for site, (position, energy) in places.items():
        network.add_node(site, position=position, energy=energy)
    for site in (1, 2):
        saddle = (np.array(places[0][0]) + places[site][0]) / 2
        for source, target in ((0, site), (site, 0)):
            network.add_edge(
                source,
                target,
                barrier=0.8 - places[source][1],
                prefactor=1e13,
                image=[0, 0, 0],
                saddle_position=saddle.tolist(),
                hop=site,
            )
    return network


@pytest.fixture(scope="module")
def host():
    return bulk("Al", cubic=True)


@pytest.fixture(scope="module")
def relaxed(host):
    return search.relax_network(rigid_network(), host, EMT(), settings=QUICK)


def ase_barrier(host):
    ends = []
    for place in ([A / 2, 0, 0], [A / 4, A / 4, A / 4]):
        atoms = host + Atoms("C", positions=[place])
        atoms.calc = EMT()
        BFGS(atoms, logfile=None).run(fmax=0.005)
        ends.append(atoms)
    images = [ends[0], *[ends[0].copy() for _ in range(3)], ends[1]]
    for image in images[1:-1]:
        image.calc = EMT()
    band = NEB(images, k=1.0, climb=False, method="improvedtangent")
    band.interpolate()
    BFGS(band, logfile=None).run(fmax=0.1, steps=300)
    band.climb = True
    BFGS(band, logfile=None).run(fmax=0.02, steps=300)
    energies = [image.get_potential_energy() for image in images]
    return max(energies) - energies[0], max(energies) - energies[-1]


def test_hops_have_the_barriers_of_ase(host, relaxed):
    kmc.validate(relaxed)
    barriers = [d["barrier"] for *_, d in relaxed.edges(data=True)]
    assert barriers == pytest.approx(ase_barrier(host), abs=2e-3)


def test_sites_that_relax_into_one_are_one_site_with_one_hop(relaxed):
    assert (len(relaxed), relaxed.number_of_edges()) == (2, 2)
    assert relaxed.graph["search"]["sites_merged"] == 1


def test_structures_of_the_sites_are_at_rest(relaxed):
    structures = search.site_structures(relaxed)
    for (_, data), atoms in zip(relaxed.nodes(data=True), structures, strict=True):
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(data["energy"], abs=1e-9)
        assert np.abs(atoms.get_forces()).max() < QUICK.fmax
    found = search.saddle_searches(structures, EMT(), searches=1, network=relaxed, seed=3)
    assert found.searches == 2
    with pytest.raises(search.SearchError, match="not in memory"):
        search.site_structures(rigid_network())


@pytest.mark.parametrize("start", ["linear", "idpp"])
def test_other_starts_find_the_same_pass(host, relaxed, start):
    other = search.relax_network(rigid_network(), host, EMT(), settings=QUICK, start=start)
    heights = [sorted(d["barrier"] for *_, d in net.edges(data=True)) for net in (other, relaxed)]
    assert heights[0] == pytest.approx(heights[1], abs=5e-3)


@pytest.mark.parametrize(("radius", "atoms"), [(0.0, 1), (2.0, 4)])
def test_modes_are_listed_and_obey_detailed_balance(host, radius, atoms):
    network = search.relax_network(
        rigid_network(), host, EMT(), settings=QUICK, prefactors="vineyard", radius=radius
    )
    kmc.validate(network)
    (modes,) = network.graph["search"]["modes_THz"]
    assert (np.array(modes["saddle"]) < 0).sum() == 1
    assert len(modes["saddle"]) == len(modes["source"]) == 3 * atoms


def test_a_host_that_is_held_keeps_its_places(host):
    held = host.copy()
    held.set_constraint(FixAtoms(range(len(held))))
    network = search.relax_network(rigid_network(), held, EMT(), settings=QUICK)
    for atoms in search.site_structures(network):
        assert np.array_equal(atoms.positions[:-1], host.positions)


def test_what_does_not_converge_is_listed_and_no_hop(host):
    hasty = search.neb.Settings(n_images=5, fmax=0.02, steps=1)
    network = search.relax_network(rigid_network(), host, EMT(), settings=hasty)
    assert network.number_of_edges() == 0
    assert all(entry["reason"] for entry in network.graph["search"]["not_converged"])
    kept = search.relax_network(rigid_network(), host, EMT(), settings=hasty, keep_unconverged=True)
    assert {d["converged"] for *_, d in kept.edges(data=True)} == {False}


class Stops(EMT):
    """A calculator that is interrupted after some calls."""

    left = 10**9

    def calculate(self, *args, **kwargs):
        type(self).left -= 1
        if type(self).left < 0:
            raise KeyboardInterrupt
        super().calculate(*args, **kwargs)


def test_an_interrupted_relaxation_goes_on_to_the_same_answer(host, relaxed, tmp_path):
    for stop in (30, 60):
        Stops.left = stop
        with pytest.raises(KeyboardInterrupt):
            search.relax_network(rigid_network(), host, Stops(), settings=QUICK, checkpoint=tmp_path / "kept")
    again = search.relax_network(rigid_network(), host, EMT(), settings=QUICK, checkpoint=tmp_path / "kept")
    # EMT itself repeats an energy to rounding only: its sums run in the order of a neighbour list it keeps.
    for mine, theirs in zip(again.edges(data=True), relaxed.edges(data=True), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2]["barrier"] == pytest.approx(theirs[2]["barrier"], abs=1e-9)
        assert mine[2]["saddle_position"] == pytest.approx(theirs[2]["saddle_position"], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"guest": "Xx"}, "chemical symbol"),
        ({"start": "magic"}, "start='magic'"),
        ({"prefactors": "harmonic"}, "vineyard"),
        ({"radius": -1.0}, "radius=-1.0"),
        ({"calculator": None}, "calculator is None"),
        ({"host": bulk("Al")}, "cell of the network"),
    ],
)
def test_arguments_that_cannot_serve(host, arguments, words):
    usual = {"host": host, "calculator": EMT()}
    with pytest.raises(search.SearchError, match=words):
        search.relax_network(rigid_network(), **{**usual, **arguments})
