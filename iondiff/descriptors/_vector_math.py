"""Exponential, logarithm, powers and cutoff functions of vectors (:mod:`iondiff.descriptors._simd`).

Polynomials interpolate at Chebyshev nodes (coefficients from 60-digit arithmetic): errors below one unit in
the last place of the precision they serve. Nothing here may be compiled with fast-math: the rounding to a
whole number in `exp` would be simplified away.
"""

from iondiff.descriptors._compiling import always_inlined, inner
from iondiff.descriptors._simd import (
    absolute,
    maximum,
    minimum,
    scale_by_power,
    select,
    split_power,
    sqrt,
    width,
)

_LOG2E = 1.4426950408889634
_MAGIC_64 = 6755399441055744.0  # 1.5 · 2^52
_MAGIC_32 = 12582912.0  # 1.5 · 2^23


@always_inlined
def exp(x):
    """e^x for x up to about 80; below -700 (single: -86) as there."""
    if width(x) == 8:
        x = maximum(x, -700.0)
        t = x * _LOG2E + _MAGIC_64
        k = t - _MAGIC_64
        r = x - k * 0.6931467056274414
        r = r - k * 4.7493250390316726e-07
        p = r * 2.5110037605963777e-08 + 2.763263963904103e-07
        p = p * r + 2.755724091857897e-06
        p = p * r + 2.4801485482328494e-05
        p = p * r + 1.9841269890047113e-04
        p = p * r + 1.3888888952314775e-03
        p = p * r + 8.333333333319601e-03
        p = p * r + 4.16666666664881e-02
        p = p * r + 0.1666666666666668
        p = p * r + 0.5000000000000019
    else:
        x = maximum(x, -86.0)
        t = x * _LOG2E + _MAGIC_32
        k = t - _MAGIC_32
        r = x - k * 0.693359375
        r = r + k * 2.1219444005469057e-4
        p = r * 0.0013941108433972674 + 0.008375126398153335
        p = p * r + 0.04166635289677516
        p = p * r + 0.16666415514653277
        p = p * r + 0.5000000047117757
    p = p * r + 1.0
    p = p * r + 1.0
    return scale_by_power(p, t)


@always_inlined
def log(x):
    """Natural logarithm of positive normal numbers."""
    m, k = split_power(x)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    if width(x) == 8:
        p = z * 0.13262103674021808 + 0.13248763083460116
        p = p * z + 0.1538716092613408
        p = p * z + 0.18181773738016305
        p = p * z + 0.2222222267692954
        p = p * z + 0.2857142856881913
        p = p * z + 0.40000000000007496
        p = p * z + 0.6666666666666666
        p = p * z + 2.0
    else:
        p = z * 0.29924390479144986 + 0.3997485051751905
        p = p * z + 0.6666681533815119
        p = p * z + 1.9999999986313182
    return p * s + k * 4.7493250390316726e-07 + k * 0.6931467056274414


@always_inlined
def tanh_unit(u):
    """Hyperbolic tangent of u for 0 ≤ u ≤ 1, where no exponential is needed."""
    z = u * u
    if width(u) == 8:
        p = z * -6.20675330545365e-08 + 6.496857637862531e-07
        p = p * z + -3.402993826979274e-06
        p = p * z + 1.2306805295349983e-05
        p = p * z + -3.603918536997382e-05
        p = p * z + 9.472256075732066e-05
        p = p * z + -0.00023801236323479905
        p = p * z + 0.0005896028950856166
        p = p * z + -0.00145571559077928
        p = p * z + 0.003592104115230281
        p = p * z + -0.008863232181130274
        p = p * z + 0.021869488226930838
        p = p * z + -0.05396825395091773
        p = p * z + 0.13333333333282113
        p = p * z + -0.3333333333333273
        p = p * z + 1.0
    else:
        p = z * 0.0010380250966943723 + -0.006194324833570898
        p = p * z + 0.02027970828551772
        p = p * z + -0.053451646369658046
        p = p * z + 0.13325076146099152
        p = p * z + -0.3333282797859884
        p = p * z + 0.9999999486445696
    return p * u


@always_inlined
def _sine_cosine_pi(y):
    """Sine and cosine of πy for |y| ≤ ½."""
    z = y * y
    s = z * 7.697826768224191e-07 + -2.1903497074626018e-05
    s = s * z + 0.0004662998161898394
    s = s * z + -0.007370430505916944
    s = s * z + 0.0821458865731029
    s = s * z + -0.5992645293189447
    s = s * z + 2.5501640398773007
    s = s * z + -5.167712780049969
    s = s * z + 3.141592653589793
    c = z * -3.4909567931313014e-09 + 1.3784308630266331e-07
    c = c * z + -4.26858161465462e-06
    c = c * z + 0.00010357095324135639
    c = c * z + -0.00190368157015508
    c = c * z + 0.025330970997384454
    c = c * z + -0.22899788760954157
    c = c * z + 1.278013296952204
    c = c * z + -3.7392088021787173
    c = c * z + 4.0
    return s * y, c * (0.25 - z)


