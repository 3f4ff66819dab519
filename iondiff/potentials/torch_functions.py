"""Symmetry functions in torch: the formulas of :mod:`iondiff.descriptors.definitions` as they stand there.

Plain on purpose: gradients come from autograd, so this is also what the compiled kernels are tested against.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from ase.data import atomic_numbers

from iondiff.descriptors import SymmetryFunction

_POLYNOMIALS = {
    1: (1.0, 0.0, -3.0, 2.0),
    2: (1.0, 0.0, 0.0, -10.0, 15.0, -6.0),
    3: (1.0, 0.0, 0.0, 0.0, -35.0, 84.0, -70.0, 20.0),
    4: (1.0, 0.0, 0.0, 0.0, 0.0, -126.0, 420.0, -540.0, 315.0, -70.0),
}


class Edges(NamedTuple):
    """Neighbours of the atoms of one element.

    Attributes
    ----------
    vectors
        (m, 3) Å, from the centre to the neighbour, sorted by centre; what gradients are taken by.
    centre
        (m,), row of the centre.
    element
        (m,), atomic number of the neighbour.
    n_centres
        Number of rows.
    """

    vectors: torch.Tensor
    centre: torch.Tensor
    element: torch.Tensor
    n_centres: int


def raw_functions(functions: Sequence[SymmetryFunction], edges: Edges) -> torch.Tensor:
    """(n_centres, n_functions), not scaled."""
    r = torch.linalg.vector_norm(edges.vectors, dim=1)
    out = r.new_zeros(edges.n_centres, len(functions))
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, f in enumerate(functions):
        key = (f.kind, f.neighbours, f.cutoff, f.cutoff_kind, f.inner, f.core, f.r_low)
        groups.setdefault(key, []).append(k)
    pairs: dict[tuple[object, ...], tuple[torch.Tensor, torch.Tensor]] = {}
    for members in groups.values():
        group = [functions[k] for k in members]
        if group[0].radial:
            rows, values = _radial(group, edges, r)
        else:
            f = group[0]
            support = (f.neighbours, f.cutoff, f.narrow, f.r_low)
            if support not in pairs:
                pairs[support] = _pairs(f, edges, r)
            rows, values = _angular(group, edges, r, *pairs[support])
        sums = r.new_zeros(edges.n_centres, len(group)).index_add(0, rows, values)
        out = out.index_add(1, torch.tensor(members, device=r.device), sums)
    return out


def pairs_of_edges(centre: torch.Tensor, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every two of the chosen edges of one centre, once; `centre` is sorted."""
    index = torch.nonzero(chosen).ravel()
    of_chosen = centre[index]
    _, counts = torch.unique_consecutive(of_chosen, return_counts=True)
    ends = torch.repeat_interleave(torch.cumsum(counts, 0), counts)
    place = torch.arange(len(index), device=centre.device)
    later = ends - place - 1  # how many edges of the same centre follow
    one = torch.repeat_interleave(place, later)
    starts = torch.repeat_interleave(torch.cumsum(later, 0) - later, later)
    other = one + 1 + torch.arange(len(one), device=centre.device) - starts
    return index[one], index[other]


def _parameter(group: Sequence[SymmetryFunction], name: str, like: torch.Tensor) -> torch.Tensor:
    return like.new_tensor(np.array([getattr(f, name) for f in group]))


