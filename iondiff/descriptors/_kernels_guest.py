"""Symmetry functions of a guest at many points of a frozen host: njit, arrays in, arrays out.

A neighbour list per point is gathered from bins of the host (any cell, also smaller than the cutoff: several
images of one atom are then several neighbours). Radial factors exp(−η(r−s)²) f(r) are computed once per
neighbour and function, so the loop over pairs holds only products and small integer powers.
"""

import numpy as np
from numba import njit, prange


@njit(cache=True, inline="always")
def _cutoff(r, rc):
    """Polynomial cutoff and its derivative."""
    x = r / rc
    return 1.0 + x * x * x * (-10.0 + x * (15.0 - 6.0 * x)), -30.0 * x * x * (1.0 - x) ** 2 / rc


@njit(cache=True)
def gather(point, cell, inverse, bins, starts, positions, rc, out_r, out_u, out_index):
    """Binned atoms within `rc` of a point: distances, unit vectors towards them, indices; their number.

    −1 if the buffers are too small.
    """
    fractional = point @ inverse
    home = np.empty(3, np.int64)
    reach = np.empty(3, np.int64)
    for a in range(3):
        fractional[a] -= np.floor(fractional[a])
        home[a] = min(int(fractional[a] * bins[a]), bins[a] - 1)
        height = 1.0 / np.sqrt(inverse[0, a] ** 2 + inverse[1, a] ** 2 + inverse[2, a] ** 2)
        reach[a] = int(np.ceil(rc * bins[a] / height))
    x = fractional @ cell
    n = 0
    for i in range(home[0] - reach[0], home[0] + reach[0] + 1):
        si = i // bins[0]
        for j in range(home[1] - reach[1], home[1] + reach[1] + 1):
            sj = j // bins[1]
            for k in range(home[2] - reach[2], home[2] + reach[2] + 1):
                sk = k // bins[2]
                b = ((i - si * bins[0]) * bins[1] + (j - sj * bins[1])) * bins[2] + (k - sk * bins[2])
                t0 = si * cell[0, 0] + sj * cell[1, 0] + sk * cell[2, 0] - x[0]
                t1 = si * cell[0, 1] + sj * cell[1, 1] + sk * cell[2, 1] - x[1]
                t2 = si * cell[0, 2] + sj * cell[1, 2] + sk * cell[2, 2] - x[2]
                for m in range(starts[b], starts[b + 1]):
                    d0 = positions[m, 0] + t0
                    d1 = positions[m, 1] + t1
                    d2 = positions[m, 2] + t2
                    r2 = d0 * d0 + d1 * d1 + d2 * d2
                    if r2 < rc * rc:
                        if n == out_r.shape[0]:
                            return -1
                        r = max(np.sqrt(r2), 1e-12)
                        out_r[n] = r
                        out_index[n] = m
                        out_u[n, 0] = d0 / r
                        out_u[n, 1] = d1 / r
                        out_u[n, 2] = d2 / r
                        n += 1
    return n


