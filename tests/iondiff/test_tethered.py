"""One label: a minimum, the exact force on the guest, and no memory of how it was reached."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, Hookean
from ase.optimize import BFGS

from iondiff.errors import CalculatorError
from iondiff.sampling import host_hessian, relax_host

POINT = np.array([0.42, 0.55, 0.47])  # fractional, near an octahedral void and off every symmetry


@pytest.fixture(scope="module")
def metal():
    """Eight copper atoms in a sheared cell, relaxed a little from random displacements."""
    atoms = bulk("Cu", "fcc", a=3.9).repeat((2, 2, 2))
    shear = np.array([[1, 0.06, 0], [0, 1, -0.05], [0.03, 0, 1]])
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    BFGS(atoms, logfile=None).run(fmax=0.01)
    return atoms


def label(metal, point=None, **kwargs):
    place = POINT @ metal.cell.array / 2 if point is None else point
    return relax_host(metal, "Ni", place, **{"fmax": 1e-3, "spring": 1.0, **kwargs})


def test_the_energy_is_the_minimum_that_ase_finds(metal):
    found = label(metal, fmax=1e-4)
    assert found.converged
    assert found.fmax <= 1e-4
    atoms = metal.copy()
    atoms.append("Ni")
    atoms.positions[-1] = POINT @ metal.cell.array / 2
    atoms.calc = EMT()
    springs = [Hookean(a1=i, a2=tuple(x), k=1.0, rt=0.0) for i, x in enumerate(metal.positions)]
    atoms.set_constraint([*springs, FixAtoms([len(metal)])])
    BFGS(atoms, logfile=None).run(fmax=1e-4, steps=200)
    expected = atoms.get_potential_energy() - metal.get_potential_energy()
    assert found.energy == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(found.host_positions, atoms.positions[:-1], atol=1e-3)
    stretch = ((found.host_positions - metal.positions) ** 2).sum()
    assert found.energy - found.bare_energy == pytest.approx(0.5 * stretch, abs=1e-10)


def test_the_force_on_the_guest_is_the_gradient_of_the_relaxed_energy(metal):
    point = POINT @ metal.cell.array / 2
    found = label(metal, point, fmax=1e-4)
    step = 0.01
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        plus, minus = (label(metal, point + sign * shift, fmax=1e-4).energy for sign in (1, -1))
        assert found.guest_force[axis] == pytest.approx(-(plus - minus) / (2 * step), abs=2e-3)


def test_the_hessian_saves_calls_and_changes_nothing_else(metal):
    hessian = host_hessian(metal)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-8)
    assert np.linalg.eigvalsh(hessian)[0] > -1e-8
    plain, quick = label(metal), label(metal, hessian=hessian)
    assert quick.evaluations < plain.evaluations
    assert quick.energy == pytest.approx(plain.energy, abs=1e-4)
    np.testing.assert_allclose(quick.guest_force, plain.guest_force, atol=0.02)


def test_the_tethered_energy_does_not_remember_the_way(metal):
    direct = label(metal)
    elsewhere = label(metal, POINT @ metal.cell.array / 2 + [0.25, -0.2, 0.1]).host_positions
    arrived = label(metal, start=elsewhere)
    assert arrived.energy == pytest.approx(direct.energy, abs=1e-4)
    assert np.abs(arrived.host_positions - direct.host_positions).max() < 5e-3


def test_a_stiffer_spring_moves_less_and_costs_more(metal):
    found = [label(metal, spring=spring) for spring in (0.0, 1.0, 10.0)]
    energies = [x.energy for x in found]
    moved = [np.abs(x.host_positions - metal.positions).max() for x in found]
    assert energies == sorted(energies)
    assert moved == sorted(moved, reverse=True)


def test_images_of_the_point_are_the_same_label(metal):
    point = POINT @ metal.cell.array / 2
    assert label(metal, point + [1, -2, 1] @ metal.cell.array).energy == pytest.approx(
        label(metal).energy, abs=1e-6
    )


def test_the_host_is_left_as_it_was_and_the_calls_are_bounded(metal):
    before = metal.positions.copy()
    found = label(metal, max_evaluations=3, fmax=1e-8)
    assert found.evaluations == 3
    assert not found.converged
    assert found.fmax > 1e-8
    assert np.array_equal(metal.positions, before)
    assert "Ni" not in metal.get_chemical_symbols()


class Broken(Calculator):
    """Harmonic towards the origin, except for what is asked to be wrong."""

    implemented_properties = ("energy", "forces")

    def __init__(self, energy=0.0, force=0.0):
        super().__init__()
        self.extra = energy, force

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": self.extra[0], "forces": -0.1 * atoms.positions}
        self.results["forces"][2] += self.extra[1]


def test_numbers_that_are_not_finite_are_refused(metal):
    host = metal.copy()
    host.calc = Broken(force=np.nan)
    with pytest.raises(CalculatorError, match="non-finite force on atom 2"):
        label(host)
    with pytest.raises(CalculatorError, match="non-finite force on atom 2"):
        host_hessian(host)
    host.calc = Broken(energy=np.nan)
    with pytest.raises(CalculatorError, match="energy nan eV"):
        label(host, host_energy=0.0)
    host.calc = None
    with pytest.raises(CalculatorError, match="no calculator; attach one"):
        label(host)
