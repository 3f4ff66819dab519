"""When a run has forgotten how it began."""

from __future__ import annotations

import numpy as np

from kmc.network import Floats

#: A beginning this many standard errors from the second half is not equilibrium.
SIGMAS = 3.5
#: Parts of the run that are looked at.
PARTS = 64
#: Batches of the second half, to see how slowly it forgets.
BATCHES = 8


def discarded_blocks(durations: Floats, series: list[Floats], blocks: int) -> tuple[int, bool]:
    """Blocks to cut from the beginning, and whether what is left stands still.

    The first of 64 parts, then the first two, four, … are compared with the second half of the run: in time
    per hop, energy, and number of carriers.

    Parameters
    ----------
    durations, series
        (replicas, fine) each.
    """
    parts = min(blocks, PARTS)
    if parts < 2 * BATCHES:
        return 0, True
    means = [each.mean(axis=0).reshape(parts, -1).mean(axis=1) for each in (durations, *series)]
    first = 0
    while first < parts // 2:
        length = max(1, first)
        if all(_calm(mean, first, min(first + length, parts // 2)) for mean in means):
            return first * (blocks // parts), True
        first = max(1, 2 * first)
    return blocks // 2, False


def _calm(mean: Floats, first: int, last: int) -> bool:
    """Whether blocks first … last − 1 look like the second half."""
    head, tail = mean[first:last], mean[len(mean) // 2 :]
    batches = tail.reshape(BATCHES, -1).mean(axis=1)
    size = len(tail) / BATCHES
    # The variance of one block, had it no memory: the larger of what blocks and batches say.
    variance = max(float(tail.var(ddof=1)), float(batches.var(ddof=1)) * size)
    error = np.sqrt(variance * (1.0 / len(head) + 1.0 / len(tail)) * max(1.0, _memory(tail) / len(head)))
    return bool(abs(head.mean() - tail.mean()) <= SIGMAS * error + 1e-12 * abs(float(tail.mean())))


def _memory(tail: Floats) -> float:
    """Blocks after which neighbours no longer know of each other, roughly."""
    left = tail - tail.mean()
    square = float(left @ left)
    if square == 0.0:
        return 1.0
    r = min(max(float(left[1:] @ left[:-1]) / square, 0.0), 0.95)
    return (1.0 + r) / (1.0 - r)
