"""One label: the guest held at a point, the host relaxed around it, each atom tethered to its own place.

With a free relaxation the energy depends on how the point was reached (host atoms slide into other basins);
with a spring on every host atom, and the pristine host as the start, it is a function of the guest's
position:

    E(x) = min over host positions y of  E(y, x) − E(host) + ½ k Σ |y − y₀|²

By the envelope theorem its gradient is the force on the held guest alone, so one relaxation gives both.

The relaxation is L-BFGS preconditioned by the Hessian of the empty host plus the spring: the same matrix
serves every label, and the number of teacher calls falls to about a half (``benchmarks/labeller.py``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy.linalg import cho_factor, cho_solve

from iondiff.errors import CalculatorError

_MAX_STEP = 0.25  # Å, longest move of one atom in one iteration
_HISTORY = 20  # L-BFGS pairs kept
_SCALAR_CURVATURE = 30.0  # eV/Å², used where no host Hessian is given


@dataclass(frozen=True)
class RelaxedLabel:
    """What one relaxation gives: energies in eV, the force on the guest in eV/Å, host positions in Å."""

    energy: float
    bare_energy: float
    guest_force: np.ndarray
    host_positions: np.ndarray
    evaluations: int
    fmax: float
    converged: bool


def host_hessian(host: Atoms, step: float = 0.015) -> np.ndarray:
    """Hessian (3n, 3n), eV/Å², of the empty host by central differences of its calculator's forces.

    Symmetrised and made positive definite by taking absolute eigenvalues: it is used as a preconditioner, for
    which only the size of the curvature matters.
    """
    rows = []
    atoms = host.copy()
    atoms.calc = host.calc
    for atom in range(len(host)):
        for axis in range(3):
            forces = []
            for sign in (1.0, -1.0):
                atoms.positions[:] = host.positions
                atoms.positions[atom, axis] += sign * step
                forces.append(_finite_forces(atoms).ravel())
            rows.append((forces[1] - forces[0]) / (2.0 * step))
    hessian = np.array(rows)
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    return (vectors * np.abs(values)) @ vectors.T


def relax_host(
    host: Atoms,
    guest: str,
    point: np.ndarray,
    spring: float = 1.0,
    fmax: float = 0.02,
    max_evaluations: int = 200,
    hessian: np.ndarray | None = None,
    start: np.ndarray | None = None,
    host_energy: float | None = None,
) -> RelaxedLabel:
    """Relax `host` (its calculator attached) around a `guest` held at `point`.

    Parameters
    ----------
    host
        Pristine host; its positions are the tether points. Left as it was.
    guest
        Chemical symbol.
    point
        (3,), Å.
    spring
        eV/Å² on every host atom; 0 relaxes freely.
    fmax
        eV/Å, largest force left on a host atom, spring included.
    hessian
        (3n, 3n), eV/Å², positive semi-definite preconditioner, as :func:`host_hessian` makes it.
    start
        (n, 3), Å, host positions to start from instead of the pristine ones (to measure label noise).
    host_energy
        eV, energy of the empty host; evaluated when not given.

    Raises
    ------
    CalculatorError
        The host has no calculator, or the calculator returned an energy or a force that is not finite.
    """
    if host.calc is None:
        raise CalculatorError("the host has no calculator; attach one: host.calc = ...")
    atoms = host + Atoms(guest, positions=[point])
    atoms.calc = host.calc
    if host_energy is None:
        host_energy = host.get_potential_energy()
    curvature = np.full((3 * len(host),), spring)
    preconditioner = (
        np.diag(curvature + _SCALAR_CURVATURE)
        if hessian is None
        else hessian + np.diag(np.maximum(curvature, 0.1))
    )
    solve = cho_factor(preconditioner)

    def evaluate(positions: np.ndarray) -> tuple[float, np.ndarray, float, np.ndarray]:
        atoms.positions[:-1] = positions
        forces = _finite_forces(atoms)
        shift = positions - host.positions
        bare = float(atoms.get_potential_energy() - host_energy)
        if not np.isfinite(bare):
            raise CalculatorError(f"the calculator returned the energy {bare} eV; wanted a finite number")
        energy = bare + 0.5 * spring * float((shift**2).sum())
        return energy, spring * shift - forces[:-1], bare, forces[-1]

    positions = (host.positions if start is None else start).copy()
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_HISTORY)
    state = evaluate(positions)
    evaluations = 1
    while _largest(state[1]) > fmax and evaluations < max_evaluations:
        move = _direction(state[1], pairs, solve)
        trial = evaluate(positions + move)
        evaluations += 1
        # Teachers in single precision have about 1e-4 eV of noise on the energy of a hundred atoms.
        while trial[0] > state[0] + 1e-3 and evaluations < max_evaluations:
            slope = float((state[1] * move).sum())
            move = move * np.clip(-slope / (2.0 * (trial[0] - state[0] - slope)), 0.1, 0.6)
            trial = evaluate(positions + move)
            evaluations += 1
        change = (trial[1] - state[1]).ravel()
        if change @ move.ravel() > 1e-8 * np.linalg.norm(change) * np.linalg.norm(move):
            pairs.append((move.ravel(), change))
        positions = positions + move
        state = trial
    energy, gradient, bare, guest_force = state
    remaining = _largest(gradient)
    return RelaxedLabel(
        energy, bare, guest_force.copy(), positions, evaluations, remaining, remaining <= fmax
    )


def _direction(gradient: np.ndarray, pairs: deque, solve: tuple) -> np.ndarray:
    """L-BFGS two-loop recursion with the preconditioner in the middle, cut to the longest allowed move."""
    q = gradient.ravel().copy()
    weights = []
    for s, y in reversed(pairs):
        weight = (s @ q) / (s @ y)
        weights.append(weight)
        q -= weight * y
    r = cho_solve(solve, q)
    for (s, y), weight in zip(pairs, reversed(weights), strict=True):
        r += s * (weight - (y @ r) / (s @ y))
    move = -r.reshape(-1, 3)
    return move * min(1.0, _MAX_STEP / _largest(move))


def _largest(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1).max()))


def _finite_forces(atoms: Atoms) -> np.ndarray:
    forces = atoms.get_forces()
    if not np.isfinite(forces).all():
        raise CalculatorError(
            "the calculator returned a non-finite force on atom "
            f"{int(np.argwhere(~np.isfinite(forces))[0][0])}"
        )
    return forces
