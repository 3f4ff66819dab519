"""Walks without detailed balance: fields, and rings whose prefactors drive them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from kmc import _elimination
from kmc.network import Floats, GraphError
from kmc.rates import Rates

if TYPE_CHECKING:
    from kmc.exact import Component

#: Components up to this size get drift and diffusion from elimination without subtractions.
RENEWAL_UP_TO = 200
#: Components up to this size are solved at all.
FACTOR_UP_TO = 60_000


@dataclass(frozen=True)
class DrivenSolution:
    """One component; velocity (3,) and tensor (3, 3) count its lattice vectors, per second."""

    occupation: Floats
    velocity: Floats
    tensor: Floats
    corrector: Floats
    dissipated: Floats


def solve_driven(rates: Rates, part: Component) -> DrivenSolution:
    """Steady state, drift and diffusion of one component.

    Raises
    ------
    GraphError
        The component is too large, or its rates span more than a float holds.
    """
    n = len(part.sites)
    if n > FACTOR_UP_TO:
        raise GraphError(
            f"{n} connected sites without detailed balance (in a field, for example); their steady state, in which "
            f"walks start too, is found for up to {FACTOR_UP_TO}: take a smaller cell"
        )
    network = rates.network
    local = np.empty(network.n_sites, dtype=np.int64)
    local[part.sites] = np.arange(n)
    source, target = local[network.source[part.hops]], local[network.target[part.hops]]
    exponent = rates.log_rates[part.hops]
    unit = float(exponent.max())
    if unit - exponent.min() > 600:
        raise GraphError(
            f"the rates span e^{unit - exponent.min():.0f} at {rates.temperature} K; "
            "ask for a higher temperature"
        )
    rate = np.exp(exponent - unit)
    windings = part.windings.astype(np.float64)
    away = source != target
    pull = sparse.coo_matrix((rate[away], (source[away], target[away])), shape=(n, n)).tocsr()
    occupied = _elimination.stationary(pull.toarray()) if n <= RENEWAL_UP_TO else _steady_state(pull)
    step = rate[:, None] * windings
    bias = np.zeros((n, 3))
    np.add.at(bias, source, step)
    velocity = occupied @ bias
    chi = _corrector(pull, bias - velocity)
    taken = windings + chi[target] - chi[source]
    flow = occupied[source] * rate
    if n <= RENEWAL_UP_TO:
        velocity, tensor = _elimination.renewal(n, source, target, rate, windings)
    else:
        tensor = 0.5 * np.einsum("e,ea,eb->ab", flow, taken, taken)
    moved = taken @ part.vectors
    hertz = np.exp(unit)
    dissipated = 0.5 * flow * np.einsum("ij,ij->i", moved, moved) * hertz
    return DrivenSolution(occupied, velocity * hertz, tensor * hertz, chi, dissipated)


def _pinned(pull: sparse.csr_matrix) -> sparse.csc_matrix:
    """The generator's negative without its first row and column: an M-matrix."""
    leave = np.asarray(pull.sum(axis=1)).ravel()
    return (sparse.diags(leave) - pull).tocsc()[1:, 1:]


def _steady_state(pull: sparse.csr_matrix) -> Floats:
    inflow = pull[0].toarray().ravel()[1:]
    others = splu(_pinned(pull)).solve(inflow, trans="T")
    occupied = np.concatenate([[1.0], np.maximum(others, 0.0)])
    total = occupied.sum()
    if not np.isfinite(total):
        raise GraphError(
            "the steady state of this driven graph cannot be resolved in double precision; "
            "raise the temperature"
        )
    result: Floats = occupied / total
    return result


def _corrector(pull: sparse.csr_matrix, excess: Floats) -> Floats:
    """χ (n, 3) with Qχ = −excess and χ = 0 on the first site."""
    n = pull.shape[0]
    chi = np.zeros((n, 3))
    if n > 1:
        chi[1:] = splu(_pinned(pull)).solve(excess[1:])
    if not np.isfinite(chi).all():
        raise GraphError("this driven graph cannot be resolved in double precision; raise the temperature")
    return chi
