"""A conformance kit for potentials: what any of them has to obey, asked through its ASE calculator.

Subclass it in a test file and give it two fixtures::

    class TestMine(PotentialConformance):
        cutoff = 6.0                      # Å; None leaves the question of smoothness out

        @pytest.fixture
        def calculator(self):
            return MyCalculator()

        @pytest.fixture
        def structures(self):             # any, better: without symmetry, triclinic, off their minima
            return [atoms, molecule]

A :class:`LandscapeConformance` asks the same of a guest's landscape in a rigid host. Every test speaks of all
structures. Tolerances are attributes; change them where a potential works in single precision.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.stress import voigt_6_to_full_3x3_stress

from iondiff._testing_landscape import LandscapeConformance
from iondiff._testing_landscape import require as _require
from iondiff.errors import IondiffError

__all__ = ["LandscapeConformance", "PotentialConformance"]


class PotentialConformance:
    """Invariances, extensivity, derivatives, smoothness, determinism.

    Attributes
    ----------
    cutoff
        Å, where the potential ends; None skips the test of smoothness.
    tolerance
        Relative to the size of energies and forces, of numbers that should be the same.
    derivative_tolerance
        eV/Å and, times the volume, eV: analytical against numerical derivatives.
    step
        Å (and strain), of the numerical derivatives.
    jump
        eV/Å, largest jump of a force where an atom crosses the cutoff.
    """

    cutoff: float | None = None
    tolerance = 1e-9
    derivative_tolerance = 1e-5
    step = 2e-3
    jump = 1e-4
    seed = 0

    # -- what is asked ------------------------------------------------------------------------------------

    def test_energies_of_atoms_sum_up(self, calculator: Any, structures: list[Atoms]) -> None:
        """Where atoms have energies, these are all of the energy."""
        for atoms in structures:
            if "energies" in calculator.implemented_properties:
                parts = calculator.get_property("energies", atoms.copy())
                self._same(parts.sum(), _energy(calculator, atoms), len(atoms), "sum of the atoms' energies")

    def test_translation(self, calculator: Any, structures: list[Atoms]) -> None:
        """Moving everything changes nothing."""
        for atoms in structures:
            moved = atoms.copy()
            moved.translate([1.23, -4.56, 17.89])
            self._same_results(calculator, atoms, moved, "translated by 18.5 Å")

    def test_periodic_images(self, calculator: Any, structures: list[Atoms]) -> None:
        """An atom and its images are the same atom."""
        generator = np.random.default_rng(self.seed)
        for atoms in structures:
            moved = atoms.copy()
            shifts = generator.integers(-2, 3, (len(atoms), 3)) * atoms.pbc
            moved.positions += shifts @ atoms.cell.array
            self._same_results(calculator, atoms, moved, "atoms replaced by periodic images")

    def test_rotation(self, calculator: Any, structures: list[Atoms]) -> None:
        """Forces and stress turn with the structure."""
        generator = np.random.default_rng(self.seed)
        for atoms in structures:
            turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
            turn *= np.sign(np.linalg.det(turn))
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ turn.T)
            moved.positions = atoms.positions @ turn.T
            self._same(_energy(calculator, moved), _energy(calculator, atoms), len(atoms), "rotated energy")
            self._same(_forces(calculator, moved), _forces(calculator, atoms) @ turn.T, 1, "rotated forces")
            if atoms.pbc.all():
                stress = turn @ _stress(calculator, atoms) @ turn.T
                self._same(
                    _stress(calculator, moved) * atoms.cell.volume, stress * atoms.cell.volume, 1, "stress"
                )

    def test_permutation(self, calculator: Any, structures: list[Atoms]) -> None:
        """The order of the atoms in the list means nothing."""
        generator = np.random.default_rng(self.seed)
        for atoms in structures:
            order = generator.permutation(len(atoms))
            moved = atoms[order]
            self._same(_energy(calculator, moved), _energy(calculator, atoms), len(atoms), "permuted energy")
            self._same(_forces(calculator, moved), _forces(calculator, atoms)[order], 1, "permuted forces")

    def test_supercell(self, calculator: Any, structures: list[Atoms]) -> None:
        """Twice the crystal has twice the energy, and the same forces and stress."""
        for atoms in structures:
            if not atoms.pbc.any():
                continue
            axis = int(np.argmax(atoms.pbc))
            repeats = [1, 1, 1]
            repeats[axis] = 2
            larger = atoms.repeat(repeats)
            self._same(_energy(calculator, larger), 2 * _energy(calculator, atoms), len(larger), "supercell")
            forces = np.tile(_forces(calculator, atoms), (2, 1))
            self._same(_forces(calculator, larger), forces, 1, "forces of the supercell")
            if atoms.pbc.all():
                volume = atoms.cell.volume
                stress = _stress(calculator, larger) * volume, _stress(calculator, atoms) * volume
                self._same(*stress, 1, "stress of the supercell")

    def test_forces_are_minus_the_gradient(self, calculator: Any, structures: list[Atoms]) -> None:
        """Numerical derivatives along random directions of all atoms, and of each of a few atoms."""
        generator = np.random.default_rng(self.seed)
        for atoms in structures:
            directions = [generator.normal(size=(len(atoms), 3)) for _ in range(2)]
            for i in generator.permutation(len(atoms))[:3]:
                one = np.zeros((len(atoms), 3))
                one[i] = generator.normal(size=3)
                directions.append(one)
            forces = _forces(calculator, atoms)
            for direction in directions:
                unit = direction / np.linalg.norm(direction)

                def along(h: float, atoms: Atoms = atoms, unit: np.ndarray = unit) -> float:
                    moved = atoms.copy()
                    moved.positions += h * unit
                    return _energy(calculator, moved)

                self._derivative(along, -(forces * unit).sum(), "force")

    def test_stress_is_the_strain_derivative(self, calculator: Any, structures: list[Atoms]) -> None:
        """Numerical derivatives by random strains of cell and atoms."""
        generator = np.random.default_rng(self.seed)
        for atoms in structures:
            if not atoms.pbc.all():
                continue
            virial = _stress(calculator, atoms) * atoms.cell.volume
            for _ in range(3):
                strain = generator.normal(size=(3, 3))
                strain = (strain + strain.T) / np.linalg.norm(strain + strain.T)

                def along(h: float, atoms: Atoms = atoms, strain: np.ndarray = strain) -> float:
                    moved = atoms.copy()
                    moved.set_cell(atoms.cell.array @ (np.eye(3) + h * strain), scale_atoms=True)
                    return _energy(calculator, moved)

                self._derivative(along, (virial * strain).sum(), "stress times volume")

    def test_smooth_at_the_cutoff(self, calculator: Any, structures: list[Atoms]) -> None:
        """An atom pulled away from two others feels no jump where it passes the cutoff of either."""
        if self.cutoff is None:
            return
        symbols = sorted({symbol for atoms in structures for symbol in atoms.symbols})
        for a, b, c in itertools.product(symbols, repeat=3):
            bond = sum(covalent_radii[atomic_numbers[s]] for s in (a, b))
            before, after = (
                _forces(calculator, Atoms([a, b, c], [[0, 0, 0], [0, bond, 0], [r, 0, 0]]))
                for r in (self.cutoff - 1e-4, self.cutoff + 1e-4)
            )
            jump = float(abs(after - before).max())
            _require(
                jump <= self.jump,
                f"{c} leaving {a} and {b} at {self.cutoff} Å: forces jump by {jump:.2g} eV/Å; wanted at most "
                f"{self.jump:.2g}",
            )

    def test_same_again(self, calculator: Any, structures: list[Atoms]) -> None:
        """Asked twice, also with another number of threads, a potential says the same."""
        import numba

        before = most = numba.get_num_threads()
        for atoms in structures:
            results = []
            try:
                for threads in (1, most, most):
                    numba.set_num_threads(threads)
                    results.append((_energy(calculator, atoms), _forces(calculator, atoms)))
            finally:
                numba.set_num_threads(before)
            for energy, forces in results[1:]:
                self._same(energy, results[0][0], len(atoms), "energy of the second call")
                self._same(forces, results[0][1], 1, "forces of the second call")

    def test_no_number_for_no_place(self, calculator: Any, structures: list[Atoms]) -> None:
        """A position that is not a number is refused: an error, not an energy."""
        atoms = structures[0].copy()
        atoms.positions[0, 0] = np.nan
        try:
            energy = _energy(calculator, atoms)
        except (IondiffError, ValueError, RuntimeError):
            return
        _require(not np.isfinite(energy), f"an atom at nan has got the energy {energy} eV; wanted an error")

    # -- how it is compared -------------------------------------------------------------------------------

    def _same(self, found: Any, wanted: Any, count: int, what: str) -> None:
        scale = max(1.0, float(np.abs(wanted).max(initial=0.0)), float(count))
        worst = float(np.abs(np.asarray(found) - wanted).max(initial=0.0))
        _require(
            worst <= self.tolerance * scale,
            f"{what}: differs by {worst:.3g} with numbers up to {scale:.3g}; wanted {self.tolerance:.1g} "
            "of that",
        )

    def _same_results(self, calculator: Any, atoms: Atoms, moved: Atoms, what: str) -> None:
        self._same(_energy(calculator, moved), _energy(calculator, atoms), len(atoms), f"energy, {what}")
        self._same(_forces(calculator, moved), _forces(calculator, atoms), 1, f"forces, {what}")

    def _derivative(self, along: Any, wanted: float, what: str) -> None:
        """Central difference of fourth order against what the potential says."""
        h = self.step
        near, far = along(h) - along(-h), along(2 * h) - along(-2 * h)
        found = (8 * near - far) / (12 * h)
        allowed = self.derivative_tolerance * max(1.0, abs(wanted))
        _require(
            abs(found - wanted) <= allowed,
            f"{what}: {wanted:.8g} eV/Å, numerically {found:.8g}; wanted within {allowed:.1g}",
        )


def _energy(calculator: Any, atoms: Atoms) -> float:
    return float(calculator.get_property("energy", atoms.copy()))


def _forces(calculator: Any, atoms: Atoms) -> np.ndarray:
    return np.array(calculator.get_property("forces", atoms.copy()))


def _stress(calculator: Any, atoms: Atoms) -> np.ndarray:
    return np.array(voigt_6_to_full_3x3_stress(calculator.get_property("stress", atoms.copy())))
