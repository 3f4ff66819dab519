"""Diffusivities from blocks of displacements, with errors from how the blocks scatter.

Mean squares over blocks of duration t are 2Dt + c: what a hop takes back after the end of its block leaves a
constant. Its cure is the product of neighbouring blocks, ⟨a aᵀ⟩ + 2⟨a bᵀ⟩ = 2Dt without a constant. What is
left dies out with the memory of the gas: the shortest blocks are sought whose D agrees with that of all
longer ones, and blocks four times as long are taken. Agreement is judged leniently (four errors of the
difference), since a strict judge would most often be wrong where the longer blocks are, by chance, and then
choose those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kmc.network import Floats

#: Blocks that an error bar needs.
FEWEST_BLOCKS = 16
#: Blocks are too short where D differs by more than this many errors (of the difference) from that of longer
#: ones ...
SIGMAS = 4.0
#: Doublings beyond the shortest blocks that agree.
SAFETY = 2
#: ... and the number is refused where also the longest differ, by more than this fraction.
TOLERATED_BIAS = 0.03
#: Fewer independent contributions than this do not make an error bar.
FEWEST_EVENTS = 25


@dataclass(frozen=True)
class Level:
    """Blocks of one length.

    Attributes
    ----------
    squares, cross
        (replicas, blocks, ...), Å²: squared displacements, and the symmetrised product with the block before.
    times
        (replicas, blocks), s.
    fine
        Fine blocks in one block.
    events
        Equal contributions that would scatter as much.
    """

    squares: Floats
    cross: Floats
    times: Floats
    fine: int
    events: float


@dataclass(frozen=True)
class Measured:
    """A ratio of sums over blocks.

    Attributes
    ----------
    value
        Å²/s, of any shape.
    residual
        (replicas, blocks, ...): what each block adds to the deviation of `value`; errors are made of these.
    fine
        Fine blocks in one of these.
    troubles
        Why the value should not be believed.
    """

    value: Floats
    residual: Floats
    fine: int
    troubles: tuple[str, ...]

    @property
    def number(self) -> int:
        """Blocks behind the error."""
        return int(self.residual.shape[0] * self.residual.shape[1])

    @property
    def error(self) -> Floats:
        """One standard error."""
        return scatter(self.residual)


def scatter(residual: Floats) -> Floats:
    """Standard error of a sum of independent contributions with mean zero."""
    n = residual.shape[0] * residual.shape[1]
    error: Floats = np.sqrt((residual**2).sum(axis=(0, 1)) * n / max(n - 1, 1))
    return error


def at_level(level: Level, norm: float) -> Measured:
    """D from the blocks of one length; `norm` is the number of carriers."""
    z = level.squares[:, 1:] + 2.0 * level.cross[:, 1:]
    times = level.times[:, 1:]
    total = 2.0 * norm * times.sum()
    value = z.sum(axis=(0, 1)) / total
    shape = times.shape + (1,) * (z.ndim - 2)
    left = (z - 2.0 * norm * times.reshape(shape) * value) / total
    return Measured(value, left, level.fine, ())


def choose(levels: list[Level], norm: float) -> Measured:
    """D from the shortest blocks that are long enough."""
    usable = [x for x in levels if x.times.shape[0] * (x.times.shape[1] - 1) >= FEWEST_BLOCKS]
    few = not usable
    usable = usable or [next(x for x in reversed(levels) if x.times.shape[1] > 1)]
    found = [at_level(level, norm) for level in usable]
    shortest = len(found) - 1
    while shortest > 0 and all(_agree(found[shortest - 1], longer) for longer in found[shortest:]):
        shortest -= 1
    chosen = min(shortest + SAFETY, len(found) - 1)
    one, troubles = found[chosen], []
    if few:
        troubles.append(f"only {one.number} blocks, and an error bar needs {FEWEST_BLOCKS}")
    if shortest == len(found) - 1 > 0:
        change = np.abs(one.value - found[-2].value).max() / max(float(np.abs(one.value).max()), 1e-300)
        if change > TOLERATED_BIAS:
            duration = float(usable[-1].times.mean())
            troubles.append(
                f"blocks of {duration:.3g} s are too short against the memory of the gas: D still changes by "
                f"{100 * change:.2g} %"
            )
    events = usable[chosen].events
    if events < FEWEST_EVENTS:
        troubles.append(f"only {events:.3g} independent events, and an error bar needs {FEWEST_EVENTS}")
    trace = one.value if one.value.ndim == 0 else np.einsum("ii", one.value)
    sigma = one.error if one.value.ndim == 0 else np.sqrt(np.einsum("ii", one.error**2))
    if not trace > 2.0 * sigma:
        troubles.append("the carriers hardly move: D cannot be told from zero")
    return Measured(one.value, one.residual, one.fine, tuple(troubles))


def _agree(short: Measured, long: Measured) -> bool:
    """Nested estimates: the variance of their difference is the difference of their variances.

    Few blocks that are small by chance also scatter little; what the many short ones let expect is a lower
    bound.
    """
    expected = short.error * np.sqrt(short.number / long.number)
    spread = np.maximum(long.error, expected)
    sigma = np.sqrt(np.maximum(spread**2 - short.error**2, 0.25 * spread**2))
    return bool(np.all(np.abs(short.value - long.value) <= SIGMAS * sigma + 1e-9 * np.abs(long.value)))


def ratio(above: Measured, below: Measured) -> Measured:
    """Of two numbers (each a single one) from the same run, correlations between them included."""
    fine = max(above.fine, below.fine)
    value = above.value / below.value
    n = min(one.residual.shape[1] * one.fine // fine for one in (above, below))
    if n == 0:
        fine, n = min(above.fine, below.fine), 1
    first, second = (_gather(one, fine, n) for one in (above, below))
    residual = first / below.value - second * (value / below.value)
    return Measured(value, residual, fine, (*above.troubles, *below.troubles))


def _gather(one: Measured, fine: int, n: int) -> Floats:
    """Residuals in n longer blocks, the last ones of the run."""
    size = max(1, fine // one.fine)
    kept = one.residual[:, max(0, one.residual.shape[1] - n * size) :]
    edges = np.arange(n) * size
    gathered: Floats = np.add.reduceat(kept, edges[edges < kept.shape[1]], axis=1)
    if gathered.shape[1] < n:
        pad = np.zeros((gathered.shape[0], n - gathered.shape[1]))
        gathered = np.concatenate([pad, gathered], axis=1)
    # The few blocks at the beginning that fit nowhere belong to the first.
    rest = one.residual[:, : max(0, one.residual.shape[1] - n * size)]
    gathered[:, 0] += rest.sum(axis=1)
    return gathered
