"""The walk itself: arrays in, arrays out.

One hop is one 64-bit random number, one comparison and two loads from one cache line. A site owns 2^k slots
of an alias table; a slot is four words: a threshold, the two hops it chooses between, and the site's mean
residence time. A hop is one word: 27 bits say where the target's slots begin, 6 bits hold 63 − k of the
target, and three fields of 10 bits what the hop winds, so that one addition counts all three directions.
Sixteen walkers are interleaved to hide the latency.

Random numbers: the two halves of the 128-bit product s · (s xor key), folded by xor, s advancing by a
constant (the construction of wyrand). Each walker has its own key and its own start.
"""
# ruff: noqa: C901 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_bits, as_float, fold

LANES = 16
ROW_BITS = 27
LARGEST_ROW = (1 << ROW_BITS) - 1
#: Largest sum of windings one field of a packed word can hold.
LARGEST_FIELD = 511

_U = np.uint64
_ROW = _U(LARGEST_ROW)
_ROW_SHIFT = _U(ROW_BITS)
_LOW6 = _U(63)
_FIELDS = np.int64(ROW_BITS + 6)
_ADVANCE = _U(0xA0761D6478BD642F)
_FULL = _U(0xFFFFFFFFFFFFFFFF)


@njit(cache=True)
def draw(key: Any, state: Any) -> Any:
    """One random word; the caller advances the state by `advance`."""
    return fold(state, state ^ key)


@njit(cache=True)
def exponential(bits: Any) -> float:
    """Exponentially distributed number of mean one from 64 random bits."""
    return float(-np.log((float(bits >> _U(11)) + 0.5) * 2.0**-53))


@njit(cache=True)
def build_table(
    first_hop: Any, hops: Any, probability: Any, target: Any, winding: Any, residence: Any
) -> Any:
    """Alias tables of all sites.

    Parameters
    ----------
    first_hop, hops
        (n + 1,), (m,): hops[first_hop[i]:first_hop[i + 1]] leave site i.
    probability
        (m,), sums to one over the hops of a site.
    target, winding
        (m,), (m, 3).
    residence
        (n,), s.

    Returns
    -------
    table : (4 · slots,), uint64
    start : (n,), uint64; the packed word that puts a walker on each site
    row : (n,), first slot of each site
    """
    n = len(residence)
    row = np.zeros(n + 1, dtype=np.int64)
    width = np.ones(n, dtype=np.int64)
    for i in range(n):
        while (1 << width[i]) < first_hop[i + 1] - first_hop[i]:
            width[i] += 1
        row[i + 1] = row[i] + (1 << width[i])
    start = np.empty(n, dtype=np.uint64)
    for i in range(n):
        start[i] = _U(row[i]) | (_U(63 - width[i]) << _ROW_SHIFT)
    table = np.zeros(4 * row[n], dtype=np.uint64)
    most = 1 << width.max()
    share = np.empty(most)
    words = np.empty(most, dtype=np.uint64)
    small = np.empty(most, dtype=np.int64)
    large = np.empty(most, dtype=np.int64)
    for i in range(n):
        slots = 1 << width[i]
        count = first_hop[i + 1] - first_hop[i]
        n_small, n_large = 0, 0
        for s in range(slots):
            share[s] = 0.0
            words[s] = start[i]
            if s < count:
                hop = hops[first_hop[i] + s]
                share[s] = probability[hop] * slots
                packed = (winding[hop, 0] << 20) + (winding[hop, 1] << 10) + winding[hop, 2]
                words[s] = start[target[hop]] | (_U(packed) << _U(_FIELDS))
            if share[s] < 1.0:
                small[n_small] = s
                n_small += 1
            else:
                large[n_large] = s
                n_large += 1
        while n_small > 0 and n_large > 0:
            s, big = small[n_small - 1], large[n_large - 1]
            n_small -= 1
            at = 4 * (row[i] + s)
            table[at] = _U(share[s] * 2.0**64)
            table[at + 1] = words[s]
            table[at + 2] = words[big]
            share[big] -= 1.0 - share[s]
            if share[big] < 1.0:
                n_large -= 1
                small[n_small] = big
                n_small += 1
        # What is left differs from one by rounding only; a slot without a hop cannot be among it.
        for a in range(n_small + n_large):
            s = small[a] if a < n_small else large[a - n_small]
            at = 4 * (row[i] + s)
            table[at] = _FULL
            table[at + 1] = words[s]
            table[at + 2] = words[s]
        for s in range(slots):
            table[4 * (row[i] + s) + 3] = as_bits(residence[i])
    return table, start, row[:n]


@njit(cache=True, inline="always")
def _slot(word: Any, bits: Any) -> Any:
    """Where in the table the four words lie that the next hop is chosen from."""
    return ((word & _ROW) + ((bits >> _U(1)) >> ((word >> _ROW_SHIFT) & _LOW6))) << _U(2)


@njit(cache=True, inline="always")
def _choose(table: Any, at: Any, word: Any, bits: Any) -> Any:
    """The hop: what remains of the random bits, against the threshold of the slot."""
    rest = bits << (_LOW6 ^ ((word >> _ROW_SHIFT) & _LOW6))
    return table[at + _U(1) + _U(rest >= table[at])]


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
                if exact_clock:
                    _exponential_hops(table, word, key, state, count, clock, lanes, hops)
                elif lanes == LANES:
                    _mean_hops(table, word, key, state, count, clock, LANES, hops)
                else:
                    _mean_hops(table, word, key, state, count, clock, lanes, hops)
                for lane in range(lanes):
                    _unpack(windings[first + lane, block], count[lane])
            for lane in range(lanes):
                durations[first + lane, block] = clock[lane]
                ends[first + lane, block] = word[lane] & _ROW
        for lane in range(lanes):
            words[first + lane] = word[lane]
            states[first + lane] = state[lane]


@njit(cache=True, nogil=True)
def _mean_hops(
    table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any, lanes: int, hops: int
) -> None:
    for _ in range(hops):
        for lane in range(lanes):
            state[lane] += _ADVANCE
            bits = fold(state[lane], state[lane] ^ key[lane])
            at = _slot(word[lane], bits)
            clock[lane] += as_float(table[at + _U(3)])
            word[lane] = _choose(table, at, word[lane], bits)
            count[lane] += np.int64(word[lane]) >> _FIELDS


@njit(cache=True, nogil=True)
def _exponential_hops(
    table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any, lanes: int, hops: int
) -> None:
    for _ in range(hops):
        for lane in range(lanes):
            state[lane] += _ADVANCE
            bits = fold(state[lane], state[lane] ^ key[lane])
            state[lane] += _ADVANCE
            more = fold(state[lane], state[lane] ^ key[lane])
            at = _slot(word[lane], bits)
            clock[lane] += as_float(table[at + _U(3)]) * exponential(more)
            word[lane] = _choose(table, at, word[lane], bits)
            count[lane] += np.int64(word[lane]) >> _FIELDS


@njit(cache=True, inline="always")
def _unpack(total: Any, packed: Any) -> None:
    """Add the three signed 10-bit fields of a sum of packed hops to (3,)."""
    for axis in range(2, -1, -1):
        field = ((packed + 512) & 1023) - 512
        total[axis] += field
        packed = (packed - field) >> 10
