"""Exact elimination of sites, one by one, without a single subtraction of rates.

Reversible graphs: eliminating a site turns the star of its conductances into a mesh between its neighbours
(Schur complement of the graph's Laplacian). Each pair of sites keeps one conductance c and one displacement
d; what merging parallel hops loses of the quadratic form, c₁c₂/(c₁+c₂) (d₁−d₂)(d₁−d₂)ᵀ, is positive and
collected on the side. Driven graphs: the same elimination on the hop distributions of a Markov renewal
process, each carried to second order in displacement and time (Grassmann, Taksar and Heyman, Oper. Res. 33,
1107 (1985), with moments).
"""
# ruff: noqa: C901, PLR0912 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def _collect(tensor: Any, strength: float, x: float, y: float, z: float) -> None:
    """Add strength · (x, y, z)(x, y, z)ᵀ."""
    tensor[0, 0] += strength * x * x
    tensor[1, 1] += strength * y * y
    tensor[2, 2] += strength * z * z
    tensor[0, 1] += strength * x * y
    tensor[0, 2] += strength * x * z
    tensor[1, 2] += strength * y * z


@njit(cache=True)
def _join(
    conductance: Any, step: Any, tensor: Any, i: int, j: int, c: float, x: float, y: float, z: float
) -> bool:
    """Lay a hop i → j of displacement (x, y, z) beside what is there already; True if nothing was."""
    old = conductance[i, j]
    new = old == 0.0
    if new:
        total = c
        share = 1.0
    else:
        total = old + c
        share = c / total
        dx, dy, dz = x - step[i, j, 0], y - step[i, j, 1], z - step[i, j, 2]
        _collect(tensor, old * share, dx, dy, dz)
        # Lean on the larger of the two, so that equal displacements stay equal to the last bit.
        if share > 0.5:
            rest = old / total
            x, y, z = x - rest * dx, y - rest * dy, z - rest * dz
        else:
            x, y, z = step[i, j, 0] + share * dx, step[i, j, 1] + share * dy, step[i, j, 2] + share * dz
    conductance[i, j] = total
    conductance[j, i] = total
    step[i, j, 0], step[i, j, 1], step[i, j, 2] = x, y, z
    step[j, i, 0], step[j, i, 1], step[j, i, 2] = -x, -y, -z
    return bool(new)


@njit(cache=True)
def star_mesh(n: int, source: Any, target: Any, strength: Any, displacement: Any) -> Any:
    """Diffusion of a reversible walk: least Σ c (d + χ_j − χ_i)(d + χ_j − χ_i)ᵀ over χ, and the χ.

    Parameters
    ----------
    n
        Number of sites.
    source, target, strength, displacement
        (p,), (p,), (p,), (p, 3): each pair of a hop and its reverse once; strength is its conductance π_i
        w_ij.

    Returns
    -------
    tensor : (3, 3)
    corrector : (n, 3), χ
    """
    conductance = np.zeros((n, n))
    step = np.zeros((n, n, 3))
    degree = np.zeros(n, dtype=np.int64)
    tensor = np.zeros((3, 3))
    for e in range(len(source)):
        i, j, c = source[e], target[e], strength[e]
        x, y, z = displacement[e]
        if c == 0.0:
            continue
        if i == j:
            _collect(tensor, c, x, y, z)
        elif _join(conductance, step, tensor, i, j, c, x, y, z):
            degree[i] += 1
            degree[j] += 1
    alive = np.ones(n, dtype=np.bool_)
    order = np.empty(n, dtype=np.int64)
    total = np.zeros(n)
    near = np.empty(n, dtype=np.int64)
    for turn in range(n):
        k, fewest = -1, n + 1
        for i in range(n):
            if alive[i] and degree[i] < fewest:
                k, fewest = i, degree[i]
        alive[k] = False
        order[turn] = k
        count = 0
        for i in range(n):
            if alive[i] and conductance[k, i] > 0.0:
                near[count] = i
                count += 1
                total[k] += conductance[k, i]
                degree[i] -= 1
        for a in range(count):
            i = near[a]
            share = conductance[k, i] / total[k]
            x, y, z = step[k, i]
            for b in range(a):
                j = near[b]
                c = share * conductance[k, j]
                if c == 0.0:
                    continue
                if _join(
                    conductance,
                    step,
                    tensor,
                    i,
                    j,
                    c,
                    step[k, j, 0] - x,
                    step[k, j, 1] - y,
                    step[k, j, 2] - z,
                ):
                    degree[i] += 1
                    degree[j] += 1
    corrector = np.zeros((n, 3))
    for i in range(n):
        alive[i] = False
    for turn in range(n - 1, -1, -1):
        k = order[turn]
        for j in range(n):
            if alive[j] and conductance[k, j] > 0.0:
                share = conductance[k, j] / total[k]
                for axis in range(3):
                    corrector[k, axis] += share * (corrector[j, axis] + step[k, j, axis])
        alive[k] = True
    for a in range(3):
        for b in range(a):
            tensor[a, b] = tensor[b, a]
    return tensor, corrector


