"""Kernels of cell exclusion: every cell of the spline holds no critical point, exactly one, or is undecided.

A box of the spline is written in Bernstein form; a polynomial lies between its smallest and largest Bernstein
coefficient. That bounds the value, the gradient and the Hessian over the whole box at once:

- value above the cap everywhere: outside the domain;
- some component of the gradient, or of C·gradient with C about the inverse Hessian, never zero: no critical
  point;
- |I - C·Hessian| < 1 in the row-sum norm: the gradient is one-to-one on the box, so at most one critical
  point, and Newton's method says where.

What none of these settles is cut into eight.
"""

import numpy as np
from numba import njit

from search._spline import BERNSTEIN, PAD, inverse3, newton
from search.lattice import Floats, Ints

OUTSIDE, EMPTY, SINGLE, SPLIT = 0, 1, 2, 3
# A zero this close to a box (in box lengths) counts as inside it: boxes overlap there, merging removes
# doubles.
EDGE = 1e-6
# A bound excludes only when it clears zero by more than rounding: of coefficients, relative to their size,
# and of preconditioned gradients, in box lengths. Symmetric landscapes have zeros exactly on cell corners.
ROUNDING = 1e-14
CLEAR = 1e-7
# Boxes cut this often mark a place that is hard to decide.
HARD = 3


@njit(cache=True)
def _raw_verdict(c: Floats, i: int, j: int, k: int, cap: float) -> int:
    """Cheap verdict on cell (i, j, k) from B-spline coefficients alone; SPLIT when they do not tell."""
    lowest = np.inf
    largest = 1.0  # v is of order one, and the rounding of the transforms that made it is global
    for a in range(6):
        for b in range(6):
            for d in range(6):
                value = c[i + a, j + b, k + d]
                lowest = min(lowest, value)
                largest = max(largest, abs(value))
    if lowest > cap:
        return OUTSIDE
    margin = ROUNDING * largest
    for axis in range(3):
        low = np.inf
        high = -np.inf
        for a in range(6 - (axis == 0)):
            for b in range(6 - (axis == 1)):
                for d in range(6 - (axis == 2)):
                    value = (
                        c[i + a + (axis == 0), j + b + (axis == 1), k + d + (axis == 2)]
                        - c[i + a, j + b, k + d]
                    )
                    low = min(low, value)
                    high = max(high, value)
        if low > margin or high < -margin:
            return EMPTY
    return SPLIT


@njit(cache=True)
def _bernstein(c: Floats, i: int, j: int, k: int, out: Floats, work: Floats) -> None:  # noqa: C901
    """Bernstein coefficients (6, 6, 6) of cell (i, j, k)."""
    for a in range(6):
        for b in range(6):
            for r in range(6):
                total = 0.0
                for d in range(6):
                    total += BERNSTEIN[r, d] * c[i + a, j + b, k + d]
                out[a, b, r] = total
    for a in range(6):
        for r in range(6):
            for d in range(6):
                total = 0.0
                for b in range(6):
                    total += BERNSTEIN[r, b] * out[a, b, d]
                work[a, r, d] = total
    for r in range(6):
        for b in range(6):
            for d in range(6):
                total = 0.0
                for a in range(6):
                    total += BERNSTEIN[r, a] * work[a, b, d]
                out[r, b, d] = total


@njit(cache=True)
def _gradient_coefficients(b: Floats, g: Floats) -> None:
    """Bernstein coefficients of the three derivatives, degree 5 in every direction: g (3, 6, 6, 6)."""
    for r in range(6):
        for p in range(6):
            for q in range(6):
                x = y = z = 0.0
                if r > 0:
                    x += r * (b[r, p, q] - b[r - 1, p, q])
                    y += r * (b[p, r, q] - b[p, r - 1, q])
                    z += r * (b[p, q, r] - b[p, q, r - 1])
                if r < 5:
                    x += (5 - r) * (b[r + 1, p, q] - b[r, p, q])
                    y += (5 - r) * (b[p, r + 1, q] - b[p, r, q])
                    z += (5 - r) * (b[p, q, r + 1] - b[p, q, r])
                g[0, r, p, q] = x
                g[1, p, r, q] = y
                g[2, p, q, r] = z


