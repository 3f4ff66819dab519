"""Compiled passes over positions: bounds, increments turned atom by atom."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def bounds(rows, low, high):
    """Smallest and largest coordinate an axis, into low and high (3,); whether all are finite."""
    finite = True
    for t in range(rows.shape[0]):
        for i in range(rows.shape[1]):
            for a in range(3):
                x = rows[t, i, a]
                if not np.isfinite(x):
                    finite = False
                low[a] = min(low[a], x)
                high[a] = max(high[a], x)
    return finite


@njit(cache=True)
def count_long(rows, extent, counts):
    """Steps longer than half the extent and than 0.8 of it, an axis: counts (2, 3)."""
    for t in range(1, rows.shape[0]):
        for i in range(rows.shape[1]):
            for a in range(3):
                length = abs(rows[t, i, a] - rows[t - 1, i, a])
                if length > 0.5 * extent[a]:
                    counts[0, a] += 1
                    if length > 0.8 * extent[a]:
                        counts[1, a] += 1


@njit(cache=True)
def differences(rows, atoms, series):
    """Series (atoms, 3, frames − 1): increments of some atoms; frames in tiles, for the cache's sake."""
    tile = 64
    for begin in range(0, rows.shape[0] - 1, tile):
        end = min(begin + tile, rows.shape[0] - 1)
        for k in range(len(atoms)):
            i = atoms[k]
            for a in range(3):
                for t in range(begin, end):
                    series[k, a, t] = rows[t + 1, i, a] - rows[t, i, a]


@njit(cache=True)
def pair_histogram(fractional, starts, lag, cell, edges, counts):
    """Distances from where each atom was to where all others are `lag` frames later, counted into bins."""
    n = fractional.shape[1]
    reach = edges[-1]
    for t in starts:
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                square = 0.0
                d = fractional[t + lag, j] - fractional[t, i]
                for a in range(3):
                    d[a] -= np.rint(d[a])
                for b in range(3):
                    x = d[0] * cell[0, b] + d[1] * cell[1, b] + d[2] * cell[2, b]
                    square += x * x
                r = np.sqrt(square)
                if edges[0] <= r < reach:
                    counts[np.searchsorted(edges, r, side="right") - 1] += 1.0


@njit(cache=True)
def follow_sites(fractional, sites, cell, reach, core, home, image):
    """Which site each atom belongs to: home (frames, atoms), −1 before any; image (frames, atoms, 3).

    An atom belongs to a site from the moment it enters its core until it enters the core of another.
    `reach` (k, 3) are the lattice translations near which the nearest image may lie.
    """
    frames, atoms, _ = fractional.shape
    for i in range(atoms):
        current, where = -1, np.zeros(3, dtype=np.int64)
        base, d, best_base = np.empty(3, dtype=np.int64), np.empty(3), np.empty(3, dtype=np.int64)
        for t in range(frames):
            best, best_square = -1, np.inf
            if current >= 0:  # still at home?
                square = 0.0
                for a in range(3):
                    d[a] = fractional[t, i, a] - sites[current, a] - where[a]
                for b in range(3):
                    x = d[0] * cell[0, b] + d[1] * cell[1, b] + d[2] * cell[2, b]
                    square += x * x
                if square < core[current] ** 2:
                    home[t, i] = current
                    image[t, i] = where
                    continue
            for s in range(len(sites)):
                for a in range(3):
                    d[a] = fractional[t, i, a] - sites[s, a]
                    base[a] = np.int64(np.rint(d[a]))
                for k in range(len(reach)):
                    square = 0.0
                    for b in range(3):
                        x = 0.0
                        for a in range(3):
                            x += (d[a] - base[a] - reach[k, a]) * cell[a, b]
                        square += x * x
                    if square < best_square and square < core[s] ** 2:
                        best, best_square = s, square
                        best_base[:] = base + reach[k]
            if best >= 0:
                current = best
                where[:] = best_base
            home[t, i] = current
            image[t, i] = where
