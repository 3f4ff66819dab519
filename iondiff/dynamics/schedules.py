"""Temperature and pressure as functions of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iondiff.errors import DynamicsError

_SHORTEST = 1e-9  # ps, between two rows of a table


@dataclass(frozen=True)
class Ramp:
    """A value that changes with time: straight lines between rows, constant before and after.

    Made by :meth:`linear`, :meth:`rate` or :meth:`table`.

    Attributes
    ----------
    points
        Rows of (time, value). Times are in ps from the start of the run, or shares of it where `whole_run`.
    whole_run
        Whether times go from 0 to 1 over the run, however long it is.
    """

    points: tuple[tuple[float, float], ...]
    whole_run: bool = False

    def __post_init__(self) -> None:
        rows = np.array(self.points, dtype=float)
        if rows.ndim != 2 or rows.shape[1:] != (2,) or not len(rows) or not np.isfinite(rows).all():
            raise DynamicsError(
                f"the table is {self.points!r}; wanted rows of two finite numbers, time and value"
            )
        if (np.diff(rows[:, 0]) < _SHORTEST).any() or rows[0, 0] < 0:
            raise DynamicsError(
                f"the times of the table are {rows[:, 0].tolist()}; wanted them rising from 0 or later"
            )

    @classmethod
    def linear(cls, start: float, stop: float) -> Ramp:
        """From `start` to `stop` over the whole run."""
        return cls(((0.0, float(start)), (1.0, float(stop))), whole_run=True)

    @classmethod
    def rate(cls, start: float, stop: float, per_second: float) -> Ramp:
        """From `start` to `stop` at a rate of either sign, for example 1e13 K/s, then constant."""
        if not (math.isfinite(per_second) and per_second != 0 and start != stop):
            raise DynamicsError(
                f"a ramp from {start} to {stop} at a rate of {per_second} per second; wanted two different "
                "values and a finite rate other than 0"
            )
        return cls(((0.0, float(start)), (abs((stop - start) / per_second) * 1e12, float(stop))))

    @classmethod
    def table(cls, rows: Sequence[Sequence[float]]) -> Ramp:
        """Rows of (time in ps, value)."""
        return cls(tuple((float(time), float(value)) for time, value in rows))

    @property
    def duration_ps(self) -> float:
        """Time of the last row; 0 for a ramp over the whole run, which has no length of its own."""
        return 0.0 if self.whole_run else self.points[-1][0]

    def rows(self, length_ps: float) -> np.ndarray:
        """(k, 2): time in ps, value, in a run of this length."""
        rows = np.array(self.points, dtype=float)
        if self.whole_run:
            rows[:, 0] *= max(length_ps, _SHORTEST)
        return rows


def as_ramp(name: str, value: object, lowest: float) -> Ramp:
    """A number, a pair (start, stop) or a ramp, checked."""
    ramp = None
    if isinstance(value, Ramp):
        ramp = value
    elif isinstance(value, int | float | np.number) and not isinstance(value, bool):
        ramp = Ramp(((0.0, float(value)),)) if math.isfinite(float(value)) else None
    elif isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[0], tuple | list):
        ramp = Ramp.linear(value[0], value[1])
    if ramp is None:
        raise DynamicsError(
            f"{name} is {value!r}; wanted a number, a pair (start, stop) or an iondiff.dynamics.Ramp"
        )
    smallest = min(number for _, number in ramp.points)
    if smallest < lowest:
        raise DynamicsError(f"{name} goes down to {smallest}; wanted at least {lowest}")
    return ramp
