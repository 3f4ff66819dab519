"""Vibrations of a relaxed structure: the harmonic density of states from forces around rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms, units

from iondiff.errors import HostError

Floats = npt.NDArray[np.float64]
_TERAHERTZ = 1e3 * units.fs  # of ASE's unit of frequency, 1/time


@dataclass(frozen=True)
class Vibrations:
    """Modes of a structure at rest.

    Attributes
    ----------
    frequencies_THz
        (3 n_atoms,), rising; negative where the structure is not at a minimum (imaginary).
    participation
        (3 n_atoms,), between 1/n_atoms (one atom moves) and 1 (all move alike).
    """

    frequencies_THz: Floats
    participation: Floats

    def density(self, width_THz: float = 0.3, points: int = 400) -> tuple[Floats, Floats]:
        """Density of states by Gaussians of standard deviation `width_THz`; its integral is 3 (modes an atom).

        The three modes of the whole crystal moving at once are left out.

        Returns
        -------
        frequency, density
            THz; modes an atom and THz.
        """
        if not (math.isfinite(width_THz) and width_THz > 0):
            raise HostError(f"width_THz is {width_THz!r}; wanted a positive number")
        resting = np.argsort(np.abs(self.frequencies_THz))[:3]
        modes = np.delete(self.frequencies_THz, resting)
        low, high = min(0.0, float(modes.min(initial=0.0))), float(modes.max(initial=1.0))
        x = np.linspace(low - 4 * width_THz if low < 0 else 0.0, high + 4 * width_THz, points)
        bells = np.exp(-0.5 * ((x[:, None] - modes) / width_THz) ** 2) / (width_THz * math.sqrt(2 * math.pi))
        return x, np.asarray(3.0 * bells.mean(axis=1))


def harmonic_vibrations(atoms: Atoms, calculator: Any = None, step_A: float = 0.01) -> Vibrations:
    """Frequencies from central differences of the forces; 6 force calls an atom.

    Parameters
    ----------
    atoms
        At rest (:func:`iondiff.dynamics.relax`); the box is the whole crystal, so only its Γ point is seen.
    calculator
        ASE calculator; `atoms.calc` when not given.
    step_A
        Å, of the displacements.

    Raises
    ------
    HostError
        No calculator.
    """
    source = atoms.calc if calculator is None else calculator
    if source is None:
        raise HostError("vibrations need forces; pass calculator=... or set atoms.calc")
    moved = atoms.copy()
    moved.set_constraint()
    moved.calc = source
    n = len(atoms)
    hessian = np.empty((3 * n, 3 * n))
    for k in range(3 * n):
        forces = []
        for sign in (1.0, -1.0):
            moved.positions[k // 3, k % 3] += sign * step_A
            forces.append(moved.get_forces().ravel().copy())
            moved.positions[k // 3, k % 3] -= sign * step_A
        hessian[k] = (forces[1] - forces[0]) / (2.0 * step_A)
    weights = 1.0 / np.sqrt(np.repeat(atoms.get_masses(), 3))
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T) * np.outer(weights, weights))
    frequencies = np.sign(values) * np.sqrt(np.abs(values)) / (2.0 * np.pi) * _TERAHERTZ
    share = (vectors.reshape(n, 3, 3 * n) ** 2).sum(axis=1)
    return Vibrations(frequencies, np.asarray(1.0 / (n * (share**2).sum(axis=0))))
