"""What a diffusivity is when it comes back: value, error, interval, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from iondiff.errors import TrajectoryError
from kmc import Estimate, NotConvergedError

Floats = npt.NDArray[np.float64]


class NotDiffusiveError(TrajectoryError, NotConvergedError):
    """The trajectory is too short to be diffusive; what it does say is in `estimate`.

    Attributes
    ----------
    estimate
        The partial `Diffusivity`.
    """

    def __init__(self, message: str, estimate: Estimate):
        NotConvergedError.__init__(self, message, estimate)


@dataclass(frozen=True)
class Diffusivity(Estimate):
    """A diffusivity with its error and the diffusive window it was found in.

    Intervals are those of a scaled χ² (by the cube root of Wilson and Hilferty) with Student's t for the
    error being measured too: D is a variance, and short trajectories miss it upwards more rarely, but
    further, than downwards.

    Attributes
    ----------
    value, error
        cm²/s; floats, or (3, 3).
    degrees_of_freedom
        Behind the error.
    offset
        cm²/s: the error grows in proportion to D + offset (localisation noise does not grow with D).
    window_ps
        Only motion over longer times than this was used; the time between frames where there is no memory.
    localisation
        Å, standard deviation an axis of what does not add up with time (rattling, noise); NaN where none was
        resolved.
    correlation
        By how much larger the variance is than that of as many independent Brownian ions: hops are events,
        ions push.
    n_atoms, n_frames, timestep_ps
        Of the data.
    notes
        What was put right on the way.
    unit
        Of value, error and offset.
    """

    offset: float = float("inf")
    window_ps: float = float("nan")
    localisation: float = float("nan")
    correlation: float = float("nan")
    n_atoms: int = 0
    n_frames: int = 0
    timestep_ps: float = float("nan")
    notes: tuple[str, ...] = ()
    unit: str = "cm²/s"
    spectrum: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)

    def interval(self, confidence: float = 0.95) -> tuple[Any, Any]:
        """Central confidence interval (low, high), cm²/s."""
        low, high = super().interval(confidence)  # refuses a confidence that is none
        if np.ndim(self.value) == 0:
            return self._skewed(float(self.value), float(self.error), confidence)
        low, high = np.array(low), np.array(high)
        for a in range(3):
            low[a, a], high[a, a] = self._skewed(self.value[a, a], self.error[a, a], confidence)  # type: ignore[index]
        return low, high

    def _skewed(self, value: float, error: float, confidence: float) -> tuple[float, float]:
        quantile = float(stats.t.ppf(0.5 + 0.5 * confidence, self.degrees_of_freedom))
        whole = value + self.offset
        if not (np.isfinite(whole) and np.isfinite(error)) or whole <= 0.0:
            return value - quantile * error, value + quantile * error
        relative = error / whole
        middle, width = 1.0 - relative**2 / 9.0, quantile * relative / 3.0
        low = whole / (middle + width) ** 3 - self.offset
        high = whole / (middle - width) ** 3 - self.offset if middle - width > 0.05 else float("inf")
        return low, high

    def window_table(self, bins_a_decade: int = 6) -> pd.DataFrame:
        """The spectrum in bins: how D would look at each time scale, and which scales were used.

        Returns
        -------
        pandas.DataFrame
            period_ps; D_apparent (cm²/s), flat where motion is diffusive, rising to short periods where ions
            rattle or hop back; frequencies (how many were averaged); used (bool).
        """
        m = len(self.spectrum)
        place = np.arange(1, m + 1)
        label = np.floor(np.log10(place) * bins_a_decade + 1e-9).astype(int)
        rows = []
        for one in np.unique(label):
            inside = label == one
            period = 2.0 * (m + 1) / place[inside].mean() * self.timestep_ps
            value = float(self.spectrum[inside].mean())
            rows.append((period, value, int(inside.sum()), bool(period >= 2.0 * self.window_ps * 0.999)))
        return pd.DataFrame(rows, columns=["period_ps", "D_apparent", "frequencies", "used"])

    def __str__(self) -> str:
        if np.ndim(self.value):
            return f"{self.value} ± {self.error} {self.unit}"
        number = f"{self.value:.4g} ± {self.error:.2g} {self.unit}"
        return f"{number}, from motion over more than {self.window_ps:.4g} ps"
