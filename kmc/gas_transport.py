"""Transport coefficients of many carriers: tracer and charge diffusion, conductivity, currents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import constants

from kmc._gas_blocks import FEWEST_EVENTS, Level, Measured, choose, ratio, scatter
from kmc._gas_setup import charges_of, projections
from kmc.estimate import Estimate, NotConvergedError
from kmc.exact import CM2_PER_A2
from kmc.lattice_gas import Gas
from kmc.network import Floats, GraphError
from kmc.rates import KB

CM_PER_A = 1e-8
#: Batches a replica is cut into where a mean is asked for.
BATCHES = 32


@dataclass(frozen=True)
class Conductivity(Estimate):
    """A conductivity, S/cm, and what Nernst and Einstein would have said.

    Attributes
    ----------
    haven_ratio
        Tracer over charge diffusivity.
    nernst_einstein
        The conductivity that the tracer diffusivity alone would give, S/cm: `value` times the Haven ratio.
    """

    haven_ratio: Estimate = Estimate(float("inf"), float("inf"))  # noqa: RUF009 - frozen
    nernst_einstein: Estimate = Estimate(float("inf"), float("inf"))  # noqa: RUF009 - frozen

    def __str__(self) -> str:
        return f"{self.value} ± {self.error} S/cm (Haven ratio {self.haven_ratio})"


def tracer(run: Gas, *, tensor: bool, species: str | None, check: bool) -> Estimate:
    """`kmc.tracer_diffusivity` of a lattice gas."""
    if not _percolates(run):
        return _zero(tensor=tensor)
    measured = _tracer(run, tensor=tensor, species=species)
    return _answer(run, measured, CM2_PER_A2, "cm²/s", check=check)


def charge(run: Gas, *, tensor: bool, check: bool) -> Estimate:
    """`kmc.charge_diffusivity` of a lattice gas."""
    if not _percolates(run):
        return _zero(tensor=tensor)
    return _answer(run, _charge(run, tensor=tensor), CM2_PER_A2, "cm²/s", check=check)


def haven_ratio(run: Gas, *, check: bool = True) -> Estimate:
    """Tracer over charge diffusivity; 1 where carriers move independently.

    The error counts the correlation between the two. One carrier alone has exactly 1.

    Raises
    ------
    NotConvergedError
        One of the two is not known; carries the partial estimate.
    GraphError
        Nothing percolates, or ends are open.
    """
    _refuse_immobile(run, "Haven ratio")
    if run.n_carriers == 1:
        return Estimate(1.0, 0.0)
    measured = ratio(_tracer(run, tensor=False, species=None), _charge(run, tensor=False))
    return _answer(run, measured, 1.0, "", check=check)


def correlation_factor(run: Gas, *, check: bool = True) -> Estimate:
    """Tracer diffusivity over that of a walk with the same hops but without memory, Σ|d|²/6t per carrier.

    Raises
    ------
    NotConvergedError
        The run is too short; carries the partial estimate.
    GraphError
        Nothing percolates, or ends are open.
    """
    _refuse_immobile(run, "correlation factor")
    first = _first_fine(run)
    times, squared = run.durations[:, first:], run.squared[:, first:]
    total = 6.0 * run.n_carriers * times.sum()
    value = np.asarray(squared.sum() / total) if total > 0 else np.asarray(0.0)
    left = (squared - 6.0 * run.n_carriers * times * value) / max(total, 1e-300)
    free = Measured(value, left, 1, ())
    return _answer(run, ratio(_tracer(run, tensor=False, species=None), free), 1.0, "", check=check)


def conductivity(
    run: Gas, charge: float | Mapping[str, float] | None = None, *, tensor: bool = False, check: bool = True
) -> Conductivity:
    """Conductivity from the charge diffusivity, n q² D / kT, with the Haven ratio beside it.

    Parameters
    ----------
    run
        From `kmc.simulate_gas`.
    charge
        Of the carriers, e; None: what the run was told.
    tensor
        True: (3, 3) arrays.

    Returns
    -------
    Conductivity
        S/cm.

    Raises
    ------
    NotConvergedError
        The run is too short; carries the partial estimate.
    GraphError
        No charge, or ends are open.
    """
    charges = _charges(run, charge)
    squares = float(sum(q * q * n for q, n in zip(charges, run.counts, strict=True)))
    if squares == 0.0:
        raise GraphError("all carriers have charge 0 and conduct nothing; give their charge=, in e")
    density = squares / run.volume * 1e24  # e²/cm³
    factor = density * constants.e / (KB * run.temperature)
    if not _percolates(run):
        nothing = _zero(tensor=tensor)
        return Conductivity(
            nothing.value, nothing.error, haven_ratio=Estimate(1.0, 0.0), nernst_einstein=nothing
        )
    measured = _charge(run, tensor=tensor, charges=charges)
    answer = _answer(run, measured, CM2_PER_A2 * factor, "S/cm", check=check)
    single = len(run.species) == 1
    haven = haven_ratio(run, check=False) if single else Estimate(float("nan"), float("inf"))
    alone = tracer(run, tensor=tensor, species=None, check=False) if single else haven
    return Conductivity(
        answer.value,
        answer.error,
        answer.degrees_of_freedom,
        haven_ratio=haven,
        nernst_einstein=Estimate(alone.value * factor, alone.error * factor, alone.degrees_of_freedom),
    )


def gas_mobility(run: Gas, charge: float | None, *, tensor: bool, check: bool) -> Estimate:
    """`kmc.mobility` of a lattice gas: from the drift in its field, or by Einstein's relation."""
    charges = _charges(run, charge)
    if run.field is not None and np.any(run.field):
        strength = float(np.linalg.norm(run.field))
        drift = gas_drift(run, along=np.asarray(run.field) / strength)
        scale = 1.0 / (strength * 1e8)
        return Estimate(drift.value * scale, drift.error * scale, drift.degrees_of_freedom)
    if len(set(charges)) > 1:
        raise GraphError("carriers of several charges have several mobilities; run one species in a field")
    found = charge_of(run, tensor=tensor, check=check)
    scale = charges[0] / (KB * run.temperature)
    return Estimate(found.value * scale, found.error * abs(scale), found.degrees_of_freedom)


