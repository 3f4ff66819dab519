"""Channels of two neighbours: Σ c^m exp(−η s) F over pairs, c the cosine of their angle.

s is the sum of (r − r_s)² and F the product of the cutoff functions over two sides of the triangle (wide) or
all three (narrow). (1 + λc)^ζ with a small whole ζ is a polynomial in c: any number of λ and ζ share the sums
over c^m, and in the way back one polynomial stands for them all. Other ζ are powers of their own.

Pairs whose third side is beyond the cutoff are dropped before any exponential: the lanes of the others are
packed one behind the other, and unpacked again when the forces are spread over the neighbours.
"""

from iondiff.descriptors._compiling import inner
from iondiff.descriptors._simd import (
    both,
    count,
    from_bits,
    lanes,
    last_lanes,
    load,
    maximum,
    pack_store,
    select,
    spread,
    sqrt,
    store,
    to_bits,
    total,
    unpack_load,
)
from iondiff.descriptors._slots import (
    CUTOFF_KINDS,
    CUTOFF_RADII,
    CUTOFFS,
    GD,
    GX,
    GY,
    GZ,
    INVERSE,
    N_SPECIES,
    P_CUTOFF,
    P_ETAS,
    P_FIRST,
    P_NARROW,
    P_POWERS,
    P_REAL,
    P_SECOND,
    P_SIZE,
    SQUARE,
    STRETCH,
    R,
    X,
    Y,
    Z,
)
from iondiff.descriptors._vector_math import cutoff, exp, power, whole_power

# Rows of a group in `work`: cosine, s of the two arms (later: the energy's share), F (later: share of the
# third side), third side (later: its logarithmic derivative), 1/(r_j r_k), then streams of the way back.
_C, _ARMS, _F, _THIRD, _INVERSES, _TURN, _MIX, _STRETCH, _ETA, FIXED_ROWS = range(10)


@inner
def aligned_row(pairs, size):
    """Length of a row: a vector to spare, and 27 vectors more than a multiple of 64.

    Rows a multiple of 4096 bytes apart would share cache sets, and loads would wait for stores to other rows.
    """
    vectors = (pairs + 3 * size) // size
    return (vectors + (27 - vectors) % 64) * size


@inner
def room(group, integers, whole, size):
    """Upper bound of the number of pairs, whole vectors, and of the number of masks."""
    n_species = integers[N_SPECIES]
    first = integers[group + P_FIRST]
    second = integers[group + P_SECOND]
    n = whole[n_species + first]
    blocks = (whole[n_species + second] + size - 1) // size
    pairs = n * (n + 1) // 2 if first == second else n * whole[n_species + second]
    return aligned_row(pairs, size), n * blocks


@inner
def _arms(stride, shift, integers, work, whole):
    """(r − r_s)² of every neighbour, and −2 (1 − r_s/r), its slope over r with the sign of an exponent."""
    for k in range(0, whole[3 * integers[N_SPECIES]], lanes(work)):
        d = load(work, R * stride + k) - shift
        store(work, SQUARE * stride + k, d * d)
        store(work, STRETCH * stride + k, load(work, INVERSE * stride + k) * (2.0 * shift) - 2.0)


