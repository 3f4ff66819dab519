"""Where the landscape has no number: carry it on smoothly into the core, so that the spline does not ring.

A jump to a wall spoils a spline several grid points around it. The transformed energy grows almost linearly
towards the centre of an atom, so it is continued linearly, layer by layer, from the points that are known.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from search.lattice import Floats

_LAYERS = 6
_NEIGHBOURS = [np.array(o) for o in itertools.product((-1, 0, 1), repeat=3) if any(o)]


def continued(
    values: Floats, gradients: Floats, known: NDArray[np.bool_], cell: Floats, ceiling: float
) -> tuple[Floats, Floats]:
    """Fill unknown points of a periodic grid from their known neighbours.

    values: (n1, n2, n3); gradients: (n1, n2, n3, 3), 1/Å; known: (n1, n2, n3); ceiling: no filled value is
    above it, and what no layer reaches has it, with zero gradient.
    """
    values, gradients = np.where(known, values, ceiling), np.where(known[..., None], gradients, 0.0)
    filled = known.copy()
    spacing = cell / np.array(values.shape)[:, None]
    for _ in range(_LAYERS):
        if filled.all() or not filled.any():
            break
        total, slope = np.zeros_like(values), np.zeros_like(gradients)
        weight = np.zeros_like(values)
        for offset in _NEIGHBOURS:
            step = offset @ spacing  # from the neighbour to the point
            shift = tuple(int(x) for x in offset)
            here = np.roll(filled, shift, axis=(0, 1, 2)) / (step @ step)
            near = np.roll(gradients, shift, axis=(0, 1, 2))
            total += here * (np.roll(values, shift, axis=(0, 1, 2)) + near @ step)
            slope += here[..., None] * near
            weight += here
        new = ~filled & (weight > 0)
        values[new] = np.minimum(total[new] / weight[new], ceiling)
        gradients[new] = np.where((values[new] < ceiling)[:, None], slope[new] / weight[new][:, None], 0.0)
        filled |= new
    return values, gradients
