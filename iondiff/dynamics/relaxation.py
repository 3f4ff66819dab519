"""Atoms brought to rest in a fixed cell."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.dynamics._drivers import make_driver
from iondiff.dynamics._integrators import POTENTIAL
from iondiff.dynamics._setup import make_rules, make_state
from iondiff.dynamics.ensembles import Ensemble
from iondiff.dynamics.schedules import Ramp


def relax(
    atoms: Atoms, potential: Any, largest_force: float = 0.01, most_steps: int = 5000
) -> tuple[Atoms, float, int]:
    """Minimise at constant cell with FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)).

    Parameters
    ----------
    atoms
        Left as they were.
    potential
        Compiled potential or calculator.
    largest_force
        eV/Å; 0 only computes the energy.

    Returns
    -------
    atoms, energy, steps
        At rest; eV; force calls, or -1 where forces stayed larger.
    """
    flat = Ramp(((0.0, 0.0),))
    out = atoms.copy()
    out.set_velocities(np.zeros((len(atoms), 3)))
    rules = make_rules(out, Ensemble("none"), 1.0, 1.0, flat, flat, True, (1.0, (0.0, math.inf), 1.0))
    state = make_state(out, rules, 0.0, 0)
    driver = make_driver(potential, out, 0.8, needs_stress=False)
    driver.begin(state)
    step, mixing, good = 0.05, 0.1, 0
    velocities = np.zeros_like(state.positions)
    calls = 0
    while largest_force > 0 and calls < most_steps:
        forces = state.forces * rules.mobile[:, None]
        if float(np.sqrt((forces**2).sum(axis=1).max())) <= largest_force:
            break
        power = float((forces * velocities).sum())
        if power > 0:
            velocities = (1 - mixing) * velocities + mixing * forces * np.linalg.norm(
                velocities
            ) / np.linalg.norm(forces)
            good += 1
            if good > 5:
                step, mixing = min(1.1 * step, 0.5), 0.99 * mixing
        else:
            velocities[:] = 0.0
            step, mixing, good = 0.5 * step, 0.1, 0
        velocities += step * forces
        move = step * velocities
        farthest = float(np.sqrt((move**2).sum(axis=1).max()))
        state.positions[:] += move * min(1.0, 0.1 / max(farthest, 1e-12))
        driver.evaluate(state)
        calls += 1
    out.positions[:] = state.positions
    return out, float(state.scalars[POTENTIAL]), calls if calls < most_steps else -1
