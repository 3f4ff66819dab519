import json
from collections import Counter

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import search
from search.lattice import nearest
from tests.search.landscapes import (
    BOLTZMANN,
    Cosines,
    MorseHost,
    Moved,
    Recelled,
    TwoHarmonics,
    Walled,
    Waves,
    diffusion_tensor,
)

SKEW = [[3.0, 0.0, 0.0], [1.2, 3.4, 0.0], [-0.7, 0.9, 4.1]]


def count(network):
    return network.number_of_nodes(), network.number_of_edges()


@pytest.mark.parametrize("cell", [np.diag([3.0, 4.0, 5.0]), np.array(SKEW)])
@pytest.mark.parametrize("energy_cap", [2.0, 0.45])
def test_cosines_have_one_site_and_a_hop_in_each_direction(cell, energy_cap):
    amplitudes = np.array([0.1, 0.2, 0.3])
    network = search.build_network(Cosines(cell, amplitudes), energy_cap=energy_cap)
    below = 2 * amplitudes <= energy_cap
    assert count(network) == (1, 2 * below.sum())
    assert network.nodes[0]["energy"] == pytest.approx(-amplitudes.sum(), abs=1e-9)
    images = {tuple(d["image"]): d["barrier"] for _, _, d in network.edges(data=True)}
    for axis in np.flatnonzero(below):
        for sign in (1, -1):
            assert images[tuple(sign * np.eye(3, dtype=int)[axis])] == pytest.approx(
                2 * amplitudes[axis], abs=1e-6
            )


def test_cosines_diffuse_as_the_closed_form_says():
    lengths, amplitudes, temperature = np.array([3.0, 4.0, 5.0]), np.array([0.1, 0.15, 0.2]), 400.0
    network = search.build_network(Cosines(np.diag(lengths), amplitudes))
    expected = lengths**2 * 1e13 * np.exp(-2 * amplitudes / (BOLTZMANN * temperature))
    np.testing.assert_allclose(
        diffusion_tensor(network, temperature), np.diag(expected), rtol=1e-6, atol=1e-3
    )


@pytest.mark.parametrize("cell", [np.diag([4.0, 5.0, 6.0]), 1.5 * np.array(SKEW)])
def test_two_harmonics(cell):
    landscape = TwoHarmonics(cell)
    network = search.build_network(landscape, energy_cap=20.0)
    assert count(network) == (8, 48)
    assert all(d["energy"] == pytest.approx(-2.25, abs=1e-6) for _, d in network.nodes(data=True))
    assert network.graph["search"]["critical_points_of_surface"] == [8, 24, 24, 8]
    # Along each axis two unequal passes join the two minima: over X = 0 and over X = π.
    barriers = Counter(round(d["barrier"], 5) for _, _, d in network.edges(data=True))
    assert barriers == {2.25: 24, 0.25: 24}


def test_octahedral_and_tetrahedral_sites_of_fcc():
    # First star {111} and second star {200}: octahedral minima of -0.5 eV, tetrahedral ones of -0.3 eV.
    stars = [(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1), (2, 0, 0), (0, 2, 0), (0, 0, 2)]
    a = 4.0
    network = search.build_network(Waves(a, stars, [-0.2] * 4 + [0.1] * 3))
    octahedral = [n for n, d in network.nodes(data=True) if network.out_degree(n) == 8]
    tetrahedral = [n for n, d in network.nodes(data=True) if network.out_degree(n) == 4]
    assert (len(octahedral), len(tetrahedral)) == (4, 8)
    table = search.hops_table(network)
    np.testing.assert_allclose(table["distance_A"], a * np.sqrt(3) / 4, atol=1e-4)


@pytest.fixture(scope="module")
def host():
    return MorseHost(5)


@pytest.fixture(scope="module")
def host_network(host):
    return search.build_network(host, grid=(32, 32, 32))