@njit(cache=True)
def neighbours_by_species(point, capacity, cell, inverse, bins, starts, positions, species, rc):
    """Neighbours of a point in contiguous blocks, one a species: distances, unit vectors, species."""
    r = np.empty(capacity)
    u = np.empty((capacity, 3))
    index = np.empty(capacity, np.int64)
    n = gather(point, cell, inverse, bins, starts, positions, rc, r, u, index)
    order = np.argsort(species[index[:n]], kind="mergesort")
    return r[:n][order], u[:n][order], species[index[:n]][order]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def describe(r, u, s, radial_species, radial, angular_species, angular, powers, G, dG):
    """Fill G (n_functions,) and dG (n_functions, 3), the gradient with respect to the centre's position."""
    n = r.shape[0]
    factor = np.empty(n)
    slope = np.empty(n)
    n_radial = radial.shape[0]
    for f in range(n_radial):
        eta, shift, rc = radial[f]
        g = 0.0
        g0 = 0.0
        g1 = 0.0
        g2 = 0.0
        for j in range(n):
            if s[j] == radial_species[f] and r[j] < rc:
                fc, dfc = _cutoff(r[j], rc)
                x = r[j] - shift
                e = np.exp(-eta * x * x)
                g += e * fc
                # u points from the centre to the neighbour: moving the centre along u shortens r.
                w = -e * (dfc - 2.0 * eta * x * fc)
                g0 += w * u[j, 0]
                g1 += w * u[j, 1]
                g2 += w * u[j, 2]
        G[f] = g
        dG[f, 0] = g0
        dG[f, 1] = g1
        dG[f, 2] = g2
    for f in range(angular.shape[0]):
        eta, shift, rc = angular[f]
        first, second = angular_species[f]
        lam = float(powers[f, 0])
        zeta = powers[f, 1]
        for j in range(n):
            factor[j] = 0.0
            if (s[j] == first or s[j] == second) and r[j] < rc:
                fc, dfc = _cutoff(r[j], rc)
                x = r[j] - shift
                e = np.exp(-eta * x * x)
                factor[j] = e * fc
                slope[j] = e * (dfc - 2.0 * eta * x * fc)
        g = 0.0
        g0 = 0.0
        g1 = 0.0
        g2 = 0.0
        for j in range(n):
            if s[j] != first or factor[j] == 0.0:
                continue
            for k in range(j + 1 if first == second else 0, n):
                if s[k] != second or factor[k] == 0.0:
                    continue
                c = u[j, 0] * u[k, 0] + u[j, 1] * u[k, 1] + u[j, 2] * u[k, 2]
                base = max(1.0 + lam * c, 0.0)
                power = 1.0
                for _ in range(zeta - 1):
                    power *= base
                radial_part = factor[j] * factor[k]
                angle = power * base
                g += angle * radial_part
                dc = zeta * power * lam * radial_part
                wj = -angle * slope[j] * factor[k] + dc * (c / r[j] - 1.0 / r[k])
                wk = -angle * slope[k] * factor[j] + dc * (c / r[k] - 1.0 / r[j])
                g0 += wj * u[j, 0] + wk * u[k, 0]
                g1 += wj * u[j, 1] + wk * u[k, 1]
                g2 += wj * u[j, 2] + wk * u[k, 2]
        scale = 2.0 ** (1 - zeta)
        G[n_radial + f] = scale * g
        dG[n_radial + f, 0] = scale * g0
        dG[n_radial + f, 1] = scale * g1
        dG[n_radial + f, 2] = scale * g2


@njit(cache=True, parallel=True)
def describe_points(
    points, capacity, cell, inverse, bins, starts, positions, species, rc,
    radial_species, radial, angular_species, angular, powers,
):  # fmt: skip
    """G (n, m) and dG (n, m, 3) of every point; points are independent, threads do not change a bit."""
    count = points.shape[0]
    m = radial.shape[0] + angular.shape[0]
    G = np.empty((count, m))
    dG = np.empty((count, m, 3))
    for p in prange(count):
        r, u, s = neighbours_by_species(
            points[p], capacity, cell, inverse, bins, starts, positions, species, rc
        )
        describe(r, u, s, radial_species, radial, angular_species, angular, powers, G[p], dG[p])
    return G, dG


@njit(cache=True)
def count_neighbours(points, cell, inverse, bins, starts, positions, rc):
    """Largest number of neighbours of any of `points`; sizes the buffers."""
    capacity = 64
    largest = 0
    for p in range(points.shape[0]):
        n = -1
        while n < 0:
            n = gather(
                points[p], cell, inverse, bins, starts, positions, rc,
                np.empty(capacity), np.empty((capacity, 3)), np.empty(capacity, np.int64),
            )  # fmt: skip
            if n < 0:
                capacity *= 2
        largest = max(largest, n)
    return largest
