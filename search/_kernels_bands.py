"""Compiled mechanics of many elastic bands, and of many structures, advanced together.

Every kernel works on arrays of all bands and a list of those still moving; none knows what an energy is.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from search.lattice import Floats, Ints

Bools = NDArray[np.bool_]
# First step of a quasi-Newton walk, Å² / eV: the inverse of a usual force constant.
FIRST = 0.02
# Inverse curvatures taken from a pair of steps are kept inside these bounds, Å² / eV.
SOFT, STIFF = 0.5, 2e-4
# A force this many times the smallest so far: a quasi-Newton walk has lost its way.
LOST = 4.0


@njit(cache=True)
def _tangent(behind: Floats, ahead: Floats, low: float, here: float, high: float, out: Floats) -> float:
    """Unit improved tangent (d,) into `out` (eqs. 8-11 of the paper in `_bands`); |ahead| - |behind|."""
    up, down = high - here, low - here
    larger, smaller = max(abs(up), abs(down)), min(abs(up), abs(down))
    if up > 0.0 and down < 0.0:
        forward, backward = 1.0, 0.0
    elif up < 0.0 and down > 0.0:
        forward, backward = 0.0, 1.0
    elif high > low:
        forward, backward = larger, smaller
    else:
        forward, backward = smaller, larger
    if forward + backward < 1e-300:
        # On a plateau both weights vanish: fall back on the bisector.
        forward, backward = 1.0, 1.0
    norm = far = near = 0.0
    for k in range(out.shape[0]):
        out[k] = forward * ahead[k] + backward * behind[k]
        norm += out[k] ** 2
        far += ahead[k] ** 2
        near += behind[k] ** 2
    norm = max(np.sqrt(norm), 1e-300)
    for k in range(out.shape[0]):
        out[k] /= norm
    return float(np.sqrt(far) - np.sqrt(near))


@njit(cache=True)
def _largest(forces: Floats) -> float:
    """Largest force on any atom: forces (i, 3k) of one band."""
    largest = 0.0
    for i in range(forces.shape[0]):
        for a in range(0, forces.shape[1], 3):
            size = forces[i, a] ** 2 + forces[i, a + 1] ** 2 + forces[i, a + 2] ** 2
            if not size <= largest:
                largest = size
    return float(np.sqrt(largest))


@njit(cache=True)
def nudged_forces(
    positions: Floats,
    energies: Floats,
    gradients: Floats,
    climbing: Bools,
    spring: float,
    todo: Ints,
    forces: Floats,
    top: Ints,
    left: Floats,
) -> None:
    """Forces (b, m - 2, d), eV/Å, of the bands `todo`; their highest inner image and largest force.

    positions, gradients: (b, m, d); energies: (b, m), clipped inside walls by the caller.
    """
    images, d = positions.shape[1], positions.shape[2]
    tangent, ahead, behind = np.empty(d), np.empty(d), np.empty(d)
    for band in todo:
        top[band] = 1 + np.argmax(energies[band, 1 : images - 1])
        for i in range(1, images - 1):
            for k in range(d):
                ahead[k] = positions[band, i + 1, k] - positions[band, i, k]
                behind[k] = positions[band, i, k] - positions[band, i - 1, k]
            low, here, high = energies[band, i - 1], energies[band, i], energies[band, i + 1]
            stretch = _tangent(behind, ahead, low, here, high, tangent)
            along = 0.0
            for k in range(d):
                along -= gradients[band, i, k] * tangent[k]
            up_hill = climbing[band] and i == top[band]
            pull = -2.0 * along if up_hill else spring * stretch - along
            for k in range(d):
                forces[band, i - 1, k] = pull * tangent[k] - gradients[band, i, k]
        left[band] = _largest(forces[band])


@njit(cache=True)
def quasi_newton_moves(
    forces: Floats,
    moves: Floats,
    before: Floats,
    steps: Floats,
    changes: Floats,
    count: Ints,
    fresh: Bools,
    longest: Floats,
    todo: Ints,
) -> None:
    """One L-BFGS step (Nocedal, Math. Comput. 35, 773 (1980)) of each walker in `todo`.

    forces: (b, n), now; moves: (b, n), the last moves, overwritten with the new ones; before: (b, n), the
    forces before the last moves, overwritten with `forces`; steps, changes: (b, memory, n), the history;
    count: (b,), how many pairs it ever held; fresh: (b,), whether the last move and these forces do not
    belong together (a start, or another force field), cleared; longest: (b,), the largest move of an atom, Å.
    """
    memory, n = steps.shape[1], steps.shape[2]
    alpha, rho = np.empty(memory), np.empty(memory)
    for w in todo:
        if fresh[w]:
            fresh[w] = False
        else:
            slot = count[w] % memory
            overlap = size = change = 0.0
            for k in range(n):
                steps[w, slot, k] = moves[w, k]
                changes[w, slot, k] = before[w, k] - forces[w, k]
                overlap += steps[w, slot, k] * changes[w, slot, k]
                size += steps[w, slot, k] ** 2
                change += changes[w, slot, k] ** 2
            if overlap > 1e-4 * np.sqrt(size * change):
                count[w] += 1
        used = min(count[w], memory)
        scale = FIRST
        for k in range(n):
            moves[w, k] = forces[w, k]
        for back in range(used):
            slot = (count[w] - 1 - back) % memory
            overlap = change = along = 0.0
            for k in range(n):
                overlap += steps[w, slot, k] * changes[w, slot, k]
                change += changes[w, slot, k] ** 2
                along += steps[w, slot, k] * moves[w, k]
            rho[slot] = 1.0 / overlap
            alpha[slot] = rho[slot] * along
            if back == 0:
                scale = min(max(overlap / change, STIFF), SOFT)
            for k in range(n):
                moves[w, k] -= alpha[slot] * changes[w, slot, k]
        for k in range(n):
            moves[w, k] *= scale
        for back in range(used - 1, -1, -1):
            slot = (count[w] - 1 - back) % memory
            along = 0.0
            for k in range(n):
                along += changes[w, slot, k] * moves[w, k]
            for k in range(n):
                moves[w, k] += (alpha[slot] - rho[slot] * along) * steps[w, slot, k]
        power = 0.0
        for k in range(n):
            power += moves[w, k] * forces[w, k]
        if not power > 0.0:
            # Springs and climbing have no energy behind them: a history can mislead. Start again.
            count[w] = 0
            for k in range(n):
                moves[w, k] = FIRST * forces[w, k]
        size = 0.0
        for k in range(0, n, 3):
            size = max(size, moves[w, k] ** 2 + moves[w, k + 1] ** 2 + moves[w, k + 2] ** 2)
        size = np.sqrt(size)
        shrink = longest[w] / size if size > longest[w] else 1.0
        for k in range(n):
            moves[w, k] *= shrink
            before[w, k] = forces[w, k]


@njit(cache=True)
def fire_moves(
    forces: Floats,
    moves: Floats,
    velocity: Floats,
    dt: Floats,
    mixing: Floats,
    patience: Ints,
    longest: Floats,
    todo: Ints,
) -> None:
    """One FIRE step (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)) of each walker in `todo`.

    forces, velocity: (b, n); moves: (b, n), filled; dt, mixing, patience, longest: (b,).
    """
    n = forces.shape[1]
    for w in todo:
        power = fast = strong = 0.0
        for k in range(n):
            power += forces[w, k] * velocity[w, k]
            fast += velocity[w, k] ** 2
            strong += forces[w, k] ** 2
        if power <= 0.0:
            dt[w], mixing[w], patience[w] = 0.5 * dt[w], 0.1, 0
            for k in range(n):
                velocity[w, k] = 0.0
        else:
            ratio = mixing[w] * np.sqrt(fast) / max(np.sqrt(strong), 1e-300)
            for k in range(n):
                velocity[w, k] = (1.0 - mixing[w]) * velocity[w, k] + ratio * forces[w, k]
            patience[w] += 1
            if patience[w] > 5:
                dt[w], mixing[w] = min(1.1 * dt[w], 1.0), 0.99 * mixing[w]
        size = 0.0
        for k in range(n):
            velocity[w, k] += dt[w] * forces[w, k]
            moves[w, k] = dt[w] * velocity[w, k]
        for k in range(0, n, 3):
            size = max(size, moves[w, k] ** 2 + moves[w, k + 1] ** 2 + moves[w, k + 2] ** 2)
        size = np.sqrt(size)
        if size > longest[w]:
            for k in range(n):
                moves[w, k] *= longest[w] / size
