"""Carriers in an electric field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kmc.estimate import Estimate
from kmc.exact import solve
from kmc.gas_transport import gas_drift, gas_mobility
from kmc.lattice_gas import Gas
from kmc.network import Floats, Graph, GraphError, Network
from kmc.rates import KB
from kmc.walkers import Walk

CM_PER_A = 1e-8


def drift_velocity(
    graph: Graph | Network,
    temperature: float,
    field: Sequence[float] | Floats,
    charge: float = 1.0,
    **options: Any,
) -> Floats:
    """Mean velocity of a carrier in a uniform field: (3,), cm/s, exact at any field strength.

    Parameters
    ----------
    graph, temperature, options
        As in `kmc.diffusion_tensor`.
    field
        (3,), V/Å.
    charge
        e.

    Raises
    ------
    GraphError
        The field is not three finite numbers.
    """
    return solve(graph, temperature, field=field, charge=charge, **options).drift


def mobility(
    graph: Graph | Network | Gas,
    temperature: float | None = None,
    charge: float | None = None,
    *,
    tensor: bool = False,
    check: bool = True,
    **options: Any,
) -> Any:
    """Mobility of a carrier.

    Parameters
    ----------
    graph
        A hopping graph, with `temperature` (K): the mobility in a vanishing field by Einstein's relation
        qD/kT, (3, 3), exact. Or a run of `kmc.simulate_gas`: an `Estimate`, of the drift along its field or,
        without a field, by Einstein's relation from the charge diffusivity.
    charge
        e; 1 where nothing is said.
    tensor, check
        Of a run, as in `kmc.charge_diffusivity`.
    options
        Of a graph, as in `kmc.diffusion_tensor`.

    Returns
    -------
    (3, 3) array or Estimate
        cm²/(V s).

    Raises
    ------
    GraphError
        The graph is driven: without equilibrium there is no Einstein relation.
    """
    if isinstance(graph, Gas):
        return gas_mobility(graph, charge, tensor=tensor, check=check)
    if temperature is None:
        raise GraphError("the mobility of a graph needs a temperature, in K")
    solution = solve(graph, temperature, **options)
    if solution.rates.driven.any():
        raise GraphError(
            "the graph has no detailed balance, so Einstein's relation fails; use kmc.drift_velocity"
        )
    exact: Floats = solution.tensor * (1.0 if charge is None else charge) / (KB * temperature)
    return exact


def measured_drift(run: Walk | Gas) -> Estimate:
    """Drift velocity of a walk, (3,), cm/s: what its walkers wound over the time it took.

    Raises
    ------
    GraphError
        Fewer than two walkers in a component: no error bar.
    """
    if isinstance(run, Gas):
        return gas_drift(run)
    value, variance = np.zeros(3), np.zeros(3)
    freedom = float("inf")
    for index, part in enumerate(run.components):
        mine = run.home == index
        n = int(mine.sum())
        if n < 2:
            raise GraphError(f"{n} walker(s) in a component give no error bar; walk at least two")
        wound = run.windings[mine].sum(axis=1) @ part.vectors
        time = run.durations[mine].sum(axis=1)
        mean = wound.sum(axis=0) / time.sum()
        left = wound - time[:, None] * mean
        weight = run.component_weights[index] * CM_PER_A
        value += weight * mean
        variance += weight**2 * (left**2).sum(axis=0) * n / (n - 1) / time.sum() ** 2
        freedom = min(freedom, float(n - 1))
    return Estimate(value, np.sqrt(variance), freedom)
