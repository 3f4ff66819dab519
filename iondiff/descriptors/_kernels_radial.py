"""Channels of one neighbour: Σ exp(−η (r − r_s)²) f(r) over the neighbours of one element."""

from iondiff.descriptors._compiling import inner
from iondiff.descriptors._simd import lanes, load, spread, store, total
from iondiff.descriptors._slots import (
    CUTOFFS,
    E_RADIAL,
    E_RADIAL_AT,
    E_RADIAL_REAL,
    GD,
    INVERSE,
    N_SPECIES,
    R,
)
from iondiff.descriptors._vector_math import exp


@inner
def forward(element, stride, terms, integers, reals, work, whole, channels):
    """Sums into channels[0 ...]; every term is kept from work[terms] on, a row a channel."""
    at = integers[element + E_RADIAL_AT]
    real = integers[element + E_RADIAL_REAL]
    size = lanes(work)
    n_species = integers[N_SPECIES]
    for c in range(integers[element + E_RADIAL]):
        species = integers[at + 2 * c]
        start = whole[species]
        f = (CUTOFFS + 2 * integers[at + 2 * c + 1]) * stride
        eta = -reals[real + 2 * c]
        shift = reals[real + 2 * c + 1]
        row = terms + c * stride
        sums = spread(work, 0.0)
        for k in range(start, start + whole[n_species + species], size):
            d = load(work, R * stride + k) - shift
            term = exp(d * d * eta) * load(work, f + k)
            store(work, row + k, term)
            sums = sums + term
        channels[c] = total(sums)


@inner
def backward(element, stride, terms, slopes, integers, reals, work, whole):
    """Gradients along the bonds, given the energy's derivative by each channel in work[slopes ...]."""
    at = integers[element + E_RADIAL_AT]
    real = integers[element + E_RADIAL_REAL]
    size = lanes(work)
    n_species = integers[N_SPECIES]
    for c in range(integers[element + E_RADIAL]):
        species = integers[at + 2 * c]
        start = whole[species]
        logarithmic = (CUTOFFS + 2 * integers[at + 2 * c + 1] + 1) * stride
        eta = -2.0 * reals[real + 2 * c]
        shift = reals[real + 2 * c + 1]
        row = terms + c * stride
        slope = work[slopes + c]
        for k in range(start, start + whole[n_species + species], size):
            along = load(work, logarithmic + k) + (1.0 - load(work, INVERSE * stride + k) * shift) * eta
            g = load(work, GD * stride + k)
            store(work, GD * stride + k, g + along * load(work, row + k) * slope)
