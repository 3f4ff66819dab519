"""Wide angular channels Σ_{j<k} c^m g_j g_k without a loop over pairs: moments of the neighbour density.

With u the unit vector to a neighbour and g = exp(−η (r − r_s)²) f(r),

    Σ_jk g_j g_k (u_j·u_k)^m = Σ_{a+b+c=m} m!/(a! b! c!) M_abc²,   M_abc = Σ_j g_j u_x^a u_y^b u_z^c

which grows with the number of neighbours, not with its square. Since u is a unit vector, the moments of the
two highest degrees hold all lower ones: M_abc = M_(a+2)bc + M_a(b+2)c + M_ab(c+2). Pairs of one element count
half, less the pairs of a neighbour with itself.

The monomials of a neighbour are worked out once for all shells of the centre's element, and kept for the way
back. Moments of degree d stand from d (d + 1) (d + 2)/6 on, x^a y^b z^c at t (t + 1)/2 + c with t = d − a;
the multinomial coefficients in the same order behind a shell's η and r_s.
"""

import numpy as np

from iondiff.descriptors._compiling import inner
from iondiff.descriptors._simd import lanes, last_lanes, load, select, spread, store, total
from iondiff.descriptors._slots import (
    CUTOFFS,
    E_SHELLS,
    E_SHELLS_AT,
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
def room(shell, integers):
    """Numbers that a shell keeps: of every element the sum of g² and all moments."""
    return integers[N_SPECIES] * (1 + below(integers[shell + M_DEGREE] + 1))


@inner
def highest(element, integers):
    """Highest degree of all shells of an element."""
    degree = 0
    for s in range(integers[element + E_SHELLS]):
        degree = max(degree, integers[integers[integers[element + E_SHELLS_AT] + s] + M_DEGREE])
    return degree


@inner
def _monomials(top, x, y, z, work, space):
    """Vectors of all monomials up to degree `top`, from work[space] on."""
    size = lanes(work)
    lower = space
    store(work, lower, spread(work, 1.0))
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
def _all_monomials(element, stride, monomials, integers, work, whole):
    """Monomials of every neighbour: those of neighbours k ... from work[monomials + k · their number] on."""
    size = lanes(work)
    top = highest(element, integers)
    step = below(top + 1)
    for k in range(0, whole[3 * integers[N_SPECIES]], size):
        inverse = load(work, INVERSE * stride + k)
        x = load(work, X * stride + k) * inverse
        y = load(work, Y * stride + k) * inverse
        z = load(work, Z * stride + k) * inverse
        _monomials(top, x, y, z, work, monomials + k * step)


@inner
def _densities(species, shell, stride, row, integers, reals, work, whole):
    """Row of g of one element's neighbours; the sum of g²."""
    eta = -reals[integers[shell + M_REAL]]
    shift = reals[integers[shell + M_REAL] + 1]
    f = (CUTOFFS + 2 * integers[shell + M_CUTOFF]) * stride
    squares = spread(work, 0.0)
    start = whole[species]
    for k in range(start, start + whole[integers[N_SPECIES] + species], lanes(work)):
        d = load(work, R * stride + k) - shift
        g = exp(d * d * eta) * load(work, f + k)
        squares = squares + g * g
        store(work, row + k, g)
    return total(squares)


@inner
def _sum_moments(species, shell, step, monomials, row, out, integers, work, whole, wide):
    """All moments of one element into wide[out ...]: the two highest degrees summed, the others from them."""
    size = lanes(work)
    top = integers[shell + M_DEGREE]
    start = whole[species]
    end = start + whole[integers[N_SPECIES] + species]
    zero = spread(work, 0.0)
    low = below(max(top - 1, 0))
    high = below(top + 1)
    for begin in range(low, high, 4):
        q = min(begin, high - 4)  # the last are worked out twice: cheaper than a tail
        a = b = c = d = zero
        at = monomials + start * step + q * size
        for k in range(start, end, size):
            g = load(work, row + k)
            a = a + load(work, at) * g
            b = b + load(work, at + size) * g
            c = c + load(work, at + 2 * size) * g
            d = d + load(work, at + 3 * size) * g
            at += step * size
        wide[out + q] = total(a)
        wide[out + q + 1] = total(b)
        wide[out + q + 2] = total(c)
        wide[out + q + 3] = total(d)
    for degree in range(top - 2, -1, -1):
        here = out + below(degree)
        above = out + below(degree + 2)
        for t in range(degree + 1):
            # x²: t as before; y²: t + 2, c as before; z²: t + 2, c + 2.
            one = t * (t + 1) // 2
            two = above + (t + 2) * (t + 3) // 2
            for c in range(t + 1):
                wide[here + one + c] = wide[above + one + c] + wide[two + c] + wide[two + c + 2]


@inner
def _product(n, weights, one, other, reals, wide):
    """Σ reals[weights + q] wide[one + q] wide[other + q] over n; a vector behind the arrays is read."""
    sums = spread(wide, 0.0)
    for q in range(0, n, 8):
        term = load(reals, weights + q) * load(wide, one + q) * load(wide, other + q)
        sums = sums + (term if q + 8 <= n else select(last_lanes(wide, n - q), 0.0, term))
    return total(sums)


@inner
def forward(element, stride, monomials, rows, moments, integers, reals, work, whole, wide, channels):
    """Sums into `channels`. Kept: monomials, g in work[rows ...], a row a shell, and the moments.

    Moments stand in wide[moments ...], shell by shell an element a row, behind the sums of g²; a negative sum
    marks an element that the shell does not ask for.
    """
    n_species = integers[N_SPECIES]
    _all_monomials(element, stride, monomials, integers, work, whole)
    step = below(highest(element, integers) + 1)
    at = moments
    for s in range(integers[element + E_SHELLS]):
        shell = integers[integers[element + E_SHELLS_AT] + s]
        row = below(integers[shell + M_DEGREE] + 1)
        multinomials = integers[shell + M_REAL] + 2
        density = rows + s * stride
        for e in range(n_species):
            wide[at + e] = -1.0
        for p in range(integers[shell + M_PAIRS]):
            table = shell + M_SIZE + 4 * p
            first = integers[table]
            second = integers[table + 1]
            for side in range(2):
                e = integers[table + side]
                if wide[at + e] < 0.0:
                    wide[at + e] = _densities(e, shell, stride, density, integers, reals, work, whole)
                    out = at + n_species + e * row
                    _sum_moments(e, shell, step, monomials, density, out, integers, work, whole, wide)
            one = at + n_species + first * row
            other = at + n_species + second * row
            for d in range(integers[table + 2] + 1):
                q = below(d)
                n = (d + 1) * (d + 2) // 2
                value = _product(n, multinomials + q, one + q, other + q, reals, wide)
                if first == second:
                    value = 0.5 * (value - wide[at + first])
                channels[integers[table + 3] + d] = value
        at += room(shell, integers)


@inner
def _slopes_of_moments(species, shell, moments, slopes, out, integers, reals, work, wide):
    """Derivatives of the energy by the moments of one element into wide[out ...]; and by −Σ g²/2."""
    n_species = integers[N_SPECIES]
    top = integers[shell + M_DEGREE]
    row = below(top + 1)
    multinomials = integers[shell + M_REAL] + 2
    own = 0.0
    for q in range(0, row, 8):
        store(wide, out + q, spread(wide, 0.0))
    for p in range(integers[shell + M_PAIRS]):
        table = shell + M_SIZE + 4 * p
        first = integers[table]
        second = integers[table + 1]
        if species not in (first, second):
            continue
        other = moments + n_species + (second if species == first else first) * row
        for d in range(integers[table + 2] + 1):
            slope = np.float64(work[slopes + integers[table + 3] + d])
            if first == second:
                own += slope
            n = (d + 1) * (d + 2) // 2
            for q in range(below(d), below(d + 1), 8):
                term = load(reals, multinomials + q) * load(wide, other + q) * slope
                left = below(d) + n - q
                if left < 8:
                    term = select(last_lanes(wide, left), 0.0, term)
                store(wide, out + q, load(wide, out + q) + term)
    for d in range(top - 1):  # what lower degrees ask is asked of the two highest
        here = out + below(d)
        above = out + below(d + 2)
        for t in range(d + 1):
            one = t * (t + 1) // 2
            two = above + (t + 2) * (t + 3) // 2
            # Loops apart: sums into places that overlap would wait for each other.
            for c in range(t + 1):
                wide[above + one + c] += wide[here + one + c]
            for c in range(t + 1):
                wide[two + c] += wide[here + one + c]
            for c in range(t + 1):
                wide[two + c + 2] += wide[here + one + c]
    return own


@inner
def _differentiate(degree, source, out, work, wide):
    """Coefficients of the three derivatives of a homogeneous polynomial, one behind the other."""
    n = degree * (degree + 1) // 2
    for t in range(degree + 1):
        one = source + t * (t + 1) // 2
        along_x = out + t * (t + 1) // 2
        along_y = out + n + (t - 1) * t // 2
        along_z = along_y + n
        if t < degree:
            factor = float(degree - t)
            for c in range(t + 1):
                work[along_x + c] = factor * wide[one + c]
        for c in range(t):
            work[along_y + c] = float(t - c) * wide[one + c]
        for c in range(t):
            work[along_z + c] = float(c + 1) * wide[one + c + 1]


@inner
def _gradients(n, at, monomials, work):
    """The three polynomials of n coefficients each, at one vector of neighbours."""
    size = lanes(work)
    gx = gy = gz = spread(work, 0.0)
    for q in range(n):
        monomial = load(work, monomials + q * size)
        gx = gx + monomial * work[at + q]
        gy = gy + monomial * work[at + n + q]
        gz = gz + monomial * work[at + 2 * n + q]
    return gx, gy, gz


@inner
def backward(
    element, stride, monomials, rows, space, moments, asked, slopes, integers, reals, work, whole, wide
):
    """Gradients, given the derivatives by the channels in work[slopes ...].

    wide[asked ...] and work[space ...] are scratch.
    """
    size = lanes(work)
    n_species = integers[N_SPECIES]
    step = below(highest(element, integers) + 1)
    at = moments
    for s in range(integers[element + E_SHELLS]):
        shell = integers[integers[element + E_SHELLS_AT] + s]
        top = integers[shell + M_DEGREE]
        eta = reals[integers[shell + M_REAL]]
        shift = reals[integers[shell + M_REAL] + 1]
        f = (CUTOFFS + 2 * integers[shell + M_CUTOFF]) * stride
        density = rows + s * stride
        n_high = top * (top + 1) // 2
        n_low = top * (top - 1) // 2
        low = space + 3 * n_high
        for species in range(n_species):
            if wide[at + species] < 0.0:
                continue
            own = _slopes_of_moments(species, shell, at, slopes, asked, integers, reals, work, wide)
            _differentiate(top, asked + below(top), space, work, wide)
            _differentiate(top - 1, asked + below(top - 1), low, work, wide)
            start = whole[species]
            for k in range(start, start + whole[n_species + species], size):
                inverse = load(work, INVERSE * stride + k)
                g = load(work, density + k)
                x = load(work, X * stride + k) * inverse
                y = load(work, Y * stride + k) * inverse
                z = load(work, Z * stride + k) * inverse
                here = monomials + k * step
                gx, gy, gz = _gradients(n_high, space, here + below(top - 1) * size, work)
                radial = gx * x + gy * y + gz * z  # Euler: degree times the polynomial
                value = radial * (1.0 / top)
                if top > 1:
                    hx, hy, hz = _gradients(n_low, low, here + below(top - 2) * size, work)
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
        at += room(shell, integers)
