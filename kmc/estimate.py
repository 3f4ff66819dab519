"""A number with an error bar, and the refusal to give one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from scipy import stats

from kmc.network import Floats, GraphError

Value: TypeAlias = float | Floats


@dataclass(frozen=True)
class Estimate:
    """A number with one standard error; both may be arrays.

    Attributes
    ----------
    value, error
        float, or arrays of one shape.
    degrees_of_freedom
        Behind the error: intervals are Student's t. Infinite where the error is as good as known.
    """

    value: Value
    error: Value
    degrees_of_freedom: float = float("inf")

    def interval(self, confidence: float = 0.95) -> tuple[Value, Value]:
        """Central confidence interval (low, high)."""
        if not 0.0 < confidence < 1.0:
            raise GraphError(f"confidence is {confidence!r}; wanted a number between 0 and 1, like 0.95")
        width = float(stats.t.ppf(0.5 + 0.5 * confidence, self.degrees_of_freedom))
        return self.value - width * self.error, self.value + width * self.error

    def __str__(self) -> str:
        return f"{self.value} ± {self.error}"


class NotConvergedError(GraphError):
    """The data cannot support the number; what they do say is in `estimate`.

    Attributes
    ----------
    estimate
        The partial `Estimate`.
    """

    def __init__(self, message: str, estimate: Estimate):
        super().__init__(message)
        self.estimate = estimate

    def __reduce__(self) -> tuple[type, tuple[str, Estimate]]:
        return type(self), (str(self), self.estimate)  # so that it comes back from other processes
