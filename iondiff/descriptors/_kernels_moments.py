"""Wide angular channels Σ_{j<k} c^m g_j g_k without a loop over pairs: moments of the neighbour density.

With u the unit vector to a neighbour and g = exp(−η (r − r_s)²) f(r),

    Σ_jk g_j g_k (u_j·u_k)^m = Σ_{a+b+c=m} m!/(a! b! c!) M_abc²,   M_abc = Σ_j g_j u_x^a u_y^b u_z^c

which grows with the number of neighbours, not with its square. Since u is a unit vector, the moments of the
two highest degrees hold all lower ones: M_abc = M_(a+2)bc + M_a(b+2)c + M_ab(c+2). Pairs of one element count
half, less the pairs of a neighbour with itself.

Moments of degree d stand from d (d + 1) (d + 2)/6 on, x^a y^b z^c at t (t + 1)/2 + c with t = d − a;
the multinomial coefficients in the same order behind a shell's η and r_s.
"""

import numpy as np

from iondiff.descriptors._compiling import inner
from iondiff.descriptors._simd import lanes, load, spread, store, total
from iondiff.descriptors._slots import (
    CUTOFFS,
    GD,
    GX,
    GY,
    GZ,
    INVERSE,
    M_CUTOFF,
    M_DEGREE,
    M_PAIRS,
    M_REAL,
    M_SIZE,
    N_SPECIES,
    R,
    X,
    Y,
    Z,
)
from iondiff.descriptors._vector_math import exp


@inner
def below(degree):
    """Number of moments of all lower degrees."""
    return degree * (degree + 1) * (degree + 2) // 6


@inner
def _monomials(top, x, y, z, work, space):
    """Vectors of all monomials up to degree `top` from work[space]; those of degree 0 stand there already."""
    size = lanes(work)
    lower = space
    for d in range(1, top + 1):
        n = d * (d + 1) // 2
        upper = lower + n * size
        for q in range(n):
            store(work, upper + q * size, load(work, lower + q * size) * x)
        for q in range(n - d, n):
            store(work, upper + (q + d) * size, load(work, lower + q * size) * y)
        store(work, upper + (n + d) * size, load(work, lower + (n - 1) * size) * z)
        lower = upper


