"""Hosts whose cores have no energies, or made-up ones, and landscapes of unusual scale."""

import numpy as np
import pytest

import search
from search.lattice import nearest
from search.walls import continued, plateaus
from tests.search.landscapes import Cosines, MorseHost, diffusion_tensor

CELL = [[4.6, 0, 0], [1.1, 4.4, 0], [-0.6, 0.8, 4.8]]


@pytest.fixture(scope="module")
def host():
    return MorseHost(1, n_atoms=8, cell=CELL)


@pytest.fixture(scope="module")
def network(host):
    return search.build_network(host, grid=(28, 28, 28), energy_cap=1.5)


class Cored:
    """A landscape that has another answer wherever its energy exceeds a ceiling, eV."""

    def __init__(self, inner, ceiling, answer, gradient=0.0):
        self.inner, self.cell = inner, inner.cell
        self.ceiling, self.answer, self.gradient = ceiling, answer, gradient

    def energy_and_gradient(self, points):
        energies, gradients = self.inner.energy_and_gradient(points)
        core = energies > self.ceiling
        return np.where(core, self.answer, energies), np.where(core[:, None], self.gradient, gradients)


class Scaled:
    """A landscape times a number, on a height, moved."""

    def __init__(self, inner, factor, height=0.0, shift=(0.0, 0.0, 0.0)):
        self.inner, self.cell = inner, inner.cell
        self.factor, self.height, self.shift = factor, height, np.array(shift)

    def energy_and_gradient(self, points):
        energies, gradients = self.inner.energy_and_gradient(points - self.shift)
        return self.factor * energies + self.height, self.factor * gradients


def same_places(one, other):
    """Sites and passes of two networks in the same places, Å."""
    for where in (
        lambda net: [d["position"] for _, d in net.nodes(data=True)],
        lambda net: [d["saddle_position"] for *_, d in net.edges(data=True)],
    ):
        here, there = np.array(where(one)), np.array(where(other))
        if len(here) != len(there) or (nearest(here, there, np.array(CELL), 1e-3) < 0).any():
            return False
    return True


@pytest.mark.parametrize("answer", [np.inf, -np.inf, np.nan, 1e6, 1e300])
def test_cores_half_an_electronvolt_above_the_cap_hide_nothing(host, network, answer):
    ceiling = min(d["energy"] for _, d in network.nodes(data=True)) + 2.0
    gradient = 0.0 if abs(answer) < np.inf else np.nan
    cored = search.build_network(Cored(host, ceiling, answer, gradient), grid=(28, 28, 28), energy_cap=1.5)
    assert same_places(cored, network)


def test_energies_cut_off_above_the_cap_are_walls(host, network):
    ceiling = min(d["energy"] for _, d in network.nodes(data=True)) + 3.0
    cut = search.build_network(Cored(host, ceiling, ceiling), grid=(28, 28, 28), energy_cap=1.5)
    assert same_places(cut, network)


@pytest.mark.parametrize("factor", [1e-4, 1e-2, 1e2])
def test_the_unit_of_energy_does_not_matter(host, network, factor):
    scaled = Scaled(host, factor, height=-1234.5)
    other = search.build_network(scaled, grid=(28, 28, 28), energy_cap=1.5 * factor)
    assert same_places(other, network)


@pytest.mark.parametrize("factor", [1e-5, 1e-3, 1e-1])
def test_flat_landscapes_far_below_the_cap(factor):
    cosines = Scaled(Cosines(np.diag([3.0, 4.0, 5.0]), [0.1, 0.2, 0.3]), factor, shift=[0.12, 0.45, 0.78])
    network = search.build_network(cosines)
    assert (len(network), network.number_of_edges()) == (1, 6)
    barriers = sorted({round(d["barrier"] / factor, 6) for *_, d in network.edges(data=True)})
    assert barriers == pytest.approx([0.2, 0.4, 0.6], abs=1e-5)


def test_a_well_narrower_than_the_grid_is_found():
    """Its bottom lies 3 eV below what the bowl around it shows."""

    class Hole:
        cell = 4.0 * np.eye(3)
        place = np.array([1.13, 2.07, 2.93])

        def energy_and_gradient(self, points):
            energies, gradients = Cosines(self.cell, [0.3, 0.3, 0.3]).energy_and_gradient(points)
            away = points - self.place
            away -= 4.0 * np.round(away / 4.0)
            hole = -3.0 * np.exp(-(away**2).sum(axis=1) / (2 * 0.2**2))
            return energies + hole, gradients - hole[:, None] * away / 0.2**2

    network = search.build_network(Hole(), energy_cap=1.0)
    away = np.array(network.nodes[0]["position"]) - Hole.place
    assert np.linalg.norm(away) < 0.05


def test_cubics_continue_cubics():
    """What is continued behind a wall, a cubic is exact for; rows of the cell are skewed."""
    cell = 8.0 * np.array([[1.0, 0, 0], [0.3, 1.1, 0], [-0.2, 0.1, 0.9]])
    shape = (16, 16, 16)
    points = np.stack(np.meshgrid(*[np.arange(16) / 16] * 3, indexing="ij"), axis=-1) @ cell
    x, y, z = np.moveaxis(points, -1, 0) - 4.0
    values = 0.1 + 0.02 * x - 0.03 * y * z + 0.01 * x**2 * z - 0.004 * y**3
    slopes = np.stack([0.02 + 0.02 * x * z, -0.03 * z - 0.012 * y**2, -0.03 * y + 0.01 * x**2], axis=-1)
    known = np.ones(shape, dtype=bool)
    known[6:8, 7:9, 7:10] = False
    filled, tilted = continued(
        np.where(known, values, np.nan),
        np.where(known[..., None], slopes, np.nan),
        known,
        cell,
        (-9.0, -9.0),
        9.0,
    )
    np.testing.assert_allclose(filled, values, atol=1e-3)
    np.testing.assert_allclose(tilted, slopes, atol=1e-2)


def test_only_constants_are_plateaus():
    random = np.random.default_rng(1)
    energies, gradients = random.random((8, 8, 8)), random.random((8, 8, 8, 3))
    assert len(plateaus(energies, gradients, 0.0)) == 0
    energies[2:4, 2, 2], gradients[2:4, 2, 2] = 7.0, 0.0
    energies[5, 5, 5], gradients[5, 5, 5] = 8.0, 0.0
    assert plateaus(energies, gradients, 0.0).tolist() == [7.0]
    assert len(plateaus(energies, gradients, 10.0)) == 0


def test_diffusion_is_that_of_the_exact_formula(network):
    from search.diffusion import diffusivity

    expected = np.trace(diffusion_tensor(network, 500.0)) / 3 * 1e-16
    assert diffusivity(network, 500.0) == pytest.approx(expected, rel=1e-6)
