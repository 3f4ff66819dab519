"""Where the landscape has no number: carry it on smoothly into the core, so that the spline does not ring.

A jump to a wall spoils a spline several grid points around it. The first layers behind the known points are
read off cubics through values and gradients of their neighbours. Further in, where the transformed energy
grows almost linearly towards the centre of an atom, it is continued linearly, layer by layer.
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from search._kernels_walls import cubic_continuation
from search.lattice import Floats

_LAYERS = 6
# Layers continued by cubics, and how many steps away their neighbours are.
_CUBIC, _REACH = 2, 2
_NEIGHBOURS = [np.array(o) for o in itertools.product((-1, 0, 1), repeat=3) if any(o)]


def continued(
    values: Floats, gradients: Floats, known: NDArray[np.bool_], cell: Floats, rise: float, ceiling: float
) -> tuple[Floats, Floats]:
    """Fill unknown points of a periodic grid from their known neighbours.

    values: (n1, n2, n3); gradients: (n1, n2, n3, 3), 1/Å; known: (n1, n2, n3). Inside atoms energies rise:
    cubics that fall below all their neighbours are not believed, and behind the layers of cubics every layer
    is at least `rise` higher than the one before. `ceiling`: no filled value is above it, and what no layer
    reaches has it, with zero gradient.
    """
    values, gradients = np.where(known, values, ceiling), np.where(known[..., None], gradients, 0.0)
    filled = known.copy()
    spacing = cell / np.array(values.shape)[:, None]
    for _ in range(_CUBIC):
        _add_cubics(values, gradients, filled, spacing, ceiling)
    for _ in range(_LAYERS):
        if filled.all() or not filled.any():
            break
        _add_layer(values, gradients, filled, spacing, rise, ceiling)
    return values, gradients


def _add_cubics(
    values: Floats, gradients: Floats, filled: NDArray[np.bool_], spacing: Floats, ceiling: float
) -> None:
    """One layer of cubics, written into the three arrays."""
    edge = np.argwhere(~filled & ndimage.maximum_filter(filled, size=3, mode="wrap"))
    new_values, new_gradients = np.empty(len(edge)), np.empty((len(edge), 3))
    done = np.zeros(len(edge), dtype=bool)
    cubic_continuation(values, gradients, filled, edge, spacing, _REACH, new_values, new_gradients, done)
    around = ndimage.minimum_filter(np.where(filled, values, np.inf), size=3, mode="wrap")
    done &= (new_values > around[tuple(edge.T)]) & (new_values < ceiling)
    where = tuple(edge[done].T)
    values[where], gradients[where] = new_values[done], new_gradients[done]
    filled[where] = True


def _add_layer(
    values: Floats,
    gradients: Floats,
    filled: NDArray[np.bool_],
    spacing: Floats,
    rise: float,
    ceiling: float,
) -> None:
    """One layer continued linearly, written into the three arrays."""
    level, total, slope = np.zeros_like(values), np.zeros_like(values), np.zeros_like(gradients)
    weight = np.zeros_like(values)
    for offset in _NEIGHBOURS:
        step = offset @ spacing  # from the neighbour to the point
        shift = tuple(int(x) for x in offset)
        here = np.roll(filled, shift, axis=(0, 1, 2)) / (step @ step)
        near, there = np.roll(gradients, shift, axis=(0, 1, 2)), np.roll(values, shift, axis=(0, 1, 2))
        level += here * there
        total += here * (there + near @ step)
        slope += here[..., None] * near
        weight += here
    new = ~filled & (weight > 0)
    lifted = np.maximum(total[new], level[new] + rise * weight[new]) / weight[new]
    values[new] = np.minimum(lifted, ceiling)
    gradients[new] = np.where((values[new] < ceiling)[:, None], slope[new] / weight[new][:, None], 0.0)
    filled |= new


def plateaus(energies: Floats, gradients: Floats, ceiling: float) -> Floats:
    """Energies (p,), eV, above `ceiling` that a landscape gives everywhere inside atoms instead of its own.

    energies: (n1, n2, n3), eV; gradients: (n1, n2, n3, 3), eV/Å. A plateau is an energy that a point shares to
    the last bit with all of its six neighbours, or with one of them, both without any gradient. As the energy
    of a smooth landscape it would be a jump or a kink that no spline follows.
    """
    flat = (gradients == 0.0).all(axis=-1)
    shared = np.zeros(energies.shape, dtype=np.int64)
    still = np.zeros(energies.shape, dtype=bool)
    for axis, step in itertools.product(range(3), (1, -1)):
        same = energies == np.roll(energies, step, axis)
        shared += same
        still |= same & flat & np.roll(flat, step, axis)
    high = np.isfinite(energies) & (energies > ceiling)
    return np.unique(energies[high & (still | (shared == 6))])
