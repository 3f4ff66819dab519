"""Kernels of the periodic tensor-product quintic B-spline: value, gradient, Hessian, and Newton on it.

Coefficients are stored padded by five, so that cell (i, j, k) reads the block [i:i+6, j:j+6, k:k+6] without
wrapping indices. Coordinates inside the kernels are fractional.
"""

from math import comb, factorial

import numpy as np
from numba import njit

from search.lattice import Floats

DEGREE = 5
PAD = DEGREE


def _power_coefficients() -> Floats:
    """Row l: power-basis coefficients on [0, 1] of the l-th of the six quintic B-splines alive on a cell.

    The uniform B-spline is β(x) = Σ_k (-1)^k C(6, k) (x - k)_+^5 / 5!; basis l is β(t + 5 - l).
    """
    table = np.zeros((6, 6))
    for basis in range(6):
        for k in range(6):
            shift = 5 - basis - k
            if shift < 0:
                continue
            for power in range(6):
                sign = (-1) ** k * comb(6, k) / factorial(5)
                table[basis, power] += sign * comb(5, power) * float(shift) ** (5 - power)
    return table


def _to_bernstein() -> Floats:
    """(6, 6) matrix that takes the six B-spline coefficients of a cell to its six Bernstein coefficients."""
    powers = _power_coefficients()
    # Power p as Bernstein coefficients: t^p = Σ_r C(r, p) / C(5, p) B_r(t).
    conversion = np.array([[comb(r, p) / comb(5, p) for p in range(6)] for r in range(6)])
    return conversion @ powers.T


POWERS = _power_coefficients()
BERNSTEIN = _to_bernstein()
# Values of β at the integers -2..2: the interpolation filter.
SAMPLES = np.array([1.0, 26.0, 66.0, 26.0, 1.0]) / 120.0


@njit(cache=True)
def _weights(t: float, weights: Floats) -> None:
    """Fill weights (3, 6): values, first and second derivatives of the six basis functions at t in [0, 1]."""
    for basis in range(6):
        value = first = second = 0.0
        for p in range(5, -1, -1):
            second = second * t + 2.0 * first
            first = first * t + value
            value = value * t + POWERS[basis, p]
        weights[0, basis] = value
        weights[1, basis] = first
        weights[2, basis] = second


@njit(cache=True)
def evaluate(coefficients: Floats, s: Floats, gradient: Floats, hessian: Floats) -> float:
    """Value at fractional s (3,); fills gradient (3,) and hessian (3, 3) with respect to s."""
    n0 = coefficients.shape[0] - PAD
    n1 = coefficients.shape[1] - PAD
    n2 = coefficients.shape[2] - PAD
    w0 = np.empty((3, 6))
    w1 = np.empty((3, 6))
    w2 = np.empty((3, 6))
    x = (s[0] - np.floor(s[0])) * n0
    y = (s[1] - np.floor(s[1])) * n1
    z = (s[2] - np.floor(s[2])) * n2
    i = min(int(x), n0 - 1)
    j = min(int(y), n1 - 1)
    k = min(int(z), n2 - 1)
    _weights(x - i, w0)
    _weights(y - j, w1)
    _weights(z - k, w2)
    v = gx = gy = gz = xx = yy = zz = xy = xz = yz = 0.0
    for a in range(6):
        b00 = b01 = b02 = b10 = b11 = b20 = 0.0
        for b in range(6):
            c0 = c1 = c2 = 0.0
            for c in range(6):
                value = coefficients[i + a, j + b, k + c]
                c0 += value * w2[0, c]
                c1 += value * w2[1, c]
                c2 += value * w2[2, c]
            b00 += c0 * w1[0, b]
            b01 += c1 * w1[0, b]
            b02 += c2 * w1[0, b]
            b10 += c0 * w1[1, b]
            b11 += c1 * w1[1, b]
            b20 += c0 * w1[2, b]
        v += b00 * w0[0, a]
        gx += b00 * w0[1, a]
        gy += b10 * w0[0, a]
        gz += b01 * w0[0, a]
        xx += b00 * w0[2, a]
        yy += b20 * w0[0, a]
        zz += b02 * w0[0, a]
        xy += b10 * w0[1, a]
        xz += b01 * w0[1, a]
        yz += b11 * w0[0, a]
    gradient[0] = gx * n0
    gradient[1] = gy * n1
    gradient[2] = gz * n2
    hessian[0, 0] = xx * n0 * n0
    hessian[1, 1] = yy * n1 * n1
    hessian[2, 2] = zz * n2 * n2
    hessian[0, 1] = hessian[1, 0] = xy * n0 * n1
    hessian[0, 2] = hessian[2, 0] = xz * n0 * n2
    hessian[1, 2] = hessian[2, 1] = yz * n1 * n2
    return v


