"""Correlation factor of a tracer that moves by vacancies, from linear algebra.

One vacancy and one tracer on a torus of L cells: the pair, seen from the tracer, is a single walker on a
hopping graph of its own, whose hops lead nowhere while the vacancy wanders and by one hop of the tracer when
they exchange. `kmc.solve` gives the tracer's D. What the torus adds falls off as one over its sites, and two
sizes take it away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kmc.exact import solve_rates
from kmc.network import Floats, Graph, GraphError, Integers, Network, compile_graph
from kmc.rates import Rates, hop_rates

#: States of the pair, about, in the larger of the two tori.
STATES = 12_000


def vacancy_correlation_factor(
    graph: Graph | Network, temperature: float = 1000.0, *, states: int = STATES, **options: Any
) -> float:
    """Correlation factor of tracer diffusion by a vanishing concentration of vacancies.

    Parameters
    ----------
    graph
        A hopping graph whose sites are all filled but for one.
    temperature
        K; plays no part where all hops are alike.
    states
        About how many states the larger linear system has; the error falls faster than one over it.
    options
        Further arguments of `kmc.hop_rates`.

    Returns
    -------
    float
        Tracer diffusivity over that of a walk with the same hops but without memory.

    Raises
    ------
    GraphError
        The graph percolates nowhere, or is driven.

    Notes
    -----
    Known values: simple cubic 0.653109, bcc 0.727194, fcc 0.781451, diamond 1/2, square 0.466942,
    triangular 0.560057, honeycomb 1/3 (Montet, Phys. Rev. B 7, 650 (1973); Ishioka and Koiwa, Phil. Mag. A
    37, 517 (1978)).
    """
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    rates = hop_rates(network, temperature, **options)
    if rates.driven.any():
        raise GraphError("the graph has no detailed balance; the correlation factor is that of equilibrium")
    winds = np.array([bool(network.image[:, axis].any()) for axis in range(3)])
    if not winds.any():
        raise GraphError("the graph percolates nowhere: a tracer has no correlation factor")
    cells = states / network.n_sites**2
    large = max(3, round(cells ** (1.0 / winds.sum())))
    small = max(2, round(large / 2 ** (1.0 / winds.sum())))
    if small == large:
        large += 1
    sizes = [np.where(winds, size, 1) for size in (small, large)]
    found = [_on_torus(rates, size, temperature) for size in sizes]
    weights = [1.0 / (np.prod(size) * network.n_sites) for size in sizes]
    return float((found[1] * weights[0] - found[0] * weights[1]) / (weights[0] - weights[1]))


def _on_torus(rates: Rates, size: Integers, temperature: float) -> float:
    pair, moved = _pair_network(rates, size)
    solution = solve_rates(hop_rates(pair, temperature))
    weight = solution.occupation[pair.source] * np.exp(solution.rates.log_rates)
    free = 0.5 * float(weight @ (moved**2).sum(axis=1)) * 1e-16
    return float(np.trace(solution.tensor)) / free


def _pair_network(rates: Rates, size: Integers) -> tuple[Network, Floats]:
    """The graph of the pair, and how far the tracer moves along each of its hops (hops, 3), Å.

    State (a, v): the tracer on site a of cell 0, the vacancy on site v of the torus. A hop e of the graph
    from u to w carries whoever is on u to the vacancy on w, so the vacancy goes to u.
    """
    one = rates.network
    n, cells = one.n_sites, int(np.prod(size))
    places = np.stack(np.unravel_index(np.arange(cells), tuple(size)), axis=1)
    tracer, cell, hop = (
        x.ravel() for x in np.meshgrid(*map(np.arange, (n, cells, one.n_hops)), indexing="ij")
    )
    w, u = one.target[hop], one.source[hop]
    at = places[cell]
    behind = at - one.image[hop]  # unwrapped cell of u
    back = behind % size
    vacancy_on_tracer = (w == tracer) & ~at.any(axis=1)
    exchanged = (u == tracer) & ~back.any(axis=1)
    nothing = (w == u) & (behind == at).all(axis=1)
    keep = ~vacancy_on_tracer & ~nothing & ~((w == u) & ~((behind - at) % size).any(axis=1))
    tracer, w, u, hop, at, back, exchanged = (x[keep] for x in (tracer, w, u, hop, at, back, exchanged))

    def number(a: Integers, place: Integers, v: Integers) -> Integers:
        index: Integers = (a * cells + np.ravel_multi_index(tuple((place % size).T), tuple(size))) * n + v
        return index

    before = number(tracer, at, w)
    # After an exchange the tracer is on w of cell `at`: seen from there, the vacancy is on u, −image away.
    after = np.where(exchanged, number(w, -one.image[hop], u), number(tracer, back, u))
    image = np.where(exchanged[:, None], one.image[hop], 0)
    states, index = np.unique(np.concatenate([before, after]), return_inverse=True)
    source, target = index[: len(before)], index[len(before) :]
    site = states % n
    energies = -one.energies[site]
    saddle = one.saddle_energy[hop] - one.energies[u] - one.energies[w]
    positions = one.positions[states // (cells * n)]
    pair = Network(
        labels=tuple(states.tolist()),
        keys=(0,) * len(source),
        cell=one.cell,
        positions=positions,
        energies=energies,
        source=source,
        target=target,
        image=image,
        barrier=saddle - energies[source],
        saddle_energy=saddle,
        prefactor=one.prefactor[hop],
        reverse=np.arange(len(source)),
        saddle_fraction=np.full(len(source), 0.5),
    )
    pair = replace(pair, reverse=_reverse(source, target, image, one, hop))
    return pair, pair.displacements


def _reverse(source: Integers, target: Integers, image: Integers, one: Network, hop: Integers) -> Integers:
    """Index of the hop that undoes each hop: the other way, by the reverse of the same hop of the graph."""
    forward = np.column_stack([source, target, image, hop])
    backward = np.column_stack([target, source, -image, one.reverse[hop]])
    by_forward, by_backward = np.lexsort(forward.T[::-1]), np.lexsort(backward.T[::-1])
    reverse = np.empty(len(source), dtype=np.int64)
    reverse[by_backward] = by_forward
    return reverse
