"""The dimer method for many structures at once: up along the softest mode, down along all others.

Henkelman & Jónsson, J. Chem. Phys. 111, 7010 (1999), with the rotation of Heyden, Bell & Keil, J. Chem.
Phys. 123, 224101 (2005), one gradient a rotation, and quasi-Newton translations as in Kästner & Sherwood,
J. Chem. Phys. 128, 014106 (2008).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search._bands import Force, Walkers
from search.lattice import Floats, Ints

# Half the length of a dimer, Å.
ARM = 0.01


@dataclass(frozen=True)
class Climbed:
    """Where walks ended: positions and axes (n, d), lowest curvatures (n,), eV/Å²; why, if no saddle."""

    positions: Floats
    axes: Floats
    curvatures: Floats
    reason: NDArray[np.str_]


def climb(force: Force, x: Floats, axes: Floats, fmax: float, steps: int, ceiling: Floats) -> Climbed:
    """Walk structures (n, d), Å, to saddles, their dimers starting along `axes` (n, d).

    A walk ends when no force exceeds `fmax`, eV/Å, and the curvature is negative; when its energy exceeds its
    `ceiling` (n,), eV; or after `steps` steps.
    """
    x = x.copy()
    axes = axes / np.maximum(np.linalg.norm(axes, axis=1), 1e-300)[:, None]
    n = len(x)
    walkers = Walkers(n, x.shape[1], "lbfgs")
    curvatures, reason = np.zeros(n), np.full(n, "not converged", dtype="<U40")
    effective, todo = np.zeros_like(x), np.arange(n)
    for _ in range(steps):
        if len(todo) == 0:
            break
        energies, gradients = force(x[todo])
        high = ~(energies <= ceiling[todo])
        reason[todo[high]] = "above the ceiling"
        todo, gradients = todo[~high], gradients[~high]
        if len(todo) == 0:
            break
        before = np.sign(curvatures[todo])
        axes[todo], curvatures[todo] = _rotated(force, x[todo], gradients, axes[todo])
        along = np.einsum("nd,nd->n", gradients, axes[todo])
        negative = curvatures[todo] < 0
        largest = np.linalg.norm(gradients.reshape(len(todo), -1, 3), axis=-1).max(axis=1)
        home = (largest < fmax) & negative
        reason[todo[home]] = ""
        # Where the surface still curves up, only up along the axis, out of the basin.
        up = along[:, None] * axes[todo]
        effective[todo] = np.where(negative[:, None], 2.0 * up - gradients, up)
        walkers.restart(todo[before != np.sign(curvatures[todo])])
        todo = todo[~home]
        if len(todo):
            moves = walkers.next_moves(effective, todo)
            if (curvatures[todo] >= 0).any():
                moves = _at_least(moves, curvatures[todo] >= 0)
            x[todo] += moves
    return Climbed(x, axes, curvatures, reason)


def _at_least(moves: Floats, rows: NDArray[np.bool_], length: float = 0.05) -> Floats:
    """Moves in the convex region must not die out where the force along the axis does."""
    size = np.linalg.norm(moves, axis=1)
    grow = np.where(rows, np.maximum(1.0, length / np.maximum(size, 1e-12)), 1.0)
    return np.asarray(moves * grow[:, None])


def _rotated(
    force: Force, x: Floats, gradients: Floats, axes: Floats, rotations: int = 3
) -> tuple[Floats, Floats]:
    """Axes turned towards the softest mode, and the curvatures along them, eV/Å²."""
    axes = axes.copy()
    products = (force(x + ARM * axes)[1] - gradients) / ARM
    curvatures = np.asarray(np.einsum("nd,nd->n", products, axes))
    todo: Ints = np.arange(len(x))
    for _ in range(rotations):
        across = products[todo] - curvatures[todo, None] * axes[todo]
        size = np.linalg.norm(across, axis=1)
        # Turning by less than about a degree or two is not worth a gradient.
        worth = size > 0.05 * np.maximum(np.abs(curvatures[todo]), 1.0)
        todo, across, size = todo[worth], across[worth], size[worth]
        if len(todo) == 0:
            break
        turn = across / size[:, None]
        others = (force(x[todo] + ARM * turn)[1] - gradients[todo]) / ARM
        # The softest direction in the plane of axis and turn: a 2x2 eigenvalue problem.
        a, c = curvatures[todo], np.einsum("nd,nd->n", others, turn)
        b = 0.5 * (np.einsum("nd,nd->n", products[todo], turn) + np.einsum("nd,nd->n", others, axes[todo]))
        angle = 0.5 * np.arctan2(2.0 * b, a - c) + 0.5 * np.pi
        cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
        axes[todo] = cosine * axes[todo] + sine * turn
        products[todo] = cosine * products[todo] + sine * others
        norm = np.linalg.norm(axes[todo], axis=1)[:, None]
        axes[todo], products[todo] = axes[todo] / norm, products[todo] / norm
        curvatures[todo] = np.einsum("nd,nd->n", products[todo], axes[todo])
    return axes, curvatures
