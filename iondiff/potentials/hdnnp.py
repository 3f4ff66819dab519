"""High-dimensional neural network potentials: one network an element, the sum over all atoms is the energy.

    E = Σ_i [scale · network_{Z_i}(scaled G of atom i) + shift + e_{Z_i}]

(Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007)). Everything here is in eV and Å, whatever the
units of the files it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from iondiff.descriptors import Descriptor
from iondiff.errors import PotentialError
from iondiff.potentials.network import Network

if TYPE_CHECKING:
    from iondiff.potentials.calculator import PotentialCalculator
    from iondiff.potentials.compiled import CompiledPotential
    from iondiff.potentials.engine import Plan
    from iondiff.potentials.evaluation import Evaluation
    from iondiff.potentials.rigid import RigidHost


@dataclass(frozen=True, repr=False)
class HDNNP:
    """A potential for all atoms of a structure.

    Attributes
    ----------
    descriptor
        Symmetry functions and their scaling, element by element.
    networks
        One an element, in the order of `species`.
    atom_energies
        (n_species,) eV, energies of reference of each element (n2p2's atom_energy).
    energy_scale, energy_shift
        eV; what turns a network's output into an energy (n2p2's 1/conv_energy and mean_energy).
    units
        Units assumed of the files it was read from, for people; the numbers here are in Å and eV.
    summary
        Provenance, training, domain of validity: plain data.
    """

    descriptor: Descriptor
    networks: tuple[Network, ...]
    atom_energies: np.ndarray
    energy_scale: float = 1.0
    energy_shift: float = 0.0
    units: tuple[str, str] = ("Angstrom", "eV")
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "atom_energies", np.ascontiguousarray(self.atom_energies, dtype=float))
        if self.atom_energies.shape != (len(self.species),):
            raise PotentialError(
                f"atom energies have shape {self.atom_energies.shape}; wanted one for each of "
                f"{', '.join(self.species)}"
            )
        if len(self.networks) != len(self.species):
            raise PotentialError(
                f"{len(self.networks)} networks for {', '.join(self.species)}; wanted one an element"
            )
        for element, network in zip(self.descriptor.elements, self.networks, strict=True):
            if network.layers[0] != len(element):
                raise PotentialError(
                    f"the network of {element.centre} has {network.layers[0]} inputs and the element "
                    f"{len(element)} symmetry functions; wanted as many"
                )
        constants = (*self.atom_energies, self.energy_scale, self.energy_shift)
        if not np.isfinite(constants).all() or self.energy_scale <= 0:
            raise PotentialError(
                f"energy scale {self.energy_scale} eV, shift {self.energy_shift} eV and atom energies "
                f"{self.atom_energies.tolist()} eV; wanted finite numbers and a positive scale"
            )

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{element.centre} {'-'.join(map(str, network.layers))}"
            for element, network in zip(self.descriptor.elements, self.networks, strict=True)
        )
        return f"HDNNP({sizes}; cutoff {self.cutoff:.3f} Å)"

    @property
    def species(self) -> tuple[str, ...]:
        """Chemical symbols, by atomic number."""
        return self.descriptor.species

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.descriptor.cutoff

    def offsets(self) -> np.ndarray:
        """(n_species,) eV: what is added to the scaled output of each element's network."""
        return self.energy_shift + self.atom_energies

    @cached_property
    def plan(self) -> Plan:
        """The potential laid out for the compiled engine."""
        from iondiff.potentials import engine

        return engine.compile(self)

    def compiled(self) -> CompiledPotential:
        """Kernel and parameters for compiled loops; see :mod:`iondiff.potentials.compiled`."""
        return self.plan.compiled()

    def calculator(self, **options: Any) -> PotentialCalculator:
        """An ASE calculator; options as of :class:`iondiff.potentials.calculator.PotentialCalculator`."""
        from iondiff.potentials.calculator import PotentialCalculator

        return PotentialCalculator(self, **options)

    def evaluate(
        self,
        structures: Sequence[Atoms],
        *,
        extrapolation: str = "collect",
        method: str = "auto",
        precision: str = "double",
        device: str | None = None,
    ) -> list[Evaluation]:
        """Energies, forces and virials of a list of structures.

        Parameters
        ----------
        structures
            Any elements that the potential knows, any cells and boundaries.
        extrapolation
            "ignore", "warn" (an `ExtrapolationWarning` a structure), "raise", or "collect": the results list
            which atom left the range of which function.
        method, precision, device
            See :class:`iondiff.potentials.evaluator.Evaluator`.

        Raises
        ------
        PotentialError
            A structure that no potential can take; the message has its number and the atom.
        """
        from iondiff.potentials.evaluator import Evaluator

        structures = [structures] if isinstance(structures, Atoms) else structures
        return Evaluator((self,), method, precision, device).many(structures, extrapolation)

    def landscape(self, host: Atoms, guest: str | None = None, wall_A: float | None = None) -> RigidHost:
        """The energy of a guest atom in a rigid host, answering contract 1.

        Parameters
        ----------
        host
            Structure without the guest, periodic.
        guest
            Chemical symbol. May be left out where the potential knows one element that the host has not.
        wall_A
            Å; see :class:`iondiff.potentials.rigid.RigidHost`.
        """
        from iondiff.potentials.rigid import RigidHost

        return RigidHost(self, host, guest, wall_A)

    def save(self, path: str | Path) -> None:
        """Write one file; :func:`iondiff.potentials.load` reads it back."""
        from iondiff.potentials.files import save

        save(self, path)

    def export_n2p2(self, directory: str | Path, units: tuple[str, str] = ("Angstrom", "eV")) -> None:
        """Write a directory that n2p2, LAMMPS's pair_style hdnnp and :func:`iondiff.potentials.load` read."""
        from iondiff.potentials.n2p2_export import write_directory

        write_directory(self, directory, units)
