"""Blocks of walks: how long they must be, and what they say about D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmc.exact import Component
from kmc.network import Floats

#: A bias below this many standard errors is let pass; above, it joins the error, ...
HARMLESS_BIAS = 0.2
#: ... up to this fraction of the value; above, the estimate is refused.
TOLERATED_BIAS = 0.03
#: Fewer independent contributions than this do not make an error bar.
FEWEST_EVENTS = 25
#: From this many walkers on, each counts as one independent measurement.
ENOUGH_WALKERS = 30


@dataclass(frozen=True)
class Blocks:
    """Blocks of the walkers of one component.

    Attributes
    ----------
    wound
        (walkers, blocks, 3), what each wound beyond the mean drift, in the component's lattice vectors.
    durations, spreads
        (walkers, blocks), in units of `unit`: mean duration given the hops, and its standard deviation.
    drift
        (3,), windings in one unit of time.
    unit
        s.
    """

    wound: Floats
    durations: Floats
    spreads: Floats
    drift: Floats
    unit: float

    def joined(self) -> Blocks:
        """Blocks joined two by two; an odd one joins the last."""
        spreads = np.sqrt(_join_pairs(self.spreads**2))
        return Blocks(_join_pairs(self.wound), _join_pairs(self.durations), spreads, self.drift, self.unit)

    def squares(self) -> Floats:
        """Mean squares given the hops, (walkers, blocks, 3, 3): time that scatters moves a walker against the drift."""
        moved = np.einsum("wbi,wbj->wbij", self.wound, self.wound)
        late = np.einsum("wb,i,j->wbij", self.spreads**2, self.drift, self.drift)
        squares: Floats = moved + late
        return squares


def _join_pairs(blocks: Floats) -> Floats:
    n = blocks.shape[1]
    joined: Floats = np.add.reduceat(blocks, np.arange(0, n - 1, 2), axis=1)
    return joined


@dataclass(frozen=True)
class Length:
    """One component at one block length, Å² in the unit of time of its blocks: a third of the trace, or the tensor."""

    mean: Floats
    error: Floats
    bias: Floats
    harmless: bool
    relative_bias: float
    events: float
    seconds: float
    freedom: float

    @property
    def honest_error(self) -> Floats:
        """The error, with the bias where that is not negligible."""
        return self.error if self.harmless else np.sqrt(self.error**2 + self.bias**2)


def trouble_with(found: list[tuple[float, Length]], *, tensor: bool) -> str:
    """Why an estimate should not be believed, empty if it should: from what each component adds to D, and its blocks.

    An isotropic D is judged as a whole, a tensor by the slowest axis of every component.
    """
    added = np.array([part for part, _ in found])
    share = added / added.sum() if added.sum() > 0 else np.full(len(added), 1.0 / max(len(added), 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [
            0.0 if s == 0.0 else s * s / length.events for s, (_, length) in zip(share, found, strict=True)
        ]
    events = 1.0 / sum(parts) if 0.0 < sum(parts) < float("inf") else 0.0
    if found and events < FEWEST_EVENTS:
        return f"only {events:.3g} independent events, and an error bar needs {FEWEST_EVENTS}"
    biases = np.array([0.0 if length.harmless else length.relative_bias for _, length in found])
    bias = float(biases.max(initial=0.0) if tensor else (share * biases)[share > 0].sum())
    if bias <= TOLERATED_BIAS:
        return ""
    worst = found[int(np.argmax(biases if tensor else share * biases))][1]
    return (
        f"blocks of {worst.seconds:.3g} s are too short against the slowest axis: D may be off by "
        f"{100 * bias:.2g} %"
    )


def choose_length(part: Component, blocks: Blocks, spread: Floats, *, tensor: bool) -> Length:
    """The shortest blocks whose bias, `spread` (3, 3) over their duration, does no harm; failing that, the longest."""
    while True:
        length = _at_length(part, blocks, spread, tensor=tensor)
        if length.harmless or blocks.durations.shape[1] == 1:
            return length
        blocks = blocks.joined()


def _at_length(part: Component, blocks: Blocks, spread: Floats, *, tensor: bool) -> Length:
    """Mean square winding over twice the duration, with what the walkers say about its error."""
    durations = blocks.durations
    wound = blocks.squares()
    squares = part.vectors.T @ wound @ part.vectors
    axes = np.einsum("wbii->wbi", wound)[..., : part.rank]
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
    return Length(
        mean=mean,
        error=error,
        bias=bias,
        harmless=bool(np.all(axis_bias <= HARMLESS_BIAS * axis_error)),
        relative_bias=float(relative.max()),
        events=min(_effective_number(axes), _effective_number(_units(durations)[:, None])),
        seconds=duration * blocks.unit,
        freedom=freedom,
    )


def _ratio(squares: Floats, durations: Floats) -> tuple[Floats, Floats, float]:
    """Σ squares / 2 Σ durations over blocks (walkers, n), its standard error and degrees of freedom."""
    each, time = _units(squares), _units(durations)
    mean = each.sum(axis=0) / (2.0 * time.sum())
    left = each - 2.0 * np.multiply.outer(time, mean)
    n = len(each)
    error = np.sqrt((left**2).sum(axis=0) * n / max(n - 1, 1)) / (2.0 * time.sum())
    return mean, error, float(max(n - 1, 1))


def _units(blocks: Floats) -> Floats:
    """What counts as one measurement, (units, ...).

    Walkers are independent without any doubt, blocks of one walker almost: enough walkers are the units.
    """
    by_walker = len(blocks) >= ENOUGH_WALKERS
    units: Floats = blocks.sum(axis=1) if by_walker else blocks.reshape((-1, *blocks.shape[2:]))
    return units


def _effective_number(values: Floats) -> float:
    """How many equal contributions (walkers, n, axes) would scatter as much; of the worst axis."""
    flat = values.reshape(-1, values.shape[-1])
    square = (flat**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        number = np.where(square > 0, flat.sum(axis=0) ** 2 / square, 0.0)
    return float(number.min())