@njit(cache=True)
def _hessian_range(b: Floats, middle: Floats, radius: Floats) -> None:
    """Midpoints and half-widths (3, 3) of the Hessian's entries over the box."""
    for s in range(3):
        for t in range(s, 3):
            low = np.inf
            high = -np.inf
            s0, s1, s2 = int(s == 0), int(s == 1), int(s == 2)
            t0, t1, t2 = int(t == 0), int(t == 1), int(t == 2)
            for i in range(6 - s0 - t0):
                for j in range(6 - s1 - t1):
                    for k in range(6 - s2 - t2):
                        value = (
                            b[i + s0 + t0, j + s1 + t1, k + s2 + t2]
                            - b[i + s0, j + s1, k + s2]
                            - b[i + t0, j + t1, k + t2]
                            + b[i, j, k]
                        )
                        low = min(low, value)
                        high = max(high, value)
            scale = 20.0 if s == t else 25.0
            middle[s, t] = middle[t, s] = 0.5 * scale * (low + high)
            radius[s, t] = radius[t, s] = 0.5 * scale * (high - low)


@njit(cache=True)
def _one_to_one(inverse: Floats, middle: Floats, radius: Floats) -> float:
    """Bound of |I - C·H| over the box, row-sum norm."""
    largest = 0.0
    for a in range(3):
        row = 0.0
        for b in range(3):
            centre = -1.0 if a == b else 0.0
            spread = 0.0
            for m in range(3):
                centre += inverse[a, m] * middle[m, b]
                spread += abs(inverse[a, m]) * radius[m, b]
            row += abs(centre) + spread
        largest = max(largest, row)
    return largest


@njit(cache=True)
def _box_verdict(  # noqa: C901
    b: Floats, cap: float, g: Floats, middle: Floats, radius: Floats, inverse: Floats
) -> int:
    """Verdict on a box from its Bernstein coefficients."""
    if b.min() > cap:
        return OUTSIDE
    margin = 4.0 * ROUNDING * max(1.0, abs(b.max()))
    _gradient_coefficients(b, g)
    for axis in range(3):
        low = np.inf
        high = -np.inf
        for value in g[axis].flat:
            low = min(low, value)
            high = max(high, value)
        if low > margin or high < -margin:
            return EMPTY
    _hessian_range(b, middle, radius)
    if inverse3(middle, inverse) == 0.0:
        return SPLIT
    clear = CLEAR + 3.0 * margin * max(inverse.max(), -inverse.min())
    for axis in range(3):
        low = np.inf
        high = -np.inf
        for i in range(6):
            for j in range(6):
                for k in range(6):
                    value = (
                        inverse[axis, 0] * g[0, i, j, k]
                        + inverse[axis, 1] * g[1, i, j, k]
                        + inverse[axis, 2] * g[2, i, j, k]
                    )
                    low = min(low, value)
                    high = max(high, value)
        if low > clear or high < -clear:
            return EMPTY
    return SINGLE if _one_to_one(inverse, middle, radius) < 0.999 else SPLIT


@njit(cache=True)
def _halve(source: Floats, axis: int, low: Floats, high: Floats) -> None:
    """De Casteljau at one half along `axis`: coefficients of the two halves."""
    work = np.empty(6)
    for p in range(6):
        for q in range(6):
            for r in range(6):
                if axis == 0:
                    work[r] = source[r, p, q]
                elif axis == 1:
                    work[r] = source[p, r, q]
                else:
                    work[r] = source[p, q, r]
            for level in range(6):
                if axis == 0:
                    low[level, p, q] = work[0]
                    high[5 - level, p, q] = work[5 - level]
                elif axis == 1:
                    low[p, level, q] = work[0]
                    high[p, 5 - level, q] = work[5 - level]
                else:
                    low[p, q, level] = work[0]
                    high[p, q, 5 - level] = work[5 - level]
                for r in range(5 - level):
                    work[r] = 0.5 * (work[r] + work[r + 1])


