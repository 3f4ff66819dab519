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
    """row += factor · ∂E/∂weights."""
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
def _add_slope_row(weights, layers, start, sign, h, s, q, ubar, tbar, t, u, zbar, hbar, row):
    """row += sign · ∂/∂weights of the derivative of E along t[0]."""
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
            along, across = sign * ubar[k, o], sign * z
            part = row[at + o * n_in : at + (o + 1) * n_in]
            for m in range(n_in):
                part[m] += along * t[k - 1, m] + across * h[k - 1, m]
            row[at + n_in * n_out + o] += across
            if k > 1:
                for m in range(n_in):
                    hbar[k - 1, m] += weights[at + o * n_in + m] * z


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def rows(
    weights, layers, starts, kinds, shift, factor, species, values, first, index, vectors, pair_class,
    class_columns, class_size, offset, derivatives, out, mode, adjoint, wanted, jacobian,
):  # fmt: skip
    """Predictions of one structure and, on demand, their derivatives by the weights.

    mode 0: predictions into `out` (3n + 7,). mode 1: these, and jacobian[wanted[r]] (n_weights,) += the
    derivatives of row r where wanted (3n + 7,) is not negative. mode 2: jacobian[0] += adjoint (3n + 7,) ·
    their derivatives, without forming them.
    All floats but `values`, `vectors` and `derivatives` are of the type of `weights`.
    """
    n = len(species)
    widest = layers.max()
    depth = layers.shape[1] - 1
    zero = weights[0] * 0
    work = np.zeros((8, depth + 1, widest), weights.dtype)
    h, s, q, ubar, tbar, t, u, zbar = work[0], work[1], work[2], work[3], work[4], work[5], work[6], work[7]
    hbar = np.zeros((depth + 1, widest), weights.dtype)
    special = np.zeros((9, widest), weights.dtype)
    slope = np.zeros(widest, weights.dtype)
    out[:] = 0.0
    energy = 3 * n
    for i in range(n):
        e = species[i]
        m_in = layers[e, 0]
        for m in range(m_in):
            h[0, m] = (values[i, m] - shift[e, m]) * factor[e, m]
        out[energy] += _value(weights, layers[e], starts[e], kinds, h, s, q, ubar, tbar)
        if mode == 1:
            if wanted[energy] >= 0:
                _add_energy_row(layers[e], starts[e], zero + 1, h, ubar, jacobian[wanted[energy]])
            special[:] = 0.0
        elif mode == 2:
            _add_energy_row(layers[e], starts[e], adjoint[energy], h, ubar, jacobian[0])
            special[0] = 0.0
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
            if mode == 1:
                for c in range(size):
                    column = class_columns[kind, c]
                    f = factor[e, column]
                    x, y, z = derivatives[at + c], derivatives[at + size + c], derivatives[at + 2 * size + c]
                    special[0, column] -= f * x
                    special[1, column] -= f * y
                    special[2, column] -= f * z
                    special[3, column] += f * x * vectors[p, 0]
                    special[4, column] += f * y * vectors[p, 1]
                    special[5, column] += f * z * vectors[p, 2]
                    special[6, column] += f * z * vectors[p, 1]
                    special[7, column] += f * z * vectors[p, 0]
                    special[8, column] += f * y * vectors[p, 0]
            elif mode == 2:
                for k in range(3):
                    a = adjoint[3 * i + k] - adjoint[3 * j + k] + adjoint[energy + 1 + k] * vectors[p, k]
                    if k == 1:
                        a += adjoint[energy + 6] * vectors[p, 0]
                    elif k == 2:
                        a += adjoint[energy + 4] * vectors[p, 1] + adjoint[energy + 5] * vectors[p, 0]
                    for c in range(size):
                        column = class_columns[kind, c]
                        special[0, column] += a * factor[e, column] * derivatives[at + k * size + c]
        if mode == 2:
            t[0, :m_in] = special[0, :m_in]
            _add_slope_row(
                weights, layers[e], starts[e], zero + 1, h, s, q, ubar, tbar, t, u, zbar, hbar, jacobian[0]
            )
        elif mode == 1:
            for p in range(first[i], first[i + 1]):
                kind, at = pair_class[p], offset[p]
                size = class_size[kind]
                for k in range(3):
                    row = wanted[3 * index[p] + k]
                    if row < 0:
                        continue
                    for m in range(m_in):
                        t[0, m] = 0.0
                    for c in range(size):
                        column = class_columns[kind, c]
                        t[0, column] = factor[e, column] * derivatives[at + k * size + c]
                    _add_slope_row(
                        weights, layers[e], starts[e], zero - 1, h, s, q, ubar, tbar, t, u, zbar, hbar,
                        jacobian[row],
                    )  # fmt: skip
            for d in range(9):
                row, sign = (wanted[3 * i + d], zero - 1) if d < 3 else (wanted[energy + d - 2], zero + 1)
                if row < 0:
                    continue
                t[0, :m_in] = special[d, :m_in]
                _add_slope_row(
                    weights, layers[e], starts[e], sign, h, s, q, ubar, tbar, t, u, zbar, hbar, jacobian[row]
                )
