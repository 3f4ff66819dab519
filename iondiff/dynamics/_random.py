"""Random numbers whose whole state is four words in an array: a run goes on from them to the same bits.

The generator is xoshiro256++ (Blackman and Vigna, ACM Trans. Math. Softw. 47, 36 (2021)); normal numbers
come from 256 layers (ziggurat of Marsaglia and Tsang, J. Stat. Softw. 5, 8 (2000)).
"""

import numpy as np
from numba import njit

_TAIL, _AREA = 3.654152885361009, 4.92867323399e-3  # of the 256 layers of exp(-x²/2)
_23, _41, _45, _19, _17, _11 = (np.uint64(n) for n in (23, 41, 45, 19, 17, 11))
_LAYER, _SIGN = np.uint64(255), np.uint64(256)


def _layers():
    x = np.zeros(257)
    x[0], x[1] = _AREA * np.exp(0.5 * _TAIL**2), _TAIL
    for i in range(2, 256):
        x[i] = np.sqrt(-2.0 * np.log(_AREA / x[i - 1] + np.exp(-0.5 * x[i - 1] ** 2)))
    return x


_X = _layers()
_WIDTH, _INNER = _X[:-1] * 2.0**-53, _X[1:].copy()
_LOW, _HIGH = np.exp(-0.5 * _X[:-1] ** 2), np.exp(-0.5 * _X[1:] ** 2)


def random_state(seed: int) -> np.ndarray:
    """Four well-mixed words, (4,) uint64, from any non-negative integer."""
    return np.random.SeedSequence(seed).generate_state(4, np.uint64)


@njit(cache=True, inline="always")
def _turn(s0, s1, s2, s3):
    """64 random bits, and the state behind them."""
    total = s0 + s3
    bits = ((total << _23) | (total >> _41)) + s0
    shifted = s1 << _17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    return bits, s0, s1, s2, (s3 << _45) | (s3 >> _19)


@njit(cache=True, inline="always")
def word(state):
    """64 random bits; `state` (4,) uint64 moves on."""
    bits, state[0], state[1], state[2], state[3] = _turn(state[0], state[1], state[2], state[3])
    return bits


@njit(cache=True)
def uniform(state):
    """A number strictly between 0 and 1."""
    return (float(word(state) >> _11) + 0.5) * 2.0**-53


@njit(cache=True)
def _edge_of_layer(state, layer, x):
    """What `normal` does in one case out of a hundred; a negative answer asks for another try."""
    if layer == 0:
        while True:
            x = -np.log(uniform(state)) / _TAIL
            if -2.0 * np.log(uniform(state)) >= x * x:
                return _TAIL + x
    if _LOW[layer] + uniform(state) * (_HIGH[layer] - _LOW[layer]) < np.exp(-0.5 * x * x):
        return x
    return -1.0


@njit(cache=True, inline="always")
def _signed(x, bits):
    return -x if bits & _SIGN else x


@njit(cache=True)
def normal(state):
    """A normal number of mean zero and variance one."""
    while True:
        bits = word(state)
        layer = np.int64(bits & _LAYER)
        x = float(bits >> _11) * _WIDTH[layer]
        if x >= _INNER[layer]:
            x = _edge_of_layer(state, layer, x)
            if x < 0.0:
                continue
        return _signed(x, bits)


@njit(cache=True)
def fill_normal(state, out):
    """What `normal` gives one by one, into `out` (n,): the words of the state stay in registers."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for i in range(len(out)):
        bits, s0, s1, s2, s3 = _turn(s0, s1, s2, s3)
        layer = np.int64(bits & _LAYER)
        x = float(bits >> _11) * _WIDTH[layer]
        if x >= _INNER[layer]:
            state[0], state[1], state[2], state[3] = s0, s1, s2, s3
            x = _edge_of_layer(state, layer, x)
            out[i] = normal(state) if x < 0.0 else _signed(x, bits)
            s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
        else:
            out[i] = _signed(x, bits)
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(cache=True)
def sum_of_squares(state, count):
    """Sum of squares of `count` normal numbers (Marsaglia and Tsang, ACM Trans. Math. Softw. 26, 363)."""
    if count < 8:
        total = 0.0
        for _ in range(count):
            total += normal(state) ** 2
        return total
    d = 0.5 * count - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        x = normal(state)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        if np.log(uniform(state)) < 0.5 * x * x + d - d * v + d * np.log(v):
            return 2.0 * d * v
