"""The walk in real time with superbasins: visits to groups of flickering sites are drawn as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_float, fold
from kmc._escape import escape
from kmc._random import ADVANCE
from kmc._tables import FIELDS, ROW_MASK, WORD, choose, slot_of, unpack
from kmc._waiting import waiting_time


@njit(cache=True)
def scratch(plan: Any) -> Any:
    """Arrays that `escape` works in, for the largest group."""
    largest = 0
    for group in range(len(plan.first) - 1):
        largest = max(largest, plan.first[group + 1] - plan.first[group])
    return np.zeros((largest, largest + 1)), np.zeros(largest)


@njit(cache=True, nogil=True)
def stay(
    table: Any, word: Any, key: Any, state: Any, plan: Any, member: Any, start: Any, count: Any, spent: Any
) -> Any:
    """Where a walker hops from next, how long that takes (s), and the state of its stream.

    Parameters
    ----------
    table
        From `build_table`.
    word
        Where it came to.
    plan, member, start
        Of all groups; the site of each row, −1 where it is in none; the packed word of each site.
    count, spent
        From `scratch`.
    """
    row = word & ROW_MASK
    if member[row] < 0:
        state += ADVANCE
        return word, waiting_time(key, state) * as_float(table[(row << WORD(2)) + WORD(3)]), state
    last, time, state = escape(plan, member[row], key, state, count, spent)
    return start[last], time, state


@njit(cache=True, nogil=True)
def walk_with_visits(
    table: Any,
    words: Any,
    keys: Any,
    states: Any,
    boundaries: Any,
    from_block: int,
    to_block: int,
    stride: int,
    plan: Any,
    member: Any,
    start: Any,
    windings: Any,
    durations: Any,
    ends: Any,
) -> None:
    """As `kmc._kernels.walk`; a hop out of a group comes with the whole visit before it. `plan` as in `stay`."""
    count, spent = scratch(plan)
    for w in range(len(words)):
        word, key, state = words[w], keys[w], states[w]
        for block in range(from_block, to_block):
            clock, packed = 0.0, np.int64(0)
            hops = boundaries[block + 1] - boundaries[block]
            for hop in range(hops):
                if hop % stride == 0:
                    unpack(windings[w, block], packed)
                    packed = np.int64(0)
                word, time, state = stay(table, word, key, state, plan, member, start, count, spent)
                clock += time
                state += ADVANCE
                bits = fold(state, state ^ key)
                word = choose(table, slot_of(word, bits), word, bits)
                packed += np.int64(word) >> FIELDS
            unpack(windings[w, block], packed)
            durations[w, block] = clock
            ends[w, block] = word & ROW_MASK
        words[w], states[w] = word, state


@njit(cache=True, nogil=True)
def arrive_with_visits(
    table: Any,
    words: Any,
    keys: Any,
    states: Any,
    is_target: Any,
    most_hops: int,
    plan: Any,
    member: Any,
    start: Any,
    times: Any,
) -> Any:
    """As `kmc._clocked.arrive`; `plan`, `member` and `start` as in `stay`."""
    count, spent = scratch(plan)
    for w in range(len(words)):
        word, key, state = words[w], keys[w], states[w]
        clock, hops = 0.0, 0
        while not is_target[word & ROW_MASK]:
            if hops >= most_hops:
                return False
            word, time, state = stay(table, word, key, state, plan, member, start, count, spent)
            clock += time
            state += ADVANCE
            bits = fold(state, state ^ key)
            word = choose(table, slot_of(word, bits), word, bits)
            hops += 1
        times[w] = clock
    return True
