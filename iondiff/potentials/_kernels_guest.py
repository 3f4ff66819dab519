"""Energy and gradient of a guest at many points: functions, networks and correction in one pass."""

import numpy as np
from numba import njit, prange

from iondiff.descriptors._kernels_guest import describe, gather, neighbours_by_species


@njit(cache=True, error_model="numpy")
def network(x, weights, sizes, dx, activations, slopes, sensitivities):
    """One tanh network: value, and its gradient with respect to the input in `dx`.

    `weights` holds W (row by row) and b of every layer in turn; the three work arrays are (n_layers, widest).
    """
    n_layers = sizes.shape[0] - 1
    offset = 0
    for layer in range(n_layers):
        n_in = sizes[layer]
        n_out = sizes[layer + 1]
        for i in range(n_out):
            total = weights[offset + n_out * n_in + i]
            row = offset + i * n_in
            for j in range(n_in):
                total += weights[row + j] * (x[j] if layer == 0 else activations[layer - 1, j])
            if layer < n_layers - 1:
                total = np.tanh(total)
                slopes[layer, i] = 1.0 - total * total
            activations[layer, i] = total
        offset += n_out * (n_in + 1)
    sensitivities[n_layers - 1, 0] = 1.0
    for layer in range(n_layers - 1, -1, -1):
        n_in = sizes[layer]
        n_out = sizes[layer + 1]
        offset -= n_out * (n_in + 1)
        for j in range(n_in):
            total = 0.0
            for i in range(n_out):
                total += sensitivities[layer, i] * weights[offset + i * n_in + j]
            if layer == 0:
                dx[j] = total
            else:
                sensitivities[layer - 1, j] = total * slopes[layer - 1, j]
    return activations[n_layers - 1, 0]


@njit(cache=True, error_model="numpy")
def wendland(r):
    """C6 function of Wendland (1995), three dimensions, r over its support: φ, φ′/r, (φ″ − φ′/r)/r²."""
    o = 1.0 - r
    o2 = o * o
    o6 = o2 * o2 * o2
    value = o6 * o2 * (1.0 + r * (8.0 + r * (25.0 + 32.0 * r)))
    first = -22.0 * o6 * o * (1.0 + r * (7.0 + 16.0 * r))
    second = 528.0 * o6 * (1.0 + 6.0 * r)
    return value, first, second


@njit(cache=True)
def correction(point, capacity, cell, inverse, bins, starts, positions, coefficients, support, gradient):
    """Kernel correction at one point, its gradient added to `gradient`: Σ α φ + β·∂φ/∂(centre)."""
    r = np.empty(capacity)
    u = np.empty((capacity, 3))
    index = np.empty(capacity, np.int64)
    n = gather(point, cell, inverse, bins, starts, positions, support, r, u, index)
    energy = 0.0
    for j in range(n):
        value, first, second = wendland(r[j] / support)
        first /= support**2
        second /= support**4
        c = coefficients[index[j]]
        d0 = -r[j] * u[j, 0]
        d1 = -r[j] * u[j, 1]
        d2 = -r[j] * u[j, 2]
        along = c[1] * d0 + c[2] * d1 + c[3] * d2
        energy += c[0] * value - first * along
        w = c[0] * first - second * along
        gradient[0] += w * d0 - first * c[1]
        gradient[1] += w * d1 - first * c[2]
        gradient[2] += w * d2 - first * c[3]
    return energy


@njit(cache=True, parallel=True, error_model="numpy")
def evaluate(points, wall, host, functions, scaling, weights, sizes, scale, corrector):
    """Mean energy (n,) and gradient (n, 3), and the energies of the members (n, n_members).

    Points nearer than `wall` to a host atom get an infinite energy and a zero gradient.
    """
    capacity, cell, inverse, bins, starts, positions, species, rc = host
    radial_species, radial, angular_species, angular, powers = functions
    centre, inverse_width = scaling
    k_capacity, _, _, k_bins, k_starts, k_positions, k_coefficients, k_support = corrector
    count = points.shape[0]
    m = radial.shape[0] + angular.shape[0]
    n_members = weights.shape[0]
    widest = sizes.max()
    energies = np.empty(count)
    gradients = np.zeros((count, 3))
    members = np.empty((count, n_members))
    for p in prange(count):
        r, u, s = neighbours_by_species(
            points[p], capacity, cell, inverse, bins, starts, positions, species, rc
        )
        if r.shape[0] and r.min() < wall:
            energies[p] = np.inf
            members[p] = np.inf
            continue
        G = np.empty(m)
        dG = np.empty((m, 3))
        describe(r, u, s, radial_species, radial, angular_species, angular, powers, G, dG)
        for f in range(m):
            G[f] = (G[f] - centre[f]) * inverse_width[f]
        dE = np.empty(m)
        activations = np.empty((sizes.shape[0], widest))
        slopes = np.empty((sizes.shape[0], widest))
        sensitivities = np.empty((sizes.shape[0], widest))
        extra = np.zeros(3)
        shift = 0.0
        if k_positions.shape[0]:
            shift = correction(
                points[p],
                k_capacity,
                cell,
                inverse,
                k_bins,
                k_starts,
                k_positions,
                k_coefficients,
                k_support,
                extra,
            )
        energy = 0.0
        for member in range(n_members):
            value = scale[0] + scale[1] * network(
                G, weights[member], sizes, dE, activations, slopes, sensitivities
            )
            members[p, member] = value + shift
            energy += value / n_members
            for f in range(m):
                w = scale[1] * dE[f] * inverse_width[f] / n_members
                for a in range(3):
                    gradients[p, a] += w * dG[f, a]
        energies[p] = energy + shift
        for a in range(3):
            gradients[p, a] += extra[a]
    return energies, gradients, members
