"""Kernel that carries values and gradients of a grid on into places where nothing is known."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from search.lattice import Floats, Ints

# Exponents of the 20 monomials of a cubic in three variables, by degree.
_POWERS = np.array(
    [(a, b, d - a - b) for d in range(4) for a in range(d, -1, -1) for b in range(d - a, -1, -1)],
    dtype=np.int64,
)
_TERMS = len(_POWERS)
# Known points, counted with their gradients four times, that a cubic is fitted to at least.
_LEAST = 9
# Pull of the quadratic and cubic terms towards zero, where neighbours on one side leave them open.
_RIDGE = np.array([0.0, 0.0, 1e-6, 1e-5])


@njit(cache=True)
def cubic_continuation(
    values: Floats,
    gradients: Floats,
    known: NDArray[np.bool_],
    todo: Ints,
    spacing: Floats,
    reach: int,
    new_values: Floats,
    new_gradients: Floats,
    done: NDArray[np.bool_],
) -> None:
    """Fit a cubic to the known neighbours of each point, values and gradients, and read it off at the point.

    values: (n1, n2, n3); gradients: (n1, n2, n3, 3), 1/Å; todo: (m, 3), grid indices; spacing: (3, 3), Å, rows
    are the steps of the grid; reach: neighbours up to this many steps count. new_values (m,), new_gradients
    (m, 3) and done (m,) are filled; not done are points with too few known neighbours.
    """
    unit = 0.0
    for a in range(3):
        unit += np.sqrt((spacing[a] ** 2).sum()) / 3.0
    normal = np.empty((_TERMS, _TERMS))
    right = np.empty(_TERMS)
    row = np.empty(_TERMS)
    power = np.empty((3, 4))
    at = np.empty(3)
    n1, n2, n3 = values.shape
    for p in range(len(todo)):
        normal[:, :] = 0.0
        right[:] = 0.0
        count = 0
        for i in range(-reach, reach + 1):
            for j in range(-reach, reach + 1):
                for k in range(-reach, reach + 1):
                    x, y, z = (todo[p, 0] + i) % n1, (todo[p, 1] + j) % n2, (todo[p, 2] + k) % n3
                    if not known[x, y, z]:
                        continue
                    square = 0.0
                    for a in range(3):
                        at[a] = (i * spacing[0, a] + j * spacing[1, a] + k * spacing[2, a]) / unit
                        square += at[a] ** 2
                    window = 1.0 - square / (reach + 0.5) ** 2
                    if window <= 0.0:
                        continue
                    count += 1
                    weight = window**2 / (0.5 + square)
                    for a in range(3):
                        power[a, 0] = 1.0
                        for b in range(1, 4):
                            power[a, b] = power[a, b - 1] * at[a]
                    for part in range(4):
                        for t in range(_TERMS):
                            product = 1.0
                            for a in range(3):
                                e = _POWERS[t, a]
                                if a == part - 1:
                                    product *= e * power[a, e - 1] if e > 0 else 0.0
                                else:
                                    product *= power[a, e]
                            row[t] = product
                        target = values[x, y, z] if part == 0 else gradients[x, y, z, part - 1] * unit
                        for s in range(_TERMS):
                            scaled = weight * row[s]
                            if scaled != 0.0:
                                right[s] += scaled * target
                                for t in range(s + 1):
                                    normal[s, t] += scaled * row[t]
        done[p] = count >= _LEAST
        if not done[p]:
            continue
        trace = 0.0
        for s in range(_TERMS):
            trace += normal[s, s]
            for t in range(s):
                normal[t, s] = normal[s, t]
        for s in range(_TERMS):
            normal[s, s] += (1e-9 + _RIDGE[_POWERS[s].sum()]) * trace / _TERMS
        answer = np.linalg.solve(normal, right)
        new_values[p] = answer[0]
        for a in range(3):
            new_gradients[p, a] = answer[1 + a] / unit