@always_inlined
def cutoff(kind, r, rc, inner):  # noqa: PLR0911 - one formula a kind
    """Cutoff function of n2p2's number `kind` and its derivative, for 0 ≤ r < rc; `inner` is a distance."""
    zero = r * 0.0
    if kind == 0:
        return zero + 1.0, zero
    if kind == 2 or kind == 3:  # noqa: PLR1714 - a set would be built anew for every vector
        t = tanh_unit(maximum(1.0 - r * (1.0 / rc), 0.0))
        # tanh³(1) in kind 3: the function is 1 at the origin.
        scale = 1.0 if kind == 2 else 2.2637537952253513
        t2 = t * t
        return t2 * t * scale, t2 * (t2 - 1.0) * (3.0 * scale / rc)
    slope = 1.0 / (rc - inner)
    x = minimum(maximum((r - inner) * slope, 0.0), 1.0)
    if kind == 1:
        s, c = _sine_cosine_pi(x * 0.5)
        return c * c, s * c * (-3.141592653589793 * slope)
    x2 = x * x
    # In powers of 1 - x, so that the function keeps its digits where it vanishes.
    y = 1.0 - x
    if kind == 4:
        g = 1.0 / maximum(y * (1.0 + x), 1e-9)
        f = exp(maximum(1.0 - g, -80.0))
        return f, f * g * g * x * (-2.0 * slope)
    y2 = y * y
    if kind == 5:
        return y2 * (1.0 + 2.0 * x), x * y * (-6.0 * slope)
    if kind == 6:
        return y2 * y * (1.0 + x * (3.0 + x * 6.0)), x2 * y2 * (-30.0 * slope)
    if kind == 7:
        return y2 * y2 * (1.0 + x * (4.0 + x * (10.0 + x * 20.0))), x2 * x * y2 * y * (-140.0 * slope)
    f = y2 * y2 * y * (1.0 + x * (5.0 + x * (15.0 + x * (35.0 + x * 70.0))))
    return f, x2 * x2 * y2 * y2 * (-630.0 * slope)


@always_inlined
def whole_power(base, exponent):
    """base^exponent for a whole exponent of at least 1, by squaring."""
    while exponent & 1 == 0:
        base = base * base
        exponent >>= 1
    result = base
    exponent >>= 1
    while exponent > 0:
        base = base * base
        if exponent & 1:
            result = result * base
        exponent >>= 1
    return result


@always_inlined
def power(base, exponent):
    """base^exponent for base ≥ 0; whole exponents by squaring, others by a logarithm."""
    whole = int(exponent)
    if whole == exponent and whole >= 1:
        return whole_power(base, whole)
    return exp(maximum(log(maximum(base, 1e-37)) * exponent, -80.0))


@always_inlined
def tanh(x):
    """Hyperbolic tangent of any number, without loss near zero."""
    y = minimum(maximum(x, -20.0), 20.0)
    e = exp(y + y)
    far = (e - 1.0) / (e + 1.0)
    near = tanh_unit(minimum(maximum(y, -0.5), 0.5))
    return select(y * y < 0.25, near, far)


@always_inlined
def angle(c, sine):
    """Angle of a cosine and a sine, which keeps the digits that the cosine has lost near 0 and π."""
    a = minimum(absolute(c), 1.0)
    large = a > 0.5
    s = select(large, sine / sqrt(2.0 + 2.0 * a), a)  # sine of half the angle
    z = s * s
    if width(c) == 8:
        p = z * 0.03187962140081284 + -0.016187392271599134
        p = p * z + 0.019513468251252167
        p = p * z + 0.0065293020047365695
        p = p * z + 0.012170138592391726
        p = p * z + 0.01388484282640208
        p = p * z + 0.01735977964134998
        p = p * z + 0.022371749733164054
        p = p * z + 0.03038195969768514
        p = p * z + 0.044642856805998936
        p = p * z + 0.07500000000385201
        p = p * z + 0.16666666666664942
        p = p * z + 1.0
    else:
        p = z * 0.050357681931844235 + 0.03979444325491703
        p = p * z + 0.07545345579877545
        p = p * z + 0.1666521958644291
        p = p * z + 1.0000000726414175
    p = p * s
    acute = select(large, p + p, 1.5707963267948966 - p)
    return select(c < 0.0, 3.141592653589793 - acute, acute)


@inner
def bell(core, bent, x, low, high):
    """Bell core(|x − middle| / half width) on [low, high] and its derivative; `bent`: core((2 − u) u)."""
    half = 0.5 * (high - low)
    d = (x - 0.5 * (high + low)) * (1.0 / half)
    u = absolute(d)
    inside = u < 1.0
    u = minimum(u, 1.0)
    slope = 1.0 / half
    v = u
    if bent:
        v = (2.0 - u) * u
    f, df = cutoff(core, v, 1.0, 0.0)
    if bent:
        df = df * (1.0 - u) * 2.0
    df = select(d < 0.0, df * (-slope), df * slope)
    return select(inside, f, 0.0), select(inside, df, 0.0)