@njit(cache=True)
def slopes_many(coefficients: Floats, points: Floats, values: Floats, gradients: Floats) -> None:
    """Values (n,) and gradients (n, 3) at fractional points (n, 3), without Hessians: half the work."""
    n = np.empty(3, dtype=np.int64)
    for a in range(3):
        n[a] = coefficients.shape[a] - PAD
    w0, w1, w2 = np.empty((3, 6)), np.empty((3, 6)), np.empty((3, 6))
    for p in range(points.shape[0]):
        x = (points[p, 0] - np.floor(points[p, 0])) * n[0]
        y = (points[p, 1] - np.floor(points[p, 1])) * n[1]
        z = (points[p, 2] - np.floor(points[p, 2])) * n[2]
        i, j, k = min(int(x), n[0] - 1), min(int(y), n[1] - 1), min(int(z), n[2] - 1)
        _weights(x - i, w0)
        _weights(y - j, w1)
        _weights(z - k, w2)
        v = gx = gy = gz = 0.0
        for a in range(6):
            b0 = b1 = b2 = 0.0
            for b in range(6):
                c0 = c1 = 0.0
                for c in range(6):
                    value = coefficients[i + a, j + b, k + c]
                    c0 += value * w2[0, c]
                    c1 += value * w2[1, c]
                b0 += c0 * w1[0, b]
                b1 += c0 * w1[1, b]
                b2 += c1 * w1[0, b]
            v += b0 * w0[0, a]
            gx += b0 * w0[1, a]
            gy += b1 * w0[0, a]
            gz += b2 * w0[0, a]
        values[p] = v
        gradients[p, 0], gradients[p, 1], gradients[p, 2] = gx * n[0], gy * n[1], gz * n[2]


@njit(cache=True)
def evaluate_many(
    coefficients: Floats, points: Floats, values: Floats, gradients: Floats, hessians: Floats
) -> None:
    """`evaluate` at fractional points (n, 3)."""
    for p in range(points.shape[0]):
        values[p] = evaluate(coefficients, points[p], gradients[p], hessians[p])


@njit(cache=True)
def inverse3(m: Floats, out: Floats) -> float:
    """Inverse of a (3, 3) matrix by cofactors.

    Returns the determinant, leaves `out` alone when it is zero.
    """
    c00 = m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]
    c01 = m[1, 2] * m[2, 0] - m[1, 0] * m[2, 2]
    c02 = m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]
    det = m[0, 0] * c00 + m[0, 1] * c01 + m[0, 2] * c02
    if det == 0.0:
        return 0.0
    r = 1.0 / det
    out[0, 0] = c00 * r
    out[1, 0] = c01 * r
    out[2, 0] = c02 * r
    out[0, 1] = (m[0, 2] * m[2, 1] - m[0, 1] * m[2, 2]) * r
    out[1, 1] = (m[0, 0] * m[2, 2] - m[0, 2] * m[2, 0]) * r
    out[2, 1] = (m[0, 1] * m[2, 0] - m[0, 0] * m[2, 1]) * r
    out[0, 2] = (m[0, 1] * m[1, 2] - m[0, 2] * m[1, 1]) * r
    out[1, 2] = (m[0, 2] * m[1, 0] - m[0, 0] * m[1, 2]) * r
    out[2, 2] = (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0]) * r
    return float(det)


@njit(cache=True)
def newton(coefficients: Floats, s: Floats, reach: float) -> bool:
    """Newton's method for a zero of the gradient, from fractional s (3,), changed in place.

    `reach` is the largest wandering allowed, in knot cells. Returns whether it converged.
    """
    gradient = np.empty(3)
    hessian = np.empty((3, 3))
    inverse = np.empty((3, 3))
    start = s.copy()
    for _ in range(30):
        evaluate(coefficients, s, gradient, hessian)
        if inverse3(hessian, inverse) == 0.0:
            return False
        largest = 0.0
        for a in range(3):
            n = coefficients.shape[a] - PAD
            step = -(inverse[a, 0] * gradient[0] + inverse[a, 1] * gradient[1] + inverse[a, 2] * gradient[2])
            s[a] += step
            largest = max(largest, abs(step) * n)
            if not abs(s[a] - start[a]) * n <= reach:
                return False
        if largest < 1e-9:
            return True
    return False
