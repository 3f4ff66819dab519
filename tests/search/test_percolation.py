"""Percolation energies against closed forms and, where it is installed, persistent homology."""

import numpy as np
import pytest
from ase.io import read
from ase.io.cube import read_cube_data

import search
from search.sampling import grid_points
from tests.search.landscapes import Cosines, MorseHost

CELL = np.array([[4.0, 0, 0], [1.0, 5.0, 0], [-0.5, 0.7, 6.0]])


def test_cosines_connect_axis_by_axis():
    network = search.build_network(Cosines(CELL, [0.3, 0.1, 0.2]))
    found = search.percolation(network)
    np.testing.assert_allclose(found.energies, [0.2, 0.4, 0.6], atol=1e-6)
    assert found.dimension == 3
    assert [abs(x) for x in found.directions[0][0]] == [0, 1, 0]
    assert "3 directions: 0.6000 eV" in str(found)


def test_what_does_not_connect_says_so():
    network = search.build_network(Cosines(CELL, [0.3, 0.1, 0.2]), energy_cap=0.5)
    found = search.percolation(network)
    assert found.dimension == 2
    assert found.hops[2] is None
    assert np.isinf(found.energies[2])
    assert "never" in str(found)


def test_a_spiral_of_two_sites_goes_one_way():
    """Two sites whose three hops only close around the cell twice: a way along 2a, found through both."""
    network = search.build_network(Cosines(CELL, [0.3, 0.1, 0.2]))
    spiral = network.__class__(**network.graph)
    for site in (0, 1):
        spiral.add_node(site, position=[0.0, 0.0, float(site)], energy=0.0)
    for source, target, image in ((0, 1, [1, 0, 0]), (1, 0, [1, 0, 0])):
        spiral.add_edge(source, target, barrier=0.1 + 0.1 * source, image=image)
        spiral.add_edge(target, source, barrier=0.1 + 0.1 * source, image=[-x for x in image])
    found = search.percolation(spiral)
    assert found.dimension == 1
    assert found.energies[0] == pytest.approx(0.2)
    assert [abs(x) for x in found.directions[0][0]] == [2, 0, 0]


@pytest.mark.slow
def test_random_host_against_persistent_homology():
    """Essential loops of the sublevel sets on a torus are born where the network first goes through."""
    gudhi = pytest.importorskip("gudhi", reason="gudhi is an optional, independent check")
    landscape = MorseHost(5)
    network = search.build_network(landscape, grid=(32, 32, 32))
    shape = (80, 80, 80)
    energies, _ = landscape.energy_and_gradient(grid_points(shape, landscape.cell))
    cubes = gudhi.PeriodicCubicalComplex(
        vertices=np.minimum(energies, 10.0).reshape(shape), periodic_dimensions=[True] * 3
    )
    cubes.compute_persistence(homology_coeff_field=11, min_persistence=0.0)
    loops = sorted(birth for birth, death in cubes.persistence_intervals_in_dimension(1) if np.isinf(death))
    lowest = min(d["energy"] for _, d in network.nodes(data=True))
    # Along grid points a way is never lower than over the pass itself, and comes close on a fine grid.
    above = np.array(loops) - lowest - search.percolation(network).energies
    assert (above > -1e-6).all()
    assert (above < 0.025).all()


def test_files_for_other_programs(tmp_path):
    landscape = MorseHost(5)
    network = search.build_network(landscape, grid=(24, 24, 24))
    search.write_sites(network, tmp_path / "sites.extxyz", saddles=True)
    atoms = read(tmp_path / "sites.extxyz")
    kinds = list(atoms.arrays["kind"])
    assert kinds.count("site") == len(network)
    assert kinds.count("saddle") == network.number_of_edges() // 2
    assert atoms.arrays["energy_eV"].min() == 0.0
    values = search.write_landscape(landscape, tmp_path / "e.cube", grid=(12, 10, 8), energy_cap=1.0)
    data, read_back = read_cube_data(tmp_path / "e.cube")
    np.testing.assert_allclose(data, values, atol=1e-4)
    np.testing.assert_allclose(read_back.cell, landscape.cell, atol=1e-4)
    assert data.max() == pytest.approx(1.0)
