"""What a hopping graph conducts, without a random number.

With πQ = 0, b_i = Σ_e w_e d_e and v = π·b, solve Qχ = −(b − v); then
D = ½ Σ_e π_i w_e (d_e + χ_j − χ_i)(d_e + χ_j − χ_i)ᵀ, e running over all hops. A hop contributes the part of
its displacement that the walk does not take back.

Three things make the numbers exact in the small and robust in the large. Sites are first carried, by whole
lattice vectors, along the strongest spanning forest into one cell, so that hops which only rattle have
displacement zero, not nearly zero. The loops that remain are counted in lattice vectors adapted to the
graph, fastest winding first, so that a slow direction is never the small difference of two fast ones, and a
direction that does not percolate is exactly zero. Small graphs are then eliminated site by site without
subtractions (`kmc._elimination`), large ones solved by preconditioned conjugate gradients (`kmc._laplacian`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from kmc import _elimination, _laplacian
from kmc._driven import solve_driven
from kmc._windings import adapted_coordinates, winding_basis
from kmc.network import Floats, Graph, GraphError, Integers, Network, compile_graph
from kmc.rates import BarrierModel, Rates, component_log_sum, hop_rates

CM2_PER_A2 = 1e-16
#: Components up to this size are eliminated exactly.
ELIMINATE_UP_TO = 1200
#: Relative residual, in the energy norm, at which conjugate gradients stop; the error of D is its square.
SOLVER_TOLERANCE = 1e-9
#: ... and at which the answer is still given; above it, the solution is refused.
ACCEPTED_RESIDUAL = 1e-5
#: Conductances are scaled to 1 between the fastest and slowest percolating direction and kept below exp(600).
LARGEST_EXPONENT = 600.0


@dataclass(frozen=True)
class Component:
    """A connected part of the graph that percolates, in coordinates adapted to it.

    Attributes
    ----------
    sites
        (n,), indices into the network.
    hops
        (m,), indices into the network.
    rank
        In how many directions it percolates, 1 to 3.
    vectors
        (3, 3), Å: the lattice vectors in which `windings` count, fastest winding first; unimodular to the
        cell.
    windings
        (m, 3), whole numbers: what each hop winds once sites are carried into one cell along the strongest
        forest.
    """

    index: int
    sites: Integers
    hops: Integers
    rank: int
    vectors: Floats
    windings: Integers


@dataclass(frozen=True)
class Solution:
    """Transport of one carrier, exactly.

    Attributes
    ----------
    rates
        The rates it belongs to.
    occupation
        (n,), sums to 1.
    tensor
        (3, 3), cm²/s.
    drift
        (3,), cm/s.
    corrector
        (n, 3), Å: position + corrector is a martingale of the walk; within a component up to a constant.
    share
        (m,), part of the trace of the tensor that each hop dissipates; sums to 1, or all zero where nothing
        percolates.
    residual
        Largest relative residual of the linear solves (energy norm); 0 where sites were eliminated exactly.
    components
        The percolating components.
    component_tensors
        (len(components), 3, 3), cm²/s, of a carrier known to be in that component.
    component_weights
        (len(components),), probability of a carrier to be there.
    """

    rates: Rates
    occupation: Floats
    tensor: Floats
    drift: Floats
    corrector: Floats
    share: Floats
    residual: float
    components: tuple[Component, ...]
    component_tensors: Floats
    component_weights: Floats


def solve(
    graph: Graph | Network,
    temperature: float,
    *,
    field: Sequence[float] | Floats | None = None,
    charge: float = 1.0,
    prefactor: str = "graph",
    barriers: BarrierModel | None = None,
) -> Solution:
    """Everything the linear algebra knows about one carrier on a periodic graph.

    Parameters
    ----------
    graph
        A hopping graph, or one already compiled.
    temperature
        K.
    field, charge, prefactor, barriers
        As in `kmc.rates.hop_rates`: V/Å, e, "graph" or "eyring", callable.

    Raises
    ------
    GraphError
        The graph is not sound, the temperature not above zero, or the answer is below what a float can hold.
    """
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    rates = hop_rates(
        network, temperature, field=field, charge=charge, prefactor=prefactor, barriers=barriers
    )
    return solve_rates(rates)


def solve_rates(rates: Rates) -> Solution:
    """`solve` for rates that are already at hand."""
    network = rates.network
    log_sums = component_log_sum(rates.log_weights, rates.component)
    log_total = _log_sum(log_sums)
    occupation = np.exp(rates.log_weights - log_total)
    corrector = rates.offset @ network.cell - network.positions
    dissipated = np.zeros(network.n_hops)
    components = tuple(percolating_components(rates))
    tensors = np.zeros((len(components), 3, 3))
    weights = np.exp(log_sums[[part.index for part in components]] - log_total) if components else np.zeros(0)
    drift = np.zeros(3)
    residual = 0.0
    for row, part in enumerate(components):
        if rates.driven[part.index]:
            solved = solve_driven(rates, part)
            occupation[part.sites] = solved.occupation * weights[row]
            drift += weights[row] * solved.velocity @ part.vectors * 1e-8
            tensor, chi, flow, scale = solved.tensor, solved.corrector, solved.dissipated, 0.0
        else:
            tensor, chi, flow, scale, reached = _solve_balanced(rates, part)
            residual = max(residual, reached)
            scale -= log_sums[part.index]
        cartesian = part.vectors.T @ tensor @ part.vectors
        cartesian = 0.5 * (cartesian + cartesian.T) * CM2_PER_A2
        tensors[row] = _descaled(cartesian, scale, rates.temperature)
        corrector[part.sites] += chi @ part.vectors
        dissipated[part.hops] = flow * np.exp(scale) * CM2_PER_A2 * weights[row]
    tensor = np.einsum("c,cij->ij", weights, tensors)
    total = dissipated.sum()
    return Solution(
        rates=rates,
        occupation=occupation,
        tensor=tensor,
        drift=drift,
        corrector=corrector,
        share=dissipated / total if total > 0 else dissipated,
        residual=residual,
        components=components,
        component_tensors=tensors,
        component_weights=weights,
    )


def diffusion_tensor(
    graph: Graph | Network,
    temperature: float,
    *,
    field: Sequence[float] | Floats | None = None,
    charge: float = 1.0,
    prefactor: str = "graph",
    barriers: BarrierModel | None = None,
) -> Floats:
    """Diffusion tensor of one carrier: (3, 3), cm²/s, exact.

    The carrier starts in equilibrium: Boltzmann-distributed over all sites, so every disconnected component
    counts with its weight. Directions in which nothing percolates are exactly zero. In a field, or on a
    graph without detailed balance, this is the spreading around the mean drift.

    Parameters
    ----------
    graph
        A hopping graph (contract 2).
    temperature
        K.
    field, charge, prefactor, barriers
        As in `kmc.rates.hop_rates`.

    Raises
    ------
    GraphError
        Names the node, edge or argument that does not fit.
    """
    return solve(
        graph, temperature, field=field, charge=charge, prefactor=prefactor, barriers=barriers
    ).tensor


def occupation(graph: Graph | Network, temperature: float, **options: Any) -> pd.Series[float]:
    """Probability of finding the carrier at each site, in the steady state; indexed by node.

    Takes the arguments of `diffusion_tensor`.
    """
    solution = solve(graph, temperature, **options)
    labels = pd.Index(list(solution.rates.network.labels), dtype=object, name="node")
    return pd.Series(solution.occupation, index=labels, name="occupation")


def activation_energy(graph: Graph | Network, temperature: float) -> float:
    """Activation energy −d ln D / d(1/kT) of the isotropic D at a temperature, eV, as an exact derivative.

    The corrector is stationary, so only the conductances need differentiating: E = Σ_hops share · saddle
    energy − ⟨site energy⟩. Which barriers matter is therefore the column `share` of `current_hops`.

    Raises
    ------
    GraphError
        Nothing percolates, so that D is zero and has no activation energy; or the graph is driven.
    """
    solution = solve(graph, temperature)
    network = solution.rates.network
    if not solution.components:
        raise GraphError(
            "the graph does not percolate in any direction: D is zero and has no activation energy"
        )
    if any(solution.rates.driven[part.index] for part in solution.components):
        raise GraphError("the graph has no detailed balance: fit D(T) instead, or correct its prefactors")
    return float(solution.share @ network.saddle_energy - solution.occupation @ network.energies)


def current_hops(graph: Graph | Network, temperature: float) -> pd.DataFrame:
    """Hops that carry the current, most important first.

    Returns
    -------
    pandas.DataFrame
        Columns source, target, key, image, barrier (eV), saddle_energy (eV), share: the part of the trace of
        D that is dissipated in this hop and its reverse together. Each such pair is one row; hops without
        any share are left out.
    """
    solution = solve(graph, temperature)
    network = solution.rates.network
    pair = np.nonzero(np.arange(network.n_hops) < network.reverse)[0]
    share = solution.share[pair] + solution.share[network.reverse[pair]]
    pair, share = pair[share > 0], share[share > 0]
    ranked = np.argsort(-share, kind="stable")
    pair, share = pair[ranked], share[ranked]
    return pd.DataFrame(
        {
            "source": pd.Series([network.labels[i] for i in network.source[pair]], dtype=object),
            "target": pd.Series([network.labels[i] for i in network.target[pair]], dtype=object),
            "key": pd.Series([network.keys[hop] for hop in pair], dtype=object),
            "image": pd.Series([tuple(row) for row in network.image[pair].tolist()], dtype=object),
            "barrier": network.barrier[pair],
            "saddle_energy": network.saddle_energy[pair],
            "share": share,
        }
    )


def percolating_components(rates: Rates) -> Iterator[Component]:
    """The components that lead somewhere, each in its adapted coordinates, in order of their first site."""
    network = rates.network
    if not network.n_hops:
        return
    windings = network.image + rates.offset[network.target] - rates.offset[network.source]
    order = np.argsort(-rates.log_conductances, kind="stable")
    home = rates.component[network.source]
    basis, rank = winding_basis(int(rates.component.max()) + 1, home, windings, order)
    sites = _groups(rates.component, len(rank))
    hops = _groups(home, len(rank))
    for index in np.nonzero(rank)[0]:
        transform, vectors = adapted_coordinates(basis[index][: rank[index]], network.cell)
        own = hops[index]
        yield Component(int(index), sites[index], own, int(rank[index]), vectors, windings[own] @ transform)


def _groups(label: Integers, count: int) -> list[Integers]:
    order = np.argsort(label, kind="stable")
    return np.split(order, np.cumsum(np.bincount(label, minlength=count))[:-1])


def _solve_balanced(rates: Rates, part: Component) -> tuple[Floats, Floats, Floats, float, float]:
    """Tensor (3, 3), corrector (n, 3), dissipation (m,), the logarithm of their unit, and the residual."""
    network = rates.network
    local = np.empty(network.n_sites, dtype=np.int64)
    local[part.sites] = np.arange(len(part.sites))
    source, target = local[network.source[part.hops]], local[network.target[part.hops]]
    exponent = rates.log_conductances[part.hops]
    scale = _reference_conductance(exponent, part)
    strength = np.exp(np.minimum(exponent - scale, LARGEST_EXPONENT))
    once = part.hops < network.reverse[part.hops]
    windings = part.windings.astype(np.float64)
    pairs = (source[once], target[once], strength[once], windings[once])
    residual = 0.0
    if len(part.sites) <= ELIMINATE_UP_TO:
        tensor, chi = _elimination.star_mesh(len(part.sites), *pairs)
    else:
        tensor, chi, residual = _iterate(len(part.sites), *pairs, rank=part.rank)
    taken = (windings + chi[target] - chi[source]) @ part.vectors
    return tensor, chi, 0.5 * strength * np.einsum("ij,ij->i", taken, taken), scale, residual


def _reference_conductance(exponent: Floats, part: Component) -> float:
    """Logarithm of a conductance between those that close the fastest and the slowest winding."""
    winds = np.nonzero(part.windings.any(axis=1))[0]
    slowest = np.nonzero(part.windings[:, part.rank - 1])[0]
    return 0.5 * float(exponent[winds].max() + exponent[slowest].max())


def _iterate(
    n: int, source: Integers, target: Integers, strength: Floats, windings: Floats, rank: int
) -> tuple[Floats, Floats, float]:
    joins = (source != target) & (strength > 0)
    flow = strength[joins, None] * windings[joins, :rank]
    right = np.zeros((n, rank))
    np.add.at(right, source[joins], flow)
    np.subtract.at(right, target[joins], flow)
    solution, reached, _ = _laplacian.conjugate_gradients(
        n, source[joins], target[joins], strength[joins], right, SOLVER_TOLERANCE, 2000, 1
    )
    residual = float(reached.max())
    if not residual <= ACCEPTED_RESIDUAL:
        raise GraphError(
            f"the linear solver stopped at a relative residual of {residual:.1e} on {n} sites; "
            "the rates span too many orders of magnitude at this temperature, ask for a higher one"
        )
    chi = np.zeros((n, 3))
    chi[:, :rank] = solution
    taken = windings + chi[target] - chi[source]
    tensor = np.einsum("e,ea,eb->ab", strength, taken, taken)
    return tensor, chi, residual


def _descaled(tensor: Floats, scale: float, temperature: float) -> Floats:
    """The tensor times exp(scale); refused where a float cannot hold what percolates."""
    scaled: Floats = tensor * np.exp(scale)
    if not np.isfinite(scaled).all() or (np.trace(tensor) > 0 and np.trace(scaled) < np.finfo(float).tiny):
        raise GraphError(
            f"D at {temperature} K is about 10^{(np.log(np.trace(tensor)) + scale) / np.log(10):.0f} "
            "cm²/s, outside what a "
            "float holds; ask for a higher temperature"
        )
    return scaled


def _log_sum(values: Floats) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))
