# ruff: noqa: ARG001 - the signature is that of all potentials
"""Energy, forces and virial of classical potentials, each with the signature that all potentials share.

See :data:`iondiff.potentials.compiled.KERNEL`. Tables are full: a pair is met from both ends, so each end
takes half of the energy and of the virial and only the force on itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

PAIR_WIDTH = 5  # numbers a pair of elements takes in the Lennard-Jones table
ZBL_WIDTH = 5
_SCREENING = (0.18175, 0.50986, 0.28022, 0.02817)
_DECAY = (3.19980, 0.94229, 0.40290, 0.20162)


@njit(cache=True, error_model="numpy")
def lennard_jones(positions, cell, species, first, index, image, integers, reals, forces, energies, virial):
    """integers: number of elements. reals, for each pair: A, B, r_c², E(r_c), E′(r_c), 0 where unshifted."""
    count = integers[0]
    virial[:] = 0.0
    total = 0.0
    for i in range(len(positions)):
        fx, fy, fz, own = 0.0, 0.0, 0.0, 0.0
        row = species[i] * count
        for p in range(first[i], first[i + 1]):
            j = index[p]
            u, v, w = image[p, 0], image[p, 1], image[p, 2]
            x = positions[j, 0] - positions[i, 0] + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
            y = positions[j, 1] - positions[i, 1] + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
            z = positions[j, 2] - positions[i, 2] + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
            square = x * x + y * y + z * z
            at = PAIR_WIDTH * (row + species[j])
            if square >= reals[at + 2]:
                continue
            inverse = 1.0 / square
            sixth = inverse * inverse * inverse
            repulsion = reals[at] * sixth * sixth
            attraction = reals[at + 1] * sixth
            own += repulsion - attraction - reals[at + 3]
            slope = (6.0 * attraction - 12.0 * repulsion) * inverse  # E′/r
            if reals[at + 4] != 0.0:
                r = math.sqrt(square)
                own -= reals[at + 4] * (r - math.sqrt(reals[at + 2]))
                slope -= reals[at + 4] / r
            fx += slope * x
            fy += slope * y
            fz += slope * z
            _add_pair(virial, 0.5 * slope, x, y, z)
        forces[i, 0], forces[i, 1], forces[i, 2] = fx, fy, fz
        energies[i] = 0.5 * own
        total += 0.5 * own
    return total


@njit(cache=True, inline="always")
def _add_pair(virial, weight, x, y, z):
    virial[0, 0] += weight * x * x
    virial[0, 1] += weight * x * y
    virial[0, 2] += weight * x * z
    virial[1, 0] += weight * y * x
    virial[1, 1] += weight * y * y
    virial[1, 2] += weight * y * z
    virial[2, 0] += weight * z * x
    virial[2, 1] += weight * z * y
    virial[2, 2] += weight * z * z


@njit(cache=True, error_model="numpy")
def zbl_function(r, charges, length):
    """Screened nuclear repulsion, its first and second derivative; `charges` in eV Å, `length` in Å."""
    energy, first, second = 0.0, 0.0, 0.0
    for k in range(4):
        rate = _DECAY[k] / length
        term = _SCREENING[k] * math.exp(-rate * r) * charges / r
        energy += term
        first -= term * (rate + 1.0 / r)
        second += term * (rate * rate + 2.0 * rate / r + 2.0 / (r * r))
    return energy, first, second


@njit(cache=True, error_model="numpy")
def zbl(positions, cell, species, first, index, image, integers, reals, forces, energies, virial):
    """integers: number of elements. reals: inner, outer; each pair: charges, length, switch a, b, c."""
    count = integers[0]
    inner, outer = reals[0], reals[1]
    virial[:] = 0.0
    total = 0.0
    for i in range(len(positions)):
        fx, fy, fz, own = 0.0, 0.0, 0.0, 0.0
        for p in range(first[i], first[i + 1]):
            j = index[p]
            u, v, w = image[p, 0], image[p, 1], image[p, 2]
            x = positions[j, 0] - positions[i, 0] + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
            y = positions[j, 1] - positions[i, 1] + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
            z = positions[j, 2] - positions[i, 2] + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
            square = x * x + y * y + z * z
            if square >= outer * outer:
                continue
            at = 2 + ZBL_WIDTH * (species[i] * count + species[j])
            r = math.sqrt(square)
            energy, slope, _ = zbl_function(r, reals[at], reals[at + 1])
            energy += reals[at + 4]
            if r > inner:
                d = r - inner
                energy += d * d * d * (reals[at + 2] / 3.0 + reals[at + 3] / 4.0 * d)
                slope += d * d * (reals[at + 2] + reals[at + 3] * d)
            own += energy
            slope /= r
            fx += slope * x
            fy += slope * y
            fz += slope * z
            _add_pair(virial, 0.5 * slope, x, y, z)
        forces[i, 0], forces[i, 1], forces[i, 2] = fx, fy, fz
        energies[i] = 0.5 * own
        total += 0.5 * own
    return total


@njit(cache=True, error_model="numpy")
def stillinger_weber(
    positions, cell, species, first, index, image, integers, reals, forces, energies, virial
):
    """reals: ε, σ, a, λ, γ, cos θ₀, A, B; the exponents are 4 and 0."""
    epsilon, sigma, reach, strength, gamma, cosine, A, B = reals[:8]
    cutoff = reach * sigma
    n = len(positions)
    virial[:] = 0.0
    forces[:] = 0.0
    total = 0.0
    widest = 0
    for i in range(n):
        widest = max(widest, first[i + 1] - first[i])
    near = np.empty(widest, np.int64)
    vector = np.empty((widest, 3))  # unit vectors
    distance = np.empty(widest)
    decay = np.empty(widest)  # exp(γσ / (r - aσ))
    slope = np.empty(widest)  # of its logarithm
    push = np.empty((widest, 3))  # dE_i/dr_ij
    for i in range(n):
        m = 0
        own = 0.0
        for p in range(first[i], first[i + 1]):
            j = index[p]
            u, v, w = image[p, 0], image[p, 1], image[p, 2]
            x = positions[j, 0] - positions[i, 0] + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
            y = positions[j, 1] - positions[i, 1] + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
            z = positions[j, 2] - positions[i, 2] + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
            square = x * x + y * y + z * z
            if square >= cutoff * cutoff:
                continue
            r = math.sqrt(square)
            near[m] = j
            distance[m] = r
            vector[m, 0], vector[m, 1], vector[m, 2] = x / r, y / r, z / r
            gap = 1.0 / (r - cutoff)
            decay[m] = math.exp(gamma * sigma * gap)
            slope[m] = -gamma * sigma * gap * gap
            # The pair's half that belongs to this atom.
            fourth = B * (sigma / r) ** 4
            tail = 0.5 * A * epsilon * math.exp(sigma * gap)
            own += (fourth - 1.0) * tail
            radial = tail * (-4.0 * fourth / r - (fourth - 1.0) * sigma * gap * gap)
            for c in range(3):
                push[m, c] = radial * vector[m, c]
            m += 1
        for p in range(m):
            for q in range(p):
                c0 = vector[p, 0] * vector[q, 0] + vector[p, 1] * vector[q, 1] + vector[p, 2] * vector[q, 2]
                away = c0 - cosine
                both = strength * epsilon * decay[p] * decay[q]
                energy = both * away * away
                own += energy
                bend = 2.0 * both * away
                for c in range(3):
                    push[p, c] += (
                        energy * slope[p] * vector[p, c]
                        + bend * (vector[q, c] - c0 * vector[p, c]) / distance[p]
                    )
                    push[q, c] += (
                        energy * slope[q] * vector[q, c]
                        + bend * (vector[p, c] - c0 * vector[q, c]) / distance[q]
                    )
        for p in range(m):
            j = near[p]
            for c in range(3):
                forces[i, c] += push[p, c]
                forces[j, c] -= push[p, c]
                for d in range(3):
                    virial[d, c] += distance[p] * vector[p, d] * push[p, c]
        energies[i] = own
        total += own
    return total
