"""One network of one atom, forward and back, eight nodes at a time."""

import numpy as np
from numba import njit

from iondiff.descriptors._simd import absolute, load, maximum, minimum, select, spread, store
from iondiff.descriptors._vector_math import exp, log, tanh

# A layer in `integers`: inputs, outputs, activation, where W, b and the transpose of W start. Rows of W (one
# an input) and of its transpose (one an output) are filled up to whole vectors with zeros.
LAYER = 6
LETTERS = "ltsprgcSeh"


@njit(cache=True, error_model="numpy")
def _activate(code, z, wide, at, slope_at):
    """Value and slope of activation `code` at the vector z, stored."""
    one = z * 0.0 + 1.0
    if code == 0:
        value, slope = z, one
    elif code == 1:
        value = tanh(z)
        slope = 1.0 - value * value
    elif code in {2, 3, 7}:
        e = exp(absolute(z) * -1.0)
        logistic = select(z < 0.0, e, one) / (1.0 + e)
        opposite = select(z < 0.0, one, e) / (1.0 + e)
        if code == 2:
            value = logistic
            slope = logistic * opposite
        elif code == 3:
            value = maximum(z, 0.0) + log(1.0 + e)
            slope = logistic
        else:
            value = opposite
            slope = logistic * opposite * -1.0
    elif code == 4:
        value = maximum(z, 0.0)
        slope = select(z > 0.0, one, 0.0)
    elif code == 5:
        value = exp(z * z * -0.5)
        slope = z * value * -1.0
    elif code == 8:
        value = exp(minimum(z * -1.0, 700.0))
        slope = value * -1.0
    else:
        value = z * z
        slope = z + z
    store(wide, at, value)
    store(wide, slope_at, slope)


@njit(cache=True, error_model="numpy")
def _times(matrix, n_rows, padded, start, reals, x, x_at, out, out_at):
    """Product out = start + x · matrix, 32 columns at a time: four sums that do not wait for each other."""
    for q in range(0, padded, 32):
        # Where the width is no multiple of 32, the last columns are worked out twice: cheaper than a tail.
        a, b, c, d = q, min(q + 8, padded - 8), min(q + 16, padded - 8), min(q + 24, padded - 8)
        if start >= 0:
            va = load(reals, start + a)
            vb = load(reals, start + b)
            vc = load(reals, start + c)
            vd = load(reals, start + d)
        else:
            va = vb = vc = vd = spread(reals, 0.0)
        w = matrix
        for i in range(n_rows):
            factor = x[x_at + i]
            va = va + load(reals, w + a) * factor
            vb = vb + load(reals, w + b) * factor
            vc = vc + load(reals, w + c) * factor
            vd = vd + load(reals, w + d) * factor
            w += padded
        store(out, out_at + a, va)
        store(out, out_at + b, vb)
        store(out, out_at + c, vc)
        store(out, out_at + d, vd)


@njit(cache=True, error_model="numpy")
def network(layers, n_layers, base, widest, integers, reals, x, scratch, by_input):
    """Output of the network for the inputs x; its derivative by them into `by_input`.

    `scratch` holds (2 n_layers + 1) rows of `widest` numbers; reals[base ...] the weights.
    """
    for layer in range(n_layers):
        at = layers + LAYER * layer
        padded = (integers[at + 1] + 7) // 8 * 8
        row = 2 * layer * widest
        weights = base + integers[at + 3]
        bias = base + integers[at + 4]
        if layer == 0:
            _times(weights, integers[at], padded, bias, reals, x, 0, scratch, row)
        else:
            _times(weights, integers[at], padded, bias, reals, scratch, row - 2 * widest, scratch, row)
        for q in range(0, padded, 8):
            if integers[at + 2] == 6:
                for lane in range(q, q + 8):
                    number = scratch[row + lane]
                    scratch[row + lane] = np.cos(number)
                    scratch[row + widest + lane] = -np.sin(number)
            else:
                _activate(integers[at + 2], load(scratch, row + q), scratch, row + q, row + widest + q)
    output = scratch[2 * (n_layers - 1) * widest]
    delta = 2 * n_layers * widest
    for layer in range(n_layers - 1, -1, -1):
        at = layers + LAYER * layer
        padded = (integers[at] + 7) // 8 * 8
        slopes = (2 * layer + 1) * widest
        # The slopes' row becomes the derivative by what enters the activations.
        if layer < n_layers - 1:
            for o in range(integers[at + 1]):
                scratch[slopes + o] *= scratch[delta + o]
        _times(base + integers[at + 5], integers[at + 1], padded, -1, reals, scratch, slopes, scratch, delta)
    for i in range(integers[layers]):
        by_input[i] = scratch[delta + i]
    return output
