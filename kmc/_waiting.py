"""Exponential waiting times, many at once, in operations that compilers turn into vector instructions.

The waiting time that goes with a hop is −ln u; u comes from the walker's key and the state its hop is drawn from,
through the finaliser of splitmix64 with the key let in between its two multiplications. No state is kept and no
branch is taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_bits, as_float, fused
from kmc._random import ADVANCE, WORD

#: Waiting times that are made at once.
AHEAD = 64


def _word(number: float) -> Any:
    return np.float64(number).view(np.uint64)


_FIRST, _LAST = WORD(0xBF58476D1CE4E5B9), WORD(0x94D049BB133111EB)
_ONE, _ROOT_HALF, _MANTISSA = _word(1.0), _word(np.sqrt(0.5)), WORD((1 << 52) - 1)
#: Added to the bits of a number: its exponent is then that of the nearest power of two.
_TO_NEAREST = WORD(int(_ONE) - int(_ROOT_HALF))
#: Or-ed to a whole number below 2^52: 2^52 more, as a float.
_WHOLE = _word(2.0**52)
_LN2 = float(np.log(2.0))
#: ln((1 + s) / (1 − s)) = Σ 2 s^(2k + 1) / (2k + 1): ten terms are enough for |s| < 0.172.
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9 = (2.0 / (2 * k + 1) for k in range(10))


@njit(cache=True, inline="always", error_model="numpy")
def waiting_time(key: Any, state: Any) -> Any:
    """−ln u, 52 random bits in u, correct to two units in its last place."""
    bits = ((state ^ (state >> WORD(30))) * _FIRST) ^ key
    bits = (bits ^ (bits >> WORD(27))) * _LAST
    bits ^= bits >> WORD(31)
    u = as_float((bits >> WORD(12)) | _ONE) - (1.0 - 2.0**-53)
    shifted = as_bits(u) + _TO_NEAREST
    power = as_float((shifted >> WORD(52)) | _WHOLE) - (2.0**52 + 1023.0)
    rest = as_float((shifted & _MANTISSA) + _ROOT_HALF)  # u = rest · 2^power, rest between √½ and √2
    s = (rest - 1.0) / (rest + 1.0)
    z = s * s
    # Explicitly fused: the same bits whether this runs on one number or on a vector of them.
    high = fused(fused(fused(fused(_C9, z, _C8), z, _C7), z, _C6), z, _C5)
    series = fused(fused(fused(fused(fused(high, z, _C4), z, _C3), z, _C2), z, _C1), z, _C0)
    return -fused(power, _LN2, s * series)


@njit(cache=True, nogil=True, error_model="numpy")
def waiting_times(key: Any, state: Any, times: Any) -> None:
    """Waiting times (AHEAD,), mean one, of the hops drawn from state, state + ADVANCE, ...

    The error model is NumPy's because a division that may raise is not turned into vectors.
    """
    for k in range(AHEAD):
        times[k] = waiting_time(key, state + WORD(k) * ADVANCE)