def test_rotated_and_shifted_copies_diffuse_alike(host, host_network):
    rotation = Rotation.from_euler("xyz", [0.3, 1.1, -2.0]).as_matrix()
    network = search.build_network(Moved(host, rotation, np.array([0.77, -1.3, 2.2])), grid=(32, 32, 32))
    assert count(network) == count(host_network)
    expected = rotation @ diffusion_tensor(host_network, 800.0) @ rotation.T
    np.testing.assert_allclose(diffusion_tensor(network, 800.0), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("matrix", [[[1, 0, 0], [1, 1, 0], [0, -1, 1]], [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]])
def test_other_cells_of_the_same_host_diffuse_alike(host, host_network, matrix):
    network = search.build_network(Recelled(host, matrix), grid=(40, 40, 40))
    copies = round(np.linalg.det(matrix))
    assert count(network) == tuple(copies * n for n in count(host_network))
    expected = diffusion_tensor(host_network, 800.0)
    np.testing.assert_allclose(diffusion_tensor(network, 800.0), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_walls_without_numbers_change_nothing(host, host_network, bad):
    network = search.build_network(Walled(host, 8.0, bad), grid=(32, 32, 32))
    assert count(network) == count(host_network)
    expected = diffusion_tensor(host_network, 800.0)
    np.testing.assert_allclose(diffusion_tensor(network, 800.0), expected, atol=1e-5 * np.abs(expected).max())


def test_same_seed_same_network_to_the_last_bit(host, host_network):
    again = search.build_network(host, grid=(32, 32, 32))
    assert list(again.nodes(data=True)) == list(host_network.nodes(data=True))
    assert list(again.edges(keys=True, data=True)) == list(host_network.edges(keys=True, data=True))


def test_every_hop_has_its_reverse_and_plain_values(host_network):
    json.dumps([host_network.graph, list(host_network.nodes(data=True)), list(host_network.edges(data=True))])
    cell = np.array(host_network.graph["cell"])
    for i, j, data in host_network.edges(data=True):
        back = [
            d
            for _, target, d in host_network.out_edges(j, data=True)
            if target == i and d["hop"] == data["hop"] and d["image"] == [-x for x in data["image"]]
        ]
        assert len(back) == 1
        assert back[0]["saddle_energy"] == data["saddle_energy"]
        shift = np.array(data["saddle_position"]) - np.array(back[0]["saddle_position"])
        np.testing.assert_allclose(shift, np.array(data["image"]) @ cell, atol=1e-9)
    for _, data in host_network.nodes(data=True):
        fractional = np.array(data["position"]) @ np.linalg.inv(cell)
        assert ((fractional >= 0) & (fractional < 1)).all()


def test_polish_reaches_the_landscape_itself(host, host_network):
    sites = np.array([d["position"] for _, d in host_network.nodes(data=True)])
    saddles = np.array([d["saddle_position"] for _, _, d in host_network.edges(data=True)])
    for positions in (sites, saddles):
        _, gradients = host.energy_and_gradient(positions)
        assert np.abs(gradients).max() < 1e-4


def test_vineyard_of_cosines():
    # All curvatures are known: A (2π/a)² at the site, -A (2π/a)² along the hop: ν = sqrt(A/m) / a.
    amplitudes, lengths = np.array([0.1, 0.2, 0.3]), np.array([3.0, 4.0, 5.0])
    network = search.build_network(Cosines(np.diag(lengths), amplitudes), guest="Cu", prefactors="vineyard")
    mass, ev, amu = 63.546, 1.602176634e-19, 1.66053906892e-27
    for _, _, data in network.edges(data=True):
        axis = int(np.argmax(np.abs(data["image"])))
        expected = np.sqrt(amplitudes[axis] * ev / (mass * amu)) / (lengths[axis] * 1e-10)
        assert data["prefactor"] == pytest.approx(expected, rel=1e-4)
        assert [f < 0 for f in data["modes_THz"]] == [True, False, False]
        assert -data["modes_THz"][0] == pytest.approx(1e-12 * expected, rel=1e-4)


class ShallowWell:
    """A double well of barrier 1 meV along x, cosines along y and z."""

    cell = np.diag([4.0, 3.0, 3.0])

    def energy_and_gradient(self, points):
        k = 2 * np.pi / np.array([4.0, 3.0, 3.0])
        x, y, z = (points * k).T
        # cos x + c cos 2x has two wells around x = π, 2c (1 - 1/(4c))² apart in height from the top between.
        c = self.ratio
        energies = 0.5 * (np.cos(x) + c * np.cos(2 * x)) + 0.2 * (np.cos(y) + np.cos(z))
        gradients = np.stack(
            [
                -0.5 * k[0] * (np.sin(x) + 2 * c * np.sin(2 * x)),
                -0.2 * k[1] * np.sin(y),
                -0.2 * k[2] * np.sin(z),
            ],
            axis=1,
        )
        return energies, gradients

    ratio = 0.25 + 0.0115


def test_shallow_double_well_is_two_sites():
    landscape = ShallowWell()
    network = search.build_network(landscape)
    assert len(network) == 2
    barrier = min(d["barrier"] for _, _, d in network.edges(data=True))
    c = landscape.ratio
    # E(x) = cos x + c cos 2x: minimum at cos x = -1/(4c), E = -1/(8c) - c; top at x = π, E = c - 1.
    assert barrier == pytest.approx(0.5 * (c - 1 + 1 / (8 * c) + c), abs=1e-6)
    assert barrier < 1e-3


def exhaustive(landscape, index, energy_cap, points=14):
    """Slow reference: eigenvector following on the landscape from every point of a grid below the cap."""
    grid = np.stack(np.meshgrid(*[(np.arange(points) + 0.3) / points] * 3, indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    x = grid @ landscape.cell
    energies, _ = landscape.energy_and_gradient(x)
    x = x[energies < energies.min() + energy_cap + 0.3]
    sign, found, shifts = (
        np.where(np.arange(3) < index, -1.0, 1.0),
        [],
        1e-4 * np.concatenate([np.eye(3), -np.eye(3)]),
    )
    for _ in range(60):
        if len(x) == 0:
            break
        energies, gradients = landscape.energy_and_gradient(x)
        _, around = landscape.energy_and_gradient((x[:, None] + shifts).reshape(-1, 3))
        around = around.reshape(-1, 2, 3, 3)
        hessians = (around[:, 0] - around[:, 1]) / 2e-4
        values, vectors = np.linalg.eigh(0.5 * (hessians + hessians.transpose(0, 2, 1)))
        slopes = np.einsum("nji,nj->ni", vectors, gradients)
        step = -np.einsum("nij,nj->ni", vectors, sign * slopes / np.maximum(np.abs(values), 1e-6))
        length = np.linalg.norm(step, axis=1)
        rest = (length < 1e-7) & ((values < 0).sum(axis=1) == index)
        found.append(x[rest])
        x = (x + step * np.minimum(1.0, 0.1 / np.maximum(length, 1e-300))[:, None])[
            ~rest & (energies < 100.0)
        ]
    found = np.concatenate(found)
    energies, _ = landscape.energy_and_gradient(found)
    return found, energies


@pytest.mark.parametrize("seed", [1, 2])
def test_random_hosts_against_exhaustive_following(seed):
    landscape = MorseHost(seed, n_atoms=8, cell=[[4.6, 0, 0], [1.1, 4.4, 0], [-0.6, 0.8, 4.8]])
    network = search.build_network(landscape, grid=(28, 28, 28), energy_cap=1.5)
    minima, low = exhaustive(landscape, 0, 1.5)
    saddles, high = exhaustive(landscape, 1, 1.5)
    ceiling = low.min() + 1.5
    sites = np.array([d["position"] for _, d in network.nodes(data=True)])
    passes = [d["saddle_position"] for _, _, d in network.edges(data=True)] + network.graph["loops"]
    passes = np.array(passes).reshape(-1, 3)
    for mine, theirs in ((sites, minima[low <= ceiling]), (passes, saddles[high <= ceiling])):
        assert len(theirs)
        assert (nearest(theirs, mine, landscape.cell, 1e-3) >= 0).all(), "a critical point was missed"
        assert (nearest(mine, theirs, landscape.cell, 1e-3) >= 0).all(), "a critical point is false"


def test_grid_by_spacing():
    network = search.build_network(Cosines(np.diag([3.0, 4.0, 5.0]), [0.1, 0.2, 0.3]), grid=0.2)
    assert count(network) == (1, 6)


def test_a_bar_for_every_stage(capsys):
    search.build_network(Cosines(4 * np.eye(3), [0.1] * 3), grid=(16, 16, 16), progress=True)
    assert "exclude cells" in capsys.readouterr().out


def test_progress_is_told():
    seen = []
    search.build_network(
        Cosines(4 * np.eye(3), [0.1] * 3), grid=(16, 16, 16), progress=lambda *a: seen.append(a)
    )
    assert {"grid", "exclude cells", "polish"} <= {stage for stage, _, _ in seen}
    assert all(0 < done <= total for _, done, total in seen)
