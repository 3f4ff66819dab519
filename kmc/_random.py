"""Random words and waiting times.

A word is the two halves of the 128-bit product s · (s xor key), folded by xor, s advancing by a constant (the
construction of wyrand). Each walker has its own key and its own start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import fold

WORD = np.uint64
ADVANCE = WORD(0xA0761D6478BD642F)


@njit(cache=True)
def draw(key: Any, state: Any) -> Any:
    """One random word; the caller advances the state by `advance`."""
    return fold(state, state ^ key)


def _layers() -> Any:
    """Right ends of 256 horizontal layers of equal area under exp(−x); the lowest one carries the tail."""
    tail, area = 7.69711747013105, 3.94965982258156e-3
    x = np.zeros(257)
    x[0], x[1] = area * np.exp(tail), tail
    for i in range(2, 256):
        x[i] = -np.log(area / x[i - 1] + np.exp(-x[i - 1]))
    return x


_X = _layers()
_WIDTH, _INNER, _LOW, _HIGH = _X[:-1] * 2.0**-53, _X[1:].copy(), np.exp(-_X[:-1]), np.exp(-_X[1:])


@njit(cache=True)
def _edge_of_layer(layer: Any, x: float, key: Any, state: Any) -> Any:
    """What `exponential` does in one case out of ninety: at the ragged right end of a layer."""
    while True:
        state += ADVANCE
        u = (float(fold(state, state ^ key) >> WORD(11)) + 0.5) * 2.0**-53
        if layer == WORD(0):
            return _INNER[0] - np.log(u), state
        if _LOW[layer] + u * (_HIGH[layer] - _LOW[layer]) < np.exp(-x):
            return x, state
        state += ADVANCE
        bits = fold(state, state ^ key)
        layer = bits & WORD(255)
        x = float(bits >> WORD(11)) * _WIDTH[layer]
        if x < _INNER[layer]:
            return x, state


@njit(cache=True, inline="always")
def exponential(key: Any, state: Any) -> Any:
    """An exponential number of mean one, and the state after it (ziggurat of Marsaglia and Tsang)."""
    state += ADVANCE
    bits = fold(state, state ^ key)
    layer = bits & WORD(255)
    x = float(bits >> WORD(11)) * _WIDTH[layer]
    if x < _INNER[layer]:
        return x, state
    return _edge_of_layer(layer, x, key, state)
