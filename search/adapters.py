"""Landscapes from any ASE calculator: the host rigid, or relaxed around the guest on soft springs."""

import os
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms
from ase.optimize import LBFGS

from search.errors import SearchError
from search.lattice import Floats, checked_cell


class CalculatorLandscape:
    """A guest among the atoms of a rigid host, with energies and forces from an ASE calculator.

    Parameters
    ----------
    host:
        periodic in all three directions; never changed.
    calculator:
        any ASE calculator with energy and forces; called once a point.
    guest:
        chemical symbol of the atom that moves.
    """

    def __init__(self, host: Atoms, calculator: Any, guest: str) -> None:  # any ASE calculator
        if not np.all(host.pbc):
            raise SearchError(
                f"host.pbc is {host.pbc.tolist()}; a landscape is periodic in all three directions."
            )
        self.cell = checked_cell(np.array(host.cell))
        self.host = host.copy()  # type: ignore[no-untyped-call]
        self.host.set_constraint()
        self.calculator = calculator
        self.guest = guest

    def energy_and_gradient(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (n, 3), Cartesian Å -> total energies (n,), eV, and gradients on the guest (n, 3), eV/Å."""
        energies, gradients = np.empty(len(points)), np.empty((len(points), 3))
        for number, point in enumerate(points):
            try:
                energies[number], gradients[number] = self._one(point)
            except Exception as error:
                raise SearchError(
                    f"The calculator raised {type(error).__name__} with the guest at "
                    f"{np.round(point, 4).tolist()} Å: {error}"
                ) from error
        return energies, gradients

    def _one(self, point: Floats) -> tuple[float, Floats]:
        atoms: Any = self._with_guest(point)
        atoms.calc = self.calculator
        energy = float(atoms.get_potential_energy())
        return energy, -np.asarray(atoms.get_forces()[-1])

    def _with_guest(self, point: Floats) -> Atoms:
        atoms: Atoms = self.host + Atoms(self.guest, positions=[point])
        return atoms


class RelaxedHostLandscape(CalculatorLandscape):
    """A guest held at each point while the host relaxes around it, every host atom tethered to its own place.

    E(x) = min over y of E(y, x) + ½ k Σ ‖y - y₀‖². Without the springs the energy would depend on how the
    point was reached; with them, and always starting from the pristine host, it is a function of x, and by
    the envelope theorem its gradient is the force on the held guest alone.

    Parameters
    ----------
    host, calculator, guest:
        as for `CalculatorLandscape`.
    spring:
        k, eV/Å².
    fmax, steps:
        the relaxation ends when no force exceeds fmax, eV/Å; after `steps` steps without that it is an error.
    """

    def __init__(
        self,
        host: Atoms,
        calculator: Any,  # any ASE calculator
        guest: str,
        *,
        spring: float = 1.0,
        fmax: float = 0.005,
        steps: int = 500,
    ) -> None:
        super().__init__(host, calculator, guest)
        if not spring > 0:
            raise SearchError(
                f"spring={spring}: a free host makes energies depend on history; wanted eV/Å² above zero."
            )
        self.spring, self.fmax, self.steps = spring, fmax, steps

    def _one(self, point: Floats) -> tuple[float, Floats]:
        atoms: Any = self._with_guest(point)
        guest = len(atoms) - 1
        atoms.calc = _Tethered(self.calculator, np.array(self.host.positions), self.spring)
        atoms.set_constraint(FixAtoms([guest]))  # type: ignore[no-untyped-call]
        optimiser: Any = LBFGS(atoms, logfile=os.devnull)
        if not optimiser.run(fmax=self.fmax, steps=self.steps):
            raise SearchError(
                f"the host did not relax to {self.fmax} eV/Å in {self.steps} steps; raise either"
            )
        energy = float(atoms.get_potential_energy())
        return energy, -np.asarray(atoms.get_forces(apply_constraint=False)[guest])


class _Tethered(Calculator):
    """An ASE calculator plus springs of the first atoms to given places."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012  # ASE wants a list

    def __init__(self, inner: Any, places: Floats, spring: float) -> None:  # any ASE calculator
        super().__init__()  # type: ignore[no-untyped-call]
        self.inner, self.places, self.spring = inner, places, spring

    def calculate(
        self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes
    ) -> None:  # ASE's own signature
        """Energy, eV, and forces, eV/Å, springs included."""
        super().calculate(atoms, properties or ["energy"], system_changes)  # type: ignore[no-untyped-call]
        bare = atoms.copy()
        bare.set_constraint()
        bare.calc = self.inner
        away = bare.positions[: len(self.places)] - self.places
        forces = bare.get_forces().copy()
        forces[: len(self.places)] -= self.spring * away
        energy = bare.get_potential_energy() + 0.5 * self.spring * float((away**2).sum())
        self.results = {"energy": energy, "forces": forces}
