"""What a user asks of a run, checked: ramps, numbers, what to watch for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.dynamics.ensembles import Ensemble
from iondiff.dynamics.schedules import Ramp, as_ramp
from iondiff.errors import DynamicsError
from iondiff.potentials import HDNNP, Committee
from iondiff.potentials.calculator import PotentialCalculator

Watch = Callable[[Atoms], str | None]

_LOWEST_PRESSURE = -1000.0  # GPa


def schedules(ensemble: Ensemble, temperature: Any, pressure_GPa: Any) -> tuple[Ramp, Ramp]:
    """Temperature (K) and pressure (GPa) as ramps that fit the ensemble."""
    if temperature is None and ensemble.thermostated:
        raise DynamicsError(
            f"thermostat {ensemble.thermostat!r} without a temperature; pass temperature=... in K"
        )
    lowest = 1e-6 if ensemble.thermostated else 0.0
    warm = as_ramp("temperature", 0.0 if temperature is None else temperature, lowest)
    if len(warm.points) > 1 and not ensemble.thermostated:
        raise DynamicsError("a temperature ramp without a thermostat; choose an ensemble such as 'nvt'")
    squeezed = as_ramp("pressure_GPa", 0.0 if pressure_GPa is None else pressure_GPa, _LOWEST_PRESSURE)
    if not ensemble.moves_cell and any(value != 0.0 for _, value in squeezed.points):
        raise DynamicsError("a pressure is given but the cell is fixed; choose an ensemble such as 'npt'")
    return warm, squeezed


def check_numbers(
    timestep_fs: float, n_steps: int | None, every: int, log_every: int | None, precision_A: float, skin_A:
    float, seed: int, *ramps: Ramp,
) -> int:  # fmt: skip
    """Refuse numbers that mean nothing; the number of steps, from a ramp where it is not given."""
    for name, value in (("timestep_fs", timestep_fs), ("precision_A", precision_A), ("skin_A", skin_A)):
        if not (isinstance(value, int | float | np.number) and math.isfinite(value) and value > 0):
            raise DynamicsError(f"{name} is {value!r}; wanted a positive number")
    if n_steps is None:
        duration = max(ramp.duration_ps for ramp in ramps)
        if duration <= 0:
            raise DynamicsError(
                "n_steps is not given, and no ramp says how long the run is; pass n_steps=..."
            )
        n_steps = math.ceil(duration * 1e3 / timestep_fs - 1e-9)
    counts = [
        ("n_steps", n_steps, 0),
        ("every", every, 1),
        ("log_every", log_every or every, 1),
        ("seed", seed, 0),
    ]
    for name, value, least in counts:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise DynamicsError(f"{name} is {value!r}; wanted a whole number of at least {least}")
    return int(n_steps)


def extrapolation_watch(potential: Any, atoms: Atoms, most: int, other: Watch | None) -> Watch:
    """A watcher that stops a run where more symmetry functions than `most` leave the range of the training."""
    source = atoms.calc if potential is None else potential
    source = source.potential if isinstance(source, PotentialCalculator) else source
    if not isinstance(source, HDNNP | Committee):
        raise DynamicsError(
            f"max_extrapolations is given, but {type(source).__name__} has no symmetry functions; it needs "
            "an HDNNP or a committee of them"
        )

    def look(frame: Atoms) -> str | None:
        found = source.evaluate([frame])[0].extrapolations
        if len(found) > most:
            worst = max(found, key=lambda one: one.excess)
            return (
                f"step {frame.info['step']}: {len(found)} symmetry functions are outside the range of the "
                f"training, more than {most}; the farthest: {worst}"
            )
        return None if other is None else other(frame)

    return look
