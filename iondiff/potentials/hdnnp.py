"""High-dimensional neural network potentials: one network an element, the sum over all atoms is the energy.

    E = Σ_i [scale · network_{Z_i}(scaled G of atom i) + shift + e_{Z_i}]

(Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007)). Everything here is in eV and Å, whatever the
units of the files it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from iondiff.descriptors import Descriptor
from iondiff.errors import PotentialError
from iondiff.potentials.network import Network


@dataclass(frozen=True)
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
