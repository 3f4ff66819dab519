"""What a potential says about one structure, and where it was asked beyond what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from iondiff.descriptors import Descriptor

# n2p2 does not count what rounding alone can do; here relative to the width of the range.
_TOLERANCE = 1e-12


class Extrapolation(NamedTuple):
    """A symmetry function of an atom outside the range of the training set.

    Attributes
    ----------
    atom
        Index.
    element
        Of the atom.
    function
        Index into the element's list of functions, from 0.
    value, minimum, maximum
        The function, and the range it had in the training set; not scaled.
    """

    atom: int
    element: str
    function: int
    value: float
    minimum: float
    maximum: float

    @property
    def excess(self) -> float:
        """How far outside, in widths of the range."""
        beyond = max(self.minimum - self.value, self.value - self.maximum)
        return beyond / max(self.maximum - self.minimum, 1e-300)

    def __str__(self) -> str:
        return (
            f"atom {self.atom} ({self.element}): function {self.function + 1} is {self.value:.6g}, seen "
            f"{self.minimum:.6g} to {self.maximum:.6g} ({100 * self.excess:.1f}% of the range outside)"
        )


@dataclass(frozen=True)
class Evaluation:
    """Energy, forces and stress of one structure.

    Attributes
    ----------
    energy
        eV.
    energies
        (n,) eV, of each atom.
    forces
        (n, 3) eV/Å.
    virial
        (3, 3) eV, derivative of the energy by the strain.
    volume
        Å³, or 0 without a cell.
    extrapolations
        Empty where nobody asked.
    member_energies
        (n_members, n) eV of a committee, else empty.
    forces_of_members
        Works out `member_forces` when they are asked for: each member's cost a way back of its own, which
        most calls have no use for.
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    volume: float = 0.0
    extrapolations: tuple[Extrapolation, ...] = ()
    member_energies: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    forces_of_members: Callable[[], np.ndarray] | None = None

    @property
    def energy_spread(self) -> float:
        """Standard deviation of the members' energies, eV; 0 without a committee."""
        return float(self.member_energies.sum(axis=1).std()) if len(self.member_energies) else 0.0

    @cached_property
    def member_forces(self) -> np.ndarray:
        """(n_members, n, 3) eV/Å of a committee, else empty; worked out when first looked at."""
        return np.empty((0, 0, 3)) if self.forces_of_members is None else self.forces_of_members()

    @property
    def force_spread(self) -> np.ndarray:
        """(n,) eV/Å: root mean square distance of the members' forces on an atom from their mean."""
        if not len(self.member_forces):
            return np.zeros(len(self.energies))
        distance = self.member_forces - self.member_forces.mean(axis=0)
        return np.sqrt((distance**2).sum(axis=2).mean(axis=0))

    @property
    def stress(self) -> np.ndarray:
        """(6,) eV/Å³, in ASE's order and sign: xx, yy, zz, yz, xz, xy.

        Raises
        ------
        ValueError
            The structure has no volume.
        """
        if self.volume <= 0:
            raise ValueError("the structure has no cell, so no stress; set three lattice vectors")
        return voigt(self.virial) / self.volume


def voigt(matrix: np.ndarray) -> np.ndarray:
    """xx, yy, zz, yz, xz, xy of a matrix, made symmetric."""
    s = 0.5 * (matrix + matrix.T)
    return np.array([s[0, 0], s[1, 1], s[2, 2], s[1, 2], s[0, 2], s[0, 1]])


def find_extrapolations(
    descriptor: Descriptor, values: Sequence[np.ndarray], atoms: Sequence[np.ndarray]
) -> tuple[Extrapolation, ...]:
    """Functions outside their ranges, in the order of the atoms.

    Parameters
    ----------
    values
        One (n_atoms of the element, n_functions) array an element, not scaled.
    atoms
        One (n_atoms of the element,) array an element, indices of these atoms.
    """
    found = []
    for element, G, indices in zip(descriptor.elements, values, atoms, strict=True):
        low, high = element.scaling.minimum, element.scaling.maximum
        with np.errstate(over="ignore"):
            slack = _TOLERANCE * (high - low)
        for row, f in np.argwhere((low - G > slack) | (G - high > slack)):
            found.append(
                Extrapolation(
                    int(indices[row]), element.centre, int(f), float(G[row, f]), float(low[f]), float(high[f])
                )
            )
    return tuple(sorted(found))
