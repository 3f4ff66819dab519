"""The tracer diffusivity of a trajectory, with an error bar that is true.

Value: maximum likelihood for Brownian motion seen with localisation noise, on the frequencies where the
motion is diffusive (`_window`). Error: the scatter between blocks of time, which knows about ions that push
each other and about hops being few (`_blocks`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from iondiff.analysis import _spectra
from iondiff.analysis._frame import wandering
from iondiff.analysis._window import Fit, Window, choose_windows, curvature_axis, fit, intercept_weights
from iondiff.analysis.estimates import Diffusivity, NotDiffusiveError
from iondiff.analysis.trajectory import Motion, Trajectory, as_trajectory, motion
from iondiff.errors import TrajectoryError

Floats = npt.NDArray[np.float64]

CM2_S_PER_A2_PS = 1e-4
#: Frequencies of the window in each block, by order of the fit, and blocks at most and at least.
MODES_A_BLOCK = {2: 5, 3: 8}
MOST_BLOCKS, FEWEST_BLOCKS = 40, 3
#: Fewer increments than this say nothing about a window.
FEWEST_INCREMENTS = 12
#: An error beyond this share of the value is no measurement.
LARGEST_ERROR = 0.4


def diffusivity(
    positions: Any,
    timestep_ps: float | None = None,
    *,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    tensor: bool = False,
    cell: Any = None,
    drift: str = "auto",
    wrapped: bool | None = None,
    check: bool = True,
) -> Diffusivity:
    """Tracer diffusivity from a trajectory.

    Parameters
    ----------
    positions
        Unwrapped positions (frames, atoms, 3) in Å, or a trajectory: a path that ASE reads (extxyz, LAMMPS
        dump, XDATCAR, .traj) or of a file of `iondiff.dynamics`, `ase.Atoms` objects in a list or iterator, a
        `Run` or `Trajectory` of `iondiff.dynamics`, an `iondiff.analysis.Trajectory`.
    timestep_ps
        Time between frames, ps; those of `iondiff.dynamics` know it themselves.
    species
        Which atoms diffuse, "Li" or ["Li", "Na"]; None: all.
    symbols
        One a atom, for bare positions.
    tensor
        False: a third of the trace. True: (3, 3) arrays.
    cell
        (3, 3) or (frames, 3, 3), Å, for bare positions that are wrapped or of a cell that breathes.
    drift
        "auto": against the mean place of the other atoms ("host"); where all atoms diffuse, minus a constant
        velocity ("velocity"), or against their own mean place ("centre") if that wanders as no ions would.
        "none" leaves everything in.
    wrapped
        True, False, or None: found out, and said.
    check
        False returns the number even where the trajectory is too short for it.

    Returns
    -------
    Diffusivity
        cm²/s.

    Raises
    ------
    TrajectoryError
        The input is no trajectory; says where.
    NotDiffusiveError
        Too short to be diffusive; carries the partial estimate.
    """
    trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
    timestep = checked_timestep(timestep_ps, trajectory)
    chosen = trajectory.atoms_of(species)
    moving = motion(trajectory, chosen, drift)
    answer, trouble = analyse(moving, timestep, drift, tensor=tensor)
    answer = replace(answer, notes=(*trajectory.notes, *answer.notes), n_frames=trajectory.n_frames)
    if check and trouble:
        raise NotDiffusiveError(f"{trouble} (so far {answer})", answer)
    return answer


def checked_timestep(timestep_ps: Any, trajectory: Trajectory | None = None) -> float:
    """The time between frames as a float above zero; None: what the trajectory knows of it."""
    if timestep_ps is None and trajectory is not None:
        timestep_ps = trajectory.timestep_ps
    try:
        timestep = float(timestep_ps)
    except (TypeError, ValueError):
        timestep = math.nan
    if not (math.isfinite(timestep) and timestep > 0.0):
        raise TrajectoryError(
            f"timestep_ps is {timestep_ps!r}; wanted the time between frames in ps, above zero"
        )
    return timestep


@dataclass(frozen=True)
class _Power:
    """Mean spectra of an ion, (components, m), and chi-squared degrees of freedom of their mean over axes."""

    components: Floats
    freedom: Floats
    to_centre: bool

    @property
    def isotropic(self) -> Floats:
        return np.asarray(self.components[:3].mean(axis=0))


def analyse(moving: Motion, timestep: float, drift: str, *, tensor: bool) -> tuple[Diffusivity, str | None]:
    """The estimate, and what speaks against it."""
    scale = CM2_S_PER_A2_PS / (2.0 * timestep)
    spectra = _spectra.whole(moving.increments, moving.parts, moving.m, tensor=tensor)
    power, notes = _powers(moving, spectra, drift)
    total, s = power.isotropic, curvature_axis(moving.m)
    shape = (3, 3) if tensor else ()
    about = Diffusivity(
        np.zeros(shape) if tensor else 0.0, np.zeros(shape) if tensor else 0.0, n_atoms=moving.n_atoms,
        timestep_ps=timestep, notes=tuple(notes), spectrum=total * scale,
    )  # fmt: skip
    if not total.any():
        return about, "nothing moves at all; give a longer trajectory, or a hotter one"
    windows = choose_windows(total, s, power.freedom) if moving.m >= FEWEST_INCREMENTS else []
    trouble = None
    if moving.m < FEWEST_INCREMENTS:
        trouble = f"{moving.m + 1} frames are too few to see whether motion is diffusive; give more"
        windows = [Window(moving.m, 2 if moving.m > 2 else 1, 1.0)]
    elif not windows:
        trouble = (
            "the motion is not diffusive on any time scale that the trajectory resolves: ions still "
            "rattle or hop back "
            f"over {2 * moving.m * timestep / 10:.3g} ps; run longer"
        )
        windows = [Window(min(10, moving.m), 2, 1.0)]
    parts = _each_window(moving, power, s, windows, tensor=tensor)
    answer = _average(parts, windows, scale, about)
    main = parts[int(np.argmax([window.weight for window in windows]))]
    rattle = _rattle(total, s, main.fit, float(np.mean(main.value[:3])))
    answer = replace(answer, localisation=rattle)
    return answer, trouble or _trouble(answer, parts, windows, scale)


def _powers(moving: Motion, spectra: _spectra.Spectra, drift: str) -> tuple[_Power, list[str]]:
    """Spectra of one ion, in the frame of reference that drift asks for."""
    n, m = moving.n_atoms, moving.m
    to_centre = drift == "centre"
    notes = []
    if drift == "auto" and moving.mean_removed:
        excess = wandering(moving, spectra)
        if excess is not None:
            to_centre = True
            notes.append(
                f"the whole cell wanders (its mean place moves {excess:.3g} times as fast as independent atoms "
                "would let it): motion about the mean place was taken; drift='none' leaves it in"
            )
    if to_centre and n < 2:
        raise TrajectoryError(
            "drift is 'centre' with one atom, which would not move at all; use drift='none'"
        )
    leak = _spectra.mean_leakage(m) if moving.mean_removed and not to_centre else np.zeros(m)
    count = (n - 1 if to_centre else n) - leak
    components = spectra.relative(to_centre=to_centre) * ((n - 1 if to_centre else n) / count)
    return _Power(components, 3.0 * count, to_centre), notes


@dataclass(frozen=True)
class _Part:
    """One window: intercepts and their variances, by component, Å²."""

    fit: Fit
    value: Floats
    variance: Floats
    freedom: float
    correlation: float
    freedom_of_modes: Floats


def _each_window(
    moving: Motion, power: _Power, s: Floats, windows: list[Window], *, tensor: bool
) -> list[_Part]:
    fits, shapes = [], []
    for window in windows:
        found = fit(power.isotropic, s, power.freedom, window.modes, window.order)
        if found.coefficients[0] <= 0.0 and window.order > 2:
            found = fit(power.isotropic, s, power.freedom, window.modes, 2)
        blocks = min(max(window.modes // MODES_A_BLOCK.get(found.order, 5), FEWEST_BLOCKS), MOST_BLOCKS)
        length = moving.m // blocks
        modes = max(int(found.modes / (moving.m + 1) * (length + 1) + 1e-9), found.order)
        fits.append(found)
        shapes.append((blocks, modes) if length >= modes and moving.m >= FEWEST_INCREMENTS else (0, 0))
    measured = [shape for shape in shapes if shape[0]]
    spectra: Iterator[_spectra.Spectra] = iter(
        _spectra.in_blocks(moving.increments, moving.parts, moving.m, measured, tensor=tensor)
        if measured
        else ()
    )
    parts = []
    for found, shape in zip(fits, shapes, strict=True):
        value = power.components[:, : found.modes] @ found.weights
        count = power.freedom[: found.modes]
        if not shape[0]:  # too few frames for blocks: theory's error, with as few degrees of freedom
            variance = np.full(len(value), found.variance)
            parts.append(_Part(found, value, variance, max(moving.m - 2.0, 1.0), math.nan, count))
            continue
        powers = next(spectra).relative(to_centre=power.to_centre)
        parts.append(_from_blocks(found, value, powers, moving, count))
    return parts


def _from_blocks(found: Fit, value: Floats, blocks: Floats, moving: Motion, count: Floats) -> _Part:
    """Variance of the intercept from blocks (components, blocks, modes) of time.

    A block resolves its few frequencies worse than the whole does: by how much is known for Gaussian motion,
    and taken off that share of the variance.
    """
    n_blocks, modes = blocks.shape[1:]
    s = curvature_axis(moving.m // n_blocks)[:modes]
    expected = found.at(s)
    design = np.vander(s / found.scale, found.order, increasing=True)
    weight = 1.0 / (expected / expected.mean()) ** 2
    weights = (weight[:, None] * design) @ np.linalg.inv(design.T @ (weight[:, None] * design))[:, 0]
    each = blocks @ weights
    scatter = each.var(axis=1, ddof=1) / n_blocks
    theory = float(np.sum((weights * expected) ** 2)) * 2.0 / (3.0 * moving.n_atoms) / n_blocks
    own = float(each[:3].mean(axis=0).var(ddof=1)) / n_blocks
    shrink = found.variance / theory
    variance = own * shrink if own < theory or shrink > 1.0 else own - (theory - found.variance)
    variances = scatter * (variance / own) if own > 0.0 else np.full(len(scatter), found.variance)
    if len(variances) == 1:
        variances = np.array([variance if own > 0.0 else found.variance])
    return _Part(found, value, variances, n_blocks - 1.0, own / theory, count)


def _average(parts: list[_Part], windows: list[Window], scale: float, about: Diffusivity) -> Diffusivity:
    """Windows weighted by their probability; their disagreement is part of the variance."""
    weights = np.array([window.weight for window in windows])
    values = np.array([part.value for part in parts])
    value = weights @ values
    variance = weights @ np.array([part.variance for part in parts]) + weights @ (values - value) ** 2
    isotropic = max(abs(float(value[:3].mean())), 1e-300)
    doubt = float(weights @ [window.doubt for window in windows])
    variance[:3] += doubt * (value[:3] / isotropic) ** 2
    main = parts[int(np.argmax(weights))]
    tensor = np.ndim(about.value) == 2
    freedom = 1.0 / float(weights @ np.array([1.0 / part.freedom for part in parts]))
    if tensor:
        own = value[:3].mean()
        as_matrix = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])
        final: Any = value[as_matrix] * scale
        error: Any = np.sqrt(variance)[as_matrix] * scale
    else:
        own = value[0]
        final, error = float(own) * scale, float(np.sqrt(variance[0])) * scale
    m = len(about.spectrum)
    return replace(
        about,
        value=final,
        error=error,
        degrees_of_freedom=freedom,
        offset=_offset(main, float(own)) * scale,
        window_ps=(m + 1) / (main.fit.modes + 1) * about.timestep_ps,
        correlation=main.correlation,
    )


def _offset(part: _Part, intercept: float) -> float:
    """κ such that the standard error grows like intercept + κ, from its derivative; inf: it is constant."""
    found = part.fit
    if not intercept > 0.0:
        return math.inf
    s = curvature_axis_of(found)
    design = np.vander(s / found.scale, found.order, increasing=True)
    logs = []
    for factor in (0.95, 1.05):
        spectrum = design @ np.array([factor * intercept, *found.coefficients[1:]])
        spectrum = np.maximum(spectrum, 1e-3 * spectrum.max())
        logs.append(math.log(intercept_weights(s, spectrum, part.freedom_of_modes, found.order)[1]))
    growth = (logs[1] - logs[0]) / (0.1 * intercept)
    return max(2.0 / growth - intercept, 0.0) if growth > 0.0 else math.inf


def curvature_axis_of(found: Fit) -> Floats:
    """S of the frequencies of a fit, from its edge."""
    edge = 2.0 * math.asin(min(math.sqrt(found.scale) / 2.0, 1.0))
    return np.asarray(4.0 * np.sin(0.5 * edge * np.arange(1, found.modes + 1) / found.modes) ** 2)


def _rattle(power: Floats, s: Floats, found: Fit, value: float) -> float:
    """Standard deviation (Å, an axis) of what does not add up with time; NaN where there is none.

    A stationary motion u adds s S(θ) to the spectrum of the increments, S that of u itself, whose mean over
    frequencies is the variance of u. Inside the window the fit stands for the noisy spectrum.
    """
    low = s[: found.modes]
    inside = np.vander(low / found.scale, found.order, increasing=True)[:, 1:] @ found.coefficients[1:] / low
    outside = (power[found.modes :] - value) / s[found.modes :]
    variance = (float(inside.sum()) + float(outside.sum())) / len(power)
    return math.sqrt(variance) if variance > 0.0 else math.nan


def _trouble(answer: Diffusivity, parts: list[_Part], windows: list[Window], scale: float) -> str | None:
    """What speaks against the number: it is lost in its error, or in the rattling."""
    weights = np.array([window.weight for window in windows])
    axes = np.array([part.value[:3] for part in parts])
    spread = np.array([part.variance[:3].sum() for part in parts]) / axes.shape[1] ** 2
    each = axes.mean(axis=1)
    value = float(weights @ each)
    error = math.sqrt(float(weights @ (spread + (each - value) ** 2))) * scale
    value *= scale
    if value <= 0.0 or error > LARGEST_ERROR * value:
        return (
            f"D is not told apart from zero: {value:.3g} ± {error:.2g} cm²/s over {answer.window_ps:.3g} "
            "ps and longer; "
            "run longer, with more atoms, or hotter"
        )
    run = len(answer.spectrum) * answer.timestep_ps
    come = math.sqrt(2.0 * value / CM2_S_PER_A2_PS * run)
    if come < math.sqrt(2.0) * answer.localisation:
        return (
            f"in the whole run an ion comes {come:.2g} Å along an axis, less than it rattles "
            f"({math.sqrt(2.0) * answer.localisation:.2g} Å): nothing says that this goes on; run longer, or hotter"
        )
    return None
