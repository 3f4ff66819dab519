"""All channels of one atom, forward and back: the two passes between which the network stands."""

from iondiff.descriptors import _kernels_bells, _kernels_moments, _kernels_pairs, _kernels_radial
from iondiff.descriptors._compiling import inner, written_out
from iondiff.descriptors._kernels_stage import clear_gradients, collect_gradients, cutoffs, gather
from iondiff.descriptors._simd import lanes
from iondiff.descriptors._slots import (
    CUTOFFS,
    E_BELLS,
    E_GROUPS,
    E_GROUPS_AT,
    E_SHELLS,
    E_SHELLS_AT,
    E_TERMS,
    E_TERMS_AT,
    E_TERMS_REAL,
    MIXED_ROWS,
    MOMENTS,
    MONOMIALS,
    MOST_CHANNELS,
    MOST_FUNCTIONS,
    MOST_GROUPS,
    MOST_RADIAL,
    MOST_ROWS,
    N_CUTOFFS,
    N_SPECIES,
    P_ETAS,
    SAME_ROWS,
    SHELL_ROWS,
    VECTORS,
)

_FIXED_ROWS = _kernels_pairs.FIXED_ROWS


@inner
def layout(most_neighbours, size, slopes, integers):
    """Where the parts of the scratch arrays start, and how long these are.

    stride; in `work`: radial terms, bells, sums, slopes, vectors, pairs, length; in `whole`: groups, masks,
    length; in `wide`: channels, functions, moments, length; in `work`: densities of shells, monomials.
    `slopes` is the number of rows of slopes.
    """
    n_species = integers[N_SPECIES]
    stride = (most_neighbours + n_species * size + size - 1) // size * size + size
    radial = (CUTOFFS + 2 * integers[N_CUTOFFS]) * stride
    bells = radial + integers[MOST_RADIAL] * stride
    sums = bells + integers[MOST_ROWS] * stride
    slope = sums + integers[MOST_CHANNELS] * size
    vectors = slope + (slopes * integers[MOST_CHANNELS] + size) // size * size
    densities = vectors + integers[VECTORS] * size
    monomials = densities + integers[SHELL_ROWS] * stride
    pairs = monomials + integers[MONOMIALS] * stride
    same = _kernels_pairs.aligned_row(most_neighbours * (most_neighbours + 1) // 2, size)
    mixed = _kernels_pairs.aligned_row(most_neighbours * most_neighbours // 4, size)
    work = pairs + integers[SAME_ROWS] * same + integers[MIXED_ROWS] * mixed + size
    groups = 4 * n_species + 2 * stride
    masks = groups + 4 * integers[MOST_GROUPS]
    whole = masks + integers[MOST_GROUPS] * most_neighbours * (most_neighbours // size + 2)
    channels = 4 * stride
    functions = channels + integers[MOST_CHANNELS]
    moments = functions + integers[MOST_FUNCTIONS]
    wide = moments + integers[MOMENTS] + 8
    return (
        stride, radial, bells, sums, slope, vectors, pairs, work, groups, masks, whole, channels, functions,
        moments, wide, densities, monomials,
    )  # fmt: skip


@written_out
def forward(
    i, element, places, positions, cell, species, first, index, image, integers, reals, work, whole, wide
):
    """Channels of atom i into wide[channels ...]; what the way back needs stays in the scratch arrays."""
    (
        stride,
        radial,
        bells,
        sums,
        _,
        vectors,
        pairs,
        _,
        groups,
        masks,
        _,
        channels_at,
        functions,
        moments,
        _,
        densities,
        monomials,
    ) = places
    size = lanes(work)
    gather(i, stride, positions, cell, species, first, index, image, integers, reals, work, whole, wide)
    cutoffs(stride, integers, reals, work, whole)
    channels = wide[channels_at:functions]
    _kernels_radial.forward(element, stride, radial, integers, reals, work, whole, channels)
    for g in range(integers[element + E_GROUPS]):
        group = integers[integers[element + E_GROUPS_AT] + g]
        row, n_masks = _kernels_pairs.room(group, integers, whole, size)
        whole[groups + 4 * g] = pairs
        whole[groups + 4 * g + 1] = row
        whole[groups + 4 * g + 2] = masks
        whole[groups + 4 * g + 3] = _kernels_pairs.forward(
            group, stride, pairs, row, masks, integers, reals, work, whole, channels
        )
        pairs += row * (_FIXED_ROWS + integers[group + P_ETAS])
        masks += n_masks
    if integers[element + E_SHELLS]:
        _kernels_moments.forward(
            element, stride, monomials, densities, moments, integers, reals, work, whole, wide, channels
        )
    if integers[element + E_BELLS]:
        _kernels_bells.forward(
            integers[element + E_BELLS], stride, bells, vectors, sums, integers, reals, work, whole, channels
        )


@written_out
def combine(element, n_functions, integers, reals, channels, out):
    """Symmetry functions from channels."""
    for f in range(n_functions):
        out[f] = 0.0
    at = integers[element + E_TERMS_AT]
    real = integers[element + E_TERMS_REAL]
    for t in range(integers[element + E_TERMS]):
        out[integers[at + 2 * t]] += reals[real + t] * channels[integers[at + 2 * t + 1]]


@written_out
def distribute(element, n_channels, slopes_at, integers, reals, by_function, work):
    """Derivatives by channels, into work[slopes_at ...], from derivatives by symmetry functions."""
    for c in range(n_channels):
        work[slopes_at + c] = 0.0
    at = integers[element + E_TERMS_AT]
    real = integers[element + E_TERMS_REAL]
    for t in range(integers[element + E_TERMS]):
        work[slopes_at + integers[at + 2 * t + 1]] += reals[real + t] * by_function[integers[at + 2 * t]]


@written_out
def backward(element, places, slopes_at, integers, reals, work, whole, wide, out, begin):
    """out[begin ...]: gradient by the place of each entry of the atom's list, given work[slopes_at ...]."""
    (stride, radial, bells, _, _, vectors, _, _, groups, _, _, _, _, moments, _, densities, monomials) = (
        places
    )
    clear_gradients(stride, integers, work, whole)
    _kernels_radial.backward(element, stride, radial, slopes_at, integers, reals, work, whole)
    for g in range(integers[element + E_GROUPS]):
        group = integers[integers[element + E_GROUPS_AT] + g]
        at = groups + 4 * g
        _kernels_pairs.backward(
            group, stride, whole[at], whole[at + 1], whole[at + 2], whole[at + 3], slopes_at, integers, reals,
            work, whole,
        )  # fmt: skip
    if integers[element + E_SHELLS]:
        asked = moments
        for s in range(integers[element + E_SHELLS]):
            asked += _kernels_moments.room(integers[integers[element + E_SHELLS_AT] + s], integers)
        _kernels_moments.backward(
            element, stride, monomials, densities, vectors, moments, asked, slopes_at, integers, reals, work,
            whole, wide,
        )  # fmt: skip
    if integers[element + E_BELLS]:
        _kernels_bells.backward(
            integers[element + E_BELLS], stride, bells, vectors, slopes_at, integers, reals, work, whole
        )
    collect_gradients(stride, integers, work, whole, out, begin)
