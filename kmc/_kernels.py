"""The walk itself: one hop is one random word, one comparison, two loads from one cache line."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_float, fold, prefetch
from kmc._random import ADVANCE
from kmc._registers import REGISTERS, eight_hops, eight_timed_hops
from kmc._tables import FIELDS, ROW_MASK, WORD, choose, slot_of, unpack
from kmc._waiting import AHEAD, waiting_times

#: Walkers interleaved to hide the latency of memory.
LANES = 32
#: Table words (8 bytes each) up to which registers are faster than looking ahead.
NEAR_TABLE = 1 << 17


@njit(cache=True, nogil=True)
def walk(
    table: Any,
    words: Any,
    keys: Any,
    states: Any,
    boundaries: Any,
    from_block: int,
    to_block: int,
    stride: int,
    exact_clock: bool,
    windings: Any,
    durations: Any,
    ends: Any,
) -> None:
    """Let walkers hop, writing down at every boundary what they wound, how long it took and where they are.

    Parameters
    ----------
    table
        From `build_table`.
    words, keys, states
        (w,), uint64 each: where the walkers are, and their random streams; words and states are updated.
    boundaries
        (blocks + 1,), hops at which blocks begin and end.
    from_block, to_block
        Which blocks to walk now.
    stride
        Hops after which the packed counters must be emptied.
    exact_clock
        False: each visit lasts the mean residence time; True: an exponentially distributed one.
    windings, durations, ends
        (w, blocks, 3), (w, blocks), (w, blocks): filled.
    """
    count = np.empty(LANES, dtype=np.int64)
    word = np.empty(LANES, dtype=np.uint64)
    state = np.empty(LANES, dtype=np.uint64)
    key = np.empty(LANES, dtype=np.uint64)
    clock = np.empty(LANES)
    waits = np.empty((LANES, AHEAD))
    for first in range(0, len(words), LANES):
        lanes = min(LANES, len(words) - first)
        for lane in range(lanes):
            word[lane] = words[first + lane]
            state[lane] = states[first + lane]
            key[lane] = keys[first + lane]
        for block in range(from_block, to_block):
            clock[:] = 0.0
            left = boundaries[block + 1] - boundaries[block]
            while left > 0:
                hops = min(left, stride)
                left -= hops
                count[:] = 0
                near = lanes - lanes % REGISTERS if len(table) <= NEAR_TABLE else 0
                for lane in range(0, near, REGISTERS):
                    few = slice(lane, lane + REGISTERS)
                    eight = (word[few], key[few], state[few], count[few], clock[few])
                    if exact_clock:
                        eight_timed_hops(table, *eight, hops, waits)
                    else:
                        eight_hops(table, *eight, hops)
                if near < lanes:
                    rest = slice(near, lanes)
                    others = (word[rest], key[rest], state[rest], count[rest], clock[rest])
                    for begin in range(0, hops, AHEAD):
                        _far_hops(table, *others, lanes - near, min(AHEAD, hops - begin), exact_clock, waits)
                for lane in range(lanes):
                    unpack(windings[first + lane, block], count[lane])
            for lane in range(lanes):
                durations[first + lane, block] = clock[lane]
                ends[first + lane, block] = word[lane] & ROW_MASK
        for lane in range(lanes):
            words[first + lane] = word[lane]
            states[first + lane] = state[lane]


@njit(cache=True, nogil=True)
def _far_hops(
    table: Any,
    word: Any,
    key: Any,
    state: Any,
    count: Any,
    clock: Any,
    lanes: int,
    hops: int,
    timed: bool,
    waits: Any,
) -> None:
    """Up to AHEAD hops of any number of walkers, each asking for its next cache line ahead; for tables in memory."""
    bits = np.empty(lanes, dtype=np.uint64)
    at = np.empty(lanes, dtype=np.uint64)
    for lane in range(lanes):
        state[lane] += ADVANCE
        bits[lane] = fold(state[lane], state[lane] ^ key[lane])
        at[lane] = slot_of(word[lane], bits[lane])
        prefetch(table, at[lane])
        if timed:
            waiting_times(key[lane], state[lane], waits[lane])
    for hop in range(hops):
        for lane in range(lanes):
            here, own = at[lane], state[lane]
            dt = as_float(table[here + WORD(3)])
            if timed:
                dt *= waits[lane, hop]
            arrived = choose(table, here, word[lane], bits[lane])
            own += ADVANCE
            following = fold(own, own ^ key[lane])
            there = slot_of(arrived, following)
            prefetch(table, there)
            clock[lane] += dt
            count[lane] += np.int64(arrived) >> FIELDS
            word[lane], state[lane], bits[lane], at[lane] = arrived, own, following, there
    for lane in range(lanes):
        state[lane] -= ADVANCE  # the last look ahead was not used
