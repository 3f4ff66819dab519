"""Compiled checks of structures."""

import numpy as np
from numba import njit


@njit(cache=True)
def closest_pair(positions, cell, first, index, image):
    """The two nearest atoms of a neighbour table and their distance, Å; −1, −1, infinity if it is empty."""
    least = np.inf
    i_least = -1
    j_least = -1
    for i in range(len(first) - 1):
        for m in range(first[i], first[i + 1]):
            j = index[m]
            r2 = 0.0
            for a in range(3):
                d = positions[j, a] - positions[i, a]
                d += image[m, 0] * cell[0, a] + image[m, 1] * cell[1, a] + image[m, 2] * cell[2, a]
                r2 += d * d
            if r2 < least:
                least = r2
                i_least = i
                j_least = j
    return i_least, j_least, np.sqrt(least)
