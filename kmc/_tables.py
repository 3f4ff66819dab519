"""Alias tables, laid out so that a hop costs one cache line.

A site owns 2^k slots; a slot is four words: a threshold, the two hops it chooses between, and the site's
mean residence time. A hop is one word: 27 bits say where the target's slots begin, 6 bits hold 63 − k of the
target, and three fields of 10 bits what the hop winds, so that one addition counts all three directions.
"""
# ruff: noqa: C901, PLR0912, PLR0915 - loops over arrays, compiled as one piece

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_bits

ROW_BITS = 27
LARGEST_ROW = (1 << ROW_BITS) - 1
#: Largest sum of windings one field of a packed word can hold.
LARGEST_FIELD = 511

WORD = np.uint64
ROW_MASK = WORD(LARGEST_ROW)
ROW_SHIFT = WORD(ROW_BITS)
LOW6 = WORD(63)
FULL = WORD(0xFFFFFFFFFFFFFFFF)
#: Where the winding fields of a word begin.
FIELDS = np.int64(ROW_BITS + 6)


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
    chosen : (slots, 2), index of the two hops of each slot; −1 where there is none
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
        start[i] = WORD(row[i]) | (WORD(63 - width[i]) << ROW_SHIFT)
    table = np.zeros(4 * row[n], dtype=np.uint64)
    chosen = np.full((row[n], 2), -1, dtype=np.int32)
    most = 1 << width.max()
    share = np.empty(most)
    words = np.empty(most, dtype=np.uint64)
    small = np.empty(most, dtype=np.int64)
    large = np.empty(most, dtype=np.int64)
    for i in range(n):
        slots = 1 << width[i]
        own = hops[first_hop[i] : first_hop[i + 1]]
        count = first_hop[i + 1] - first_hop[i]
        n_small, n_large = 0, 0
        for s in range(slots):
            share[s] = 0.0
            words[s] = start[i]
            if s < count:
                hop = own[s]
                share[s] = probability[hop] * slots
                packed = (winding[hop, 0] << 20) + (winding[hop, 1] << 10) + winding[hop, 2]
                words[s] = start[target[hop]] | (WORD(packed) << WORD(FIELDS))
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
            table[at] = WORD(share[s] * 2.0**64)
            table[at + 1] = words[s]
            table[at + 2] = words[big]
            chosen[row[i] + s, 0] = own[s] if s < count else -1
            chosen[row[i] + s, 1] = own[big]
            share[big] -= 1.0 - share[s]
            if share[big] < 1.0:
                n_large -= 1
                small[n_small] = big
                n_small += 1
        # What is left differs from one by rounding only; a slot without a hop cannot be among it.
        for a in range(n_small + n_large):
            s = small[a] if a < n_small else large[a - n_small]
            at = 4 * (row[i] + s)
            table[at] = FULL
            table[at + 1] = words[s]
            table[at + 2] = words[s]
            if s < count:
                chosen[row[i] + s] = own[s]
        for s in range(slots):
            table[4 * (row[i] + s) + 3] = as_bits(residence[i])
    return table, start, row[:n], chosen


@njit(cache=True, inline="always")
def slot_of(word: Any, bits: Any) -> Any:
    """Where in the table the four words lie that the next hop is chosen from."""
    return ((word & ROW_MASK) + ((bits >> WORD(1)) >> ((word >> ROW_SHIFT) & LOW6))) << WORD(2)


@njit(cache=True, inline="always")
def choose(table: Any, at: Any, word: Any, bits: Any) -> Any:
    """The hop: what remains of the random bits, against the threshold of the slot."""
    rest = bits << (LOW6 ^ ((word >> ROW_SHIFT) & LOW6))
    return table[at + WORD(1) + WORD(rest >= table[at])]


@njit(cache=True, inline="always")
def unpack(total: Any, packed: Any) -> None:
    """Add the three signed 10-bit fields of a sum of packed hops to (3,)."""
    for axis in range(2, -1, -1):
        field = ((packed + 512) & 1023) - 512
        total[axis] += field
        packed = (packed - field) >> 10