@njit(cache=True)
def sweep(  # noqa: C901, PLR0912, PLR0915  # one loop nest: a call in its middle would copy the stack
    c: Floats,
    cap: float,
    first: int,
    last: int,
    max_depth: int,
    max_boxes: int,
    points: Floats,
    undecided: Floats,
    suspects: Floats,
    counts: Ints,
) -> None:
    """Decide every cell of the slabs first <= i < last.

    points: (m, 3), filled with fractional critical points; undecided: (u, 4), filled with the fractional
    centre and the depth of boxes left open; suspects: (s, 3), filled with the fractional centres of boxes
    that were hard to decide, as near folds, where a pair of critical points is about to appear; counts:
    (8,) of cells seen, cells below the cap, boxes examined, points found, boxes undecided, cells left open,
    overflow flag, suspects. Stops at overflow.
    """
    n = np.empty(3)
    for a in range(3):
        n[a] = c.shape[a] - PAD
    stack = np.empty((8 * (max_depth + 1) + 8, 6, 6, 6))
    corner = np.empty((stack.shape[0], 3))
    depth = np.empty(stack.shape[0], dtype=np.int64)
    work = np.empty((6, 6, 6))
    halves = np.empty((2, 6, 6, 6))
    quarters = np.empty((4, 6, 6, 6))
    g = np.empty((3, 6, 6, 6))
    middle = np.empty((3, 3))
    radius = np.empty((3, 3))
    inverse = np.empty((3, 3))
    trial = np.empty(3)
    for i in range(first, last):
        for j in range(c.shape[1] - PAD):
            for k in range(c.shape[2] - PAD):
                counts[0] += 1
                verdict = _raw_verdict(c, i, j, k, cap)
                if verdict == OUTSIDE:
                    continue
                counts[1] += 1
                if verdict == EMPTY:
                    continue
                _bernstein(c, i, j, k, stack[0], work)
                corner[0, 0], corner[0, 1], corner[0, 2] = i, j, k
                depth[0] = 0
                height = 1
                open_boxes = 0
                while height > 0:
                    height -= 1
                    counts[2] += 1
                    if counts[2] > max_boxes:
                        counts[6] = 1
                        return
                    box = stack[height]
                    verdict = _box_verdict(box, cap, g, middle, radius, inverse)
                    size = 0.5 ** depth[height]
                    if depth[height] == HARD and verdict != OUTSIDE and counts[7] < suspects.shape[0]:
                        for a in range(3):
                            suspects[counts[7], a] = (corner[height, a] + 0.5 * size) / n[a]
                        counts[7] += 1
                    if verdict in (OUTSIDE, EMPTY):
                        continue
                    if verdict == SINGLE:
                        for a in range(3):
                            trial[a] = (corner[height, a] + 0.5 * size) / n[a]
                        if newton(c, trial, 3.0):
                            inside = True
                            for a in range(3):
                                t = (trial[a] * n[a] - corner[height, a]) / size
                                inside = inside and -EDGE <= t <= 1.0 + EDGE
                            if inside:
                                if counts[3] >= points.shape[0]:
                                    counts[6] = 2
                                    return
                                points[counts[3]] = trial
                                counts[3] += 1
                                continue
                    if depth[height] >= max_depth:
                        if counts[4] < undecided.shape[0]:
                            for a in range(3):
                                undecided[counts[4], a] = (corner[height, a] + 0.5 * size) / n[a]
                            undecided[counts[4], 3] = depth[height]
                        counts[4] += 1
                        open_boxes += 1
                        continue
                    _halve(box, 0, halves[0], halves[1])
                    x, y, z = corner[height, 0], corner[height, 1], corner[height, 2]
                    level = depth[height] + 1
                    for p in range(2):
                        _halve(halves[p], 1, quarters[2 * p], quarters[2 * p + 1])
                    for p in range(4):
                        _halve(quarters[p], 2, stack[height + 2 * p], stack[height + 2 * p + 1])
                        for q in range(2):
                            slot = height + 2 * p + q
                            corner[slot, 0] = x + 0.5 * size * (p >> 1)
                            corner[slot, 1] = y + 0.5 * size * (p & 1)
                            corner[slot, 2] = z + 0.5 * size * q
                            depth[slot] = level
                    height += 8
                counts[5] += open_boxes > 0
