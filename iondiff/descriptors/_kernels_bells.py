"""Channels of compact bells (polynomial symmetry functions) and of cos κr: Σ C(r) and Σ C(r_j) C(r_k) A(θ).

Many such functions share few bells: each bell is worked out once a neighbour, once an angle and, for narrow
functions, once a third side; a function then costs two products a pair.
"""

import numpy as np

from iondiff.descriptors._compiling import inner
from iondiff.descriptors._simd import lanes, last_lanes, load, maximum, select, spread, sqrt, store, total
from iondiff.descriptors._slots import (
    B_GROUPS,
    B_REAL,
    B_ROWS,
    B_SIZE,
    B_SUMS,
    CUTOFFS,
    F_ANGLES,
    F_FIRST,
    F_FUNCTIONS,
    F_REAL,
    F_SECOND,
    F_SIZE,
    F_THIRDS,
    GD,
    GX,
    GY,
    GZ,
    INVERSE,
    N_SPECIES,
    R,
    X,
    Y,
    Z,
)
from iondiff.descriptors._vector_math import angle, bell


@inner
def _fill_rows(record, stride, rows, integers, reals, work, whole):
    """Value, and derivative over r, of every radial bell and cosine at every neighbour."""
    end = whole[3 * integers[N_SPECIES]]
    for b in range(integers[record + B_ROWS]):
        at = record + B_SIZE + 3 * b
        one = reals[integers[record + B_REAL] + 2 * b]
        other = reals[integers[record + B_REAL] + 2 * b + 1]
        row = rows + 2 * b * stride
        if integers[at] == 0:
            for k in range(0, end, lanes(work)):
                value, slope = bell(
                    integers[at + 1], integers[at + 2], load(work, R * stride + k), one, other
                )
                store(work, row + k, value)
                store(work, row + stride + k, slope * load(work, INVERSE * stride + k))
        else:
            f = (CUTOFFS + 2 * integers[at + 1]) * stride
            for k in range(end):
                r = np.float64(work[R * stride + k])
                value = np.cos(one * r) * work[f + k]
                work[row + k] = value
                slope = value * work[f + stride + k] - one * np.sin(one * r) * work[f + k] / r
                work[row + stride + k] = slope


@inner
def _angles_and_thirds(group, record, j, k, stride, space, integers, reals, work):
    """Bells of one vector of pairs into work[space ...]; cosine, 1/(r_j r_k)."""
    size = lanes(work)
    x = load(work, X * stride + k)
    y = load(work, Y * stride + k)
    z = load(work, Z * stride + k)
    inverses = load(work, INVERSE * stride + k) * work[INVERSE * stride + j]
    xj = work[X * stride + j]
    yj = work[Y * stride + j]
    zj = work[Z * stride + j]
    c = (x * xj + y * yj + z * zj) * inverses
    n_angles = integers[group + F_ANGLES]
    if n_angles > 0:
        # By the cross product: 1 - c² has lost its digits where three atoms are nearly on a line.
        p = y * zj - z * yj
        q = z * xj - x * zj
        r = x * yj - y * xj
        sine = sqrt(p * p + q * q + r * r) * inverses
        theta = angle(c, sine)
        turning = sine > 1e-6
        inverse_sine = select(turning, -1.0 / select(turning, sine, 1.0), 0.0)
        for a in range(n_angles):
            at = integers[group + F_REAL] + 2 * a
            value, slope = bell(integers[group + F_SIZE + a], 0, theta, reals[at], reals[at + 1])
            store(work, space + 2 * a * size, value)
            store(work, space + (2 * a + 1) * size, slope * inverse_sine)
    n_thirds = integers[group + F_THIRDS]
    if n_thirds > 0:
        x = x - xj
        y = y - yj
        z = z - zj
        third = maximum(sqrt(x * x + y * y + z * z), 1e-12)
        inverse = 1.0 / third
        for t in range(n_thirds):
            b = integers[group + F_SIZE + n_angles + t]
            at = record + B_SIZE + 3 * b
            real = integers[record + B_REAL] + 2 * b
            value, slope = bell(integers[at + 1], integers[at + 2], third, reals[real], reals[real + 1])
            store(work, space + 2 * (n_angles + t) * size, value)
            store(work, space + (2 * (n_angles + t) + 1) * size, slope * inverse)
    return c, inverses


