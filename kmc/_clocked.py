"""Walks in real time: every visit lasts an exponentially distributed while."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_float, fold
from kmc._random import ADVANCE, exponential
from kmc._tables import FIELDS, ROW_MASK, WORD, choose, slot_of, unpack


@njit(cache=True, nogil=True)
def watch(
    table: Any, words: Any, keys: Any, states: Any, times: Any, most_hops: int, rows: Any, windings: Any
) -> Any:
    """Write down where walkers are at given times.

    Parameters
    ----------
    table, words, keys, states
        As in `kmc._kernels.walk`; words and states are updated.
    times
        (t,), s, increasing.
    most_hops
        Of one walker.
    rows, windings
        (w, t), (w, t, 3): filled.

    Returns
    -------
    bool
        False if a walker ran out of hops before the last time.
    """
    for w in range(len(words)):
        word, key, state = words[w], keys[w], states[w]
        total = np.zeros(3, dtype=np.int64)
        clock, hops = 0.0, 0
        for k in range(len(times)):
            while True:
                residence = as_float(table[((word & ROW_MASK) << WORD(2)) + WORD(3)])
                if residence == 0.0:  # nothing leaves this site
                    break
                before = state
                while_there, state = exponential(key, state)
                leave = clock + residence * while_there
                if leave > times[k]:
                    # Still here; the same waiting time is drawn again for the next instant.
                    state = before
                    break
                state += ADVANCE
                bits = fold(state, state ^ key)
                word = choose(table, slot_of(word, bits), word, bits)
                unpack(total, np.int64(word) >> FIELDS)
                clock = leave
                hops += 1
                if hops >= most_hops:
                    return False
            rows[w, k] = word & ROW_MASK
            for axis in range(3):
                windings[w, k, axis] = total[axis]
        words[w], states[w] = word, state
    return True


@njit(cache=True, nogil=True)
def arrive(table: Any, words: Any, keys: Any, states: Any, is_target: Any, most_hops: int, times: Any) -> Any:
    """Let each walker hop until it stands on a target row: (w,) times, s. False if one ran out of hops."""
    for w in range(len(words)):
        word, key, state = words[w], keys[w], states[w]
        clock, hops = 0.0, 0
        while not is_target[word & ROW_MASK]:
            if hops >= most_hops:
                return False
            while_there, state = exponential(key, state)
            clock += as_float(table[((word & ROW_MASK) << WORD(2)) + WORD(3)]) * while_there
            state += ADVANCE
            bits = fold(state, state ^ key)
            word = choose(table, slot_of(word, bits), word, bits)
            hops += 1
        times[w] = clock
    return True