@inner
def _pack(group, stride, base, row, masks, integers, reals, work, whole):
    """Geometry of the pairs that count, packed; their number."""
    n_species = integers[N_SPECIES]
    size = lanes(work)
    first = integers[group + P_FIRST]
    second = integers[group + P_SECOND]
    f = (CUTOFFS + 2 * integers[group + P_CUTOFF]) * stride
    rc = reals[integers[CUTOFF_RADII] + 2 * integers[group + P_CUTOFF]]
    limit = rc * rc if integers[group + P_NARROW] else 1e12
    shift = reals[integers[group + P_REAL]]
    _arms(stride, shift, integers, work, whole)
    start = whole[first]
    end = whole[second] + whole[n_species + second]
    n = 0
    for j in range(start, start + whole[n_species + first]):
        fj = work[f + j]
        if fj == 0.0:
            continue
        xj = work[X * stride + j]
        yj = work[Y * stride + j]
        zj = work[Z * stride + j]
        ij = work[INVERSE * stride + j]
        sj = work[SQUARE * stride + j]
        begin = whole[second]
        lane = 0
        if first == second:
            begin = start + (j + 1 - start) // size * size
            lane = j + 1 - begin
        for k in range(begin, end, size):
            x = load(work, X * stride + k)
            y = load(work, Y * stride + k)
            z = load(work, Z * stride + k)
            cosine = x * xj + y * yj + z * zj
            x = x - xj
            y = y - yj
            z = z - zj
            third = x * x + y * y + z * z
            product = load(work, f + k) * fj
            mask = both(third < limit, product > 0.0)
            if lane > 0:
                mask = both(mask, last_lanes(work, lane))
                lane = 0
            whole[masks] = to_bits(mask)
            masks += 1
            inverses = load(work, INVERSE * stride + k) * ij
            pack_store(work, base + _C * row + n, cosine * inverses, mask)
            pack_store(work, base + _ARMS * row + n, load(work, SQUARE * stride + k) + sj, mask)
            pack_store(work, base + _F * row + n, product, mask)
            pack_store(work, base + _THIRD * row + n, third, mask)
            pack_store(work, base + _INVERSES * row + n, inverses, mask)
            n += count(mask)
    zero = spread(work, 0.0)
    for part in range(_INVERSES + 1):
        store(work, base + part * row + n, zero + 0.25 * rc * rc if part == _THIRD else zero)
    return n


@inner
def _sum_powers(degree, n, terms, cosines, work, channels, channel):
    """Sums of the terms times c^m, m up to `degree` (at most 8), into channels[channel ...]."""
    size = lanes(work)
    zero = spread(work, 0.0)
    a = b = c = d = e = f = g = h = i = zero
    if degree <= 1:
        for p in range(0, n, size):
            term = load(work, terms + p)
            a = a + term
            b = b + term * load(work, cosines + p)
    elif degree <= 4:
        for p in range(0, n, size):
            x = load(work, cosines + p)
            term = load(work, terms + p)
            a = a + term
            b = b + term * x
            term = term * (x * x)
            c = c + term
            d = d + term * x
            e = e + term * (x * x)
    else:
        for p in range(0, n, size):
            x = load(work, cosines + p)
            x2 = x * x
            term = load(work, terms + p)
            a = a + term
            b = b + term * x
            term = term * x2
            c = c + term
            d = d + term * x
            term = term * x2
            e = e + term
            f = f + term * x
            term = term * x2
            g = g + term
            h = h + term * x
            i = i + term * x2
    for m, power_sum in enumerate((a, b, c, d, e, f, g, h, i)):
        if m <= degree:
            channels[channel + m] = total(power_sum)


@inner
def _third_sides(n, base, row, kind, rc, inner, shift, work):
    """Cutoff function and exponent of the third side, taken into those of the arms."""
    for p in range(0, n, lanes(work)):
        r = maximum(sqrt(load(work, base + _THIRD * row + p)), 1e-12)
        value, slope = cutoff(kind, r, rc, inner)
        some = value > 1e-30
        f = load(work, base + _F * row + p)
        store(work, base + _F * row + p, select(some, f * value, 0.0))
        store(work, base + _THIRD * row + p, select(some, slope / (value * r), 0.0))
        d = r - shift
        store(work, base + _ARMS * row + p, load(work, base + _ARMS * row + p) + d * d)
        if shift != 0.0:
            store(work, base + _STRETCH * row + p, (2.0 * shift) / r - 2.0)


