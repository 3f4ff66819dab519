"""Correlations: mean square displacement, velocity autocorrelation and spectrum, van Hove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from iondiff.analysis import _kernels
from iondiff.analysis.tracer import checked_timestep
from iondiff.analysis.trajectory import Trajectory, as_trajectory, motion
from iondiff.errors import TrajectoryError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A function of time or frequency.

    Attributes
    ----------
    x
        ps (times) or THz (frequencies).
    y
        One value, or (3, 3), a place; the unit stands with the function that made it.
    """

    x: Floats
    y: Floats


def msd(
    positions: Any,
    timestep_ps: float | None = None,
    *,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    tensor: bool = False,
    cell: Any = None,
    drift: str = "auto",
    wrapped: bool | None = None,
) -> Curve:
    """Mean square displacement over all time origins and atoms, by FFT.

    ⟨Δr_a Δr_b⟩(k) = [Σ_t (r_a r_b)(t) + (r_a r_b)(t + k) − r_a(t) r_b(t + k) − r_b(t) r_a(t + k)] / (n − k):
    the first two terms are running sums, the others a correlation (Calandrini et al., Collection SFN 12, 201
    (2011)).

    Parameters
    ----------
    positions, timestep_ps, species, symbols, cell, drift, wrapped
        As in `iondiff.analysis.diffusivity`.
    tensor
        True: (times, 3, 3) instead of the trace.

    Returns
    -------
    Curve
        ps, Å²; lags 0 to frames − 1. Long lags have few origins: nothing beyond a tenth of the run is worth
        fitting.
    """
    trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
    timestep = checked_timestep(timestep_ps, trajectory)
    moving = motion(trajectory, trajectory.atoms_of(species), drift)
    n = trajectory.n_frames
    pairs = [(a, b) for a in range(3) for b in range(a, 3)] if tensor else [(a, a) for a in range(3)]
    size = fft.next_fast_len(2 * n, real=True)
    products = np.zeros((len(pairs), n))
    spectrum = np.zeros((len(pairs), size // 2 + 1))
    for part in moving.parts:
        path = np.zeros((part.stop - part.start, 3, n))
        np.cumsum(moving.increments(part), axis=2, out=path[:, :, 1:])
        path -= path.mean(axis=2, keepdims=True)
        moved = fft.rfft(path, size, axis=2)
        for k, (a, b) in enumerate(pairs):
            products[k] += np.einsum("it,it->t", path[:, a], path[:, b])
            spectrum[k] += np.einsum("if,if->f", moved[:, a].conj(), moved[:, b]).real
    correlation = fft.irfft(spectrum, size, axis=1)[:, :n]
    ahead = np.cumsum(products[:, ::-1], axis=1)[:, ::-1]  # sums from t on, and up to n - 1 - t
    behind = np.cumsum(products, axis=1)[:, ::-1]
    squares = (ahead + behind - 2.0 * correlation) / np.arange(n, 0, -1) / moving.n_atoms
    squares[:, 0] = 0.0
    times = np.arange(n) * timestep
    if not tensor:
        return Curve(_float(times), squares.sum(axis=0))
    full = np.empty((n, 3, 3))
    for k, (a, b) in enumerate(pairs):
        full[:, a, b] = full[:, b, a] = squares[k]
    return Curve(_float(times), full)


def vacf(
    positions: Any,
    timestep_ps: float | None = None,
    *,
    velocities: Any = None,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    cell: Any = None,
    drift: str = "auto",
    wrapped: bool | None = None,
) -> Curve:
    """Velocity autocorrelation ⟨v(0)·v(t)⟩ over all origins and atoms.

    Velocities are increments over the time between frames (of which D is exactly the integral, see
    `velocity_spectrum`), or those given: (frames, atoms, 3), Å/ps; positions may then be None.

    Returns
    -------
    Curve
        ps, Å²/ps².
    """
    timestep, power, m, size = _velocity_power(
        positions, timestep_ps, velocities, species, symbols, cell, drift, wrapped, pad=True
    )
    correlation = fft.irfft(power, size)[:m] / np.arange(m, 0, -1)
    return Curve(_float(np.arange(m) * timestep), correlation)


def velocity_spectrum(
    positions: Any,
    timestep_ps: float | None = None,
    *,
    velocities: Any = None,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    cell: Any = None,
    drift: str = "auto",
    wrapped: bool | None = None,
    resolution_THz: float | None = None,
) -> Curve:
    """Spectrum of the velocities, one sixth of ∫⟨v(0)·v(t)⟩ cos(2πft) dt over all times: D at frequency zero.

    Parameters
    ----------
    resolution_THz
        Neighbouring frequencies are averaged to this; None: not at all.

    Returns
    -------
    Curve
        THz, Å²/ps (times 1e-4: cm²/s). For light ions in a solid its peaks are the vibrations.
    """
    timestep, power, m, size = _velocity_power(
        positions, timestep_ps, velocities, species, symbols, cell, drift, wrapped, pad=False
    )
    density = power * timestep / (6.0 * m)
    frequency = np.arange(len(density)) / (size * timestep)
    if resolution_THz is not None:
        if not resolution_THz > 0.0:
            raise TrajectoryError(f"resolution_THz is {resolution_THz!r}; wanted a frequency above zero")
        width = max(1, round(resolution_THz * size * timestep))
        edges = np.arange(0, len(density), width)
        count = np.diff(np.append(edges, len(density)))
        density = np.add.reduceat(density, edges) / count
        frequency = np.add.reduceat(frequency, edges) / count
    return Curve(frequency, density)


def _velocity_power(
    positions: Any, timestep_ps: float | None, velocities: Any, species: Any, symbols: Any, cell: Any, drift: str,
    wrapped: bool | None, *, pad: bool,
) -> tuple[float, Floats, int, int]:  # fmt: skip
    """Power spectrum |Σ_t v e^{iωt}|² summed over axes, mean over atoms; Å²/ps²."""
    if velocities is not None:
        timestep = checked_timestep(timestep_ps)
        # Velocities are the increments of a path with steps v · timestep.
        given = np.asarray(velocities, dtype=np.float64)
        if given.ndim != 3 or given.shape[2] != 3:
            raise TrajectoryError(
                f"velocities have the shape {given.shape}; wanted (frames, atoms, 3), in Å/ps"
            )
        path = np.concatenate([np.zeros((1, *given.shape[1:])), np.cumsum(given, axis=0)]) * timestep
        trajectory = as_trajectory(path, symbols=symbols, wrapped=False)
    else:
        trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
        timestep = checked_timestep(timestep_ps, trajectory)
    moving = motion(trajectory, trajectory.atoms_of(species), drift)
    size = fft.next_fast_len(2 * moving.m, real=True) if pad else moving.m
    power = np.zeros(size // 2 + 1)
    for part in moving.parts:
        moved = fft.rfft(moving.increments(part), size, axis=2)
        power += np.einsum("iaf,iaf->f", moved.conj(), moved).real
    return timestep, power / (moving.n_atoms * timestep**2), moving.m, size


@dataclass(frozen=True)
class VanHove:
    """Where atoms are some time later.

    Attributes
    ----------
    times
        (t,), ps.
    distances
        (bins,), Å, middles of the bins.
    density
        (t, bins). Self: 1/Å, density of the distance moved, of integral one. Distinct: relative to the mean
        density of atoms, so that it starts as g(r) and goes to one.
    """

    times: Floats
    distances: Floats
    density: Floats


def van_hove_self(
    positions: Any,
    timestep_ps: float | None,
    times_ps: Iterable[float],
    *,
    edges: Sequence[float] | Floats | None = None,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    cell: Any = None,
    drift: str = "auto",
    wrapped: bool | None = None,
) -> VanHove:
    """Self part of the van Hove function: how far each atom has come.

    Parameters
    ----------
    times_ps
        Rounded to whole frames.
    edges
        Bins, increasing, Å; None: 100 up to the farthest any atom came.
    """
    trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
    timestep = checked_timestep(timestep_ps, trajectory)
    moving = motion(trajectory, trajectory.atoms_of(species), drift)
    lags = _lags(times_ps, timestep, moving.m)
    bins = None if edges is None else _edges(edges)
    paths = []
    for part in moving.parts:
        path = np.zeros((part.stop - part.start, 3, moving.m + 1))
        np.cumsum(moving.increments(part), axis=2, out=path[:, :, 1:])
        paths.append(path)
        if bins is not None:
            paths = [path]
            break
    if bins is None:
        farthest = max(
            float(np.sqrt(((path[:, :, lag:] - path[:, :, : path.shape[2] - lag]) ** 2).sum(axis=1).max()))
            for path in paths
            for lag in lags
        )
        bins = np.linspace(0.0, max(farthest, 1e-6) * 1.0001, 101)
    counts = np.zeros((len(lags), len(bins) - 1))
    origins = np.zeros(len(lags))
    for part in moving.parts:
        path = np.zeros((part.stop - part.start, 3, moving.m + 1))
        np.cumsum(moving.increments(part), axis=2, out=path[:, :, 1:])
        for k, lag in enumerate(lags):
            moved = np.sqrt(((path[:, :, lag:] - path[:, :, : path.shape[2] - lag]) ** 2).sum(axis=1))
            counts[k] += np.histogram(moved, bins)[0]
            origins[k] += moved.size
    density = counts / (origins[:, None] * np.diff(bins))
    return VanHove(np.array(lags) * timestep, 0.5 * (bins[1:] + bins[:-1]), density)


def van_hove_distinct(
    positions: Any,
    timestep_ps: float | None,
    times_ps: Iterable[float],
    *,
    edges: Sequence[float] | Floats | None = None,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    cell: Any = None,
    wrapped: bool | None = None,
    origins: int = 200,
) -> VanHove:
    """Distinct part of the van Hove function: other atoms around the place where one was.

    Distances reach half the smallest height of the cell, where the nearest image is unambiguous in any cell.

    Parameters
    ----------
    edges
        Bins, increasing, Å; None: 100 up to that half height.
    origins
        Time origins to average over, spread evenly.

    Raises
    ------
    TrajectoryError
        No cell, fewer than two atoms, or edges that reach too far.
    """
    trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
    timestep = checked_timestep(timestep_ps, trajectory)
    mean_cell = trajectory.mean_cell
    atoms = trajectory.atoms_of(species)
    if len(atoms) < 2:
        raise TrajectoryError("the distinct part needs at least two atoms; choose another species")
    lags = _lags(times_ps, timestep, trajectory.n_frames - 1)
    heights = 1.0 / np.linalg.norm(np.linalg.inv(mean_cell), axis=0)
    reach = 0.5 * float(heights.min())
    bins = np.linspace(0.0, reach, 101) if edges is None else _edges(edges)
    if bins[-1] > reach * (1 + 1e-9):
        raise TrajectoryError(
            f"edges reach {bins[-1]:.4g} Å, beyond half the smallest height of the cell, {reach:.4g} Å; "
            "stop there"
        )
    fractional = _fractional(trajectory, atoms)
    counts = np.zeros((len(lags), len(bins) - 1))
    used = np.zeros(len(lags))
    for k, lag in enumerate(lags):
        starts = np.unique(np.linspace(0, trajectory.n_frames - 1 - lag, origins).astype(np.int64))
        _kernels.pair_histogram(fractional, starts, lag, mean_cell, bins, counts[k])
        used[k] = len(starts)
    shells = 4.0 / 3.0 * np.pi * np.diff(bins**3)
    n = len(atoms)
    ideal = shells * n * (n - 1) / abs(float(np.linalg.det(mean_cell)))
    density = counts / (used[:, None] * ideal)
    return VanHove(np.array(lags) * timestep, 0.5 * (bins[1:] + bins[:-1]), density)


def _fractional(trajectory: Trajectory, atoms: npt.NDArray[np.int64]) -> Floats:
    """Fractional places (frames, atoms, 3), unwrapped or not."""
    rows = np.asarray(trajectory.positions[:, atoms], dtype=np.float64)
    return np.ascontiguousarray(rows @ np.linalg.inv(trajectory.known_cells))


def _float(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _lags(times_ps: Iterable[float], timestep: float, longest: int) -> list[int]:
    times = np.atleast_1d(np.asarray(list(np.atleast_1d(times_ps)), dtype=np.float64))  # type: ignore[call-overload]
    lags = np.rint(times / timestep)
    if not len(lags) or not np.isfinite(lags).all() or lags.min() < 0 or lags.max() > longest:
        raise TrajectoryError(
            f"times_ps are {times.tolist()}; wanted times from 0 to {longest * timestep:g} ps, the length "
            "of the run"
        )
    return [int(lag) for lag in lags]


def _edges(edges: Any) -> Floats:
    bins = np.asarray(edges, dtype=np.float64)
    if bins.ndim != 1 or len(bins) < 2 or not (np.diff(bins) > 0).all() or bins[0] < 0:
        raise TrajectoryError(
            f"edges are {edges!r}; wanted at least two increasing distances in Å, from 0 on"
        )
    return bins
