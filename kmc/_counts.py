"""Random counts and times of any size, from a walker's own stream: gamma, Poisson, binomial.

Counts are floats, since flickering may go beyond what an integer holds. Poisson and binomial numbers of moderate mean
are sums of waiting times; larger ones come from transformed rejection (W. Hörmann, J. Stat. Comput. Simul. 46, 101
(1993), and Insur. Math. Econ. 12, 39 (1993)) with probabilities in the saddle-point form of C. Loader (2000), which
keeps its digits at any size. Variances above 1e14 take the normal law corrected for skewness, which is then off by
less than 1e-13.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kmc._bits import fold
from kmc._random import ADVANCE, WORD
from kmc._waiting import waiting_time

_FEW = 10.0
_LARGE_VARIANCE = 1e14
_HALF_LN_2PI = 0.5 * math.log(2.0 * math.pi)


@njit(cache=True)
def uniform(key: Any, state: Any) -> Any:
    """A number between 0 and 1, both excluded, and the state after it."""
    state += ADVANCE
    return (float(fold(state, state ^ key) >> WORD(11)) + 0.5) * 2.0**-53, state


@njit(cache=True)
def normal(key: Any, state: Any) -> Any:
    """A standard normal number (Box and Muller), and the state after it."""
    angle, state = uniform(key, state)
    return np.sqrt(2.0 * waiting_time(key, state)) * np.cos(2.0 * np.pi * angle), state


@njit(cache=True)
def gamma(shape: float, key: Any, state: Any) -> Any:
    """Sum of `shape` ≥ 1 waiting times of mean one (Marsaglia and Tsang, ACM Trans. Math. Softw. 26, 363 (2000))."""
    if shape == 1.0:
        state += ADVANCE
        return waiting_time(key, state), state
    d = shape - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        z, state = normal(key, state)
        w = c * z
        if w <= -1.0:
            continue
        above = w * (3.0 + w * (3.0 + w))  # (1 + w)³ − 1
        u, state = uniform(key, state)
        if u < 1.0 - 0.0331 * z**4 or np.log(u) < 0.5 * z * z + d * (np.log1p(above) - above):
            return d * (1.0 + above), state


@njit(cache=True)
def _stirling(k: float) -> Any:
    """Ln k! − (k + ½) ln k + k − ½ ln 2π; k ≥ 1."""
    if k < 16.0:
        return math.lgamma(k + 1.0) - (k + 0.5) * np.log(k) + k - _HALF_LN_2PI
    square = 1.0 / (k * k)
    return (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0)) / k


@njit(cache=True)
def _deviance(x: float, mean: float) -> Any:
    """X ln(x / mean) + mean − x, without cancellation."""
    v = (x - mean) / (x + mean)
    if abs(v) > 0.1:
        return x * np.log(x / mean) + mean - x
    total, term, power = (x - mean) * v, 2.0 * x * v, 3.0
    while True:
        term *= v * v
        more = total + term / power
        if more == total:
            return total
        total = more
        power += 2.0


@njit(cache=True)
def _log_poisson(k: float, mean: float) -> Any:
    if k == 0.0:
        return -mean
    return -_stirling(k) - _deviance(k, mean) - _HALF_LN_2PI - 0.5 * np.log(k)


@njit(cache=True)
def _log_binomial(k: float, n: float, p: float, q: float) -> Any:
    if k == 0.0:
        return n * np.log1p(-p)
    if k == n:
        return n * np.log(p)
    tail = _stirling(n) - _stirling(k) - _stirling(n - k)
    spread = 0.5 * np.log(n / (k * (n - k)))
    return tail - _deviance(k, n * p) - _deviance(n - k, n * q) + spread - _HALF_LN_2PI


@njit(cache=True)
def _nearly_normal(mean: float, variance: float, skewness: float, key: Any, state: Any) -> Any:
    z, state = normal(key, state)
    return np.rint(mean + np.sqrt(variance) * (z + skewness * (z * z - 1.0) / 6.0)), state


@njit(cache=True)
def poisson(mean: float, key: Any, state: Any) -> Any:
    """Number of events where `mean` are expected, and the state after it."""
    if mean < _FEW:
        k, passed = -1.0, 0.0
        while passed < mean or k < 0.0:
            state += ADVANCE
            passed += waiting_time(key, state)
            k += 1.0
        return k, state
    if mean > _LARGE_VARIANCE:
        return _nearly_normal(mean, mean, 1.0 / np.sqrt(mean), key, state)
    b = 0.931 + 2.53 * np.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, state = uniform(key, state)
        v, state = uniform(key, state)
        u -= 0.5
        edge = 0.5 - abs(u)
        k = np.floor((2.0 * a / edge + b) * u + mean + 0.43)
        if edge >= 0.07 and v <= squeeze:
            return k, state
        if k < 0.0 or (edge < 0.013 and v > edge):
            continue
        if np.log(v * inverse_alpha / (a / (edge * edge) + b)) <= _log_poisson(k, mean):
            return k, state


@njit(cache=True)
def binomial(n: float, p: float, q: float, key: Any, state: Any) -> Any:
    """How many of n take the way of probability p = 1 − q, and the state after it.

    Both p and q are given, so that either may be tiny.
    """
    if p > q:
        k, state = binomial(n, q, p, key, state)
        return n - k, state
    mean = n * p
    if mean < _FEW:
        k, passed, limit = 0.0, 0.0, -np.log1p(-p)
        while k < n:
            state += ADVANCE
            passed += waiting_time(key, state) / (n - k)
            if passed > limit:
                break
            k += 1.0
        return k, state
    variance = mean * q
    deviation = np.sqrt(variance)
    if variance > _LARGE_VARIANCE:
        return _nearly_normal(mean, variance, (q - p) / deviation, key, state)
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    squeeze = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    highest = _log_binomial(np.floor((n + 1.0) * p), n, p, q)
    while True:
        u, state = uniform(key, state)
        v, state = uniform(key, state)
        u -= 0.5
        edge = 0.5 - abs(u)
        k = np.floor((2.0 * a / edge + b) * u + mean + 0.5)
        if k < 0.0 or k > n:
            continue
        if edge >= 0.07 and v <= squeeze:
            return k, state
        if np.log(v * alpha / (a / (edge * edge) + b)) <= _log_binomial(k, n, p, q) - highest:
            return k, state
