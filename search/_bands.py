"""The mechanics of many elastic bands at once: tangents, forces and FIRE, on arrays of all bands together."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.lattice import Floats, Ints

Force = Callable[[Floats], tuple[Floats, Floats]]
"""Images (n, d), Å -> energies (n,), eV, and gradients (n, d), eV/Å."""


@dataclass
class Bands:
    """Bands of equally many images: positions and gradients (b, m, d), energies (b, m).

    The last axis has 3 coordinates for each moving atom.
    """

    positions: Floats
    energies: Floats
    gradients: Floats
    climbing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))


def tangents(positions: Floats, energies: Floats) -> tuple[Floats, Floats]:
    """Unit tangents (b, m-2, d) of the inner images, and spring stretches (b, m-2), next minus previous.

    The improved tangent of Henkelman & Jónsson, J. Chem. Phys. 113, 9978 (2000), eqs. 8-11.
    """
    # An image inside a wall is only "very high" here; infinite weights would leave no direction.
    energies = np.where(np.isfinite(energies), energies, 1e6)
    ahead, behind = positions[:, 2:] - positions[:, 1:-1], positions[:, 1:-1] - positions[:, :-2]
    up, down = energies[:, 2:] - energies[:, 1:-1], energies[:, :-2] - energies[:, 1:-1]
    larger, smaller = np.maximum(np.abs(up), np.abs(down)), np.minimum(np.abs(up), np.abs(down))
    rising, falling = (up > 0) & (down < 0), (up < 0) & (down > 0)
    higher_ahead = energies[:, 2:] > energies[:, :-2]
    forward = np.where(rising, 1.0, np.where(falling, 0.0, np.where(higher_ahead, larger, smaller)))
    backward = np.where(rising, 0.0, np.where(falling, 1.0, np.where(higher_ahead, smaller, larger)))
    # On a plateau both weights vanish: fall back on the bisector.
    flat = forward + backward < 1e-300
    forward, backward = np.where(flat, 1.0, forward), np.where(flat, 1.0, backward)
    tangent = ahead * forward[..., None] + behind * backward[..., None]
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-300)
    return tangent, np.linalg.norm(ahead, axis=-1) - np.linalg.norm(behind, axis=-1)


def band_forces(bands: Bands, spring: float) -> Floats:
    """Forces (b, m-2, d), eV/Å, on the inner images: true force across the band, spring force along it.

    Where a band climbs, its highest inner image feels no spring and the reversed true force along the band
    (Henkelman, Uberuaga & Jónsson, J. Chem. Phys. 113, 9901 (2000)).
    """
    tangent, stretch = tangents(bands.positions, bands.energies)
    true = -bands.gradients[:, 1:-1]
    along = np.einsum("bid,bid->bi", true, tangent)
    pull = spring * stretch - along
    rows = np.flatnonzero(bands.climbing)
    top = np.argmax(bands.energies[:, 1:-1], axis=1)
    pull[rows, top[rows]] = -2.0 * along[rows, top[rows]]
    return np.asarray(true + pull[..., None] * tangent)


def largest_force(forces: Floats) -> Floats:
    """Largest force on any atom of any image of each band: (b, i, 3k) -> (b,), eV/Å."""
    atoms = forces.reshape(len(forces), -1, 3)
    return np.asarray(np.linalg.norm(atoms, axis=-1).max(axis=1))


def relax(
    force: Force, bands: Bands, spring: float, fmax: float, steps: int, longest: float = 0.1
) -> tuple[NDArray[np.bool_], Floats, Ints]:
    """FIRE for each band, all in one batch; bands below `fmax` leave it. Changes `bands` in place.

    Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with one time step and one power a band. Returns which
    converged (b,), the largest force left (b,), eV/Å, and the steps taken (b,).
    """
    b = len(bands.positions)
    velocity = np.zeros_like(bands.positions[:, 1:-1])
    dt, mixing, patience = np.full(b, 0.1), np.full(b, 0.1), np.zeros(b, dtype=np.int64)
    left, taken = np.full(b, np.inf), np.zeros(b, dtype=np.int64)
    todo = np.arange(b)
    for _ in range(steps + 1):
        part = Bands(bands.positions[todo], bands.energies[todo], bands.gradients[todo], bands.climbing[todo])
        forces = band_forces(part, spring)
        left[todo] = largest_force(forces)
        busy = ~(left[todo] < fmax) & np.isfinite(bands.energies[todo]).all(axis=1) & (taken[todo] < steps)
        todo, forces = todo[busy], forces[busy]
        if len(todo) == 0:
            break
        velocity[todo] = fire(velocity, forces, todo, dt, mixing, patience)
        move = dt[todo, None, None] * velocity[todo]
        size = np.linalg.norm(move.reshape(len(todo), -1, 3), axis=-1).max(axis=1)
        move *= np.minimum(1.0, longest / np.maximum(size, 1e-300))[:, None, None]
        bands.positions[todo, 1:-1] += move
        inner = bands.positions[todo, 1:-1]
        energies, gradients = force(inner.reshape(-1, inner.shape[-1]))
        bands.energies[todo, 1:-1] = energies.reshape(inner.shape[:2])
        bands.gradients[todo, 1:-1] = gradients.reshape(inner.shape)
        taken[todo] += 1
    return left < fmax, left, taken


def fire(velocity: Floats, forces: Floats, todo: Ints, dt: Floats, mixing: Floats, patience: Ints) -> Floats:
    """One FIRE update of the bands `todo`; dt, mixing and patience (b,) are changed in place."""
    v = velocity[todo]
    power = np.einsum("bid,bid->b", forces, v)
    uphill = power <= 0
    v[uphill] = 0.0
    rows = todo[uphill]
    dt[rows], mixing[rows], patience[rows] = 0.5 * dt[rows], 0.1, 0
    rows = todo[~uphill]
    ratio = np.linalg.norm(v, axis=(1, 2)) / np.maximum(np.linalg.norm(forces, axis=(1, 2)), 1e-300)
    mix = mixing[todo][:, None, None]
    v = np.where(uphill[:, None, None], v, (1.0 - mix) * v + mix * ratio[:, None, None] * forces)
    patience[rows] += 1
    fast = rows[patience[rows] > 5]
    dt[fast], mixing[fast] = np.minimum(1.1 * dt[fast], 1.0), 0.99 * mixing[fast]
    return np.asarray(v + dt[todo][:, None, None] * forces)