@inner
def _sum_moments(species, stride, shell, space, out, integers, reals, work, whole, wide):
    """All moments of one element into wide[out ...]; the sum of g²."""
    size = lanes(work)
    top = integers[shell + M_DEGREE]
    eta = -reals[integers[shell + M_REAL]]
    shift = reals[integers[shell + M_REAL] + 1]
    f = (CUTOFFS + 2 * integers[shell + M_CUTOFF]) * stride
    low = below(max(top - 1, 0))
    high = below(top + 1)
    sums = space + high * size
    squares = spread(work, 0.0)
    for q in range(low, high):
        store(work, sums + q * size, squares)
    start = whole[species]
    for k in range(start, start + whole[integers[N_SPECIES] + species], size):
        d = load(work, R * stride + k) - shift
        g = exp(d * d * eta) * load(work, f + k)
        squares = squares + g * g
        store(work, space, g)
        inverse = load(work, INVERSE * stride + k)
        x = load(work, X * stride + k) * inverse
        y = load(work, Y * stride + k) * inverse
        z = load(work, Z * stride + k) * inverse
        _monomials(top, x, y, z, work, space)
        for q in range(low, high):
            at = sums + q * size
            store(work, at, load(work, at) + load(work, space + q * size))
    for q in range(low, high):
        wide[out + q] = total(load(work, sums + q * size))
    for d in range(top - 2, -1, -1):
        here = out + below(d)
        above = out + below(d + 2)
        for t in range(d + 1):
            for c in range(t + 1):
                # x²: t as before; y²: t + 2, c as before; z²: t + 2, c + 2.
                moment = wide[above + t * (t + 1) // 2 + c]
                v = t + 2
                moment += wide[above + v * (v + 1) // 2 + c] + wide[above + v * (v + 1) // 2 + c + 2]
                wide[here + t * (t + 1) // 2 + c] = moment
    return total(squares)


@inner
def forward(shell, stride, space, moments, integers, reals, work, whole, wide, channels):
    """Sums into `channels`; moments stay in wide[moments ...], an element a row, behind the sums of g²."""
    n_species = integers[N_SPECIES]
    row = below(integers[shell + M_DEGREE] + 1)
    n_pairs = integers[shell + M_PAIRS]
    multinomials = integers[shell + M_REAL] + 2
    table = shell + M_SIZE
    for e in range(n_species):
        wide[moments + e] = -1.0
    for p in range(n_pairs):
        for side in range(2):
            e = integers[table + 4 * p + side]
            if wide[moments + e] < 0.0:
                wide[moments + e] = _sum_moments(
                    e, stride, shell, space, moments + n_species + e * row, integers, reals, work, whole, wide
                )
    for p in range(n_pairs):
        first = integers[table + 4 * p]
        second = integers[table + 4 * p + 1]
        one = moments + n_species + first * row
        other = moments + n_species + second * row
        for d in range(integers[table + 4 * p + 2] + 1):
            value = 0.0
            for q in range(below(d), below(d + 1)):
                value += reals[multinomials + q] * wide[one + q] * wide[other + q]
            if first == second:
                value = 0.5 * (value - wide[moments + first])
            channels[integers[table + 4 * p + 3] + d] = value


@inner
def _slopes_of_moments(species, shell, moments, slopes, out, integers, reals, work, wide):
    """Derivatives of the energy by the moments of one element into wide[out ...]; and by −Σ g²/2."""
    n_species = integers[N_SPECIES]
    top = integers[shell + M_DEGREE]
    row = below(top + 1)
    table = shell + M_SIZE
    multinomials = integers[shell + M_REAL] + 2
    own = 0.0
    for q in range(row):
        wide[out + q] = 0.0
    for p in range(integers[shell + M_PAIRS]):
        first = integers[table + 4 * p]
        second = integers[table + 4 * p + 1]
        if species not in (first, second):
            continue
        other = moments + n_species + (second if species == first else first) * row
        for d in range(integers[table + 4 * p + 2] + 1):
            slope = np.float64(work[slopes + integers[table + 4 * p + 3] + d])
            if first == second:
                own += slope
            for q in range(below(d), below(d + 1)):
                wide[out + q] += slope * reals[multinomials + q] * wide[other + q]
    for d in range(top - 1):  # what lower degrees ask is asked of the two highest
        here = out + below(d)
        above = out + below(d + 2)
        for t in range(d + 1):
            for c in range(t + 1):
                slope = wide[here + t * (t + 1) // 2 + c]
                v = t + 2
                wide[above + t * (t + 1) // 2 + c] += slope
                wide[above + v * (v + 1) // 2 + c] += slope
                wide[above + v * (v + 1) // 2 + c + 2] += slope
    return own


@inner
def _differentiate(degree, source, out, work, wide):
    """Coefficients of the three derivatives of a homogeneous polynomial, one behind the other."""
    n = degree * (degree + 1) // 2
    for t in range(degree + 1):
        for c in range(t + 1):
            a = degree - t
            b = t - c
            w = wide[source + t * (t + 1) // 2 + c]
            if a > 0:
                work[out + t * (t + 1) // 2 + c] = a * w
            if b > 0:
                work[out + n + (t - 1) * t // 2 + c] = b * w
            if c > 0:
                work[out + 2 * n + (t - 1) * t // 2 + c - 1] = c * w


@inner
def backward(shell, stride, space, moments, asked, slopes, integers, reals, work, whole, wide):
    """Gradients, given the derivatives by the channels in work[slopes ...]; wide[asked ...] is scratch."""
    size = lanes(work)
    n_species = integers[N_SPECIES]
    top = integers[shell + M_DEGREE]
    row = below(top + 1)
    eta = reals[integers[shell + M_REAL]]
    shift = reals[integers[shell + M_REAL] + 1]
    f = (CUTOFFS + 2 * integers[shell + M_CUTOFF]) * stride
    coefficients = space + row * size
    zero = spread(work, 0.0)
    for species in range(n_species):
        if wide[moments + species] < 0.0:
            continue
        own = _slopes_of_moments(species, shell, moments, slopes, asked, integers, reals, work, wide)
        n_high = top * (top + 1) // 2
        n_low = top * (top - 1) // 2
        _differentiate(top, asked + below(top), coefficients, work, wide)
        _differentiate(top - 1, asked + below(top - 1), coefficients + 3 * n_high, work, wide)
        start = whole[species]
        for k in range(start, start + whole[n_species + species], size):
            r = load(work, R * stride + k)
            inverse = load(work, INVERSE * stride + k)
            d = r - shift
            g = exp(d * d * (-eta)) * load(work, f + k)
            dx = load(work, X * stride + k)
            dy = load(work, Y * stride + k)
            dz = load(work, Z * stride + k)
            x = dx * inverse
            y = dy * inverse
            z = dz * inverse
            store(work, space, zero + 1.0)
            _monomials(top - 1, x, y, z, work, space)
            gx = zero
            gy = zero
            gz = zero
            at = coefficients
            monomials = space + below(top - 1) * size
            for q in range(n_high):
                monomial = load(work, monomials + q * size)
                gx = gx + monomial * work[at + q]
                gy = gy + monomial * work[at + n_high + q]
                gz = gz + monomial * work[at + 2 * n_high + q]
            radial = gx * x + gy * y + gz * z  # Euler: degree times the polynomial
            value = radial * (1.0 / top)
            if top > 1:
                at = coefficients + 3 * n_high
                monomials = space + below(top - 2) * size
                hx = zero
                hy = zero
                hz = zero
                for q in range(n_low):
                    monomial = load(work, monomials + q * size)
                    hx = hx + monomial * work[at + q]
                    hy = hy + monomial * work[at + n_low + q]
                    hz = hz + monomial * work[at + 2 * n_low + q]
                lower = hx * x + hy * y + hz * z
                value = value + lower * (1.0 / (top - 1))
                radial = radial + lower
                gx = gx + hx
                gy = gy + hy
                gz = gz + hz
            else:
                value = value + wide[asked]
            value = value - g * own
            turn = g * inverse
            store(work, GX * stride + k, load(work, GX * stride + k) + gx * turn)
            store(work, GY * stride + k, load(work, GY * stride + k) + gy * turn)
            store(work, GZ * stride + k, load(work, GZ * stride + k) + gz * turn)
            along = load(work, f + stride + k) - (1.0 - inverse * shift) * (2.0 * eta)
            along = value * along - radial * inverse * inverse
            store(work, GD * stride + k, load(work, GD * stride + k) + along * g)
