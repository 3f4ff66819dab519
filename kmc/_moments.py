"""Walks without detailed balance that count mean times: the time of a hop depends on which hop it is.

Where carriers drift, D is the spread of x − vt, and what a mean time leaves out of t counts:
D = ⟨(x − v t̄)² + v² var t⟩ / 2⟨t⟩, with the mean and the variance of the time of each hop, given where a visit began
and which hop ended it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import fold
from kmc._random import ADVANCE
from kmc._tables import FIELDS, LOW6, ROW_MASK, ROW_SHIFT, WORD, slot_of, unpack

LANES = 16


@njit(cache=True)
def moment_table(chosen: Any, times: Any, variances: Any) -> Any:
    """Mean time and variance of the two hops of each slot: (4 · slots,), in the order of a walk's table."""
    table = np.zeros(4 * len(chosen))
    for slot in range(len(chosen)):
        for which in range(2):
            hop = chosen[slot, which]
            if hop >= 0:
                table[4 * slot + which] = times[hop]
                table[4 * slot + 2 + which] = variances[hop]
    return table


@njit(cache=True, nogil=True)
def walk_with_moments(
    table: Any,
    moments: Any,
    words: Any,
    keys: Any,
    states: Any,
    boundaries: Any,
    from_block: int,
    to_block: int,
    stride: int,
    windings: Any,
    durations: Any,
    variances: Any,
    ends: Any,
) -> None:
    """As `kmc._kernels.walk`, with `moments` from `moment_table`; fills variances (w, blocks), too."""
    count = np.empty(LANES, dtype=np.int64)
    for first in range(0, len(words), LANES):
        lanes = min(LANES, len(words) - first)
        for block in range(from_block, to_block):
            left = boundaries[block + 1] - boundaries[block]
            while left > 0:
                hops = min(left, stride)
                left -= hops
                count[:] = 0
                for _ in range(hops):
                    for lane in range(lanes):
                        w = first + lane
                        states[w] += ADVANCE
                        bits = fold(states[w], states[w] ^ keys[w])
                        word = words[w]
                        at = slot_of(word, bits)
                        rest = bits << (LOW6 ^ ((word >> ROW_SHIFT) & LOW6))
                        second = WORD(rest >= table[at])
                        durations[w, block] += moments[at + second]
                        variances[w, block] += moments[at + WORD(2) + second]
                        words[w] = table[at + WORD(1) + second]
                        count[lane] += np.int64(words[w]) >> FIELDS
                for lane in range(lanes):
                    unpack(windings[first + lane, block], count[lane])
            for lane in range(lanes):
                ends[first + lane, block] = words[first + lane] & ROW_MASK
