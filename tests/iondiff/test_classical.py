"""Classical potentials: known energies, derivatives, other codes' numbers, mistakes."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.lj import LennardJones as AseLennardJones

from iondiff.errors import PotentialError
from iondiff.potentials.classical import ZBL, LennardJones, StillingerWeber, SumPotential
from iondiff.potentials.tersoff import Tersoff


def crystal(symbol="Si", other="O"):
    atoms = bulk("Si", cubic=True) * (2, 1, 1)
    atoms.rattle(0.2, seed=1)
    shear = np.eye(3) + np.random.default_rng(0).normal(0, 0.05, (3, 3))
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    atoms.symbols[:] = symbol
    atoms.symbols[::3] = other
    return atoms


PAIRS = LennardJones(("Si", "O"), 1.0, {("Si", "Si"): 2.0, ("O", "Si"): 1.5, "O-O": 1.3}, cutoff=5.5)
ALL = [
    (StillingerWeber(), "Si"),
    (Tersoff(), "Si"),
    (PAIRS, "O"),
    (LennardJones(("Si", "O"), 0.4, 2.0, end="energy"), "O"),
    (ZBL(("O", "Si"), 1.2, 2.9), "O"),
    (ZBL(("Si", "O"), 0.0, 2.9), "O"),
    (SumPotential(PAIRS, ZBL(("H", "O", "Si"), 1.2, 2.9)), "O"),
]


@pytest.mark.parametrize(("potential", "other"), ALL, ids=lambda value: type(value).__name__)
def test_forces_and_stress_are_derivatives(potential, other):
    atoms = crystal(other=other)
    atoms.calc = potential.calculator()
    forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
    assert np.allclose(forces[:2], calculate_numerical_forces(atoms, 1e-4, iatoms=[0, 1]), atol=2e-5)
    assert np.allclose(stress, calculate_numerical_stress(atoms, 1e-5, voigt=False), atol=1e-7)
    assert np.abs(forces.sum(axis=0)).max() < 1e-11
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())


def test_silicon_has_the_cohesive_energy_and_lattice_of_the_paper():
    """-2 ε per atom, by construction, at a = 5.431 Å."""
    atoms = bulk("Si", a=5.431)
    atoms.calc = StillingerWeber().calculator()
    assert atoms.get_potential_energy() / 2 == pytest.approx(-2 * 2.1683, abs=1e-5)
    assert abs(atoms.get_stress()).max() < 1e-3


def test_tersoffs_silicon_has_the_cohesive_energy_and_lattice_of_the_paper():
    """-4.63 eV per atom at a = 5.432 Å (Phys. Rev. B 39, 5566, table II and text)."""
    atoms = bulk("Si", a=5.432)
    atoms.calc = Tersoff().calculator()
    assert atoms.get_potential_energy() / 2 == pytest.approx(-4.63, abs=0.005)
    assert abs(atoms.get_stress()).max() < 1e-3
    pair = Atoms("Si2", [[0, 0, 0], [2.5, 0, 0]], calculator=Tersoff().calculator())
    bare = 1830.8 * np.exp(-2.4799 * 2.5) - 471.18 * np.exp(-1.7322 * 2.5)
    assert pair.get_potential_energy() == pytest.approx(bare, rel=1e-12)


def test_lennard_jones_is_that_of_ase():
    atoms = crystal(other="Si")
    for smooth, end in ((False, "energy"),):
        atoms.calc = AseLennardJones(sigma=2.0, epsilon=0.7, rc=4.5, ro=4.5, smooth=smooth)
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        atoms.calc = LennardJones(("Si",), 0.7, 2.0, cutoff=4.5, end=end).calculator()
        assert atoms.get_potential_energy() == pytest.approx(energy, rel=1e-12)
        assert np.allclose(atoms.get_forces(), forces, atol=1e-10)
        assert np.allclose(atoms.get_stress(), stress, atol=1e-11)


@pytest.mark.parametrize(
    ("end", "jumps"), [("truncated", (True, True)), ("energy", (False, True)), ("force", (False,) * 2)]
)
def test_what_happens_at_the_cutoff(end, jumps):
    potential = LennardJones(("Ar",), 0.01, 3.4, cutoff=8.0, end=end).calculator()
    pair = Atoms("Ar2", [[0, 0, 0], [8.0 - 1e-7, 0, 0]], calculator=potential)
    assert (abs(pair.get_potential_energy()) > 1e-8) == jumps[0]
    assert (abs(pair.get_forces()).max() > 1e-8) == jumps[1]


def test_repulsion_of_nuclei_is_bare_at_contact_and_gone_at_the_cutoff():
    potential = ZBL(("Au", "H"), 1.0, 2.0).calculator()
    near = Atoms("AuH", [[0, 0, 0], [1e-4, 0, 0]], calculator=potential)
    assert near.get_potential_energy() == pytest.approx(14.3996454784 * 79 / 1e-4, rel=2e-3)
    far = Atoms("AuH", [[0, 0, 0], [2.0 - 1e-5, 0, 0]], calculator=potential)
    assert abs(far.get_potential_energy()) < 1e-10
    assert abs(far.get_forces()).max() < 1e-8


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LennardJones(("Ar", "Xx")), "chemical symbols"),
        (lambda: LennardJones(("Ar", "Ar")), "each once"),
        (lambda: LennardJones("Ar", epsilon=-1), "epsilon of Ar-Ar is -1"),
        (lambda: LennardJones(("Ar", "Kr"), sigma={("Ar", "Ar"): 3.4}), "sigma has no number for the pairs"),
        (lambda: LennardJones("Ar", end="smooth"), "end is 'smooth'"),
        (lambda: StillingerWeber(("Si", "Ge")), "one element"),
        (lambda: Tersoff(("Si", "C")), "one element"),
        (lambda: Tersoff(A=-1.0), "A is -1.0"),
        (lambda: Tersoff(inner=3.1), "wanted a finite h and inner < outer"),
        (lambda: ZBL("H", 2.0, 1.0), "inner is 2.0"),
        (lambda: SumPotential(PAIRS, ZBL("Si")), "not O"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, sentence):
    with pytest.raises(PotentialError, match=sentence):
        make()


def test_an_unknown_element_is_named():
    atoms = bulk("Ge", cubic=True)
    atoms.calc = StillingerWeber().calculator()
    with pytest.raises(PotentialError, match=r"holds Ge.*knows Si"):
        atoms.get_potential_energy()
