"""Eight walkers in registers: the innermost loops for tables that caches hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kmc._bits import as_float, fold
from kmc._random import ADVANCE
from kmc._tables import FIELDS, WORD, choose, slot_of
from kmc._waiting import AHEAD, waiting_times

#: Walkers held in registers.
REGISTERS = 8


@njit(cache=True, inline="always")
def _load(a: Any) -> Any:
    return a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]


@njit(cache=True, inline="always")
def _store(a: Any, x0: Any, x1: Any, x2: Any, x3: Any, x4: Any, x5: Any, x6: Any, x7: Any) -> None:
    a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7] = x0, x1, x2, x3, x4, x5, x6, x7


@njit(cache=True, inline="always")
def _mean_hop(table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any) -> Any:
    """One hop after the mean residence time."""
    state += ADVANCE
    bits = fold(state, state ^ key)
    at = slot_of(word, bits)
    clock += as_float(table[at + WORD(3)])
    word = choose(table, at, word, bits)
    return word, state, count + (np.int64(word) >> FIELDS), clock


@njit(cache=True, inline="always")
def _timed_hop(table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any, while_there: Any) -> Any:
    """One hop after a given multiple of the mean residence time."""
    state += ADVANCE
    bits = fold(state, state ^ key)
    at = slot_of(word, bits)
    clock += while_there * as_float(table[at + WORD(3)])
    word = choose(table, at, word, bits)
    return word, state, count + (np.int64(word) >> FIELDS), clock


@njit(cache=True, nogil=True)
def eight_hops(table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any, hops: int) -> None:
    """Hop eight walkers; arrays (8,) are read at the start and written at the end."""
    w0, w1, w2, w3, w4, w5, w6, w7 = _load(word)
    k0, k1, k2, k3, k4, k5, k6, k7 = _load(key)
    s0, s1, s2, s3, s4, s5, s6, s7 = _load(state)
    n0, n1, n2, n3, n4, n5, n6, n7 = _load(count)
    t0, t1, t2, t3, t4, t5, t6, t7 = _load(clock)
    for _ in range(hops):
        w0, s0, n0, t0 = _mean_hop(table, w0, k0, s0, n0, t0)
        w1, s1, n1, t1 = _mean_hop(table, w1, k1, s1, n1, t1)
        w2, s2, n2, t2 = _mean_hop(table, w2, k2, s2, n2, t2)
        w3, s3, n3, t3 = _mean_hop(table, w3, k3, s3, n3, t3)
        w4, s4, n4, t4 = _mean_hop(table, w4, k4, s4, n4, t4)
        w5, s5, n5, t5 = _mean_hop(table, w5, k5, s5, n5, t5)
        w6, s6, n6, t6 = _mean_hop(table, w6, k6, s6, n6, t6)
        w7, s7, n7, t7 = _mean_hop(table, w7, k7, s7, n7, t7)
    _store(word, w0, w1, w2, w3, w4, w5, w6, w7)
    _store(state, s0, s1, s2, s3, s4, s5, s6, s7)
    _store(count, n0, n1, n2, n3, n4, n5, n6, n7)
    _store(clock, t0, t1, t2, t3, t4, t5, t6, t7)


@njit(cache=True, nogil=True)
def eight_timed_hops(
    table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any, hops: int, waits: Any
) -> None:
    """The same with exponential waiting times, which are made in `waits`, (8, AHEAD), beforehand."""
    for first in range(0, hops, AHEAD):
        for lane in range(REGISTERS):
            waiting_times(key[lane], state[lane] + ADVANCE, waits[lane])
        _few_timed_hops(table, word, key, state, count, clock, min(AHEAD, hops - first), waits)


@njit(cache=True, nogil=True)
def _few_timed_hops(
    table: Any, word: Any, key: Any, state: Any, count: Any, clock: Any, hops: int, waits: Any
) -> None:
    w0, w1, w2, w3, w4, w5, w6, w7 = _load(word)
    k0, k1, k2, k3, k4, k5, k6, k7 = _load(key)
    s0, s1, s2, s3, s4, s5, s6, s7 = _load(state)
    n0, n1, n2, n3, n4, n5, n6, n7 = _load(count)
    t0, t1, t2, t3, t4, t5, t6, t7 = _load(clock)
    for hop in range(hops):
        w0, s0, n0, t0 = _timed_hop(table, w0, k0, s0, n0, t0, waits[0, hop])
        w1, s1, n1, t1 = _timed_hop(table, w1, k1, s1, n1, t1, waits[1, hop])
        w2, s2, n2, t2 = _timed_hop(table, w2, k2, s2, n2, t2, waits[2, hop])
        w3, s3, n3, t3 = _timed_hop(table, w3, k3, s3, n3, t3, waits[3, hop])
        w4, s4, n4, t4 = _timed_hop(table, w4, k4, s4, n4, t4, waits[4, hop])
        w5, s5, n5, t5 = _timed_hop(table, w5, k5, s5, n5, t5, waits[5, hop])
        w6, s6, n6, t6 = _timed_hop(table, w6, k6, s6, n6, t6, waits[6, hop])
        w7, s7, n7, t7 = _timed_hop(table, w7, k7, s7, n7, t7, waits[7, hop])
    _store(word, w0, w1, w2, w3, w4, w5, w6, w7)
    _store(state, s0, s1, s2, s3, s4, s5, s6, s7)
    _store(count, n0, n1, n2, n3, n4, n5, n6, n7)
    _store(clock, t0, t1, t2, t3, t4, t5, t6, t7)
