"""Compiled loops over neighbour tables for :mod:`iondiff.analysis.structure`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

#: Images around the home cell that a ring may visit, in every direction.
REACH = 3


@njit(cache=True)
def vectors(positions, cell, first, index, image):
    """(m, 3) Å from each atom to each of its neighbours."""
    out = np.empty((len(index), 3))
    for i in range(len(positions)):
        for p in range(first[i], first[i + 1]):
            for c in range(3):
                shift = image[p, 0] * cell[0, c] + image[p, 1] * cell[1, c] + image[p, 2] * cell[2, c]
                out[p, c] = positions[index[p], c] + shift - positions[i, c]
    return out


@njit(cache=True)
def angles(first, index, near, kinds, centre, end_one, end_two):
    """Degrees between all pairs of bonds of an atom; kinds of -1 match every element."""
    out = []
    for i in range(len(first) - 1):
        if centre >= 0 and kinds[i] != centre:
            continue
        for p in range(first[i], first[i + 1]):
            for q in range(first[i], p):
                a, b = kinds[index[p]], kinds[index[q]]
                straight = (end_one < 0 or a == end_one) and (end_two < 0 or b == end_two)
                swapped = (end_one < 0 or b == end_one) and (end_two < 0 or a == end_two)
                if not (straight or swapped):
                    continue
                dot = near[p, 0] * near[q, 0] + near[p, 1] * near[q, 1] + near[p, 2] * near[q, 2]
                norms = np.sum(near[p] ** 2) * np.sum(near[q] ** 2)
                out.append(math.degrees(math.acos(min(1.0, max(-1.0, dot / math.sqrt(norms))))))
    return np.array(out)


@njit(cache=True)
def rings(first, index, image, largest):
    """For every pair of bonds of every atom: the size of the shortest ring through both, 0 beyond `largest`.

    A search from one neighbour to the other that avoids the atom, on the infinite crystal: a path that
    comes back in another image has not closed.
    """
    n = len(first) - 1
    width = 2 * REACH + 1
    seen = np.zeros(n * width**3, np.int64)
    queue = np.empty((n * width**3, 5), np.int64)  # atom, image, distance
    stamp = 0
    sizes = []
    for i in range(n):
        for p in range(first[i], first[i + 1]):
            for q in range(first[i], p):
                stamp += 1
                seen[_place(i, 0, 0, 0, width)] = stamp
                head, tail = 0, 1
                queue[0, 0] = index[p]
                queue[0, 1:4] = image[p]
                queue[0, 4] = 0
                seen[_place(index[p], image[p, 0], image[p, 1], image[p, 2], width)] = stamp
                found = 0
                while head < tail and found == 0:
                    atom, u, v, w, distance = queue[head]
                    head += 1
                    if distance + 3 > largest:
                        break
                    for s in range(first[atom], first[atom + 1]):
                        j = index[s]
                        a, b, c = u + image[s, 0], v + image[s, 1], w + image[s, 2]
                        if j == index[q] and a == image[q, 0] and b == image[q, 1] and c == image[q, 2]:
                            found = distance + 3
                            break
                        if max(abs(a), abs(b), abs(c)) > REACH:
                            continue
                        place = _place(j, a, b, c, width)
                        if seen[place] != stamp:
                            seen[place] = stamp
                            queue[tail, 0], queue[tail, 1], queue[tail, 2], queue[tail, 3] = j, a, b, c
                            queue[tail, 4] = distance + 1
                            tail += 1
                sizes.append(found)
    return np.array(sizes)


@njit(cache=True)
def _place(atom, u, v, w, width):
    return ((atom * width + u + REACH) * width + v + REACH) * width + w + REACH
