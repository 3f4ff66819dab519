"""Symmetry functions as in the papers, pair by pair: what the compiled ones are tested against."""

import math

import numpy as np
from ase.data import atomic_numbers

from iondiff.neighbours import neighbour_table


def cutoff(kind, r, rc, fraction=0.0):
    if r >= rc:
        return 0.0
    inner = fraction * rc
    x = max((r - inner) / (rc - inner), 0.0)
    return (
        1.0,
        0.5 * (math.cos(math.pi * x) + 1.0),
        math.tanh(1 - r / rc) ** 3,
        (math.tanh(1 - r / rc) / math.tanh(1)) ** 3,
        math.exp(1 - 1 / (1 - x * x)) if x < 1 else 0.0,
        1 + x**2 * (2 * x - 3),
        1 + x**3 * (-10 + x * (15 - 6 * x)),
        1 + x**4 * (-35 + x * (84 + x * (-70 + 20 * x))),
        1 + x**5 * (-126 + x * (420 + x * (-540 + x * (315 - 70 * x)))),
    )[kind]


def bell(core, x, low, high):
    u = abs(x - (low + high) / 2) / ((high - low) / 2)
    if u >= 1:
        return 0.0
    if core.endswith("a"):
        u = (2 - u) * u
    return cutoff({"p1": 5, "p2": 6, "p3": 7, "p4": 8, "e": 4}[core.removesuffix("a")], u, 1.0)


def _radial(f, r):
    if f.polynomial:
        return bell(f.core, r, f.r_low, f.r_high)
    fc = cutoff(f.cutoff_kind, r, f.cutoff, f.inner)
    if f.kind == "G3":
        return math.cos(f.kappa * r) * fc
    return fc if f.kind == "G1" else math.exp(-f.eta * (r - f.shift) ** 2) * fc


def _angular(f, a, b):
    rj, rk, third = np.linalg.norm(a), np.linalg.norm(b), np.linalg.norm(a - b)
    cosine = min(max(a @ b / (rj * rk), -1.0), 1.0)
    sides = [rj, rk, third] if f.narrow else [rj, rk]
    if f.polynomial:
        angle = bell(f.core.removesuffix("a"), math.degrees(math.acos(cosine)), f.angle_left, f.angle_right)
        return angle * math.prod(bell(f.core, side, f.r_low, f.r_high) for side in sides)
    exponent = sum((side - f.shift) ** 2 for side in sides)
    value = 2 ** (1 - f.zeta) * max(1 + f.lam * cosine, 0.0) ** f.zeta * math.exp(-f.eta * exponent)
    return value * math.prod(cutoff(f.cutoff_kind, side, f.cutoff, f.inner) for side in sides)


def function_value(f, arms, symbols):
    """One symmetry function of an atom whose neighbours stand at `arms` (n, 3) from it."""
    z = [atomic_numbers[s] for s in symbols]
    total = 0.0
    for j, a in enumerate(arms):
        if f.radial:
            if f.weighted or symbols[j] == f.neighbours[0]:
                total += (z[j] if f.weighted else 1) * _radial(f, float(np.linalg.norm(a)))
            continue
        for k in range(j):
            if f.weighted:
                total += z[j] * z[k] * _angular(f, a, arms[k])
            elif sorted((symbols[j], symbols[k])) == sorted(f.neighbours):
                total += _angular(f, a, arms[k])
    return total


def functions_of(descriptor, positions, cell, pbc, species):
    """(n, most functions), filled up with zeros; `species` are indices."""
    first, index, image = neighbour_table(
        np.ascontiguousarray(positions),
        np.ascontiguousarray(cell),
        np.asarray(pbc, dtype=bool),
        descriptor.cutoff,
    )
    most = max(len(element) for element in descriptor.elements)
    out = np.zeros((len(positions), most))
    for i in range(len(positions)):
        part = slice(first[i], first[i + 1])
        arms = positions[index[part]] + image[part] @ cell - positions[i]
        symbols = [descriptor.species[s] for s in species[index[part]]]
        for n, f in enumerate(descriptor.elements[species[i]].functions):
            out[i, n] = function_value(f, arms, symbols)
    return out
