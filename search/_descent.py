"""Kernels that walk downhill on the spline surface along its steepest descent lines, in Cartesian metric."""

import numpy as np
from numba import njit

from search._spline import evaluate, newton
from search.lattice import Floats, Ints


@njit(cache=True)
def _flow(values: Floats, components: Floats, tau: float, local: Floats) -> float:
    """Displacement of the quadratic flow at time `tau` in the eigenbasis; returns its length."""
    norm = 0.0
    for a in range(3):
        exponent = values[a] * tau
        if abs(exponent) < 1e-8:
            factor = tau * (1.0 - 0.5 * exponent)
        elif exponent < -500.0:
            factor = np.inf
        else:
            factor = -np.expm1(-exponent) / values[a]
        local[a] = -components[a] * factor if components[a] != 0.0 else 0.0
        norm += local[a] ** 2
    return float(np.sqrt(norm))


@njit(cache=True)
def quadratic_step(gradient: Floats, hessian: Floats, length: float, out: Floats) -> bool:
    """Steepest-descent flow of the local quadratic model, followed until it has gone `length`.

    Page & McIver, J. Chem. Phys. 88, 922 (1988): x(τ) = -Σ q_i γ_i (1 - exp(-λ_i τ)) / λ_i. Fills `out` (3,)
    with the displacement; returns True when the flow ends in the model's minimum before `length`.
    """
    values, vectors = np.linalg.eigh(hessian)
    components = vectors.T @ gradient
    size = np.sqrt(components[0] ** 2 + components[1] ** 2 + components[2] ** 2)
    local = np.zeros(3)
    if size == 0.0:
        out[:] = 0.0
        return bool(values[0] > 0.0)
    if values[0] > 0.0:
        local[:] = -components / values
        if local[0] ** 2 + local[1] ** 2 + local[2] ** 2 <= length * length:
            out[:] = vectors @ local
            return True
    low = 0.0
    high = length / size
    for _ in range(60):
        if _flow(values, components, high, local) >= length:
            break
        low = high
        high *= 2.0
    for _ in range(40):
        tau = 0.5 * (low + high)
        norm = _flow(values, components, tau, local)
        if abs(norm - length) < 1e-4 * length:
            break
        if norm < length:
            low = tau
        else:
            high = tau
    out[:] = vectors @ local
    return False


@njit(cache=True)
def _cartesian(inverse: Floats, gradient: Floats, hessian: Floats, g: Floats, h: Floats) -> None:
    """Turn fractional derivatives into Cartesian ones: g = A⁻¹ ∂v/∂s, h = A⁻¹ ∂²v/∂s² A⁻ᵀ."""
    for a in range(3):
        g[a] = inverse[a, 0] * gradient[0] + inverse[a, 1] * gradient[1] + inverse[a, 2] * gradient[2]
    h[:, :] = inverse @ hessian @ inverse.T


@njit(cache=True)
def descend(
    coefficients: Floats, inverse: Floats, s: Floats, step: float, capture: float, path: Floats
) -> int:
    """Follow the steepest descent line from fractional s (3,), changed in place, to a minimum.

    inverse: (3, 3) inverse of the cell; step, capture: Å; path: (m, 3) fractional points passed, filled.
    Returns the number of points filled, negative when no minimum was reached.
    """
    gradient = np.empty(3)
    hessian = np.empty((3, 3))
    g = np.empty(3)
    h = np.empty((3, 3))
    move = np.empty(3)
    limit = path.shape[0]
    for count in range(limit):
        path[count] = s
        evaluate(coefficients, s, gradient, hessian)
        _cartesian(inverse, gradient, hessian, g, h)
        ended = quadratic_step(g, h, step, move)
        if ended and move[0] ** 2 + move[1] ** 2 + move[2] ** 2 < capture * capture:
            final = s.copy()
            if newton(coefficients, final, 1.0):
                s[:] = final
                return count + 1
            # An inflection that looks like a minimum to the local model: walk on along the force.
            size = np.sqrt(g[0] ** 2 + g[1] ** 2 + g[2] ** 2)
            for a in range(3):
                move[a] = -0.5 * step * g[a] / size if size > 0.0 else 0.0
        for a in range(3):
            s[a] += move[0] * inverse[0, a] + move[1] * inverse[1, a] + move[2] * inverse[2, a]
    return -int(limit)


@njit(cache=True)
def descend_both_sides(
    coefficients: Floats,
    inverse: Floats,
    saddles: Floats,
    start: float,
    step: float,
    capture: float,
    ends: Floats,
    status: Ints,
) -> None:
    """Both descents of every saddle: saddles (n, 3) fractional -> ends (n, 2, 3) fractional, unwrapped.

    status (n, 2): points passed, negative where no minimum was reached.
    """
    gradient = np.empty(3)
    hessian = np.empty((3, 3))
    g = np.empty(3)
    h = np.empty((3, 3))
    path = np.empty((2000, 3))
    for p in range(saddles.shape[0]):
        evaluate(coefficients, saddles[p], gradient, hessian)
        _cartesian(inverse, gradient, hessian, g, h)
        _, vectors = np.linalg.eigh(h)
        # The sign of an eigenvector is arbitrary: fix it, so that the two sides do not depend on the library.
        mode = vectors[:, 0].copy()
        largest = 0
        for a in range(1, 3):
            if abs(mode[a]) > abs(mode[largest]) + 1e-9:
                largest = a
        if mode[largest] < 0.0:
            mode = -mode
        for side in range(2):
            sign = 1.0 - 2.0 * side
            s = np.empty(3)
            for a in range(3):
                s[a] = saddles[p, a]
                for b in range(3):
                    s[a] += sign * start * mode[b] * inverse[b, a]
            status[p, side] = descend(coefficients, inverse, s, step, capture, path)
            ends[p, side] = s
