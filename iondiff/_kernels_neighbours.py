"""Linked cells for any cell shape and boundary; see :mod:`iondiff.neighbours`."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_DEEPEST_IMAGES = 1_000_000  # image cells looked at per atom; beyond it the cell and cutoff cannot be meant


@njit(cache=True)
def neighbour_table(positions, cell, pbc, cutoff):
    """All neighbours nearer than a cutoff; callable from Python and from compiled code.

    Parameters
    ----------
    positions
        (n, 3) float64, Å, anywhere.
    cell
        (3, 3) float64, Å, rows are lattice vectors: any shape, any handedness, also smaller than the
        cutoff. The row of a direction without boundary may be zero.
    pbc
        (3,) bool, which directions are periodic.
    cutoff
        Å.

    Returns
    -------
    first
        (n + 1,) int64: the neighbours of atom i are entries first[i] to first[i + 1].
    index
        (m,) int64, the neighbouring atom.
    image
        (m, 3) int64; the neighbour stands at ``positions[index] + image @ cell``.

    Raises
    ------
    ValueError
        A position or cell that is not finite, periodic vectors that span no volume, a cutoff that is not
        positive, or a cell so small that more than a million images lie within the cutoff.
    """
    n = len(positions)
    if not (cutoff > 0.0 and math.isfinite(cutoff)):
        raise ValueError("cutoff must be a positive number of Å")
    frame = _completed(cell, pbc)
    inverse = np.linalg.inv(frame)
    fractional, offset = _fractional(positions, inverse, pbc)
    low, bins, reach = _grid(fractional, inverse, pbc, cutoff)
    place = np.empty((n, 3), np.int64)
    flat = np.empty(n, np.int64)
    for i in range(n):
        for k in range(3):
            place[i, k] = min(int((fractional[i, k] - low[k]) * bins[k]), bins[k] - 1)
        flat[i] = (place[i, 0] * bins[1] + place[i, 1]) * bins[2] + place[i, 2]
    starts, order = _sorted_into_bins(flat, bins[0] * bins[1] * bins[2])
    # Coordinates behind each other in the order in which the innermost loop meets them.
    home = np.empty((3, n))
    for p in range(n):
        i = order[p]
        for c in range(3):
            shift = offset[i, 0] * frame[0, c] + offset[i, 1] * frame[1, c] + offset[i, 2] * frame[2, c]
            home[c, p] = positions[i, c] - shift
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)

    first = np.zeros(n + 1, np.int64)
    capacity = 64 * n + 64
    near = np.empty(capacity, np.int64)
    image = np.empty((capacity, 3), np.int64)
    filled = 0
    square = cutoff * cutoff
    for i in range(n):
        me = rank[i]
        x, y, z = home[0, me], home[1, me], home[2, me]
        bx, by, bz = place[i]
        for u in range(bx - reach[0], bx + reach[0] + 1):
            su = u // bins[0]
            if su != 0 and not pbc[0]:
                continue
            for v in range(by - reach[1], by + reach[1] + 1):
                sv = v // bins[1]
                if sv != 0 and not pbc[1]:
                    continue
                row = ((u - su * bins[0]) * bins[1] + v - sv * bins[1]) * bins[2]
                for sw in range((bz - reach[2]) // bins[2], (bz + reach[2]) // bins[2] + 1):
                    if sw != 0 and not pbc[2]:
                        continue
                    # Neighbouring bins of one row and one image hold one unbroken stretch of atoms.
                    begin = starts[row + max(bz - reach[2] - sw * bins[2], 0)]
                    end = starts[row + min(bz + reach[2] - sw * bins[2], bins[2] - 1) + 1]
                    if filled + end - begin >= capacity:
                        capacity = 2 * capacity + end - begin
                        near, image = _grown(near, image, filled, capacity)
                    dx = su * frame[0, 0] + sv * frame[1, 0] + sw * frame[2, 0] - x
                    dy = su * frame[0, 1] + sv * frame[1, 1] + sw * frame[2, 1] - y
                    dz = su * frame[0, 2] + sv * frame[1, 2] + sw * frame[2, 2] - z
                    unmoved = su == 0 and sv == 0 and sw == 0
                    for p in range(begin, end):
                        rx = home[0, p] + dx
                        ry = home[1, p] + dy
                        rz = home[2, p] + dz
                        j = order[p]
                        near[filled] = j
                        image[filled, 0] = su - offset[j, 0] + offset[i, 0]
                        image[filled, 1] = sv - offset[j, 1] + offset[i, 1]
                        image[filled, 2] = sw - offset[j, 2] + offset[i, 2]
                        # Written first and counted after: no branch to mispredict.
                        filled += (rx * rx + ry * ry + rz * rz < square) & ((p != me) | (not unmoved))
        first[i + 1] = filled
    return first, near[:filled].copy(), image[:filled].copy()


@njit(cache=True)
def stretched(positions, reference, cell, reference_cell, cutoff, skin):
    """Whether a list built at ``reference`` with ``cutoff + skin`` could now miss a pair within ``cutoff``.

    With F the deformation of the cell and u the displacements beyond it, a pair now at r stood at no more
    than ‖F⁻¹‖ (r + 2 max ‖u‖): the list is whole while this stays below cutoff + skin at r = cutoff.
    """
    deformed = False
    for a in range(3):
        for b in range(3):
            deformed |= cell[a, b] != reference_cell[a, b]
    forward = np.eye(3)
    shrinkage = 1.0
    if deformed:
        forward = np.linalg.inv(reference_cell) @ cell
        backward = np.linalg.inv(forward)
        excess = 0.0
        for a in range(3):
            for b in range(3):
                excess += (backward[a, b] - (1.0 if a == b else 0.0)) ** 2
        shrinkage = 1.0 + math.sqrt(excess)
    largest = 0.5 * ((cutoff + skin) / shrinkage - cutoff)
    if largest <= 0.0:
        return True
    for i in range(len(positions)):
        square = 0.0
        for c in range(3):
            old = reference[i, c]
            if deformed:
                old = (
                    reference[i, 0] * forward[0, c]
                    + reference[i, 1] * forward[1, c]
                    + reference[i, 2] * forward[2, c]
                )
            square += (positions[i, c] - old) ** 2
        if not square < largest * largest:  # also where a position is not a number
            return True
    return False


@njit(cache=True)
def _completed(cell, pbc):
    """The cell with rows of open directions replaced by unit vectors across the others."""
    frame = cell.copy()
    for k in range(3):
        for c in range(3):
            if not math.isfinite(frame[k, c]):
                raise ValueError("the cell holds numbers that are not finite")
    periodic = pbc.sum()
    if periodic < 3:
        filled = pbc.copy()
        for k in range(3):
            if pbc[k]:
                continue
            # The unit vector farthest from what is there already, made orthogonal to it.
            best, best_norm = np.zeros(3), -1.0
            for trial in range(3):
                vector = np.zeros(3)
                vector[trial] = 1.0
                basis = np.zeros((3, 3))
                m = 0
                for other in range(3):
                    if filled[other]:
                        b = frame[other].copy()
                        for q in range(m):
                            b -= (b @ basis[q]) * basis[q]
                        length = math.sqrt(b @ b)
                        if length > 0.0:
                            basis[m] = b / length
                            m += 1
                for q in range(m):
                    vector -= (vector @ basis[q]) * basis[q]
                norm = math.sqrt(vector @ vector)
                if norm > best_norm:
                    best, best_norm = vector / max(norm, 1e-300), norm
            frame[k] = best
            filled[k] = True
    lengths = 1.0
    for k in range(3):
        lengths *= math.sqrt(frame[k] @ frame[k])
    if not abs(np.linalg.det(frame)) > 1e-9 * lengths:
        raise ValueError("the periodic cell vectors span no volume")
    return frame


@njit(cache=True)
def _fractional(positions, inverse, pbc):
    """Fractional coordinates, inside the cell where periodic, and the whole cells taken away."""
    n = len(positions)
    fractional = np.empty((n, 3))
    offset = np.zeros((n, 3), np.int64)
    for i in range(n):
        x, y, z = positions[i]
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
            raise ValueError("a position is not a finite number")
        for k in range(3):
            s = x * inverse[0, k] + y * inverse[1, k] + z * inverse[2, k]
            if pbc[k]:
                whole = math.floor(s)
                if abs(whole) > 1e15:
                    raise ValueError("a position lies more than 1e15 cells away")
                offset[i, k] = int(whole)
                s -= whole
                if s >= 1.0:  # -1e-17 + 1 rounds to 1
                    s = 0.0
                    offset[i, k] += 1
            fractional[i, k] = s
    return fractional, offset


@njit(cache=True)
def _grid(fractional, inverse, pbc, cutoff):
    """Bins about half a cutoff wide but not many more than atoms, and how many of them a cutoff spans."""
    n = len(fractional)
    low = np.zeros(3)
    bins = np.ones(3, np.int64)
    reach = np.zeros(3, np.int64)
    span = np.ones(3)
    height = np.empty(3)
    for k in range(3):
        norm = inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2
        height[k] = 1.0 / math.sqrt(norm)
        if not pbc[k] and n > 0:
            low[k] = fractional[:, k].min()
            span[k] = max(fractional[:, k].max() - low[k], 1e-12)
    width = 0.5 * cutoff
    while True:
        total = 1.0
        for k in range(3):
            total *= max(1.0, math.floor(span[k] * height[k] / width))
        if total <= 2 * n + 8:
            break
        width *= 1.2
    images = 1.0
    for k in range(3):
        bins[k] = int(max(1.0, math.floor(span[k] * height[k] / width)))
        steps = math.ceil(cutoff * bins[k] / (span[k] * height[k]) + 1e-9)
        images *= 2.0 * (steps if pbc[k] else min(steps, bins[k])) / bins[k] + 1.0
        if images > _DEEPEST_IMAGES:
            raise ValueError("more than a million images of the cell lie within the cutoff")
        reach[k] = int(steps if pbc[k] else min(steps, bins[k]))
    # From here on a fractional coordinate times `bins` counts bins also in open directions.
    for k in range(3):
        if not pbc[k]:
            for i in range(n):
                fractional[i, k] = (fractional[i, k] - low[k]) / span[k]
            low[k] = 0.0
    return low, bins, reach


@njit(cache=True)
def _sorted_into_bins(flat, n_bins):
    """Counting sort: where each bin starts, and the atoms bin by bin."""
    starts = np.zeros(n_bins + 1, np.int64)
    for b in flat:
        starts[b + 1] += 1
    starts = np.cumsum(starts)
    cursor = starts[:-1].copy()
    order = np.empty(len(flat), np.int64)
    for i in range(len(flat)):
        order[cursor[flat[i]]] = i
        cursor[flat[i]] += 1
    return starts, order


@njit(cache=True)
def _grown(near, image, filled, capacity):
    longer = np.empty(capacity, np.int64)
    longer[:filled] = near[:filled]
    wider = np.empty((capacity, 3), np.int64)
    wider[:filled] = image[:filled]
    return longer, wider
