"""Linked cells for any cell shape and boundary; see :mod:`iondiff.neighbours`.

The linear algebra of three rows is written out: what Numba brings for it would be most of what there is to
compile.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

_BARE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}  # not in Numba's type stubs
_inner = njit(cache=True, **_BARE)  # only compiled code calls these

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
    inverse = _inverse(frame)
    fractional, offset = _fractional(positions, inverse, pbc)
    bins, reach, thickness = _grid(fractional, inverse, pbc, cutoff)
    # Where the lattice vectors are at right angles, gaps along them add up as squares and corners drop out.
    square = cutoff * cutoff
    upright = _upright(frame)
    flat = np.empty(n, np.int64)
    for i in range(n):
        b = 0
        for k in range(3):
            b = b * bins[k] + min(int(fractional[i, k]), bins[k] - 1)
        flat[i] = b
    starts, order = _sorted_into_bins(flat, bins[0] * bins[1] * bins[2])
    # Coordinates behind each other in the order in which the innermost loop meets them.
    home = np.empty((3, n))
    rank = np.empty(n, np.int64)
    for p in range(n):
        i = order[p]
        rank[i] = p
        for c in range(3):
            shift = offset[i, 0] * frame[0, c] + offset[i, 1] * frame[1, c] + offset[i, 2] * frame[2, c]
            home[c, p] = positions[i, c] - shift

    first = np.zeros(n + 1, np.int64)
    capacity = _expected(n, frame, pbc, cutoff)
    near = np.empty(capacity, np.int64)
    image = np.empty((capacity, 3), np.int64)
    distances = np.empty(n)
    hits = np.empty(n + 1, np.int64)
    filled = 0
    for i in range(n):
        me = rank[i]
        x, y, z = home[0, me], home[1, me], home[2, me]
        bx = min(int(fractional[i, 0]), bins[0] - 1)
        by = min(int(fractional[i, 1]), bins[1] - 1)
        bz = min(int(fractional[i, 2]), bins[2] - 1)
        for u in range(bx - reach[0], bx + reach[0] + 1):
            su = u // bins[0]
            if su != 0 and not pbc[0]:
                continue
            gap = max(0.0, u - fractional[i, 0], fractional[i, 0] - u - 1) * thickness[0]
            plane = square - gap * gap
            if plane < 0.0:
                continue
            for v in range(by - reach[1], by + reach[1] + 1):
                sv = v // bins[1]
                if sv != 0 and not pbc[1]:
                    continue
                gap = max(0.0, v - fractional[i, 1], fractional[i, 1] - v - 1) * thickness[1]
                low, high = bz - reach[2], bz + reach[2]
                if upright:
                    line = plane - gap * gap
                    if line < 0.0:
                        continue
                    span = math.sqrt(line) / thickness[2] + 1e-9
                    low = max(low, math.floor(fractional[i, 2] - span))
                    high = min(high, math.floor(fractional[i, 2] + span))
                row = ((u - su * bins[0]) * bins[1] + v - sv * bins[1]) * bins[2]
                for sw in range(low // bins[2], high // bins[2] + 1):
                    if sw != 0 and not pbc[2]:
                        continue
                    # Neighbouring bins of one row and one image hold one unbroken stretch of atoms.
                    begin = starts[row + max(low - sw * bins[2], 0)]
                    end = starts[row + min(high - sw * bins[2], bins[2] - 1) + 1]
                    dx = su * frame[0, 0] + sv * frame[1, 0] + sw * frame[2, 0] - x
                    dy = su * frame[0, 1] + sv * frame[1, 1] + sw * frame[2, 1] - y
                    dz = su * frame[0, 2] + sv * frame[1, 2] + sw * frame[2, 2] - z
                    for p in range(begin, end):
                        rx = home[0, p] + dx
                        ry = home[1, p] + dy
                        rz = home[2, p] + dz
                        distances[p - begin] = rx * rx + ry * ry + rz * rz
                    count = 0
                    for p in range(begin, end):
                        # Written first and counted after: no branch to mispredict.
                        hits[count] = p
                        count += distances[p - begin] < square
                    if filled + count > capacity:
                        capacity = 2 * capacity + count
                        near, image = _grown(near, image, filled, capacity)
                    unmoved = su == 0 and sv == 0 and sw == 0
                    for h in range(count):
                        p = hits[h]
                        if p == me and unmoved:
                            continue
                        j = order[p]
                        near[filled] = j
                        image[filled, 0] = su - offset[j, 0] + offset[i, 0]
                        image[filled, 1] = sv - offset[j, 1] + offset[i, 1]
                        image[filled, 2] = sw - offset[j, 2] + offset[i, 2]
                        filled += 1
        first[i + 1] = filled
    return first, near[:filled], image[:filled]


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
    forward = np.zeros((3, 3))
    shrinkage = 1.0
    if deformed:
        _multiply(_inverse(reference_cell), cell, forward)
        backward = _inverse(forward)
        excess = 0.0
        for a in range(3):
            for b in range(3):
                excess += (backward[a, b] - (1.0 if a == b else 0.0)) ** 2
        shrinkage = 1.0 + math.sqrt(excess)
    largest = 0.5 * ((cutoff + skin) / shrinkage - cutoff)
    if not largest > 0.0:
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


@_inner
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_inner
def _multiply(a, b, out):
    for i in range(3):
        for k in range(3):
            out[i, k] = a[i, 0] * b[0, k] + a[i, 1] * b[1, k] + a[i, 2] * b[2, k]


@_inner
def _determinant(m):
    return (
        m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1])
        - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
        + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0])
    )


@_inner
def _inverse(m):
    """Of a (3, 3) matrix, by cofactors; not finite where there is none."""
    out = np.empty((3, 3))
    scale = _determinant(m)
    scale = 1.0 / scale if scale != 0.0 else math.inf
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        for k in range(3):
            c, d = (k + 1) % 3, (k + 2) % 3
            out[k, i] = (m[a, c] * m[b, d] - m[a, d] * m[b, c]) * scale
    return out


@_inner
def _completed(cell, pbc):
    """The cell with rows of open directions replaced by unit vectors across the others."""
    frame = np.empty((3, 3))
    filled = np.empty(3, np.bool_)
    for k in range(3):
        filled[k] = pbc[k]
        for c in range(3):
            frame[k, c] = cell[k, c]
            if not math.isfinite(frame[k, c]):
                raise ValueError("the cell holds numbers that are not finite")
    basis = np.empty((3, 3))
    vector = np.empty(3)
    for k in range(3):
        if pbc[k]:
            continue
        # An orthogonal basis of what is there already.
        m = 0
        for other in range(3):
            if filled[other]:
                for c in range(3):
                    basis[m, c] = frame[other, c]
                m += _made_orthogonal(basis[m], basis, m) > 0.0
        # The unit vector farthest from it, made orthogonal to it.
        best = -1.0
        for trial in range(3):
            for c in range(3):
                vector[c] = 1.0 if c == trial else 0.0
            norm = _made_orthogonal(vector, basis, m)
            if norm > best:
                best = norm
                for c in range(3):
                    frame[k, c] = vector[c]
        filled[k] = True
    lengths = 1.0
    for k in range(3):
        lengths *= math.sqrt(_dot(frame[k], frame[k]))
    if not abs(_determinant(frame)) > 1e-9 * lengths:
        raise ValueError("the periodic cell vectors span no volume")
    return frame


@_inner
def _made_orthogonal(vector, basis, m):
    """Take out of a vector what lies along `m` unit vectors, make the rest a unit vector; its length before."""
    for q in range(m):
        along = _dot(vector, basis[q])
        for c in range(3):
            vector[c] -= along * basis[q, c]
    norm = math.sqrt(_dot(vector, vector))
    if norm > 0.0:
        for c in range(3):
            vector[c] /= norm
    return norm


@_inner
def _upright(frame):
    """Whether the lattice vectors are at right angles."""
    for a in range(3):
        b = (a + 1) % 3
        sizes = math.sqrt(_dot(frame[a], frame[a]) * _dot(frame[b], frame[b]))
        if abs(_dot(frame[a], frame[b])) > 1e-12 * sizes:
            return False
    return True


@_inner
def _fractional(positions, inverse, pbc):
    """Fractional coordinates, inside the cell where periodic, and the whole cells taken away."""
    n = len(positions)
    fractional = np.empty((n, 3))
    offset = np.zeros((n, 3), np.int64)
    for i in range(n):
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
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


@_inner
def _grid(fractional, inverse, pbc, cutoff):
    """Bins about half a cutoff wide but not many more than atoms, how many of them a cutoff spans, their width.

    From here on the fractional coordinates count bins.
    """
    n = len(fractional)
    bins = np.ones(3, np.int64)
    reach = np.zeros(3, np.int64)
    low = np.zeros(3)
    span = np.ones(3)
    extent = np.empty(3)  # Å, of the cell or of the atoms, across the bins
    for k in range(3):
        if not pbc[k] and n > 0:
            low[k] = high = fractional[0, k]
            for i in range(n):
                low[k] = min(low[k], fractional[i, k])
                high = max(high, fractional[i, k])
            span[k] = max(high - low[k], 1e-12)
        extent[k] = span[k] / math.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
    width = 0.5 * cutoff
    while True:
        total = 1.0
        for k in range(3):
            total *= max(1.0, math.floor(extent[k] / width))
        if total <= 2 * n + 8:
            break
        width *= 1.2
    images = 1.0
    thickness = np.empty(3)
    for k in range(3):
        bins[k] = int(max(1.0, math.floor(extent[k] / width)))
        thickness[k] = extent[k] / bins[k]
        steps = math.ceil(cutoff / thickness[k] + 1e-9)
        images *= 2.0 * (steps if pbc[k] else min(steps, bins[k])) / bins[k] + 1.0
        if images > _DEEPEST_IMAGES:
            raise ValueError("more than a million images of the cell lie within the cutoff")
        reach[k] = int(steps if pbc[k] else min(steps, bins[k]))
        for i in range(n):
            fractional[i, k] = (fractional[i, k] - low[k]) / span[k] * bins[k]
    return bins, reach, thickness


@_inner
def _sorted_into_bins(flat, n_bins):
    """Counting sort: where each bin starts, and the atoms bin by bin."""
    starts = np.zeros(n_bins + 1, np.int64)
    for b in flat:
        starts[b + 1] += 1
    for b in range(n_bins):
        starts[b + 1] += starts[b]
    cursor = starts.copy()
    order = np.empty(len(flat), np.int64)
    for i in range(len(flat)):
        order[cursor[flat[i]]] = i
        cursor[flat[i]] += 1
    return starts, order


@_inner
def _expected(n, frame, pbc, cutoff):
    """Room for neighbours: a fifth more than an even density would give, or a first guess."""
    if not (pbc[0] and pbc[1] and pbc[2]):
        return 64 * n + 64
    each = 4.1887902047863905 * cutoff**3 / abs(_determinant(frame)) * n
    return int(n * (1.2 * each + 4.0)) + 64


@_inner
def _grown(near, image, filled, capacity):
    longer = np.empty(capacity, np.int64)
    wider = np.empty((capacity, 3), np.int64)
    for m in range(filled):
        longer[m] = near[m]
        for c in range(3):
            wider[m, c] = image[m, c]
    return longer, wider
