"""How long a carrier stays and how long it takes to get somewhere: exact means."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.linalg import splu

from kmc import _laplacian
from kmc._trapping import fundamental
from kmc.exact import ACCEPTED_RESIDUAL, SOLVER_TOLERANCE
from kmc.network import Floats, Graph, GraphError, Integers, Network, compile_graph
from kmc.rates import Rates, hop_rates

#: Up to so many sites the times are built without subtractions.
ELIMINATE_UP_TO = 400


def site_indices(network: Network, nodes: Iterable[Hashable]) -> Integers:
    """Indices of nodes by name."""
    index = {label: i for i, label in enumerate(network.labels)}
    wanted = list(nodes)
    for node in wanted:
        if node not in index:
            raise GraphError(
                f"{node!r} is not a node of the graph; its nodes are {list(network.labels[:5])} ..."
            )
    if not wanted:
        raise GraphError("no nodes were named; name at least one")
    return np.array([index[node] for node in wanted], dtype=np.int64)


def residence_times(graph: Graph | Network, temperature: float, **options: Any) -> pd.Series[float]:
    """Mean time until a carrier leaves each site, s, indexed by node; infinite where no hop leads away.

    Takes the options of `kmc.diffusion_tensor`.
    """
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    rates = hop_rates(network, temperature, **options)
    log_total = np.full(network.n_sites, -np.inf)
    np.logaddexp.at(log_total, network.source, rates.log_rates)
    return _series(network, np.exp(-log_total), "residence_time")


def mean_first_passage(
    graph: Graph | Network, temperature: float, targets: Iterable[Hashable], **options: Any
) -> pd.Series[float]:
    """Mean time until a carrier starting at each site first stands on one of `targets`, in whatever cell.

    Parameters
    ----------
    graph, temperature, options
        As in `kmc.diffusion_tensor`.
    targets
        Nodes.

    Returns
    -------
    pandas.Series
        s, indexed by node; zero on the targets, infinite where no target can be reached.

    Raises
    ------
    GraphError
        A target is not in the graph, or the linear solver did not reach its tolerance.
    """
    network = graph if isinstance(graph, Network) else compile_graph(graph)
    goals = site_indices(network, targets)
    rates = hop_rates(network, temperature, **options)
    times = np.full(network.n_sites, np.inf)
    for index in np.unique(rates.component[goals]):
        sites = np.nonzero(rates.component == index)[0]
        times[sites] = _component_times(rates, sites, np.isin(sites, goals), driven=bool(rates.driven[index]))
    return _series(network, times, "first_passage_time")


def _series(network: Network, values: Floats, name: str) -> pd.Series[float]:
    return pd.Series(values, index=pd.Index(list(network.labels), dtype=object, name="node"), name=name)


def _component_times(rates: Rates, sites: Integers, is_target: Any, *, driven: bool) -> Floats:
    """Times (sites,) of one component to its own targets."""
    network = rates.network
    start = np.nonzero(~is_target)[0]
    times = np.zeros(len(sites))
    if len(start) == 0:
        return times
    place = np.full(network.n_sites, -1, dtype=np.int64)
    place[sites] = np.where(is_target, len(start), 0)
    place[sites[start]] = np.arange(len(start))
    hops = np.nonzero((place[network.source] >= 0) & (network.source != network.target))[0]
    source, target = place[network.source[hops]], place[network.target[hops]]
    own = (source != target) & (source < len(start))
    source, target, hops = source[own], target[own], hops[own]
    if not driven and len(start) > ELIMINATE_UP_TO:
        times[start] = _iterated(rates, sites[start], source, target, hops)
        return times
    unit = float(rates.log_rates[hops].max())
    rate = np.exp(rates.log_rates[hops] - unit)
    pull = sparse.coo_matrix((rate, (source, target)), shape=(len(start), len(start) + 1)).tocsr()
    leave = pull[:, -1].toarray().ravel()
    if len(start) <= ELIMINATE_UP_TO:
        result = fundamental(pull[:, :-1].toarray(), leave).sum(axis=1)
    else:
        result = splu((sparse.diags(np.asarray(pull.sum(axis=1)).ravel()) - pull[:, :-1]).tocsc()).solve(
            np.ones(len(start))
        )
    times[start] = result * np.exp(-unit)
    if not np.isfinite(times).all():
        raise GraphError(
            f"first-passage times at {rates.temperature} K are beyond a float; raise the temperature"
        )
    return times


def _iterated(rates: Rates, start: Integers, source: Integers, target: Integers, hops: Integers) -> Floats:
    """L τ = π with all targets joined into one last site, where τ = 0."""
    n = len(start) + 1
    exponent = rates.log_conductances[hops]
    unit = float(exponent.max())
    right = np.append(np.exp(rates.log_weights[start] - rates.log_weights[start].max()), 0.0)
    right[-1] = -right.sum()
    # Hops between starting sites come with their reverses, those into targets do not: take each pair once.
    once = (source < target) | (target == n - 1)
    solution, residual, _ = _laplacian.conjugate_gradients(
        n,
        source[once],
        target[once],
        np.exp(exponent[once] - unit),
        right[:, None],
        SOLVER_TOLERANCE,
        2000,
        1,
    )
    if not residual[0] <= ACCEPTED_RESIDUAL:
        raise GraphError(
            f"the linear solver stopped at a residual of {residual[0]:.1e}; raise the temperature"
        )
    times = (solution[:-1, 0] - solution[-1, 0]) * np.exp(rates.log_weights[start].max() - unit)
    positive: Floats = np.maximum(times, 0.0)
    return positive