@inner
def forward(group, stride, base, row, masks, integers, reals, work, whole, channels):
    """Sums into `channels`; the number of pairs. What the way back needs stays in work[base ...]."""
    size = lanes(work)
    n = _pack(group, stride, base, row, masks, integers, reals, work, whole)
    n_etas = integers[group + P_ETAS]
    n_powers = integers[group + P_POWERS]
    tables = group + P_SIZE
    powers = tables + 4 * n_etas
    real = integers[group + P_REAL]
    shift = reals[real]
    exponents = real + 1 + n_etas
    narrow = integers[group + P_NARROW]
    c_id = integers[group + P_CUTOFF]
    kind = integers[integers[CUTOFF_KINDS] + c_id]
    rc = reals[integers[CUTOFF_RADII] + 2 * c_id]
    inner = reals[integers[CUTOFF_RADII] + 2 * c_id + 1]
    if narrow:
        _third_sides(n, base, row, kind, rc, inner, shift, work)
    for e in range(n_etas):
        terms = base + (FIXED_ROWS + e) * row
        root = base + (FIXED_ROWS + integers[tables + 4 * e + 2]) * row
        multiple = integers[tables + 4 * e + 3]
        eta = -reals[real + 1 + e]
        if multiple == 1:
            for p in range(0, n, size):
                store(work, terms + p, exp(load(work, base + _ARMS * row + p) * eta))
        else:
            for p in range(0, n, size):
                term = whole_power(load(work, root + p), multiple)
                store(work, terms + p, term * load(work, base + _F * row + p))
    for e in range(n_etas):
        if integers[tables + 4 * e + 3] == 1:  # roots get their cutoff functions last, powers need them bare
            terms = base + (FIXED_ROWS + e) * row
            for p in range(0, n, size):
                store(work, terms + p, load(work, terms + p) * load(work, base + _F * row + p))
    for q in range(n_powers):
        terms = base + (FIXED_ROWS + integers[powers + 2 * q]) * row
        lam = reals[exponents + 2 * q]
        zeta = reals[exponents + 2 * q + 1]
        power_sum = spread(work, 0.0)
        for p in range(0, n, size):
            turned = maximum(load(work, base + _C * row + p) * lam + 1.0, 0.0)
            power_sum = power_sum + load(work, terms + p) * power(turned, zeta)
        channels[integers[powers + 2 * q + 1]] = total(power_sum)
    for e in range(n_etas):
        degree = integers[tables + 4 * e]
        if degree >= 0:
            terms = base + (FIXED_ROWS + e) * row
            _sum_powers(degree, n, terms, base + _C * row, work, channels, integers[tables + 4 * e + 1])
    return n


@inner
def _weigh(group, base, row, n, slopes, integers, reals, work):
    """Of every pair: derivatives of the energy by the logarithm of F, by s and by the cosine, as streams."""
    size = lanes(work)
    n_etas = integers[group + P_ETAS]
    tables = group + P_SIZE
    powers = tables + 4 * n_etas
    real = integers[group + P_REAL]
    shift = reals[real]
    exponents = real + 1 + n_etas
    narrow = integers[group + P_NARROW]
    zero = spread(work, 0.0)
    for p in range(0, n, size):
        c = load(work, base + _C * row + p)
        energy = zero
        by_eta = zero
        by_cosine = zero
        for e in range(n_etas):
            degree = integers[tables + 4 * e]
            if degree < 0:
                continue
            term = load(work, base + (FIXED_ROWS + e) * row + p)
            at = slopes + integers[tables + 4 * e + 1]
            value = zero + work[at + degree]
            slope = zero
            for m in range(degree - 1, -1, -1):
                slope = slope * c + value
                value = value * c + work[at + m]
            value = value * term
            energy = energy + value
            by_eta = by_eta + value * reals[real + 1 + e]
            by_cosine = by_cosine + slope * term
        for q in range(integers[group + P_POWERS]):
            e = integers[powers + 2 * q]
            term = load(work, base + (FIXED_ROWS + e) * row + p) * work[slopes + integers[powers + 2 * q + 1]]
            lam = reals[exponents + 2 * q]
            zeta = reals[exponents + 2 * q + 1]
            turned = maximum(c * lam + 1.0, 0.0)
            lower = power(turned, zeta - 1.0) * term
            value = lower * turned
            energy = energy + value
            by_eta = by_eta + value * reals[real + 1 + e]
            by_cosine = by_cosine + lower * (lam * zeta)
        third = zero
        if narrow:
            third = energy * load(work, base + _THIRD * row + p)
            third = (
                third - by_eta * 2.0
                if shift == 0.0
                else third + by_eta * load(work, base + _STRETCH * row + p)
            )
        mix = by_cosine * load(work, base + _INVERSES * row + p) - third
        store(work, base + _ARMS * row + p, energy)
        # Without a shift −2ηr pulls on all sides alike, so that the arms' share rides on the third side's.
        store(work, base + _F * row + p, third - by_eta * 2.0 if shift == 0.0 else third)
        store(work, base + _TURN * row + p, by_cosine * c)
        store(work, base + _MIX * row + p, mix)
        if shift != 0.0:
            store(work, base + _ETA * row + p, by_eta)


