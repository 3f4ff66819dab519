"""Landscapes from ASE calculators: the physics a relaxed host must keep, in a sheared cell."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones

import search

PLACES = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) / 2
CELL = [[4.2, 0.0, 0.0], [0.5, 4.0, 0.0], [0.2, -0.3, 4.4]]
POINTS = np.array([[0.5, 0.45, 0.55], [0.27, 0.3, 0.22], [0.52, 0.05, 0.0]]) @ np.array(CELL)


def host():
    return Atoms("Ar4", scaled_positions=PLACES, cell=CELL, pbc=True)


def calculator():
    return LennardJones(sigma=1.9, epsilon=0.1, rc=5.0, smooth=True)


def gradient_by_differences(landscape, points, step=1e-3):
    moved = [
        landscape.energy_and_gradient(points + s * step * np.eye(3)[a])[0] for a in range(3) for s in (1, -1)
    ]
    return np.array([(moved[2 * a] - moved[2 * a + 1]) / (2 * step) for a in range(3)]).T


def test_rigid_host_is_the_calculator():
    energies, _ = search.CalculatorLandscape(host(), calculator(), "He").energy_and_gradient(POINTS)
    for point, energy in zip(POINTS, energies, strict=True):
        atoms = host() + Atoms("He", positions=[point])
        atoms.calc = calculator()
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-12)


@pytest.mark.parametrize("kind", [search.CalculatorLandscape, search.RelaxedHostLandscape])
def test_gradient_is_that_of_the_energy(kind):
    options = {"fmax": 1e-5} if kind is search.RelaxedHostLandscape else {}
    landscape = kind(host(), calculator(), "He", **options)
    _, gradients = landscape.energy_and_gradient(POINTS)
    assert gradients == pytest.approx(gradient_by_differences(landscape, POINTS), abs=2e-4)


def test_relaxing_lowers_the_energy_and_stiff_springs_bring_it_back():
    rigid = search.CalculatorLandscape(host(), calculator(), "He").energy_and_gradient(POINTS)[0]
    soft, stiff = (
        search.RelaxedHostLandscape(host(), calculator(), "He", spring=k).energy_and_gradient(POINTS)[0]
        for k in (2.0, 2e4)
    )
    assert (soft < rigid).all()
    assert (soft < stiff).all()
    assert stiff == pytest.approx(rigid, abs=5e-3)


def test_the_energy_does_not_remember_the_order_of_points():
    landscape = search.RelaxedHostLandscape(host(), calculator(), "He")
    forward = landscape.energy_and_gradient(POINTS)[0]
    backward = landscape.energy_and_gradient(POINTS[::-1])[0][::-1]
    assert forward == pytest.approx(backward, abs=1e-12)


def test_the_host_is_left_as_it_was():
    atoms = host()
    search.RelaxedHostLandscape(atoms, calculator(), "He").energy_and_gradient(POINTS)
    assert np.array_equal(atoms.positions, host().positions)


class Raising(Calculator):
    implemented_properties = ("energy", "forces")

    def calculate(self, *_, **__):
        raise RuntimeError("the cluster is on fire")


def test_a_raising_calculator_is_named_with_the_place():
    landscape = search.CalculatorLandscape(host(), Raising(), "He")
    with pytest.raises(search.SearchError, match=r"guest at \[.*on fire"):
        landscape.energy_and_gradient(POINTS)


def test_hosts_and_springs_that_do_not_fit():
    slab = host()
    slab.pbc = (True, True, False)
    with pytest.raises(search.SearchError, match="periodic in all three"):
        search.CalculatorLandscape(slab, calculator(), "He")
    with pytest.raises(search.SearchError, match="spring=0"):
        search.RelaxedHostLandscape(host(), calculator(), "He", spring=0.0)
