"""Symmetry of hosts: fewer evaluations, equal labels, nothing lost."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import search
from search.symmetry import operations
from tests.search.landscapes import MorseHost


class PairHost:
    """A guest among the Morse atoms of a crystal given as Atoms, in any cell; counts its evaluations."""

    def __init__(self, host, length=1.9, reach=5.0):
        self.host, self.length, self.reach = host, length, reach
        self.cell, self.evaluations = np.array(host.cell), 0
        layers = int(np.ceil(reach * np.linalg.norm(np.linalg.inv(self.cell), axis=0).max())) + 1
        shifts = np.stack(np.meshgrid(*[np.arange(-layers, layers + 1)] * 3, indexing="ij"), -1).reshape(
            -1, 3
        )
        atoms = (host.positions[:, None] + shifts @ self.cell).reshape(-1, 3)
        depth = np.repeat(np.where(host.numbers == 29, 0.5, 0.8), len(shifts))
        centre = self.cell.sum(axis=0) / 2
        size = np.linalg.norm(np.abs(self.cell).sum(axis=0))
        near = np.linalg.norm(atoms - centre, axis=1) < size + reach
        self.inner = MorseHost(0, n_atoms=1, cell=self.cell, reach=reach)
        self.inner.atoms, self.inner.depth = atoms[near], depth[near]
        self.inner.length = np.full(near.sum(), length)

    def energy_and_gradient(self, points):
        self.evaluations += len(points)
        return self.inner.energy_and_gradient(points)


def crystals():
    ordered = bulk("Cu", cubic=True)
    ordered.numbers[0] = 79
    sheared = bulk("Cu")  # the primitive cell, with 60° angles
    return [bulk("Cu", cubic=True), ordered, sheared]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_symmetry_saves_work_and_loses_nothing(number):
    host = crystals()[number]
    with_it, without = PairHost(host), PairHost(host)
    network = search.build_network(with_it, grid=(24, 24, 24), energy_cap=1.5)
    without.host = None
    plain = search.build_network(without, grid=(24, 24, 24), energy_cap=1.5)
    assert len(network) == len(plain)
    assert network.number_of_edges() == plain.number_of_edges()
    np.testing.assert_allclose(
        [d["energy"] for _, d in network.nodes(data=True)],
        [d["energy"] for _, d in plain.nodes(data=True)],
        atol=1e-6,
    )
    assert with_it.evaluations < 0.6 * without.evaluations
    assert network.graph["search"]["without_partner"] == []
    for _, group in search.sites_table(network).groupby("orbit"):
        assert np.ptp(group["energy_eV"]) < 1e-6
    hops = search.hops_table(network)
    for _, group in hops.groupby("orbit"):
        assert np.ptp(group["saddle_energy_eV"]) < 1e-6
    assert hops["orbit"].nunique() < len(hops) / 4


def test_labels_can_be_written_later():
    host = bulk("Cu", cubic=True)
    landscape = PairHost(host)
    landscape.host = None
    network = search.build_network(landscape, grid=(20, 20, 20), energy_cap=1.5)
    assert "orbit" not in network.nodes[0]
    search.label_symmetry(network, host)
    assert network.graph["space_group"] == "Fm-3m"
    assert network.graph["search"]["distinct_sites"] < len(network)


def test_a_landscape_without_the_hosts_symmetry_does_not_use_it():
    landscape = PairHost(bulk("Cu", cubic=True))
    network = search.build_network(
        MorseHost(5), grid=(20, 20, 20), host=Atoms("Cu", cell=MorseHost(5).cell, pbc=True)
    )
    assert "orbit" not in network.nodes[0]
    with pytest.raises(search.SearchError, match="not the landscape's cell"):
        search.build_network(landscape, grid=(20, 20, 20), host=bulk("Al", cubic=True))


def test_operations_take_the_crystal_onto_itself():
    atoms = crystals()[1]
    atoms.set_cell(atoms.cell @ np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1.2]]), scale_atoms=True)
    ops = operations(atoms)
    numbers, images = ops.permutations(atoms.positions, 1e-3)
    assert (numbers >= 0).all()
    for operation in range(len(ops)):
        moved = ops.apply(operation, atoms.positions)
        back = atoms.positions[numbers[operation]] + images[operation] @ ops.cell
        np.testing.assert_allclose(moved, back, atol=1e-6)
        assert (atoms.numbers == atoms.numbers[numbers[operation]]).all()