@njit(cache=True)
def stationary(rates: Any) -> Any:
    """Stationary occupation (n,) of a chain with rates (n, n) from row to column; the diagonal is ignored."""
    n = len(rates)
    q = rates.copy()
    out = np.zeros(n)
    for k in range(n - 1, 0, -1):
        for j in range(k):
            out[k] += q[k, j]
        for i in range(k):
            if q[i, k] > 0.0:
                weight = q[i, k] / out[k]
                for j in range(k):
                    if j != i:
                        q[i, j] += weight * q[k, j]
    occupation = np.zeros(n)
    occupation[0] = 1.0
    total = 1.0
    for k in range(1, n):
        inflow = 0.0
        for i in range(k):
            inflow += occupation[i] * q[i, k]
        occupation[k] = inflow / out[k]
        total += occupation[k]
    return occupation / total


# A jet is a hop distribution to second order: [probability, mean of (x, y, z, t) · p, second moments · p].
_JET = 15
_FIRST = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
_SECOND = np.array([0, 1, 2, 3, 1, 2, 3, 2, 3, 3])


@njit(cache=True)
def _multiply_add(out: Any, a: Any, b: Any) -> None:
    """Out += the jet of one hop a followed by one hop b."""
    out[0] += a[0] * b[0]
    for m in range(4):
        out[1 + m] += a[0] * b[1 + m] + a[1 + m] * b[0]
    for s in range(10):
        f, g = _FIRST[s], _SECOND[s]
        out[5 + s] += a[0] * b[5 + s] + a[5 + s] * b[0] + a[1 + f] * b[1 + g] + a[1 + g] * b[1 + f]


@njit(cache=True)
def renewal(n: int, source: Any, target: Any, rate: Any, displacement: Any) -> Any:
    """Drift and diffusion of any irreducible walk, detailed balance or not.

    All sites but one are eliminated; what is left is a renewal process of returns to that site, with
    displacement x and duration t: v = E x / E t and D = E (x − vt)(x − vt)ᵀ / 2 E t.

    Parameters
    ----------
    n
        Number of sites.
    source, target, rate, displacement
        (m,), (m,), (m,), (m, 3): every hop.

    Returns
    -------
    velocity : (3,)
    tensor : (3, 3)
    """
    out = np.zeros(n)
    for e in range(len(source)):
        out[source[e]] += rate[e]
    jets = np.zeros((n, n, _JET))
    for e in range(len(source)):
        i = source[e]
        p = rate[e] / out[i]
        jet = jets[i, target[e]]
        y = (displacement[e, 0], displacement[e, 1], displacement[e, 2], 1.0 / out[i])
        jet[0] += p
        for m in range(4):
            jet[1 + m] += p * y[m]
        for s in range(10):
            twice = 2.0 if s == 9 else 1.0  # an exponential time: E t² = 2 (E t)²
            jet[5 + s] += twice * p * y[_FIRST[s]] * y[_SECOND[s]]
    inverse = np.zeros(_JET)
    passage = np.zeros(_JET)
    for k in range(n - 1, 0, -1):
        leave = 0.0
        for j in range(k):
            leave += jets[k, j, 0]
        own = jets[k, k]
        inverse[0] = 1.0 / leave
        for m in range(4):
            inverse[1 + m] = own[1 + m] / leave**2
        for s in range(10):
            twice = 2.0 * own[1 + _FIRST[s]] * own[1 + _SECOND[s]]
            inverse[5 + s] = own[5 + s] / leave**2 + twice / leave**3
        for i in range(k):
            if jets[i, k, 0] == 0.0:
                continue
            passage[:] = 0.0
            _multiply_add(passage, jets[i, k], inverse)
            for j in range(k):
                if jets[k, j, 0] > 0.0:
                    _multiply_add(jets[i, j], passage, jets[k, j])
    last = jets[0, 0]
    time = last[4]
    velocity = last[1:4] / time
    second = np.zeros((4, 4))
    for s in range(10):
        second[_FIRST[s], _SECOND[s]] = last[5 + s]
        second[_SECOND[s], _FIRST[s]] = last[5 + s]
    tensor = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            tensor[a, b] = (
                second[a, b]
                - velocity[a] * second[3, b]
                - velocity[b] * second[3, a]
                + velocity[a] * velocity[b] * second[3, 3]
            ) / (2.0 * time)
    return velocity, tensor
