"""Synthetic trajectories whose diffusivity is known: positions (frames, atoms, 3) in Å, frames 1 ps apart.

Every maker takes a `numpy.random.Generator` first and returns (positions, D), D in Å²/ps.
"""

# ruff: noqa: NPY002 - compiled code has no other generator
from __future__ import annotations

import functools

import numpy as np
from numba import njit

#: cm²/s in one Å²/ps.
CM2_PER_S = 1e-4
TRICLINIC = np.array([[9.0, 0.0, 0.0], [3.5, 8.0, 0.0], [-2.5, 2.0, 10.0]])


def brownian(rng, frames=1000, atoms=32, D=0.05, noise=0.0):
    """Brownian motion, plus white localisation noise (standard deviation in Å, each axis)."""
    steps = rng.normal(0.0, np.sqrt(2.0 * D), (frames, atoms, 3))
    steps[0] = rng.uniform(0.0, 10.0, (atoms, 3))
    walk = np.cumsum(steps, axis=0)
    return walk + rng.normal(0.0, noise, walk.shape) if noise else walk, D


@njit(cache=True)
def _hops(seed, frames, atoms, rate, hop, back):
    """Cage centres (frames, atoms, 3): hops along the axes, each undoing the last with probability `back`."""
    np.random.seed(seed)
    walk = np.empty((frames, atoms, 3))
    for i in range(atoms):
        centre = np.zeros(3)
        axis, sign, hopped = 0, 1.0, False
        clock = np.random.exponential(1.0 / rate)
        for t in range(frames):
            while clock < t:
                if hopped and np.random.random() < back:
                    sign = -sign
                else:
                    axis, sign = np.random.randint(3), 2.0 * np.random.randint(2) - 1.0
                centre[axis] += sign * hop
                hopped = True
                clock += np.random.exponential(1.0 / rate)
            walk[t, i] = centre
    return walk


def cages(rng, frames=1000, atoms=32, rate=0.1, hop=2.0, spread=0.3, relaxation=1.0, back=0.0):
    """Harmonic cages (overdamped: `spread` in Å an axis, `relaxation` in ps) that hop at `rate` (1/ps).

    Successive hops have the mean cosine −back, so D = rate hop² / 6 · (1 − back) / (1 + back).
    """
    walk = _hops(int(rng.integers(2**31)), frames, atoms, rate, hop, back)
    memory = np.exp(-1.0 / relaxation) if relaxation > 0 else 0.0
    kicks = rng.normal(0.0, spread, (frames, atoms, 3))
    kicks[1:] *= np.sqrt(1.0 - memory**2)
    rattle = kicks[0] + rng.uniform(0.0, 10.0, (atoms, 3))
    offset = rattle - kicks[0]
    for t in range(frames):
        if t:
            rattle = offset + memory * (rattle - offset) + kicks[t]
        walk[t] += rattle
    return walk, rate * hop**2 / 6.0 * (1.0 - back) / (1.0 + back)


@njit(cache=True)
def _lattice_gas(seed, shape, vacancies, rate, frames):
    """Simple cubic; every vacancy tries each of its six neighbours at `rate`. Integer positions."""
    np.random.seed(seed)
    nx, ny, nz = shape
    sites = nx * ny * nz
    holder = np.random.permutation(sites)  # below `ions`: which ion; else a vacancy
    ions = sites - vacancies
    place = np.empty(sites, dtype=np.int64)
    at = np.empty((ions, 3))
    for s in range(sites):
        place[holder[s]] = s
        if holder[s] < ions:
            at[holder[s], 0], at[holder[s], 1], at[holder[s], 2] = s // (ny * nz), (s // nz) % ny, s % nz
    total = 6.0 * rate * vacancies
    walk = np.empty((frames, ions, 3))
    clock = np.random.exponential(1.0 / total)
    for t in range(frames):
        while clock < t:
            hole = ions + np.random.randint(vacancies)
            axis, sign = np.random.randint(3), 2 * np.random.randint(2) - 1
            s = place[hole]
            x, y, z = s // (ny * nz), (s // nz) % ny, s % nz
            if axis == 0:
                x = (x + sign) % nx
            elif axis == 1:
                y = (y + sign) % ny
            else:
                z = (z + sign) % nz
            other = (x * ny + y) * nz + z
            moved = holder[other]
            if moved < ions:
                at[moved, axis] -= sign
            holder[s], holder[other] = moved, hole
            place[moved], place[hole] = s, other
            clock += np.random.exponential(1.0 / total)
        walk[t] = at
    return walk


