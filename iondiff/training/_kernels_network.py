"""Networks of a whole structure: energy, forces and virial, and the derivatives of all of them by the weights.

With g the scaled functions of atom i and v = ∂g/∂r for one coordinate r of one atom, the force on that
coordinate is minus the sum over i of the derivative of network_i along v. That derivative, written as a
forward pass of tangents t beside the values h, is differentiated by the weights backwards; what belongs to
the atom alone (ubar) is computed once for all its directions.

Weights lie flat: per element, per layer, the matrix (n_out, n_in) row by row, then the biases (n_out,). Rows of
a structure of n atoms: 3n forces, 1 energy, 6 virial (xx, yy, zz, yz, xz, xy).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_FAST = {"contract", "reassoc", "nsz", "arcp"}


@njit(cache=True, error_model="numpy")
def activation(kind, x):
    """Value, first and second derivative; kinds are the places of the letters in ``ACTIVATION_LETTERS``."""
    if kind == 0:
        t = math.tanh(x)
        return t, 1.0 - t * t, -2.0 * t * (1.0 - t * t)
    if kind == 1:
        e = math.exp(-abs(x))
        s = (1.0 if x > 0 else e) / (1.0 + e)
        return max(x, 0.0) + math.log1p(e), s, s * (1.0 - s)
    if kind == 2:
        e = math.exp(-abs(x))
        s = (1.0 if x > 0 else e) / (1.0 + e)
        return s, s * (1.0 - s), s * (1.0 - s) * (1.0 - 2.0 * s)
    if kind == 3:
        g = math.exp(-0.5 * x * x)
        return g, -x * g, (x * x - 1.0) * g
    if kind == 4:
        return math.cos(x), -math.sin(x), -math.cos(x)
    return x, 1.0, 0.0


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def _value(weights, layers, start, kinds, h, s, q, ubar, tbar):
    """Output for inputs h[0]; fills h, slopes s, curvatures q, and ∂E/∂z (ubar), ∂E/∂h (tbar) of every layer."""
    depth = len(layers) - 1
    at = start
    for k in range(1, depth + 1):
        n_in, n_out = layers[k - 1], layers[k]
        bias = at + n_in * n_out
        for o in range(n_out):
            x = weights[bias + o]
            for m in range(n_in):
                x += weights[at + o * n_in + m] * h[k - 1, m]
            if k == depth:
                h[k, o], s[k, o], q[k, o] = x, 1.0, 0.0
            else:
                h[k, o], s[k, o], q[k, o] = activation(kinds[k - 1], x)
        at = bias + n_out
    tbar[depth, 0] = 1.0
    for k in range(depth, 0, -1):
        n_in, n_out = layers[k - 1], layers[k]
        at -= n_out * (n_in + 1)
        for m in range(n_in):
            tbar[k - 1, m] = 0.0
        for o in range(n_out):
            ubar[k, o] = tbar[k, o] * s[k, o]
            for m in range(n_in):
                tbar[k - 1, m] += weights[at + o * n_in + m] * ubar[k, o]
    return h[depth, 0]


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def _add_energy_row(layers, start, factor, h, ubar, row):
    """Row += factor · ∂E/∂weights."""
    at = start
    for k in range(1, len(layers)):
        n_in, n_out = layers[k - 1], layers[k]
        for o in range(n_out):
            c = factor * ubar[k, o]
            for m in range(n_in):
                row[at + o * n_in + m] += c * h[k - 1, m]
            row[at + n_in * n_out + o] += c
        at += n_out * (n_in + 1)


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def _add_slope_row(weights, layers, start, h, s, q, ubar, tbar, t, u, zbar, hbar, row):
    """Row += ∂/∂weights of the derivative of E along t[0]."""
    depth = len(layers) - 1
    at = start
    for k in range(1, depth + 1):
        n_in, n_out = layers[k - 1], layers[k]
        for o in range(n_out):
            x = t[0, 0] * 0
            for m in range(n_in):
                x += weights[at + o * n_in + m] * t[k - 1, m]
            u[k, o] = x
            t[k, o] = s[k, o] * x
        at += n_out * (n_in + 1)
    hbar[depth, 0] = 0.0
    for k in range(depth, 0, -1):
        n_in, n_out = layers[k - 1], layers[k]
        at -= n_out * (n_in + 1)
        for m in range(n_in):
            hbar[k - 1, m] = 0.0
        for o in range(n_out):
            z = hbar[k, o] * s[k, o] + tbar[k, o] * u[k, o] * q[k, o]
            zbar[k, o] = z
            along = ubar[k, o]
            part = row[at + o * n_in : at + (o + 1) * n_in]
            for m in range(n_in):
                part[m] += along * t[k - 1, m] + z * h[k - 1, m]
            row[at + n_in * n_out + o] += z
            if k > 1:
                for m in range(n_in):
                    hbar[k - 1, m] += weights[at + o * n_in + m] * z


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def rows(
    weights, layers, starts, kinds, shift, factor, species, values, first, index, vectors, pair_class,
    class_columns, class_size, offset, derivatives, out, adjoint, gradient,
):  # fmt: skip
    """Predictions of one structure into `out` (3n + 7,); gradient += adjoint (3n + 7,) · their derivatives.

    With an empty `adjoint` only the predictions. Floats other than `values`, `vectors` and `derivatives` are of
    the type of `weights`.
    """
    n = len(species)
    widest = layers.max()
    depth = layers.shape[1] - 1
    zero = weights[0] * 0
    work = np.zeros((8, depth + 1, widest), weights.dtype)
    h, s, q, ubar, tbar, t, u, zbar = work[0], work[1], work[2], work[3], work[4], work[5], work[6], work[7]
    hbar = np.zeros((depth + 1, widest), weights.dtype)
    slope = np.zeros(widest, weights.dtype)
    out[:] = 0.0
    energy = 3 * n
    for i in range(n):
        e = species[i]
        for m in range(layers[e, 0]):
            h[0, m] = (values[i, m] - shift[e, m]) * factor[e, m]
        out[energy] += _value(weights, layers[e], starts[e], kinds, h, s, q, ubar, tbar)
        for p in range(first[i], first[i + 1]):
            j, kind, at = index[p], pair_class[p], offset[p]
            size = class_size[kind]
            for c in range(size):
                column = class_columns[kind, c]
                slope[c] = tbar[0, column] * factor[e, column]
            for k in range(3):
                x = zero
                for c in range(size):
                    x += slope[c] * derivatives[at + k * size + c]
                out[3 * j + k] -= x
                out[3 * i + k] += x
                out[energy + 1 + k] += x * vectors[p, k]
                if k == 1:
                    out[energy + 6] += x * vectors[p, 0]
                elif k == 2:
                    out[energy + 4] += x * vectors[p, 1]
                    out[energy + 5] += x * vectors[p, 0]
        if len(adjoint) == 0:
            continue
        _add_energy_row(layers[e], starts[e], adjoint[energy], h, ubar, gradient)
        # The derivative is linear in the direction: one sum of all directions does.
        t[0] = 0.0
        for p in range(first[i], first[i + 1]):
            j, kind, at = index[p], pair_class[p], offset[p]
            size = class_size[kind]
            for k in range(3):
                a = adjoint[3 * i + k] - adjoint[3 * j + k] + adjoint[energy + 1 + k] * vectors[p, k]
                if k == 1:
                    a += adjoint[energy + 6] * vectors[p, 0]
                elif k == 2:
                    a += adjoint[energy + 4] * vectors[p, 1] + adjoint[energy + 5] * vectors[p, 0]
                for c in range(size):
                    column = class_columns[kind, c]
                    t[0, column] += a * factor[e, column] * derivatives[at + k * size + c]
        _add_slope_row(weights, layers[e], starts[e], h, s, q, ubar, tbar, t, u, zbar, hbar, gradient)


@njit(cache=True, error_model="numpy")
def count_directions(element, wanted, species, first, index, counts):
    """counts[w] = number of (centre of this element, direction) pairs that move row w."""
    n = len(species)
    counts[:] = 0
    for i in range(n):
        if species[i] != element:
            continue
        for k in range(3):
            if wanted[3 * i + k] >= 0:
                counts[wanted[3 * i + k]] += 1
        for p in range(first[i], first[i + 1]):
            for k in range(3):
                w = wanted[3 * index[p] + k]
                if w >= 0:
                    counts[w] += 1
        for k in range(6):
            if wanted[3 * n + 1 + k] >= 0:
                counts[wanted[3 * n + 1 + k]] += 1


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def collect_directions(
    element, local, wanted, species, first, index, vectors, pair_class, class_columns, class_size, offset,
    derivatives, factor, begin, centre, tangent,
):  # fmt: skip
    """Directions in the space of scaled functions along which each wanted row differentiates, row by row.

    Row w has entries begin[w] to begin[w + 1] of `centre` (index among the atoms of this element, `local`) and
    `tangent` (m,); signs are in it.
    """
    n = len(species)
    m = tangent.shape[1]
    cursor = begin[:-1].copy()
    own = np.zeros((9, m), tangent.dtype)
    for i in range(n):
        if species[i] != element:
            continue
        own[:] = 0.0
        for p in range(first[i], first[i + 1]):
            kind, at = pair_class[p], offset[p]
            size = class_size[kind]
            x, y, z = vectors[p, 0], vectors[p, 1], vectors[p, 2]
            for c in range(size):
                column = class_columns[kind, c]
                f = factor[column]
                vx, vy, vz = (
                    f * derivatives[at + c], f * derivatives[at + size + c], f * derivatives[at + 2 * size + c]
                )  # fmt: skip
                own[0, column] += vx
                own[1, column] += vy
                own[2, column] += vz
                own[3, column] += vx * x
                own[4, column] += vy * y
                own[5, column] += vz * z
                own[6, column] += vz * y
                own[7, column] += vz * x
                own[8, column] += vy * x
            for k in range(3):
                w = wanted[3 * index[p] + k]
                if w < 0:
                    continue
                centre[cursor[w]] = local[i]
                row = tangent[cursor[w]]
                row[:] = 0.0
                for c in range(size):
                    column = class_columns[kind, c]
                    row[column] = -factor[column] * derivatives[at + k * size + c]
                cursor[w] += 1
        for k in range(9):
            w = wanted[3 * i + k] if k < 3 else wanted[3 * n + k - 2]
            if w >= 0:
                centre[cursor[w]] = local[i]
                tangent[cursor[w]] = own[k]
                cursor[w] += 1


@njit(cache=True, error_model="numpy")
def accumulate(begin, centre, ubar, zbar, tangent, h, start, jacobian):
    """For every row, Σ ubar ⊗ t + zbar ⊗ h into the columns of one layer, as one product of matrices."""
    n_out, n_in = ubar.shape[1], h.shape[1]
    longest = 0
    for w in range(len(begin) - 1):
        longest = max(longest, begin[w + 1] - begin[w])
    left = np.empty((2 * longest, n_out), ubar.dtype)
    right = np.empty((2 * longest, n_in), ubar.dtype)
    for w in range(len(begin) - 1):
        a, count = begin[w], begin[w + 1] - begin[w]
        if count == 0:
            continue
        for d in range(count):
            c = centre[a + d]
            left[d] = ubar[c]
            left[count + d] = zbar[a + d]
            right[d] = tangent[a + d]
            right[count + d] = h[c]
        row = jacobian[w, start : start + n_out * n_in].reshape(n_out, n_in)
        np.dot(left[: 2 * count].T, right[: 2 * count], row)
        for o in range(n_out):
            x = ubar[0, 0] * 0
            for d in range(count):
                x += zbar[a + d, o]
            jacobian[w, start + n_out * n_in + o] = x


@njit(cache=True, error_model="numpy")
def activate(kind, z, h, s, q):
    """Values, slopes and curvatures of a whole layer."""
    for i in range(z.shape[0]):
        for o in range(z.shape[1]):
            h[i, o], s[i, o], q[i, o] = activation(kind, z[i, o])
