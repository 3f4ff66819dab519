"""Symmetry functions of all atoms of a structure and their derivatives by each neighbour, for training.

Every kind of function is a product of the same few factors, so one loop serves them all: a *bell* of each
distance (a Gaussian or a cosine under a cutoff function, or a compact polynomial), and for triples a factor of
the angle.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

# Columns of the table of bells.
GAUSSIAN, COSINE, COMPACT = 0, 1, 2
_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(cache=True, error_model="numpy")
def core(kind, x):
    """Value and derivative of cutoff kind 4 to 8 at 0 ≤ x < 1; 1 at 0, flat 0 at 1."""
    if kind == 4:
        y = 1.0 - x * x
        f = math.exp(1.0 - 1.0 / y)
        return f, -2.0 * x / (y * y) * f
    if kind == 5:
        return (2.0 * x - 3.0) * x * x + 1.0, 6.0 * x * (x - 1.0)
    if kind == 6:
        return ((15.0 - 6.0 * x) * x - 10.0) * x**3 + 1.0, -30.0 * (x * (1.0 - x)) ** 2
    if kind == 7:
        return (x * (x * (20.0 * x - 70.0) + 84.0) - 35.0) * x**4 + 1.0, -140.0 * (x * (1.0 - x)) ** 3
    f = (x * (x * ((315.0 - 70.0 * x) * x - 540.0) + 420.0) - 126.0) * x**5 + 1.0
    return f, -630.0 * (x * (1.0 - x)) ** 4


@njit(cache=True, error_model="numpy")
def cutoff_function(kind, r, cutoff, inner):
    """Value and derivative by r; `inner` in Å."""
    if r >= cutoff:
        return 0.0, 0.0
    if kind == 0:
        return 1.0, 0.0
    if kind in (2, 3):
        t = math.tanh(1.0 - r / cutoff)
        scale = 1.0 if kind == 2 else 1.0 / math.tanh(1.0) ** 3
        return scale * t**3, -3.0 * scale * t * t * (1.0 - t * t) / cutoff
    if r <= inner:
        return 1.0, 0.0
    width = cutoff - inner
    x = (r - inner) / width
    if kind == 1:
        return 0.5 * (math.cos(math.pi * x) + 1.0), -0.5 * math.pi / width * math.sin(math.pi * x)
    f, df = core(kind, x)
    return f, df / width


@njit(cache=True, error_model="numpy")
def compact(x, centre, half_width, kind, asymmetric):
    """Bell of half width `half_width` around `centre`: value and derivative by x."""
    y = abs(x - centre) / half_width
    if y >= 1.0:
        return 0.0, 0.0
    sign = 1.0 if x > centre else -1.0
    if asymmetric:
        f, df = core(kind, (2.0 - y) * y)
        df *= 2.0 - 2.0 * y
    else:
        f, df = core(kind, y)
    return f, df * sign / half_width


@njit(cache=True, error_model="numpy")
def bell(row, r):
    """Value and derivative by r of one row of the table of bells."""
    if r >= row[1]:
        return 0.0, 0.0
    family = int(row[0])
    if family == COMPACT:
        return compact(r, 0.5 * (row[1] + row[2]), 0.5 * (row[1] - row[2]), int(row[3]), row[4] > 0.0)
    f, df = cutoff_function(int(row[3]), r, row[1], row[2])
    if family == COSINE:
        c, s = math.cos(row[4] * r), math.sin(row[4] * r)
        return c * f, c * df - row[4] * s * f
    d = r - row[5]
    g = math.exp(-row[4] * d * d)
    return g * f, g * (df - 2.0 * row[4] * d * f)


@njit(cache=True, error_model="numpy")
def angle_factor(row, cosine):
    """Value and derivative by cos θ of one row of the table of angular factors."""
    if row[0] > 0.0:  # a bell in the angle
        angle = math.acos(min(1.0, max(-1.0, cosine)))
        f, df = compact(angle, row[1], row[2], int(row[3]), False)
        return f, -df / max(math.sin(angle), 1e-7)
    base = max(0.5 * (1.0 + row[1] * cosine), 0.0)
    zeta = row[2]
    n = int(zeta)
    if zeta == n and n < 256:
        power, square, n = 1.0, base, n - 1
        while n > 0:
            if n & 1:
                power *= square
            square *= square
            n >>= 1
    else:
        power = max(base, 1e-300) ** (zeta - 1.0)
    return 2.0 * power * base, zeta * row[1] * power


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def describe(
    i, kind, first, index, vectors, species, numbers, bells, radial, radial_range, groups, group_range,
    angles, columns, values, work, distance, bell_value, bell_slope,
):  # fmt: skip
    """Functions of atom i into `values` (m,), derivatives by each neighbour's place into `work` (p, 3, m).

    `kind` is the element of i. The other arrays are those of :class:`FlatFunctions`; the last three are
    scratch. `bell_slope` holds derivatives divided by the distance.
    """
    a = first[i]
    count = first[i + 1] - a
    n_bells = len(bells)
    values[:] = 0.0
    work[:count] = 0.0
    for p in range(count):
        x, y, z = vectors[a + p, 0], vectors[a + p, 1], vectors[a + p, 2]
        r = math.sqrt(x * x + y * y + z * z)
        distance[p] = r
        for b in range(n_bells):
            f, df = bell(bells[b], r)
            bell_value[p, b] = f
            bell_slope[p, b] = df / r
        element = species[index[a + p]]
        for f in range(radial_range[kind], radial_range[kind + 1]):
            weight = 1.0
            if radial[f, 2] < 0:
                weight = numbers[element]
            elif radial[f, 2] != element:
                continue
            column = radial[f, 0]
            values[column] += weight * bell_value[p, radial[f, 1]]
            slope = weight * bell_slope[p, radial[f, 1]]
            work[p, 0, column] += slope * x
            work[p, 1, column] += slope * y
            work[p, 2, column] += slope * z
    if group_range[kind] == group_range[kind + 1]:
        return
    for p in range(count):
        for s in range(p):
            _describe_triple(
                a, p, s, species[index[a + p]], species[index[a + s]], kind, vectors, numbers, bells, groups,
                group_range, angles, columns, values, work, distance, bell_value, bell_slope,
            )  # fmt: skip


@njit(cache=True, error_model="numpy", fastmath=_FAST, inline="always")
def _describe_triple(
    a, p, s, element_p, element_s, kind, vectors, numbers, bells, groups, group_range, angles, columns, values,
    work, distance, bell_value, bell_slope,
):  # fmt: skip
    rp, rs = distance[p], distance[s]
    dot, square = 0.0, 0.0
    for k in range(3):
        dot += vectors[a + p, k] * vectors[a + s, k]
        square += (vectors[a + p, k] - vectors[a + s, k]) ** 2
    inverse = 1.0 / (rp * rs)
    cosine = dot * inverse
    side = math.sqrt(square)
    low, high = min(element_p, element_s), max(element_p, element_s)
    for g in range(group_range[kind], group_range[kind + 1]):
        b = groups[g, 0]
        weight = 1.0
        if groups[g, 2] < 0:
            weight = numbers[element_p] * numbers[element_s]
        elif groups[g, 2] != low or groups[g, 3] != high:
            continue
        product = weight * bell_value[p, b] * bell_value[s, b]
        slope_p = weight * bell_slope[p, b] * bell_value[s, b]
        slope_s = weight * bell_value[p, b] * bell_slope[s, b]
        slope_side = 0.0
        if product == 0.0 and slope_p == 0.0 and slope_s == 0.0:
            continue
        if groups[g, 1]:
            f, df = bell(bells[b], side)
            if f == 0.0 and df == 0.0:
                continue
            slope_side = product * df / side
            product *= f
            slope_p *= f
            slope_s *= f
        for h in range(groups[g, 4], groups[g, 5]):
            f, df = angle_factor(angles[h], cosine)
            column = columns[h]
            values[column] += f * product
            turn = df * product
            along_p = f * (slope_p + slope_side) - turn * cosine / (rp * rp)
            along_s = f * (slope_s + slope_side) - turn * cosine / (rs * rs)
            across = turn * inverse - f * slope_side
            for k in range(3):
                work[p, k, column] += along_p * vectors[a + p, k] + across * vectors[a + s, k]
                work[s, k, column] += along_s * vectors[a + s, k] + across * vectors[a + p, k]


@njit(cache=True)
def describe_structure(
    first, index, vectors, species, numbers, bells, radial, radial_range, groups, group_range, angles, columns,
    pair_class, class_columns, class_size, offset, values, derivatives,
):  # fmt: skip
    """All atoms: `values` (n, m) and the compact `derivatives`, whose rows start at offset[pair]."""
    longest = 0
    for i in range(len(first) - 1):
        longest = max(longest, first[i + 1] - first[i])
    m = values.shape[1]
    work = np.empty((longest, 3, m))
    distance = np.empty(longest)
    bell_value = np.empty((longest, len(bells)))
    bell_slope = np.empty((longest, len(bells)))
    for i in range(len(first) - 1):
        describe(
            i, species[i], first, index, vectors, species, numbers, bells, radial, radial_range, groups,
            group_range, angles, columns, values[i], work, distance, bell_value, bell_slope,
        )  # fmt: skip
        for p in range(first[i], first[i + 1]):
            size = class_size[pair_class[p]]
            at = offset[p]
            for k in range(3):
                for c in range(size):
                    derivatives[at + k * size + c] = work[p - first[i], k, class_columns[pair_class[p], c]]
