"""From walkers to transport coefficients with error bars that mean what they say."""

from __future__ import annotations

import numpy as np

from kmc import gas_transport
from kmc._blocks import Blocks, choose_length, trouble_with
from kmc.estimate import Estimate, NotConvergedError
from kmc.exact import CM2_PER_A2, Component, Solution, solve_rates
from kmc.lattice_gas import Gas
from kmc.network import Floats, GraphError
from kmc.walkers import Walk

ESTIMATORS = ("blocks", "martingale")


def tracer_diffusivity(
    run: Walk | Gas,
    *,
    tensor: bool = False,
    estimator: str = "blocks",
    check: bool = True,
    species: str | None = None,
) -> Estimate:
    """Tracer diffusivity of a walk or of a lattice gas.

    Every walker is cut into blocks; D is the mean square of what a block winds over twice its duration.
    Blocks carry a bias of ⟨χχᵀ⟩ / duration (χ the corrector of the exact solution, averaged over hops): the
    shortest blocks whose bias is harmless are used.

    Parameters
    ----------
    run
        From `kmc.simulate` or `kmc.simulate_gas` (whose blocks are described in `kmc._gas_blocks`).
    tensor
        False: a third of the trace. True: (3, 3) arrays.
    estimator
        "blocks", or, for single walkers, "martingale": adds χ to the displacement, which makes every block
        unbiased and independent.
    check
        False returns the number even where the blocks are too short.
    species
        Which carriers of a lattice gas; None: all.

    Returns
    -------
    Estimate
        cm²/s. Directions that do not percolate are exactly 0 ± 0.

    Raises
    ------
    NotConvergedError
        Blocks too short against the slowest axis, or too few events; carries the partial estimate.
    """
    if estimator not in ESTIMATORS:
        raise GraphError(f"estimator is {estimator!r}; choose 'blocks' or 'martingale'")
    if isinstance(run, Gas):
        if estimator != "blocks":
            raise GraphError("the martingale is that of one carrier; for a lattice gas choose 'blocks'")
        return gas_transport.tracer(run, tensor=tensor, species=species, check=check)
    if not run.components:
        return Estimate(np.zeros((3, 3)), np.zeros((3, 3))) if tensor else Estimate(0.0, 0.0)
    solution = solve_rates(run.rates)
    shape = (3, 3) if tensor else ()
    value, error = np.zeros(shape), np.zeros(shape)
    freedom, found = float("inf"), []
    for index, part in enumerate(run.components):
        weight = run.component_weights[index]
        if weight == 0.0:
            continue
        blocks, bias = _blocks_of(run, solution, index, estimator)
        chosen = choose_length(part, blocks, bias, tensor=tensor)
        scale = weight * CM2_PER_A2 / blocks.unit
        value = value + scale * chosen.mean
        error = np.hypot(error, scale * chosen.honest_error)
        freedom = min(freedom, chosen.freedom)
        found.append((scale * float(np.trace(chosen.mean) if tensor else chosen.mean), chosen))
    answer = Estimate(value, error, freedom) if tensor else Estimate(float(value), float(error), freedom)
    trouble = trouble_with(found, tensor=tensor) if check else ""
    if trouble:
        raise NotConvergedError(
            f"{trouble}; walk more hops or take a higher temperature (so far {answer} cm²/s)", answer
        )
    return answer


def charge_diffusivity(run: Walk | Gas, *, tensor: bool = False, check: bool = True) -> Estimate:
    """Charge (collective) diffusivity: that of Σ q Δr over all carriers, divided by Σ q².

    Independent walkers have that of a tracer.

    Parameters
    ----------
    run
        From `kmc.simulate_gas` or `kmc.simulate`.
    tensor
        False: a third of the trace. True: (3, 3) arrays.
    check
        False returns the number even where the run is too short.

    Returns
    -------
    Estimate
        cm²/s.

    Raises
    ------
    NotConvergedError
        The run is too short, drifts or hardly moves; carries the partial estimate.
    GraphError
        Ends are open.
    """
    if isinstance(run, Gas):
        return gas_transport.charge(run, tensor=tensor, check=check)
    return tracer_diffusivity(run, tensor=tensor, check=check)


def _blocks_of(run: Walk, solution: Solution, index: int, estimator: str) -> tuple[Blocks, Floats]:
    """What the walkers of one component wound, and ⟨χχᵀ⟩ (3, 3), which makes the bias of short blocks."""
    part, network = run.components[index], run.rates.network
    walkers = run.home == index
    wound = run.windings[walkers].astype(np.float64)
    gauge = solution.corrector - run.rates.offset @ network.cell + network.positions
    chi = gauge @ np.linalg.inv(part.vectors)
    bias = _corrector_spread(run, part, chi)
    if estimator == "martingale":
        before = np.concatenate([run.begins[walkers, None], run.ends[walkers, :-1]], axis=1)
        wound += chi[run.ends[walkers]] - chi[before]
        bias = np.zeros((3, 3))
    # In units of a block, squares of even the longest times stay within a float.
    unit = float(run.durations[walkers].mean())
    durations, spreads = run.durations[walkers] / unit, run.spreads[walkers] / unit
    drift = np.zeros(3)
    if run.rates.driven[part.index]:
        drift = wound.sum(axis=(0, 1)) / durations.sum()
        wound -= durations[..., None] * drift
    return Blocks(wound, durations, spreads, drift, unit), bias


def _corrector_spread(run: Walk, part: Component, chi: Floats) -> Floats:
    """⟨χχᵀ⟩ − ⟨χ⟩⟨χ⟩ᵀ (3, 3) over the sites entered; without reversibility of the hops it may count twice."""
    weights = run.hops.entry_weights(part.sites)
    weights = weights / weights.sum()
    centred = chi[part.sites] - weights @ chi[part.sites]
    spread: Floats = np.einsum("i,ia,ib->ab", weights, centred, centred)
    one_way = run.rates.driven[part.index] or bool((run.hops.group[part.sites] >= 0).any())
    return spread * (2.0 if one_way else 1.0)
