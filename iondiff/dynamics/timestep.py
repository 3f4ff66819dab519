"""Is the time step short enough? Asked of the energy that an exact integrator would keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.dynamics.runner import run

LARGEST_NOISE = 0.05  # of the conserved energy, relative to the fluctuations of the kinetic energy
LARGEST_DRIFT = 0.1  # meV per atom and ps


@dataclass(frozen=True)
class EnergyCheck:
    """How well a time step keeps the energy in a short NVE run.

    Attributes
    ----------
    timestep_fs
        fs.
    drift_meV_per_atom_ps, drift_error
        Slope of the energy and its standard error, from blocks.
    noise_meV_per_atom
        RMS about the line.
    kinetic_noise_meV_per_atom
        RMS of the kinetic energy, which the noise should be far below.
    """

    timestep_fs: float
    drift_meV_per_atom_ps: float
    drift_error: float
    noise_meV_per_atom: float
    kinetic_noise_meV_per_atom: float

    @property
    def good(self) -> bool:
        """Drift below what a thermostat notices, noise below a twentieth of the kinetic energy's."""
        drift = abs(self.drift_meV_per_atom_ps) - 2.0 * self.drift_error
        return (
            drift < LARGEST_DRIFT
            and self.noise_meV_per_atom < LARGEST_NOISE * self.kinetic_noise_meV_per_atom
        )

    def __str__(self) -> str:
        verdict = "fine" if self.good else "too long; try a shorter one"
        return (
            f"{self.timestep_fs:g} fs: drift {self.drift_meV_per_atom_ps:.2g} ± {self.drift_error:.1g} "
            f"meV/atom/ps, noise {self.noise_meV_per_atom:.2g} of {self.kinetic_noise_meV_per_atom:.2g} "
            f"meV/atom; {verdict}"
        )


def check_timestep(
    atoms: Atoms, potential: Any, timestep_fs: float, temperature: float, n_steps: int = 2000, seed: int = 0
) -> EnergyCheck:
    """A short NVE run from `temperature` (K), after as many steps of Bussi's thermostat.

    Raises
    ------
    MDUnstable
        The step is so long that the run falls apart.
    """
    warm = run(atoms, potential, "nvt", timestep_fs, n_steps, temperature, seed=seed, every=max(n_steps, 1))
    free = run(
        warm.atoms, potential, "nve", timestep_fs, n_steps, seed=seed, every=max(n_steps // 400, 1)
    ).log
    time, energy = free["time_ps"].to_numpy(), free["conserved_eV"].to_numpy()
    n = len(atoms)
    slope, offset = np.polyfit(time, energy, 1)
    residual = energy - (slope * time + offset)
    # Neighbouring rows are correlated: the error comes from the slopes of quarters.
    slopes = [
        np.polyfit(t, e, 1)[0]
        for t, e in zip(np.array_split(time, 4), np.array_split(energy, 4), strict=True)
    ]
    return EnergyCheck(
        timestep_fs=timestep_fs,
        drift_meV_per_atom_ps=float(1000.0 * slope / n),
        drift_error=float(1000.0 * np.std(slopes, ddof=1) / 4.0**1.5 / n),
        noise_meV_per_atom=float(1000.0 * residual.std() / n),
        kinetic_noise_meV_per_atom=float(1000.0 * free["kinetic_eV"].std() / n),
    )