def _radial(
    group: Sequence[SymmetryFunction], edges: Edges, r: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of the centres and (n, n_group) terms of the sum over neighbours."""
    f = group[0]
    chosen = r < f.cutoff
    if f.polynomial:
        chosen = chosen & (r > f.r_low)
    if not f.weighted:
        chosen = chosen & (edges.element == atomic_numbers[f.neighbours[0]])
    index = torch.nonzero(chosen).ravel()
    r = r[index][:, None]
    if f.polynomial:
        values = _bell(r, f.r_low, f.r_high, f.core).expand(-1, len(group))
    else:
        values = cutoff_function(r, f.cutoff, f.cutoff_kind, f.inner).expand(-1, len(group))
    if f.kind == "G3":
        values = values * torch.cos(_parameter(group, "kappa", r) * r)
    elif f.kind in ("G2", "W2"):
        values = values * torch.exp(-_parameter(group, "eta", r) * (r - _parameter(group, "shift", r)) ** 2)
    if f.weighted:
        values = values * edges.element[index][:, None]
    return edges.centre[index], values


def _angular(
    group: Sequence[SymmetryFunction], edges: Edges, r: torch.Tensor, j: torch.Tensor, k: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of the centres and (n, n_group) terms of the sum over pairs of neighbours j, k."""
    f = group[0]
    r_j, r_k = r[j][:, None], r[k][:, None]
    cosine = (edges.vectors[j] * edges.vectors[k]).sum(1, keepdim=True) / (r_j * r_k)
    sides = [r_j, r_k]
    if f.narrow:
        sides.append(torch.linalg.vector_norm(edges.vectors[k] - edges.vectors[j], dim=1)[:, None])
    if f.polynomial:
        # At 0 and 180 degrees the angle has no derivative by the cosine; the bells are flat there.
        theta = torch.acos(cosine.clamp(-1 + 1e-14, 1 - 1e-14))
        left = torch.deg2rad(_parameter(group, "angle_left", r))
        right = torch.deg2rad(_parameter(group, "angle_right", r))
        values = _bell(theta, left, right, f.core.removesuffix("a"))
        for side in sides:
            values = values * _bell(side, f.r_low, f.r_high, f.core)
    else:
        eta, shift, zeta = (_parameter(group, name, r) for name in ("eta", "shift", "zeta"))
        base = (1 + _parameter(group, "lam", r) * cosine).clamp(min=0)
        exponent = torch.zeros_like(r_j)
        values = 2 ** (1 - zeta) * base**zeta
        for side in sides:
            exponent = exponent - eta * (side - shift) ** 2
            values = values * cutoff_function(side, f.cutoff, f.cutoff_kind, f.inner)
        values = values * torch.exp(exponent)
    if f.weighted:
        values = values * (edges.element[j] * edges.element[k])[:, None]
    return edges.centre[j], values


def _pairs(f: SymmetryFunction, edges: Edges, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of the right elements inside the support of an angular function."""
    inside = r < f.cutoff
    if f.polynomial:
        inside = inside & (r > f.r_low)
    if f.weighted:
        j, k = pairs_of_edges(edges.centre, inside)
    else:
        a, b = (atomic_numbers[s] for s in f.neighbours)
        z = edges.element
        j, k = pairs_of_edges(edges.centre, inside & ((z == a) | (z == b)))
        if a != b:
            mixed = torch.nonzero(z[j] != z[k]).ravel()
            j, k = j[mixed], k[mixed]
    if f.narrow:
        with torch.no_grad():
            r_jk = torch.linalg.vector_norm(edges.vectors[k] - edges.vectors[j], dim=1)
        near = (r_jk < f.cutoff) & (r_jk > (max(f.r_low, 0.0) if f.polynomial else 0.0))
        index = torch.nonzero(near).ravel()
        j, k = j[index], k[index]
    return j, k


def cutoff_function(r: torch.Tensor, cutoff: float, kind: int, inner: float) -> torch.Tensor:
    """n2p2's cutoff functions 0 to 8 at r < cutoff."""
    if kind == 0:
        return torch.ones_like(r)
    if kind in (2, 3):
        norm = 1.0 if kind == 2 else math.tanh(1.0) ** 3
        return torch.tanh(1 - r / cutoff) ** 3 / norm
    x = ((r - inner * cutoff) / (cutoff - inner * cutoff)).clamp(min=0)
    if kind == 1:
        return 0.5 * (torch.cos(math.pi * x) + 1)
    return _core(x, "e" if kind == 4 else f"p{kind - 4}")


def _core(x: torch.Tensor, core: str) -> torch.Tensor:
    """From 1 at 0 to 0 at 1."""
    if core.endswith("a"):
        x = (2 - x) * x
    if core == "e":
        # Where the exponential has underflown its derivative is no number; it is 0 there.
        return torch.exp(1 - 1 / (1 - (x * x).clamp(max=1 - 1 / 600)))
    value = torch.zeros_like(x)
    for coefficient in reversed(_POLYNOMIALS[int(core[1])]):
        value = value * x + coefficient
    return value


def _bell(
    a: torch.Tensor, left: float | torch.Tensor, right: float | torch.Tensor, core: str
) -> torch.Tensor:
    """Compact bell on [left, right]."""
    x = ((a - 0.5 * (left + right)) / (0.5 * (right - left))).abs().clamp(max=1)
    return _core(x, core)
