"""Neighbours of one atom laid out for vectors: element by element, each block filled up to whole vectors."""

import numpy as np
from numba import njit

from iondiff.descriptors._simd import lanes, load, maximum, select, spread, sqrt, store
from iondiff.descriptors._slots import (
    CUTOFF_KINDS,
    CUTOFF_RADII,
    CUTOFFS,
    GD,
    GX,
    GY,
    GZ,
    INVERSE,
    N_CUTOFFS,
    N_SPECIES,
    REACH,
    R,
    X,
    Y,
    Z,
)
from iondiff.descriptors._vector_math import cutoff

_FAR = 1.0e4  # Å, where the padding sits: beyond every cutoff, and its square fits a single


@njit(cache=True, error_model="numpy")
def gather(i, stride, positions, cell, species, first, index, image, integers, reals, work, whole, wide):
    """Fill X, Y, Z, R, INVERSE; returns the number of neighbours.

    whole[e] and whole[n + e] become the start and the number of neighbours of element e; from whole[4 n +
    stride] on stands which entry of the list each one is.
    """
    n_species = integers[N_SPECIES]
    origin = 4 * n_species + stride
    reach = reals[REACH] * reals[REACH]
    for e in range(n_species):
        whole[n_species + e] = 0
    begin = first[i]
    x0 = positions[i, 0]
    y0 = positions[i, 1]
    z0 = positions[i, 2]
    n = 0
    for m in range(begin, first[i + 1]):
        j = index[m]
        a = float(image[m, 0])
        b = float(image[m, 1])
        c = float(image[m, 2])
        x = positions[j, 0] - x0 + (a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0])
        y = positions[j, 1] - y0 + (a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1])
        z = positions[j, 2] - z0 + (a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2])
        if x * x + y * y + z * z < reach:
            wide[n] = x
            wide[stride + n] = y
            wide[2 * stride + n] = z
            whole[4 * n_species + n] = species[j]
            whole[n_species + species[j]] += 1
            # The final place is known later; until then the entry waits where its number will stand.
            wide[3 * stride + n] = m - begin
            n += 1
    size = lanes(work)
    start = 0
    for e in range(n_species):
        whole[e] = start
        whole[2 * n_species + e] = start
        padded = (whole[n_species + e] + size - 1) // size * size
        for k in range(start + whole[n_species + e], start + padded):
            work[X * stride + k] = _FAR
            work[Y * stride + k] = 0.0
            work[Z * stride + k] = 0.0
        start += padded
    whole[3 * n_species] = start
    for m in range(n):
        e = whole[4 * n_species + m]
        k = whole[2 * n_species + e]
        whole[2 * n_species + e] = k + 1
        work[X * stride + k] = wide[m]
        work[Y * stride + k] = wide[stride + m]
        work[Z * stride + k] = wide[2 * stride + m]
        whole[origin + k] = int(wide[3 * stride + m])
    for k in range(0, start, size):
        x = load(work, X * stride + k)
        y = load(work, Y * stride + k)
        z = load(work, Z * stride + k)
        r = maximum(sqrt(x * x + y * y + z * z), 1e-12)
        store(work, R * stride + k, r)
        store(work, INVERSE * stride + k, 1.0 / r)
    return n


@njit(cache=True, error_model="numpy")
def cutoffs(stride, integers, reals, work, whole):
    """Every cutoff function at every neighbour: value f, and f'/(f r); zero beyond its radius."""
    end = whole[3 * integers[N_SPECIES]]
    for c in range(integers[N_CUTOFFS]):
        kind = integers[integers[CUTOFF_KINDS] + c]
        rc = reals[integers[CUTOFF_RADII] + 2 * c]
        inner = reals[integers[CUTOFF_RADII] + 2 * c + 1]
        row = (CUTOFFS + 2 * c) * stride
        for k in range(0, end, lanes(work)):
            r = load(work, R * stride + k)
            f, df = cutoff(kind, r, rc, inner)
            f = select(r < rc, f, 0.0)
            some = f > 1e-30
            f = select(some, f, 0.0)
            store(work, row + k, f)
            logarithmic = df / select(some, f, 1.0) * load(work, INVERSE * stride + k)
            store(work, row + stride + k, select(some, logarithmic, 0.0))


@njit(cache=True, error_model="numpy")
def clear_gradients(stride, integers, work, whole):
    """Zero in the rows that collect the gradient."""
    zero = spread(work, 0.0)
    for k in range(0, whole[3 * integers[N_SPECIES]], lanes(work)):
        store(work, GX * stride + k, zero)
        store(work, GY * stride + k, zero)
        store(work, GZ * stride + k, zero)
        store(work, GD * stride + k, zero)


@njit(cache=True, error_model="numpy")
def collect_gradients(stride, integers, work, whole, out, begin):
    """out[begin + m] = derivative of the atom's energy by the place of neighbour m of its list."""
    n_species = integers[N_SPECIES]
    origin = 4 * n_species + stride
    for e in range(n_species):
        start = whole[e]
        for k in range(start, start + whole[n_species + e]):
            m = begin + whole[origin + k]
            along = np.float64(work[GD * stride + k])
            out[m, 0] = work[GX * stride + k] + along * work[X * stride + k]
            out[m, 1] = work[GY * stride + k] + along * work[Y * stride + k]
            out[m, 2] = work[GZ * stride + k] + along * work[Z * stride + k]
