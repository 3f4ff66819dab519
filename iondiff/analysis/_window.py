"""Which frequencies of the increments are diffusive, and what their spectrum is at frequency zero.

The increments of a trajectory, brought to the frequencies θ_j = πj/(m + 1) by a sine transform, have the
variance λ_j = 2Dτ + σ² s_j, s_j = 4 sin²(θ_j/2), if the ion does Brownian motion seen with the localisation
noise σ: exactly, and independently of each other (the transform diagonalises their tridiagonal covariance).
Motion with a memory (rattling, hopping back) bends λ(s); below some frequency it is a straight line again,
and its intercept is what remains at long times. This file fits lines (and parabolas) to spectra by maximum
likelihood, and looks for the bend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

#: Windows shrink by this factor in frequency; the narrowest holds at least FEWEST_MODES frequencies.
RATIO = 2.0**0.5
FEWEST_MODES = 10
#: Prior odds of "no memory" against a bend at the scale of the whole spectrum; each fourfold narrower bend is
#: half as likely again. Within narrower windows a memory is known to be there, so that it is suspected more
#: easily.
ODDS, ODDS_GROW = 6.0, 2.0
WINDOW_ODDS, WINDOW_ODDS_GROW = 4.0, 1.4
#: Bends upwards (inertia) are rarer than bends downwards (memory that takes steps back).
CONVEX_ODDS = 4.0
#: Posterior probabilities of memory up to this are noise and count as zero.
NEGLIGIBLE = 0.25
#: From this on memory is certain, and the straight line through everything is dropped.
SURE = 0.97
#: A memory that is not taken to be there, but likelier than SUSPECTED under these odds, widens the error bar.
DOUBT_ODDS, DOUBT_ODDS_GROW, SUSPECTED = 6.0, 1.4, 0.15
#: Once a window passes, this many steps narrower are taken: what the test could not see is then gone too.
STEPS_NARROWER = 2
FLOOR = 1e-3


@dataclass(frozen=True)
class Fit:
    """A polynomial in s through the lowest frequencies of a spectrum.

    Attributes
    ----------
    coefficients
        Of (s / scale)^k; the first is the spectrum at frequency zero.
    scale
        s at the edge of the window.
    modes
        How many frequencies.
    spectrum
        (modes,), the fitted λ.
    weights
        (modes,), the linear combination of the spectrum that is the intercept.
    variance
        Of the intercept, for independent Gaussian increments.
    """

    coefficients: Floats
    scale: float
    modes: int
    spectrum: Floats
    weights: Floats
    variance: float

    @property
    def order(self) -> int:
        """Number of coefficients."""
        return len(self.coefficients)

    def at(self, s: Floats) -> Floats:
        """The fitted spectrum at other places, never below a small positive value."""
        design = np.vander(s / self.scale, self.order, increasing=True)
        return np.maximum(design @ self.coefficients, FLOOR * self.spectrum.max())


@dataclass(frozen=True)
class Window:
    """One choice of frequencies and its posterior weight.

    `doubt` is a variance of the intercept, for memories that might be there all the same.
    """

    modes: int
    order: int
    weight: float
    doubt: float = 0.0


def curvature_axis(m: int) -> Floats:
    """s_j = 4 sin²(θ_j / 2) of m increments."""
    return np.asarray(4.0 * np.sin(0.5 * np.pi * np.arange(1, m + 1) / (m + 1)) ** 2)


def intercept_weights(s: Floats, spectrum: Floats, freedom: Floats, order: int) -> tuple[Floats, float]:
    """Weighted least squares intercept as weights on the spectrum, and its variance."""
    design = np.vander(s / s[-1], order, increasing=True)
    # Scaled to keep the normal equations well conditioned whatever the units.
    weight = freedom / (2.0 * (spectrum / spectrum.mean()) ** 2)
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
    return (weight[:, None] * design) @ inverse[:, 0], float(inverse[0, 0] * spectrum.mean() ** 2)


def fit(power: Floats, s: Floats, freedom: Floats, modes: int, order: int) -> Fit:
    """Maximum likelihood for power_j = λ_j χ²(freedom_j) / freedom_j, λ a polynomial in s.

    Least squares with weights from the last fit, until it stands: its fixed point is the maximum.
    """
    power, s, freedom = power[:modes], s[:modes], freedom[:modes]
    design = np.vander(s / s[-1], order, increasing=True)
    spectrum = np.full(modes, max(float(power.mean()), 1e-300))
    for _ in range(40):
        weight = freedom * (spectrum.mean() / spectrum) ** 2
        coefficients = np.linalg.solve(design.T @ (weight[:, None] * design), design.T @ (weight * power))
        new = design @ coefficients
        new = np.maximum(new, max(FLOOR * float(new.max()), 1e-300))
        settled = float(np.max(np.abs(new - spectrum) / new)) < 1e-7
        spectrum = new
        if settled:
            break
    weights, variance = intercept_weights(s, spectrum, freedom, order)
    return Fit(coefficients, float(s[-1]), modes, spectrum, weights, variance)


def choose_windows(power: Floats, s: Floats, freedom: Floats) -> list[Window]:
    """The windows to average over: the whole spectrum, a narrower one, both; none where nothing is straight.

    A window passes if no bend is more likely than not. The whole spectrum and the narrower window are
    weighted by the posterior probability of a memory, so that near the threshold the error bar holds both
    answers.
    """
    m = len(power)
    z = _bends(power, s, freedom, m)
    probability = 1.0 / (1.0 + np.exp(-min(_log_odds(z, ODDS, ODDS_GROW).max(), 500.0)))
    memory = max(0.0, (probability - NEGLIGIBLE) / (1.0 - NEGLIGIBLE))
    if memory <= SURE:
        line = Window(m, 2, 1.0 - memory, _doubt(power, s, freedom, z))
        if memory == 0.0:
            return [line]
    sizes = _sizes(m)
    for place, modes in enumerate(sizes[1:], 1):
        odds = _log_odds(_bends(power, s, freedom, modes), WINDOW_ODDS, WINDOW_ODDS_GROW)
        if odds.max() < 0.0:
            narrow = Window(sizes[min(place + STEPS_NARROWER, len(sizes) - 1)], 3, memory)
            return [narrow] if memory > SURE else [line, narrow]
    return [] if memory > SURE else [replace(line, weight=1.0)]


def _sizes(m: int) -> list[int]:
    sizes, size = [m], float(m)
    while size / RATIO >= FEWEST_MODES:
        size /= RATIO
        sizes.append(round(size))
    return sizes


def _log_odds(z: Floats, odds: float, grow: float) -> Floats:
    """Log posterior odds of each bend against a straight line, from how many sigmas it stands out."""
    prior = np.log(odds) + np.arange(len(z)) * np.log(grow)
    return np.asarray(0.5 * z**2 - prior - np.where(z < 0.0, np.log(CONVEX_ODDS), 0.0))


def _doubt(power: Floats, s: Floats, freedom: Floats, z: Floats) -> float:
    """Variance that suspected memories add to the intercept of the straight line: what they would take from it.

    The value stays with the line, whose spread is the smallest possible if nothing is there. A relaxation so
    slow that it moves only the lowest frequencies can hide behind their noise; where it would be no surprise,
    the error bar says so.
    """
    odds = _log_odds(z, DOUBT_ODDS, DOUBT_ODDS_GROW)
    share = np.exp(odds - np.logaddexp.reduce(np.append(odds, 0.0)))
    suspects = [k for k in range(1, len(z)) if z[k] > 0.0 and share[k] > SUSPECTED]
    if not suspects:
        return 0.0
    line = fit(power, s, freedom, len(power), 2)
    variance = 0.0
    for k in suspects:
        below = max(_with_relaxation(power, s, freedom, s[-1] / 4.0**k, line.spectrum), 0.0)
        variance += float(share[k]) * (line.coefficients[0] - below) ** 2
    return variance


def _with_relaxation(power: Floats, s: Floats, freedom: Floats, rate: float, spectrum: Floats) -> float:
    """Intercept of a line and a relaxation, as maximum likelihood has it."""
    design = np.stack([np.ones_like(s), s / s[-1], s / (rate + s)], axis=1)
    intercept = 0.0
    for _ in range(12):
        weight = freedom * (spectrum.mean() / spectrum) ** 2
        coefficients = np.linalg.solve(design.T @ (weight[:, None] * design), design.T @ (weight * power))
        new = design @ coefficients
        new = np.maximum(new, max(FLOOR * float(new.max()), 1e-300))
        settled = float(np.max(np.abs(new - spectrum) / new)) < 1e-5
        spectrum, intercept = new, float(coefficients[0])
        if settled:
            break
    return intercept


def _bends(power: Floats, s: Floats, freedom: Floats, modes: int) -> Floats:
    """How many sigmas each shape of bend stands out: −s², then s/(ε + s) with ε fourfold smaller each time.

    The latter is what a relaxation of rate ε/2 a frame adds to the increments; every reversible overdamped
    motion is a sum of them. The scatter of neighbouring frequencies, not theory, says how large a sigma is.
    """
    line = fit(power, s, freedom, modes, 2)
    s, count = s[:modes], freedom[:modes]
    root = np.sqrt(0.5 * count)
    residual = (power[:modes] / line.spectrum - 1.0) * root
    scatter = max(float(np.mean(np.diff(residual / root) ** 2 * count[1:])) / 4.0, 1e-12)
    design = np.vander(s / s[-1], 2, increasing=True) * (root / line.spectrum)[:, None]
    q, _ = np.linalg.qr(design)
    residual -= q @ (q.T @ residual)
    shapes, rate = [-((s / s[-1]) ** 2)], s[-1] / 4.0
    while rate > s[min(3, modes - 1)]:
        shapes.append(s / (rate + s))
        rate /= 4.0
    z = np.empty(len(shapes))
    for k, shape in enumerate(shapes):
        direction = shape * root / line.spectrum
        direction -= q @ (q.T @ direction)
        z[k] = (direction @ residual) / max(float(np.linalg.norm(direction)), 1e-300) / np.sqrt(scatter)
    freedom_of_scatter = max(modes - 3, 1) * 2.0 / 3.0
    tail = np.clip(stats.t.cdf(z, freedom_of_scatter), 1e-16, 1.0 - 1e-16)
    return np.asarray(stats.norm.ppf(tail))