def charge_of(run: Gas, *, tensor: bool, check: bool) -> Estimate:
    """The charge diffusivity under a name that no argument hides."""
    return charge(run, tensor=tensor, check=check)


def gas_drift(run: Gas, along: Floats | None = None) -> Estimate:
    """Mean velocity of the carriers: (3,), cm/s, or along one direction."""
    _refuse_open(run)
    moved = run.moved.sum(axis=2) * CM_PER_A / run.n_carriers
    return _rate(run, moved if along is None else moved @ along)


def current(run: Gas) -> Estimate:
    """Carriers per second through the repeated cell.

    Returns
    -------
    Estimate
        1/s. Periodic: (3,), through a cross-section for each lattice vector. With open ends: one number, from
        the source to the drain; the mean of what passes the two ends.
    """
    if run.open_axis is None:
        return _rate(run, run.moved.sum(axis=2) @ np.linalg.inv(run.cell))
    return _rate(run, 0.5 * run.crossings @ np.array([1.0, -1.0, -1.0, 1.0]))


def thermodynamic_factor(run: Gas) -> Estimate:
    """∂(μ/kT)/∂ ln c of carriers that only exclude each other: Σf / Σf(1 − f) over the sites' occupations f.

    Raises
    ------
    GraphError
        Carriers interact, are of several species, or are driven: occupations do not tell.
    """
    if run.interacting or len(run.species) > 1 or run.field is not None or run.open_axis is not None:
        raise GraphError("occupations give the thermodynamic factor of one species without interactions only")
    occupied = run.occupation()
    f, sigma = np.asarray(occupied.value)[0], np.asarray(occupied.error)[0]
    n, m = f.sum(), (f * (1.0 - f)).sum()
    slope = 1.0 / m - n * (1.0 - 2.0 * f) / m**2
    return Estimate(float(n / m), float(np.sqrt(((slope * sigma) ** 2).sum())), occupied.degrees_of_freedom)


def chemical_diffusivity(run: Gas, *, check: bool = True) -> Estimate:
    """Charge diffusivity times the thermodynamic factor, cm²/s: how concentrations level out."""
    collective, factor = charge(run, tensor=False, check=check), thermodynamic_factor(run)
    value = float(collective.value * factor.value)
    relative = np.hypot(
        collective.error / collective.value if collective.value else np.inf, factor.error / factor.value
    )
    return Estimate(value, float(abs(value) * relative), collective.degrees_of_freedom)


