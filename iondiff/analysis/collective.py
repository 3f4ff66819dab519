"""Charge transport: collective diffusivity, Haven ratio, conductivity; finite size; temperatures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import constants

from iondiff.analysis.estimates import Diffusivity, NotDiffusiveError
from iondiff.analysis.tracer import analyse, checked_timestep, diffusivity
from iondiff.analysis.trajectory import Motion, Trajectory, as_trajectory, motion
from iondiff.errors import TrajectoryError
from kmc import ArrheniusFit, Estimate, fit_arrhenius

Floats = npt.NDArray[np.float64]

#: Of a cubic periodic cell (Yeh and Hummer, J. Phys. Chem. B 108, 15873 (2004)).
XI_CUBIC = 2.837297


def charge_diffusivity(
    positions: Any,
    timestep_ps: float | None = None,
    *,
    charges: Mapping[str, float] | Sequence[float] | None = None,
    species: str | Sequence[str] | None = None,
    symbols: Sequence[str] | None = None,
    tensor: bool = False,
    cell: Any = None,
    drift: str = "auto",
    wrapped: bool | None = None,
    check: bool = True,
) -> Diffusivity:
    """Collective (charge) diffusivity: lim ⟨‖Σ z_i Δr_i‖²⟩ / (6 t Σ z_i²).

    For independent ions it is the tracer diffusivity; the conductivity is it, by the Nernst-Einstein
    relation, exactly. One sum over all ions is one series: the error falls with the length of the run, not
    with the number of ions.

    Parameters
    ----------
    positions, timestep_ps, species, symbols, tensor, cell, drift, wrapped, check
        As in `iondiff.analysis.diffusivity`. "auto" takes out the mean place of the other atoms, or, where
        all atoms were chosen, a constant velocity.
    charges
        In units of e: by species ({"Li": 1, "Cl": -1}), or one for each chosen atom. None: all alike.

    Returns
    -------
    Diffusivity
        cm²/s.
    """
    trajectory = as_trajectory(positions, cell=cell, symbols=symbols, wrapped=wrapped)
    timestep = checked_timestep(timestep_ps, trajectory)
    chosen, z = _charged(trajectory, charges, species)
    if drift == "centre":
        raise TrajectoryError(
            "drift is 'centre', which takes out what is asked for; use 'host' or 'velocity'"
        )
    moving = motion(trajectory, chosen, drift)
    total = np.zeros((1, 3, moving.m))
    for part in moving.parts:
        total[0] += np.einsum("i,iam->am", z[part], moving.increments(part))
    total /= math.sqrt(float(z @ z))
    if moving.mean_removed:
        total -= total.mean(axis=2, keepdims=True)
    one = Motion(lambda part: total[part], (slice(0, 1),), 1, moving.m, moving.mean_removed)
    answer, trouble = analyse(one, timestep, "none", tensor=tensor)
    answer = replace(answer, notes=tuple(trajectory.notes), n_frames=trajectory.n_frames, n_atoms=len(chosen))
    if check and trouble:
        raise NotDiffusiveError(f"{trouble} (so far {answer})", answer)
    return answer


def haven_ratio(positions: Any, timestep_ps: float | None = None, **options: Any) -> Estimate:
    """Tracer over charge diffusivity: below one where ions move together.

    Parameters
    ----------
    options
        Of `charge_diffusivity`.

    Returns
    -------
    kmc.Estimate
        The error is that of the charge diffusivity, mostly.
    """
    charges = options.pop("charges", None)
    trajectory = as_trajectory(
        positions, cell=options.pop("cell", None), symbols=options.pop("symbols", None),
        wrapped=options.pop("wrapped", None),
    )  # fmt: skip
    charge = charge_diffusivity(trajectory, timestep_ps, charges=charges, **options)
    tracer = diffusivity(trajectory, timestep_ps, **options)
    value = np.asarray(tracer.value) / np.asarray(charge.value)
    relative = np.hypot(
        np.asarray(tracer.error) / np.asarray(tracer.value),
        np.asarray(charge.error) / np.asarray(charge.value),
    )
    freedom = min(tracer.degrees_of_freedom, charge.degrees_of_freedom)
    if value.ndim == 0:
        return Estimate(float(value), float(value * relative), freedom)
    return Estimate(value, np.abs(value * relative), freedom)


def conductivity(
    positions: Any,
    timestep_ps: float | None,
    temperature: float,
    *,
    charges: Mapping[str, float] | Sequence[float] | float = 1.0,
    **options: Any,
) -> Diffusivity:
    """Ionic conductivity from the collective motion: Σ z_i² e² D_charge / (V k T).

    Parameters
    ----------
    temperature
        K.
    charges
        In units of e: by species, one for each chosen atom, or one number for all.
    options
        Of `charge_diffusivity`; the cell must be known.

    Returns
    -------
    Diffusivity
        With the unit S/cm; its error and interval work alike.
    """
    kelvin = _temperature(temperature)
    trajectory = as_trajectory(
        positions, cell=options.pop("cell", None), symbols=options.pop("symbols", None),
        wrapped=options.pop("wrapped", None),
    )  # fmt: skip
    species = options.get("species")
    given = (
        [float(charges)] * len(trajectory.atoms_of(species)) if isinstance(charges, (int, float)) else charges
    )
    _, z = _charged(trajectory, given, species)
    volume = trajectory.cells if trajectory.cells is not None else trajectory.mean_cell
    mean_volume = float(np.abs(np.linalg.det(volume)).mean())  # Å³
    found = charge_diffusivity(trajectory, timestep_ps, charges=given, **options)
    factor = nernst_einstein(1.0, float(z @ z) / mean_volume, kelvin)
    return replace(
        found,
        value=found.value * factor,
        error=found.error * factor,
        offset=found.offset * factor,
        unit="S/cm",
    )


def nernst_einstein(diffusivity_cm2_s: float, density_per_A3: float, temperature: float) -> float:
    """Conductivity n e² D / kT in S/cm; the density of carriers (times z²) in 1/Å³."""
    per_cm3 = density_per_A3 * 1e24
    return (
        per_cm3
        * constants.e**2
        * diffusivity_cm2_s
        * 1e-4
        * 1e6
        / (constants.k * _temperature(temperature))
        / 100
    )


def yeh_hummer(
    estimate: Estimate,
    temperature: float,
    viscosity_Pa_s: float,
    length: float,
) -> Estimate:
    """Diffusivity in an infinite fluid: D + ξ kT / (6π η L), ξ = 2.837297 for cubes of edge L.

    For fluids only: in a solid nothing carries momentum from an ion to its images. Yeh and Hummer (2004).

    Parameters
    ----------
    estimate
        In the cell, cm²/s.
    temperature
        K.
    viscosity_Pa_s
        Of the fluid, Pa s.
    length
        Edge of the cubic cell, Å.
    """
    if not (math.isfinite(viscosity_Pa_s) and viscosity_Pa_s > 0 and math.isfinite(length) and length > 0):
        raise TrajectoryError(
            f"viscosity_Pa_s is {viscosity_Pa_s!r} and length {length!r}; wanted both above zero, in Pa s "
            "and Å"
        )
    kelvin = _temperature(temperature)
    shift = XI_CUBIC * constants.k * kelvin / (6.0 * math.pi * viscosity_Pa_s * length * 1e-10) * 1e4
    return replace(
        estimate, value=estimate.value + (shift if np.ndim(estimate.value) == 0 else shift * np.eye(3))
    )


def diffusivity_table(
    trajectories: Mapping[float, Any],
    timestep_ps: float | None = None,
    *,
    skip_short: bool = False,
    **options: Any,
) -> pd.DataFrame:
    """Diffusivities of trajectories at several temperatures, as `kmc.sweep` writes them.

    Parameters
    ----------
    trajectories
        {temperature in K: trajectory}.
    timestep_ps, options
        Of `diffusivity`.
    skip_short
        Leave out trajectories that are too short to be diffusive, instead of stopping at the first.

    Returns
    -------
    pandas.DataFrame
        temperature (K), D, D_error (cm²/s), degrees_of_freedom, window_ps, method "md".
    """
    rows = []
    for temperature, trajectory in sorted(trajectories.items()):
        try:
            found = diffusivity(trajectory, timestep_ps, **options)
        except NotDiffusiveError as error:
            if skip_short:
                continue
            raise NotDiffusiveError(f"at {temperature:g} K: {error}", error.estimate) from error
        rows.append(
            (float(temperature), found.value, found.error, found.degrees_of_freedom, found.window_ps, "md")
        )
    columns = ["temperature", "D", "D_error", "degrees_of_freedom", "window_ps", "method"]
    return pd.DataFrame(rows, columns=columns)


def arrhenius(
    trajectories: Mapping[float, Any], timestep_ps: float | None = None, **options: Any
) -> ArrheniusFit:
    """Arrhenius line through {temperature in K: trajectory}, by errors; `.extrapolate(300)` goes on."""
    return fit_arrhenius(diffusivity_table(trajectories, timestep_ps, **options))


def _charged(
    trajectory: Trajectory, charges: Any, species: str | Sequence[str] | None
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Chosen atoms and their charges."""
    if isinstance(charges, Mapping):
        if trajectory.symbols is None:
            raise TrajectoryError("charges name species, but the positions have no symbols; give symbols=")
        names = [species] if isinstance(species, str) else list(species or charges)
        missing = [name for name in names if name not in charges]
        if missing:
            raise TrajectoryError(
                f"charges lack {missing[0]!r}, only {', '.join(charges)}; add it, in units of e"
            )
        chosen = trajectory.atoms_of(names)
        z = np.array([float(charges[trajectory.symbols[i]]) for i in chosen])
    else:
        chosen = trajectory.atoms_of(species)
        z = np.ones(len(chosen)) if charges is None else np.asarray(charges, dtype=np.float64)
        if z.shape != (len(chosen),):
            raise TrajectoryError(f"there are {z.size} charges for {len(chosen)} atoms; give one for each")
    if not np.isfinite(z).all() or not z.any():
        raise TrajectoryError(f"charges are {np.unique(z).tolist()}; wanted finite numbers, not all zero")
    return chosen, z


def _temperature(temperature: Any) -> float:
    try:
        kelvin = float(temperature)
    except (TypeError, ValueError):
        kelvin = math.nan
    if not (math.isfinite(kelvin) and kelvin > 0):
        raise TrajectoryError(f"the temperature is {temperature!r}; wanted kelvins above zero")
    return kelvin
