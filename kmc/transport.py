"""From walkers to transport coefficients with error bars that mean what they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmc import gas_transport
from kmc.estimate import Estimate, NotConvergedError
from kmc.exact import CM2_PER_A2, Component, solve_rates
from kmc.lattice_gas import Gas
from kmc.network import Floats, GraphError
from kmc.walkers import Walk

#: A bias below this many standard errors is let pass; above, it joins the error, ...
HARMLESS_BIAS = 0.2
#: ... up to this fraction of the value; above, the estimate is refused.
TOLERATED_BIAS = 0.03
#: Fewer independent contributions than this do not make an error bar.
FEWEST_EVENTS = 25
#: From this many walkers on, each counts as one independent measurement.
ENOUGH_WALKERS = 30
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
    network = run.rates.network
    shape = (3, 3) if tensor else ()
    value, variance = np.zeros(shape), np.zeros(shape)
    freedom, troubles = float("inf"), []
    for index, part in enumerate(run.components):
        weight = run.component_weights[index]
        if weight == 0.0:
            continue
        walkers = run.home == index
        wound = run.windings[walkers].astype(np.float64)
        gauge = solution.corrector - run.rates.offset @ network.cell + network.positions
        chi = gauge @ np.linalg.inv(part.vectors)
        spread = _corrector_spread(run, part, chi)
        if estimator == "martingale":
            before = np.concatenate([run.begins[walkers, None], run.ends[walkers, :-1]], axis=1)
            wound += chi[run.ends[walkers]] - chi[before]
            spread = np.zeros((3, 3))
        if run.rates.driven[part.index]:
            durations = run.durations[walkers]
            wound -= durations[..., None] * (wound.sum(axis=(0, 1)) / durations.sum())
        chosen = _choose_length(part, wound, run.durations[walkers], spread, tensor=tensor)
        value += weight * chosen.mean * CM2_PER_A2
        variance += (weight * chosen.honest_error * CM2_PER_A2) ** 2
        freedom = min(freedom, chosen.freedom)
        troubles += chosen.troubles
    error = np.sqrt(variance)
    answer = Estimate(value, error, freedom) if tensor else Estimate(float(value), float(error), freedom)
    if check and troubles:
        raise NotConvergedError(
            f"{troubles[0]}; walk more hops or take a higher temperature (so far {answer} cm²/s)", answer
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


@dataclass(frozen=True)
class _Length:
    """One component at one block length, Å²/s: a third of the trace, or the tensor."""

    mean: Floats
    error: Floats
    bias: Floats
    harmless: bool
    relative_bias: float
    events: float
    duration: float
    freedom: float

    @property
    def honest_error(self) -> Floats:
        """The error, with the bias where that is not negligible."""
        return self.error if self.harmless else np.sqrt(self.error**2 + self.bias**2)

    @property
    def troubles(self) -> list[str]:
        """Why the mean should not be believed."""
        found = []
        if self.events < FEWEST_EVENTS:
            found.append(f"only {self.events:.3g} independent events, and an error bar needs {FEWEST_EVENTS}")
        if not self.harmless and not self.relative_bias <= TOLERATED_BIAS:
            found.append(
                f"blocks of {self.duration:.3g} s are too short against the slowest axis: D may be off by "
                f"{100 * self.relative_bias:.2g} %"
            )
        return found


def _choose_length(
    part: Component, wound: Floats, durations: Floats, spread: Floats, *, tensor: bool
) -> _Length:
    """The shortest blocks whose bias does no harm; failing that, the longest."""
    while True:
        length = _at_length(part, wound, durations, spread, tensor=tensor)
        if length.harmless or durations.shape[1] == 1:
            return length
        wound, durations = _join_pairs(wound), _join_pairs(durations)


def _join_pairs(blocks: Floats) -> Floats:
    """Blocks (walkers, n, ...) joined two by two; an odd one joins the last."""
    n = blocks.shape[1]
    joined: Floats = np.add.reduceat(blocks, np.arange(0, n - 1, 2), axis=1)
    return joined


def _at_length(part: Component, wound: Floats, durations: Floats, spread: Floats, *, tensor: bool) -> _Length:
    """Mean square winding over twice the duration, with what the walkers say about its error."""
    moved = wound @ part.vectors
    squares = np.einsum("wbi,wbj->wbij", moved, moved)
    axes = wound[..., : part.rank] ** 2
    duration = float(durations.mean())
    axis_bias = np.diag(spread)[: part.rank] / duration
    bias = np.abs(part.vectors.T @ spread @ part.vectors) / duration
    if not tensor:
        squares = np.einsum("wbii->wb", squares) / 3.0
        axes = squares[..., None]
        bias = np.trace(part.vectors.T @ spread @ part.vectors) / (3.0 * duration)
        axis_bias = np.array([bias])
    mean, error, freedom = _ratio(squares, durations)
    axis_mean, axis_error, _ = _ratio(axes, durations)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(axis_mean > 0, axis_bias / axis_mean, np.where(axis_bias > 0, np.inf, 0.0))
    return _Length(
        mean=mean,
        error=error,
        bias=bias,
        harmless=bool(np.all(axis_bias <= HARMLESS_BIAS * axis_error)),
        relative_bias=float(relative.max()),
        events=min(_effective_number(axes), _effective_number(durations.sum(axis=1)[:, None, None])),
        duration=duration,
        freedom=freedom,
    )


def _ratio(squares: Floats, durations: Floats) -> tuple[Floats, Floats, float]:
    """Σ squares / 2 Σ durations over blocks (walkers, n), its standard error and degrees of freedom.

    Walkers are independent without any doubt, blocks of one walker almost: enough walkers are taken as the
    units.
    """
    by_walker = len(durations) >= ENOUGH_WALKERS
    each = squares.sum(axis=1) if by_walker else squares.reshape((-1, *squares.shape[2:]))
    time = durations.sum(axis=1) if by_walker else durations.ravel()
    mean = each.sum(axis=0) / (2.0 * time.sum())
    left = each - 2.0 * np.multiply.outer(time, mean)
    n = len(each)
    error = np.sqrt((left**2).sum(axis=0) * n / max(n - 1, 1)) / (2.0 * time.sum())
    return mean, error, float(max(n - 1, 1))


def _effective_number(values: Floats) -> float:
    """How many equal contributions (walkers, n, axes) would scatter as much; of the worst axis."""
    flat = values.reshape(-1, values.shape[-1])
    square = (flat**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        number = np.where(square > 0, flat.sum(axis=0) ** 2 / square, 0.0)
    return float(number.min())


def _corrector_spread(run: Walk, part: Component, chi: Floats) -> Floats:
    """⟨χχᵀ⟩ − ⟨χ⟩⟨χ⟩ᵀ (3, 3) over the sites entered; without reversibility of the hops it may count twice."""
    weights = run.hops.entry_weights(part.sites)
    weights = weights / weights.sum()
    centred = chi[part.sites] - weights @ chi[part.sites]
    spread: Floats = np.einsum("i,ia,ib->ab", weights, centred, centred)
    one_way = run.rates.driven[part.index] or bool((run.hops.group[part.sites] >= 0).any())
    return spread * (2.0 if one_way else 1.0)
