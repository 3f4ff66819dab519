# ruff: noqa: ARG001 - the signature is that of all potentials
"""Tersoff's bond-order potential, with the signature of :data:`iondiff.potentials.compiled.KERNEL`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def _switch(r, inner, outer):
    """Tersoff's cutoff function and its slope: half a cosine between `inner` and `outer`."""
    if r <= inner:
        return 1.0, 0.0
    phase = math.pi * (r - inner) / (outer - inner)
    return 0.5 + 0.5 * math.cos(phase), -0.5 * math.pi / (outer - inner) * math.sin(phase)


@njit(cache=True, error_model="numpy")
def _bend(cosine, c, d, h):
    """Function of the angle and its slope by the cosine."""
    away = h - cosine
    square = d * d + away * away
    return 1.0 + c * c / (d * d) - c * c / square, -2.0 * c * c * away / (square * square)


@njit(cache=True, error_model="numpy")
def _order(zeta, beta, n):
    """Bond order (1 + (βζ)ⁿ)^(-1/2n) and its slope by ζ."""
    if zeta <= 0.0:
        return 1.0, 0.0
    power = (beta * zeta) ** n
    order = (1.0 + power) ** (-0.5 / n)
    return order, -0.5 * order * power / ((1.0 + power) * zeta)


@njit(cache=True, error_model="numpy")
def tersoff(positions, cell, species, first, index, image, integers, reals, forces, energies, virial):
    """reals: A, B, λ, μ, β, n, c, d, h, inner and outer radius."""
    A, B, steep, flat, beta, n, c, d, h, inner, outer = reals[:11]
    virial[:] = 0.0
    forces[:] = 0.0
    total = 0.0
    widest = 0
    for i in range(len(positions)):
        widest = max(widest, first[i + 1] - first[i])
    near = np.empty(widest, np.int64)
    unit = np.empty((widest, 3))
    distance = np.empty(widest)
    inside = np.empty(widest)  # cutoff function
    slope = np.empty(widest)  # of it
    push = np.empty((widest, 3))  # dE_i/dr_ij
    for i in range(len(positions)):
        m = 0
        for p in range(first[i], first[i + 1]):
            j = index[p]
            u, v, w = image[p, 0], image[p, 1], image[p, 2]
            x = positions[j, 0] - positions[i, 0] + u * cell[0, 0] + v * cell[1, 0] + w * cell[2, 0]
            y = positions[j, 1] - positions[i, 1] + u * cell[0, 1] + v * cell[1, 1] + w * cell[2, 1]
            z = positions[j, 2] - positions[i, 2] + u * cell[0, 2] + v * cell[1, 2] + w * cell[2, 2]
            square = x * x + y * y + z * z
            if square >= outer * outer:
                continue
            r = math.sqrt(square)
            near[m] = j
            distance[m] = r
            unit[m, 0], unit[m, 1], unit[m, 2] = x / r, y / r, z / r
            inside[m], slope[m] = _switch(r, inner, outer)
            push[m] = 0.0
            m += 1
        own = 0.0
        for p in range(m):
            zeta = 0.0
            for q in range(m):
                if q != p:
                    cosine = unit[p, 0] * unit[q, 0] + unit[p, 1] * unit[q, 1] + unit[p, 2] * unit[q, 2]
                    zeta += inside[q] * _bend(cosine, c, d, h)[0]
            order, by_zeta = _order(zeta, beta, n)
            repulsion = A * math.exp(-steep * distance[p])
            attraction = B * math.exp(-flat * distance[p])
            own += 0.5 * inside[p] * (repulsion - order * attraction)
            radial = 0.5 * slope[p] * (repulsion - order * attraction)
            radial += 0.5 * inside[p] * (flat * order * attraction - steep * repulsion)
            for k in range(3):
                push[p, k] += radial * unit[p, k]
            weight = -0.5 * inside[p] * attraction * by_zeta  # dE/dζ
            for q in range(m):
                if q == p:
                    continue
                cosine = unit[p, 0] * unit[q, 0] + unit[p, 1] * unit[q, 1] + unit[p, 2] * unit[q, 2]
                bend, by_cosine = _bend(cosine, c, d, h)
                turn = weight * inside[q] * by_cosine
                pull = weight * slope[q] * bend
                for k in range(3):
                    push[p, k] += turn * (unit[q, k] - cosine * unit[p, k]) / distance[p]
                    push[q, k] += turn * (unit[p, k] - cosine * unit[q, k]) / distance[q]
                    push[q, k] += pull * unit[q, k]
        for p in range(m):
            j = near[p]
            for k in range(3):
                forces[i, k] += push[p, k]
                forces[j, k] -= push[p, k]
                for o in range(3):
                    virial[o, k] += distance[p] * unit[p, o] * push[p, k]
        energies[i] = own
        total += own
    return total
