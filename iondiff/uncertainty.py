"""What the potential's own error does to D and to the activation energy.

Walks and fits have statistical errors; the larger question is how wrong the energies of sites and passes are.
Their errors are taken as independent and normal, as large as the potential's errors on test labels of the
same height, and carried through the exact solution: a spread of D and of the activation energy comes out.
What this leaves out is the teacher's own error and the finite host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

import kmc


def error_at_height(bins: Sequence[dict[str, Any]], heights: np.ndarray) -> np.ndarray:
    """Standard deviation (n,), eV, of the potential at energies `heights` (n,), eV above the lowest label.

    `bins` are rows of ``by_energy`` of :func:`iondiff.training.error_table`.
    """
    edges = np.array([row["from_eV"] for row in bins])
    errors = 1e-3 * np.array([row["rmse_meV"] for row in bins])
    place = np.searchsorted(edges, heights, side="right") - 1
    return errors[np.clip(place, 0, len(errors) - 1)]


def perturbed(
    network: nx.MultiDiGraph, lowest: float, bins: Sequence[dict[str, Any]], generator: Any
) -> nx.MultiDiGraph:
    """A copy of the network with every site and pass moved by a random error of its height.

    Both directions of a hop keep a common saddle energy. A pass that would sink below one of its sites stays
    at the higher one: the error of a shallow barrier is bounded by the barrier.
    """
    changed = network.copy()
    nodes = list(network.nodes)
    energies = np.array([network.nodes[n]["energy"] for n in nodes])
    shifts = generator.normal(size=len(nodes)) * error_at_height(bins, energies - lowest)
    energy = dict(zip(nodes, energies + shifts, strict=True))
    for node, value in energy.items():
        changed.nodes[node]["energy"] = float(value)
    moved: dict[tuple[Any, ...], float] = {}
    for source, target, key, data in network.edges(keys=True, data=True):
        saddle = network.nodes[source]["energy"] + data["barrier"]
        # Both directions must find the same entry; parallel passes differ in image or energy.
        forward = (source, target, *data["image"])
        backward = (target, source, *(-c for c in data["image"]))
        name = (*min(forward, backward), round(saddle, 7))
        if name not in moved:
            error = float(error_at_height(bins, np.array([saddle - lowest]))[0])
            moved[name] = max(saddle + error * generator.normal(), energy[source], energy[target])
        edge = changed.edges[source, target, key]
        edge["barrier"] = moved[name] - energy[source]
        edge["saddle_energy"] = moved[name]
    return changed


def potential_uncertainty(
    network: nx.MultiDiGraph,
    temperatures: Sequence[float],
    bins: Sequence[dict[str, Any]],
    lowest: float,
    *,
    draws: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """Spread of ln D and of the activation energy over networks with perturbed energies.

    Parameters
    ----------
    network
        Hopping graph.
    temperatures
        K.
    bins, lowest
        Test errors by height, and the lowest label, eV, from which heights count.
    draws
        Perturbed networks.

    Returns
    -------
    dict
        ``activation_energy_eV`` (standard deviation), ``D_factor`` by temperature (exp of the standard
        deviation of ln D), ``draws``.
    """
    generator = np.random.default_rng([seed, 11])
    slopes, logs = [], []
    for _ in range(draws):
        table = kmc.sweep(perturbed(network, lowest, bins, generator), temperatures)
        slopes.append(_slope(table))
        logs.append(np.log(table["D"].to_numpy()))
    factors = np.exp(np.std(logs, axis=0, ddof=1))
    return {
        "activation_energy_eV": float(np.std(slopes, ddof=1)),
        "D_factor": {f"{t:g}": float(f) for t, f in zip(temperatures, factors, strict=True)},
        "draws": draws,
    }


def _slope(table: pd.DataFrame) -> float:
    """Activation energy, eV, by a straight line through ln D against 1/kT."""
    beta = 1.0 / (8.617333262e-5 * table["temperature"].to_numpy())
    return -float(np.polyfit(beta, np.log(table["D"].to_numpy()), 1)[0])
