"""Carriers in an electric field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kmc.exact import solve
from kmc.network import Floats, Graph, GraphError, Network
from kmc.rates import KB
from kmc.transport import Estimate
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


def mobility(graph: Graph | Network, temperature: float, charge: float = 1.0, **options: Any) -> Floats:
    """Mobility of a carrier in a vanishing field, by Einstein's relation qD/kT: (3, 3), cm²/(V s), exact.

    Raises
    ------
    GraphError
        The graph is driven: without equilibrium there is no Einstein relation.
    """
    solution = solve(graph, temperature, **options)
    if solution.rates.driven.any():
        raise GraphError(
            "the graph has no detailed balance, so Einstein's relation fails; use kmc.drift_velocity"
        )
    tensor: Floats = solution.tensor * charge / (KB * temperature)
    return tensor


def measured_drift(run: Walk) -> Estimate:
    """Drift velocity of a walk, (3,), cm/s: what its walkers wound over the time it took.

    Raises
    ------
    GraphError
        Fewer than two walkers in a component: no error bar.
    """
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