def _tracer(run: Gas, *, tensor: bool, species: str | None) -> Measured:
    """Tracer diffusivity, Å²/s."""
    _refuse_open(run)
    kinds = list(range(len(run.species)))
    if species is not None:
        if species not in run.species:
            raise GraphError(f"species is {species!r}; the run has {', '.join(run.species)}")
        kinds = [run.species.index(species)]
    number = sum(run.counts[kind] for kind in kinds)
    if number == run.n_carriers == 1:
        return _charge(run, tensor=tensor, charges=(1.0,))  # the same motion, in shorter blocks
    time = run.durations.reshape(run.replicas, run.blocks, -1).sum(axis=2)
    moved = run.moved.reshape(run.replicas, run.blocks, -1, len(run.species), 3).sum(axis=2)
    moved = moved[:, :, kinds].sum(axis=2) @ _span(run)
    drift = moved.sum(axis=(0, 1)) / max(number * time.sum(), 1e-300) if _driven(run) else np.zeros(3)
    levels = []
    for level in range(run.squares.shape[1]):
        size = 1 << level
        ends = np.arange(size - 1, run.blocks, size)
        ends = ends[ends - size + 1 >= run.discarded]
        if len(ends) < 2:
            break
        squares = run.squares[:, level, ends][:, :, kinds].sum(axis=2)
        cross = run.cross[:, level, ends][:, :, kinds].sum(axis=2)
        starts = ends[0] - size + 1
        t, x = (_joined(one[:, starts : ends[-1] + 1], size) for one in (time, moved))
        if drift.any():
            squares, cross = _without_drift(squares, cross, t, x, drift, number)
        fourth = run.fourth[:, level, ends][:, :, kinds].sum(axis=2)
        events = float(np.einsum("rbii", squares).sum() ** 2 / max(fourth.sum(), 1e-300))
        fine = size * (run.durations.shape[1] // run.blocks)
        levels.append(_level(squares, cross, t, fine, events, tensor=tensor))
    if not levels or time.sum() == 0.0:
        return _nothing(tensor=tensor)
    return _moved_enough(run, choose(levels, float(number)), number)


def _without_drift(
    squares: Floats, cross: Floats, times: Floats, moved: Floats, drift: Floats, number: int
) -> tuple[Floats, Floats]:
    """Σ (Δr − vt)(Δr − vt)ᵀ from Σ ΔrΔrᵀ and Σ Δr, and the same with the block before."""

    def outer(a: Floats, b: Floats) -> Floats:
        product = np.einsum("...i,...j->...ij", a, b)
        symmetric: Floats = 0.5 * (product + np.swapaxes(product, -1, -2))
        return symmetric

    taken = times[..., None] * drift
    squares = squares - 2.0 * outer(moved, taken) + number * outer(taken, taken)
    before_moved, before_taken = np.roll(moved, 1, axis=1), np.roll(taken, 1, axis=1)
    cross = (
        cross - outer(moved, before_taken) - outer(before_moved, taken) + number * outer(taken, before_taken)
    )
    return squares, cross


def _charge(run: Gas, *, tensor: bool, charges: tuple[float, ...] | None = None) -> Measured:
    """Charge diffusivity, Å²/s."""
    _refuse_open(run)
    q = np.array(run.charges if charges is None else charges)
    if not q.any():
        q = np.ones(len(q))
    norm = float((q**2 * np.array(run.counts)).sum())
    first = _first_fine(run)
    moved = (run.moved[:, first:] * q[:, None]).sum(axis=2) @ _span(run)
    times = run.durations[:, first:]
    if times.sum() == 0.0:
        return _nothing(tensor=tensor)
    if _driven(run):
        moved = moved - times[..., None] * (moved.sum(axis=(0, 1)) / times.sum())
    levels, size = [], 1
    while moved.shape[1] >= 2:
        squares = np.einsum("rbi,rbj->rbij", moved, moved)
        product = np.einsum("rbi,rbj->rbij", moved, np.roll(moved, 1, axis=1))
        lengths = np.einsum("rbii->rb", squares)
        events = float(lengths.sum() ** 2 / max((lengths**2).sum(), 1e-300))
        cross = 0.5 * (product + np.swapaxes(product, 2, 3))
        levels.append(_level(squares, cross, times, size, events, tensor=tensor))
        even = moved.shape[1] // 2 * 2
        moved, times, size = _joined(moved[:, :even], 2), _joined(times[:, :even], 2), 2 * size
    if not levels:
        return _nothing(tensor=tensor)
    return _moved_enough(run, choose(levels, norm), run.n_carriers)


def _moved_enough(run: Gas, measured: Measured, number: int) -> Measured:
    """With a word of doubt where carriers got less far than some hops: what is rare was not seen yet."""
    made = float(run.made.sum())
    square = run.squared.sum() / made if made else 0.0
    trace = float(measured.value) * 3.0 if measured.value.ndim == 0 else float(np.trace(measured.value))
    hops = 2.0 * trace * number * run.durations.sum() / square if square else 0.0
    if hops >= FEWEST_EVENTS:
        return measured
    trouble = (
        f"the carriers hardly move: after {made:.3g} hops they got as far as {max(hops, 0.0):.2g} would lead"
    )
    return replace(measured, troubles=(trouble, *measured.troubles))


def _joined(values: Floats, size: int) -> Floats:
    joined: Floats = values.reshape(values.shape[0], -1, size, *values.shape[2:]).sum(axis=2)
    return joined


def _level(squares: Floats, cross: Floats, times: Floats, fine: int, events: float, *, tensor: bool) -> Level:
    if not tensor:
        squares, cross = (np.einsum("rbii->rb", one) / 3.0 for one in (squares, cross))
    return Level(squares, cross, times, fine, events)


def _nothing(*, tensor: bool) -> Measured:
    shape = (3, 3) if tensor else ()
    residual = np.full((1, 2, *shape), np.inf)
    return Measured(np.zeros(shape), residual, 1, ("the run is too short to be cut into blocks",))


def _rate(run: Gas, values: Floats) -> Estimate:
    """Σ values / Σ durations, (replicas, fine, ...), with an error from batches."""
    first = _first_fine(run)
    values, times = values[:, first:], run.durations[:, first:]
    size = max(1, values.shape[1] // BATCHES)
    keep = values.shape[1] // size * size
    values, times = _joined(values[:, -keep:], size), _joined(times[:, -keep:], size)
    if times.sum() == 0.0 or values.shape[0] * values.shape[1] < 2:
        nothing = Estimate(np.zeros(values.shape[2:]), np.full(values.shape[2:], np.inf))
        raise NotConvergedError("the run is too short for an error bar; make more hops", nothing)
    mean = values.sum(axis=(0, 1)) / times.sum()
    left = values - np.multiply.outer(times, mean)
    error = scatter(left) / times.sum()
    freedom = float(left.shape[0] * left.shape[1] - 1)
    return Estimate(mean, error, freedom) if mean.ndim else Estimate(float(mean), float(error), freedom)


def _answer(run: Gas, measured: Measured, scale: float, unit: str, *, check: bool) -> Estimate:
    """An estimate, or the refusal of one."""
    error = measured.error * abs(scale)
    value, freedom = measured.value * scale, float(max(measured.number - 1, 1))
    answer = (
        Estimate(float(value), float(error), freedom) if value.ndim == 0 else Estimate(value, error, freedom)
    )
    troubles = list(measured.troubles)
    if not run.equilibrated:
        troubles.insert(0, "the second half of the run still differs from what was before: no equilibrium")
    if run.stuck:
        troubles.insert(0, f"after {run.made.sum():.3g} hops no carrier could move any more")
    if check and troubles:
        advice = "make more hops, or take a higher temperature or fewer carriers"
        raise NotConvergedError(
            f"{troubles[0]}; {advice} (so far {answer} {unit})".replace(" )", ")"), answer
        )
    return answer


def _charges(run: Gas, given: float | Mapping[str, float] | None) -> tuple[float, ...]:
    if given is None:
        return run.charges
    by_name = charges_of(given, run.species)
    return tuple(by_name[name] for name in run.species)


def _driven(run: Gas) -> bool:
    return run.field is not None or any(one.driven.any() for one in run.rates)


def _percolates(run: Gas) -> bool:
    _refuse_open(run)
    return run.percolation.rank > 0


def _span(run: Gas) -> Floats:
    """Projection (3, 3) onto all directions in which anything percolates."""
    each = projections(run.rates[0])
    if any(np.array_equal(p, np.eye(3)) for p in each):
        return np.eye(3)
    u, s, _ = np.linalg.svd(each.sum(axis=0))
    kept = u[:, s > 1e-9 * max(float(s[0]), 1e-300)]
    span: Floats = kept @ kept.T
    return np.where(np.abs(span) > 1e-12, span, 0.0)


def _first_fine(run: Gas) -> int:
    return int(run.discarded * (run.durations.shape[1] // run.blocks))


def _zero(*, tensor: bool) -> Estimate:
    return Estimate(np.zeros((3, 3)), np.zeros((3, 3))) if tensor else Estimate(0.0, 0.0)


def _refuse_open(run: Gas) -> None:
    if run.open_axis is not None:
        raise GraphError("carriers come and go at open ends, so none is followed; ask for kmc.current(run)")


def _refuse_immobile(run: Gas, what: str) -> None:
    if not _percolates(run):
        raise GraphError(f"the graph percolates nowhere: D is zero and there is no {what}")
