"""Bands on a fitted surface, one after the other, in one compiled loop."""

import numpy as np
from numba import njit

from search._kernels_bands import LOST, Bools, fire_moves, nudged_forces, quasi_newton_moves
from search._spline import slopes_many
from search.lattice import Floats, Ints

_MEMORY = 12


@njit(cache=True)
def _evaluate(
    coefficients: Floats, inverse: Floats, transform: Floats, x: Floats, energies: Floats, gradients: Floats
) -> None:
    """Energies (n,), eV, and gradients (n, 3), eV/Å, at x (n, 3), Å; transform: origin, width, wall."""
    slopes_many(coefficients, x @ inverse, energies, gradients)
    origin, width, wall = transform[0], transform[1], transform[2]
    ceiling = np.log(wall) - 1e-9
    for p in range(x.shape[0]):
        decay = np.exp(-min(energies[p], ceiling))
        y = 1.0 / max(decay - 1.0 / wall, 1e-12)
        energies[p] = origin + width * (y - 1.0)
        first = width * decay * y * y
        g0, g1, g2 = gradients[p, 0], gradients[p, 1], gradients[p, 2]
        for a in range(3):
            gradients[p, a] = first * (inverse[a, 0] * g0 + inverse[a, 1] * g1 + inverse[a, 2] * g2)


@njit(cache=True)
def relax_on_surface(
    coefficients: Floats,
    inverse: Floats,
    transform: Floats,
    positions: Floats,
    energies: Floats,
    spring: float,
    fmax: float,
    steps: int,
    longest: float,
    left: Floats,
) -> None:
    """Relax climbing bands: positions (b, m, 3), Å, changed in place.

    Fills energies (b, m), eV, and the largest force left of each band (b,), eV/Å.
    """
    b, m, d = positions.shape
    n = (m - 2) * d
    gradients = np.zeros((1, m, d))
    climbing: Bools = np.ones(1, dtype=np.bool_)
    todo = np.zeros(1, dtype=np.int64)
    forces, top, largest = np.zeros((1, m - 2, d)), np.zeros(1, dtype=np.int64), np.zeros(1)
    for band in range(b):
        one, height = positions[band : band + 1], energies[band : band + 1]
        moves, before = np.zeros((1, n)), np.zeros((1, n))
        past, changes = np.zeros((1, _MEMORY, n)), np.zeros((1, _MEMORY, n))
        count: Ints = np.zeros(1, dtype=np.int64)
        fresh: Bools = np.ones(1, dtype=np.bool_)
        reach = np.full(1, longest)
        _evaluate(coefficients, inverse, transform, one[0], height[0], gradients[0])
        velocity, dt, mixing = np.zeros((1, n)), np.full(1, 0.1), np.full(1, 0.1)
        patience: Ints = np.zeros(1, dtype=np.int64)
        best, careful = np.inf, False
        home, home_height, home_gradients = one.copy(), height.copy(), gradients.copy()
        for step in range(steps + 1):
            was = top[0]
            nudged_forces(one, height, gradients, climbing, spring, todo, forces, top, largest)
            if largest[0] < fmax or step == steps:
                break
            if largest[0] > LOST * best and not careful:
                # As in `_bands.relax`: back to the best place, and on with FIRE.
                careful = True
                one[:], height[:], gradients[:] = home, home_height, home_gradients
                nudged_forces(one, height, gradients, climbing, spring, todo, forces, top, largest)
            elif largest[0] < best:
                best = largest[0]
                home[:], home_height[:], home_gradients[:] = one, height, gradients
            if step > 0 and was != top[0]:
                count[0], fresh[0] = 0, True
            flat = forces.reshape(1, n)
            if careful:
                fire_moves(flat, moves, velocity, dt, mixing, patience, reach, todo)
            else:
                quasi_newton_moves(flat, moves, before, past, changes, count, fresh, reach, todo)
            for i in range(m - 2):
                for a in range(d):
                    one[0, i + 1, a] += moves[0, i * d + a]
            _evaluate(
                coefficients, inverse, transform, one[0, 1 : m - 1], height[0, 1 : m - 1],
                gradients[0, 1 : m - 1],
            )  # fmt: skip
        left[band] = largest[0]