@functools.cache
def one_vacancy_diffusivity(shape):
    """D of one ion at unit rate and spacing, one vacancy in the periodic cell: exact, by a linear solve.

    States are the places of the vacancy as the ion sees it, all equally likely. With d what a change of state
    moves the ion by, Qχ = −⟨d⟩ and D = ½ Σ π w (d + χ' − χ)²; the mean over axes.
    """
    cells = np.array(shape)
    states = [place for place in np.ndindex(*shape) if any(place)]
    number = {place: k for k, place in enumerate(states)}
    moves = []  # from, to, displacement of the ion
    for place in states:
        for axis in range(3):
            for sign in (-1, 1):
                hop = np.eye(3, dtype=int)[axis] * sign
                there = tuple((np.array(place) + hop) % cells)
                if any(there):
                    moves.append((number[place], number[there], np.zeros(3)))
                else:  # the vacancy takes the ion's place, the ion the vacancy's
                    moves.append((number[place], number[tuple(hop % cells)], -hop.astype(float)))
    generator, drift = np.zeros((len(states), len(states))), np.zeros((len(states), 3))
    for i, j, d in moves:
        generator[i, j] += 1.0
        generator[i, i] -= 1.0
        drift[i] += d
    chi = np.linalg.lstsq(generator, -drift, rcond=None)[0]
    return sum(float(np.sum((d + chi[j] - chi[i]) ** 2)) for i, j, d in moves) / (6.0 * len(states))


@functools.cache
def lattice_gas_diffusivity(shape, vacancies, frames=40_000, repeats=24):
    """D of one ion at unit rate and spacing, and its error: exact for one vacancy, else from long runs.

    There from the mean square displacement between lags of about 180 and 720 jumps an ion, over all origins,
    ions and repeats.
    """
    if vacancies == 1:
        return one_vacancy_diffusivity(shape), 0.0
    return measured_lattice_gas(shape, vacancies, frames, repeats)


def measured_lattice_gas(shape, vacancies, frames, repeats):
    """(D, error) from long runs, as above."""
    ions = int(np.prod(shape)) - vacancies
    slopes = []
    for repeat in range(repeats):
        walk = _lattice_gas(987_000 + repeat, shape, vacancies, ions / (vacancies * 2.0), frames)
        near, far = 60, 240
        msd = [np.mean(np.sum((walk[lag:] - walk[:-lag]) ** 2, axis=2)) for lag in (near, far)]
        slopes.append((msd[1] - msd[0]) / (6.0 * (far - near)))
    scale = vacancies * 2.0 / ions
    return float(np.mean(slopes)) * scale, float(np.std(slopes, ddof=1) / np.sqrt(repeats)) * scale


def lattice_gas(rng, frames=1000, shape=(4, 4, 4), vacancies=6, rate=0.2, spacing=2.5, rattle=0.0):
    """Ions of a simple cubic lattice that hop into vacancies: they block each other and tend to hop back."""
    walk = _lattice_gas(int(rng.integers(2**31)), shape, vacancies, rate, frames) * spacing
    if rattle:
        walk += rng.normal(0.0, rattle, walk.shape)
    return walk, lattice_gas_diffusivity(shape, vacancies)[0] * rate * spacing**2


def drifting(rng, velocity=(0.05, -0.03, 0.02), **options):
    """Brownian motion in a cell that flies away."""
    walk, D = brownian(rng, **options)
    return walk + np.arange(len(walk))[:, None, None] * np.asarray(velocity), D


def breathing(
    rng, frames=1000, atoms=32, D=0.05, fluctuation=0.01, relaxation=5.0, cell=TRICLINIC, wrapped=True
):
    """Brownian motion in a cell whose vectors fluctuate and carry it along: (positions, D, cells)."""
    kicks = rng.normal(0.0, fluctuation, (frames, 3, 3))
    memory = np.exp(-1.0 / relaxation)
    strain = np.empty_like(kicks)
    strain[0] = kicks[0]
    for t in range(1, frames):
        strain[t] = memory * strain[t - 1] + np.sqrt(1.0 - memory**2) * kicks[t]
    cells = cell @ (np.eye(3) + 0.5 * (strain + strain.transpose(0, 2, 1)))
    walk, _ = brownian(rng, frames, atoms, D)
    steps = np.diff(walk, axis=0) @ np.linalg.inv(0.5 * (cells[1:] + cells[:-1]))
    fractional = np.concatenate([rng.random((1, atoms, 3)), steps]).cumsum(axis=0)
    if wrapped:
        fractional %= 1.0
    return fractional @ cells, D, cells
