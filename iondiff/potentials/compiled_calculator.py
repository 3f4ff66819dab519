"""Any compiled potential as an ASE calculator."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from iondiff.errors import PotentialError
from iondiff.neighbours import VerletList


def species_indices(symbols: list[str], species: tuple[str, ...]) -> np.ndarray:
    """Place of every atom's element in the potential's list, (n,) int64.

    Raises
    ------
    PotentialError
        An element the potential does not know.
    """
    place = {name: k for k, name in enumerate(species)}
    missing = sorted(set(symbols) - set(place))
    if missing:
        raise PotentialError(
            f"the structure holds {', '.join(missing)}, which this potential was not made for; "
            f"it knows {', '.join(species)}"
        )
    return np.array([place[name] for name in symbols], dtype=np.int64)


class CompiledCalculator(Calculator):
    """ASE calculator around anything with `species`, `cutoff` and `compiled()`.

    Parameters
    ----------
    potential
        The potential.
    skin
        Å added to the cutoff of the neighbour list, which is made anew only when atoms have moved half of it.
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012 - ASE's

    def __init__(self, potential: Any, skin: float = 0.3) -> None:
        super().__init__()
        self.potential = potential
        self._list = VerletList(potential.cutoff, skin)

    def calculate(
        self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Everything at once; the stress only where the cell has a volume."""
        super().calculate(atoms, properties, system_changes)
        atoms = self.atoms
        species = species_indices(atoms.get_chemical_symbols(), tuple(self.potential.species))
        kernel, integers, reals = self.potential.compiled()
        positions, cell = np.ascontiguousarray(atoms.positions), np.ascontiguousarray(atoms.cell.array)
        forces, energies, virial = np.zeros_like(positions), np.zeros(len(atoms)), np.zeros((3, 3))
        energy = kernel(
            positions, cell, species, *self._list.update(positions, cell, atoms.pbc), integers, reals,
            forces, energies, virial,
        )  # fmt: skip
        self.results = {"energy": energy, "free_energy": energy, "energies": energies, "forces": forces}
        if atoms.cell.rank == 3:
            self.results["stress"] = full_3x3_to_voigt_6_stress(virial) / atoms.get_volume()