@inner
def forward(record, stride, rows, space, sums, integers, reals, work, whole, channels):
    """Sums into `channels`; the bells at the neighbours stay in work[rows ...]."""
    size = lanes(work)
    n_species = integers[N_SPECIES]
    _fill_rows(record, stride, rows, integers, reals, work, whole)
    zero = spread(work, 0.0)
    table = record + B_SIZE + 3 * integers[record + B_ROWS]
    for s in range(integers[record + B_SUMS]):
        species = integers[table + 3 * s]
        row = rows + 2 * integers[table + 3 * s + 1] * stride
        sum_ = zero
        for k in range(whole[species], whole[species] + whole[n_species + species], size):
            sum_ = sum_ + load(work, row + k)
        channels[integers[table + 3 * s + 2]] = total(sum_)
    table += 3 * integers[record + B_SUMS]
    for g in range(integers[record + B_GROUPS]):
        group = integers[table + g]
        n_functions = integers[group + F_FUNCTIONS]
        n_angles = integers[group + F_ANGLES]
        functions = group + F_SIZE + n_angles + integers[group + F_THIRDS]
        first = integers[group + F_FIRST]
        second = integers[group + F_SECOND]
        for q in range(n_functions):
            store(work, sums + integers[functions + 4 * q + 3] * size, zero)
        start = whole[first]
        end = whole[second] + whole[n_species + second]
        for j in range(start, start + whole[n_species + first]):
            begin = whole[second]
            lane = 0
            if first == second:
                begin = start + (j + 1 - start) // size * size
                lane = j + 1 - begin
            for k in range(begin, end, size):
                _angles_and_thirds(group, record, j, k, stride, space, integers, reals, work)
                keep = select(last_lanes(work, lane), zero + 1.0, 0.0)
                lane = 0
                for q in range(n_functions):
                    at = functions + 4 * q
                    row = rows + 2 * integers[at] * stride
                    value = load(work, row + k) * work[row + j] * keep
                    if integers[at + 1] >= 0:
                        value = value * load(work, space + 2 * integers[at + 1] * size)
                    if integers[at + 2] >= 0:
                        value = value * load(work, space + 2 * (n_angles + integers[at + 2]) * size)
                    out = sums + integers[at + 3] * size
                    store(work, out, load(work, out) + value)
        for q in range(n_functions):
            channel = integers[functions + 4 * q + 3]
            channels[channel] = total(load(work, sums + channel * size))


@inner
def backward(record, stride, rows, space, slopes, integers, reals, work, whole):
    """Gradients, given the derivatives by the channels in work[slopes ...]."""
    size = lanes(work)
    n_species = integers[N_SPECIES]
    zero = spread(work, 0.0)
    table = record + B_SIZE + 3 * integers[record + B_ROWS]
    for s in range(integers[record + B_SUMS]):
        species = integers[table + 3 * s]
        row = rows + (2 * integers[table + 3 * s + 1] + 1) * stride
        slope = work[slopes + integers[table + 3 * s + 2]]
        for k in range(whole[species], whole[species] + whole[n_species + species], size):
            store(work, GD * stride + k, load(work, GD * stride + k) + load(work, row + k) * slope)
    table += 3 * integers[record + B_SUMS]
    for g in range(integers[record + B_GROUPS]):
        group = integers[table + g]
        n_angles = integers[group + F_ANGLES]
        functions = group + F_SIZE + n_angles + integers[group + F_THIRDS]
        first = integers[group + F_FIRST]
        second = integers[group + F_SECOND]
        start = whole[first]
        end = whole[second] + whole[n_species + second]
        for j in range(start, start + whole[n_species + first]):
            begin = whole[second]
            lane = 0
            if first == second:
                begin = start + (j + 1 - start) // size * size
                lane = j + 1 - begin
            gx = zero
            gy = zero
            gz = zero
            gj = zero
            for k in range(begin, end, size):
                c, inverses = _angles_and_thirds(group, record, j, k, stride, space, integers, reals, work)
                keep = select(last_lanes(work, lane), zero + 1.0, 0.0)
                lane = 0
                by_j = zero
                by_k = zero
                by_third = zero
                by_cosine = zero
                for q in range(integers[group + F_FUNCTIONS]):
                    at = functions + 4 * q
                    row = rows + 2 * integers[at] * stride
                    j_value = work[row + j]
                    j_slope = work[row + stride + j]
                    k_value = load(work, row + k)
                    slope = keep * work[slopes + integers[at + 3]]
                    arms = k_value * j_value * slope
                    angle = zero + 1.0
                    side = angle
                    angular = integers[at + 1] >= 0
                    if angular:
                        angle = load(work, space + 2 * integers[at + 1] * size)
                    if integers[at + 2] >= 0:
                        third = space + 2 * (n_angles + integers[at + 2]) * size
                        side = load(work, third)
                        by_third = by_third + arms * angle * load(work, third + size)
                    if angular:
                        turn = load(work, space + (2 * integers[at + 1] + 1) * size)
                        by_cosine = by_cosine + arms * side * turn
                    rest = slope * angle * side
                    by_j = by_j + rest * k_value * j_slope
                    by_k = by_k + rest * load(work, row + stride + k) * j_value
                inverse_j = work[INVERSE * stride + j]
                inverse_k = load(work, INVERSE * stride + k)
                mix = by_cosine * inverses - by_third
                turn = by_cosine * c
                gj = gj + by_j + by_third - turn * inverse_j * inverse_j
                gx = gx + mix * load(work, X * stride + k)
                gy = gy + mix * load(work, Y * stride + k)
                gz = gz + mix * load(work, Z * stride + k)
                along = by_k + by_third - turn * inverse_k * inverse_k
                store(work, GD * stride + k, load(work, GD * stride + k) + along)
                store(work, GX * stride + k, load(work, GX * stride + k) + mix * work[X * stride + j])
                store(work, GY * stride + k, load(work, GY * stride + k) + mix * work[Y * stride + j])
                store(work, GZ * stride + k, load(work, GZ * stride + k) + mix * work[Z * stride + j])
            work[GD * stride + j] += total(gj)
            work[GX * stride + j] += total(gx)
            work[GY * stride + j] += total(gy)
            work[GZ * stride + j] += total(gz)