@inner
def backward(group, stride, base, row, masks, n, slopes, integers, reals, work, whole):
    """Gradients by both neighbours of every pair, given the derivatives by channels in work[slopes ...]."""
    _weigh(group, base, row, n, slopes, integers, reals, work)
    n_species = integers[N_SPECIES]
    size = lanes(work)
    first = integers[group + P_FIRST]
    second = integers[group + P_SECOND]
    f = (CUTOFFS + 2 * integers[group + P_CUTOFF]) * stride
    shifted = reals[integers[group + P_REAL]] != 0.0
    if shifted:
        _arms(stride, reals[integers[group + P_REAL]], integers, work, whole)
    start = whole[first]
    end = whole[second] + whole[n_species + second]
    zero = spread(work, 0.0)
    n = 0
    for j in range(start, start + whole[n_species + first]):
        if work[f + j] == 0.0:
            continue
        xj = work[X * stride + j]
        yj = work[Y * stride + j]
        zj = work[Z * stride + j]
        energies = zero
        along = zero
        turns = zero
        etas = zero
        gx = zero
        gy = zero
        gz = zero
        begin = whole[second]
        if first == second:
            begin = start + (j + 1 - start) // size * size
        for k in range(begin, end, size):
            mask = from_bits(work, whole[masks])
            masks += 1
            energy = unpack_load(work, base + _ARMS * row + n, mask)
            same = unpack_load(work, base + _F * row + n, mask)
            turn = unpack_load(work, base + _TURN * row + n, mask)
            mix = unpack_load(work, base + _MIX * row + n, mask)
            energies = energies + energy
            along = along + same
            turns = turns + turn
            gx = gx + mix * load(work, X * stride + k)
            gy = gy + mix * load(work, Y * stride + k)
            gz = gz + mix * load(work, Z * stride + k)
            inverse = load(work, INVERSE * stride + k)
            g = load(work, GD * stride + k) + same
            g = g + energy * load(work, f + stride + k) - turn * inverse * inverse
            if shifted:
                eta = unpack_load(work, base + _ETA * row + n, mask)
                etas = etas + eta
                g = g + eta * load(work, STRETCH * stride + k)
            store(work, GD * stride + k, g)
            store(work, GX * stride + k, load(work, GX * stride + k) + mix * xj)
            store(work, GY * stride + k, load(work, GY * stride + k) + mix * yj)
            store(work, GZ * stride + k, load(work, GZ * stride + k) + mix * zj)
            n += count(mask)
        inverse_j = work[INVERSE * stride + j]
        g = total(energies) * work[f + stride + j] + total(along) - total(turns) * inverse_j * inverse_j
        if shifted:
            g += total(etas) * work[STRETCH * stride + j]
        work[GD * stride + j] += g
        work[GX * stride + j] += total(gx)
        work[GY * stride + j] += total(gy)
        work[GZ * stride + j] += total(gz)
