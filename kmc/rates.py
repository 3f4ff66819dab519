"""Barriers, prefactors, temperature and field into rates, and the equilibrium they imply.

Hop e from i to j has the rate w = ν exp(−(S − E_i) / kT), S the saddle energy both directions share. In a
uniform field F a carrier of charge q (in e) has q F·r less energy at r, so the barrier falls by q F·(saddle
− start). Everything is kept as logarithms until the last moment: rates of one graph may span more than a
float can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy import constants

from kmc._forest import spanning_forest
from kmc.network import Floats, GraphError, Integers, Network, prefactor_weights, site_potential

#: Boltzmann's constant, eV/K.
KB = constants.k / constants.e
#: kT/h at 1 K, Hz.
EYRING_HZ_PER_K = constants.k / constants.h
#: Loops whose rates disagree with detailed balance by less than this (in the logarithm) are counted as
#: balanced.
BALANCE_TOLERANCE = 1e-9

#: A temperature-dependent barrier: (barriers in eV (m,), temperature in K) -> barriers in eV (m,).
BarrierModel: TypeAlias = Callable[[Floats, float], Floats]


@dataclass(frozen=True)
class Rates:
    """Rates of a network at one temperature.

    Attributes
    ----------
    network, temperature
        What they belong to.
    log_rates
        (m,), ln(Hz).
    log_weights
        (n,), logarithm of the equilibrium occupation of each site, up to a constant. Disconnected components
        weigh against each other by the Boltzmann factors of their sites. In driven components, where no
        equilibrium exists, these are the Boltzmann factors alone; `kmc.occupation` solves for the rest.
    log_conductances
        (m,), ln(π_i w_ij) with the same constant; equal for a hop and its reverse where the component is
        balanced.
    driven
        (components,), True where no detailed balance holds.
    component
        (n,), component of each site.
    offset
        (n, 3), lattice vectors that carry the strongest spanning forest into one cell (see `kmc._forest`).
    """

    network: Network
    temperature: float
    log_rates: Floats
    log_weights: Floats
    log_conductances: Floats
    driven: np.ndarray
    component: Integers
    offset: Integers

    @property
    def kT(self) -> float:  # noqa: N802
        """Thermal energy, eV."""
        return float(KB * self.temperature)


def check_temperature(temperature: float) -> float:
    """A temperature as a float, refused unless it is finite and above zero."""
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        value = float("nan")
    if not (np.isfinite(value) and value > 0):
        raise GraphError(f"temperature is {temperature!r}; wanted a number of kelvin above 0")
    return value


def hop_rates(
    network: Network,
    temperature: float,
    *,
    field: Sequence[float] | Floats | None = None,
    charge: float = 1.0,
    prefactor: str = "graph",
    barriers: BarrierModel | None = None,
) -> Rates:
    """Rates of every hop.

    Parameters
    ----------
    network
        A compiled graph.
    temperature
        K.
    field
        (3,), V/Å, uniform; None: no field.
    charge
        Of the carrier, in elementary charges.
    prefactor
        ``"graph"``: the hop's own attempt frequency. ``"eyring"``: kT/h for every hop, the barriers read as
        free energies.
    barriers
        Callable that turns the graph's barriers (m,), eV, and the temperature into those to use.

    Raises
    ------
    GraphError
        Temperature not above zero, field not three finite numbers, unknown prefactor, callable returning
        nonsense.
    """
    temperature = check_temperature(temperature)
    if prefactor not in {"graph", "eyring"}:
        raise GraphError(f"prefactor is {prefactor!r}; choose 'graph' (each hop's own) or 'eyring' (kT/h)")
    network = _with_barriers(network, temperature, barriers)
    if prefactor == "eyring":
        network = replace(network, prefactor=np.full(network.n_hops, EYRING_HZ_PER_K * temperature))
    kT = KB * temperature
    log_prefactor = np.log(network.prefactor)
    log_rates = log_prefactor - (network.saddle_energy - network.energies[network.source]) / kT
    push = _field_energy(network, field, charge)
    if push is not None:
        log_rates = log_rates + network.saddle_fraction * push / kT
    log_weights, gap = _balance(network, kT, log_rates, driven=push is not None)
    log_conductances = log_weights[network.source] + log_rates
    order = np.argsort(-0.5 * (log_conductances + log_conductances[network.reverse]), kind="stable")
    step = np.zeros(network.n_hops)
    forest = spanning_forest(network.n_sites, network.source, network.target, network.image, step, order)
    component, offset = forest[0], forest[1]
    driven = np.zeros(int(component.max()) + 1, dtype=bool)
    driven[component[network.source[gap > BALANCE_TOLERANCE]]] = True
    if driven.any():
        loose = driven[component]
        log_weights = np.where(loose, -network.energies / kT, log_weights)
        log_conductances = log_weights[network.source] + log_rates
    else:
        log_conductances = 0.5 * (log_conductances + log_conductances[network.reverse])
    return Rates(network, temperature, log_rates, log_weights, log_conductances, driven, component, offset)


def _with_barriers(network: Network, temperature: float, barriers: BarrierModel | None) -> Network:
    if barriers is None:
        return network
    new = np.asarray(barriers(network.barrier.copy(), temperature), dtype=np.float64)
    if new.shape != network.barrier.shape or not np.isfinite(new).all() or (new < 0).any():
        raise GraphError(
            f"the barrier callable returned an array of shape {new.shape} at {temperature} K; wanted "
            f"{network.n_hops} finite barriers of at least 0 eV, one for each hop"
        )
    # Site energies may no longer explain the difference of a hop and its reverse; the barriers are what
    # counts.
    return replace(network, barrier=new, saddle_energy=network.energies[network.source] + new)


def _field_energy(network: Network, field: Sequence[float] | Floats | None, charge: float) -> Floats | None:
    """Energy (m,), eV, that the field gives to the carrier over each whole hop; None without a field."""
    if field is None:
        return None
    try:
        vector = np.asarray(field, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.zeros(0)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not np.isfinite(charge):
        raise GraphError(
            f"field is {field!r}, charge {charge!r}; wanted three finite numbers in V/Å and a charge in e"
        )
    push: Floats = charge * (network.displacements @ vector)
    return push if push.any() else None


def _balance(network: Network, kT: float, log_rates: Floats, *, driven: bool) -> tuple[Floats, Floats]:
    """Logarithm of the equilibrium occupation (n,), and how far each hop (m,) is from obeying it."""
    symmetric = np.array_equal(network.saddle_energy, network.saddle_energy[network.reverse])
    if symmetric and not driven:
        log_g, gap = prefactor_weights(network)
        return log_g - network.energies / kT, gap
    step = log_rates - log_rates[network.reverse]
    potential, gap = site_potential(network, step)
    # The potential fixes occupations within a component; between components the Boltzmann factors decide.
    order = np.arange(network.n_hops)
    component = spanning_forest(
        network.n_sites, network.source, network.target, network.image, np.zeros(network.n_hops), order
    )[0]
    boltzmann = -network.energies / kT
    return potential + (component_log_sum(boltzmann, component) - component_log_sum(potential, component))[
        component
    ], gap


def component_log_sum(values: Floats, component: Integers) -> Floats:
    """Ln Σ exp(values) over the sites of each component: (n,) -> (components,)."""
    top = np.full(int(component.max()) + 1, -np.inf)
    np.maximum.at(top, component, values)
    total: Floats = np.log(np.bincount(component, np.exp(values - top[component]))) + top
    return total
