"""One step of molecular dynamics in two halves around the forces; pure compiled functions over arrays.

Units inside: Å, eV, amu, and the time that makes them fit, Å √(amu/eV) = 10.18 fs, as in ASE. In formulas
a step is a product of exact sub-steps: B kicks velocities, A moves atoms, O mixes noise in, T is a
thermostat, V moves the cell.

Velocity Verlet
    B/2 A B/2
Langevin
    B/2 A/2 O A/2 B/2 (Leimkuhler and Matthews, Appl. Math. Res. Express 2013, 34)
Bussi
    B/2 A B/2 T (Bussi, Donadio and Parrinello, J. Chem. Phys. 126, 014101 (2007))
Nosé-Hoover
    T/2 B/2 A B/2 T/2, chains (Martyna, Klein and Tuckerman, J. Chem. Phys. 97, 2635 (1992))
moving cell
    B/2 V A B/2 T (Bernetti and Bussi, J. Chem. Phys. 153, 114107 (2020); every component of the strain:
    Del Tatto, Raiteri, Bernetti and Bussi, Appl. Sci. 12, 1139 (2022))
"""

import math
from typing import NamedTuple

import numpy as np
from numba import bool_, float64, int64, njit, types, uint64

from iondiff.dynamics._random import fill_normal, normal, sum_of_squares

NO_THERMOSTAT, LANGEVIN, BUSSI, NOSE_HOOVER = range(4)
FIXED_CELL, ISOTROPIC, ANISOTROPIC, FLEXIBLE = range(4)
#: Places in `State.scalars`.
POTENTIAL, KINETIC, HEAT = range(3)
#: Places in `Rules.integers`.
THERMOSTAT, BAROSTAT, FREEDOM, STILL = range(4)
#: Places in `Rules.reals`.
STEP, TAU, CELL_TAU, COMPRESSIBILITY, HOTTEST, SMALLEST, LARGEST, LONGEST = range(8)
#: Why a step was the last.
FINE, TOO_FAR, TOO_HOT, NOT_FINITE, BAD_VOLUME, LOST = range(6)

CHAIN = 3  # thermostats in a Nosé-Hoover chain
#: Steps between removals of what rounding, and forces that do not sum to zero, gave to the centre of mass.
_TIDY = 50


class State(NamedTuple):
    """Everything that changes; to save it is to be able to go on to the same bits."""

    positions: np.ndarray  # (n, 3), unwrapped
    velocities: np.ndarray  # (n, 3)
    forces: np.ndarray  # (n, 3)
    energies: np.ndarray  # (n,)
    cell: np.ndarray  # (3, 3)
    virial: np.ndarray  # (3, 3)
    scalars: np.ndarray  # (3,): potential energy, kinetic energy, heat given by the thermostat
    chain: np.ndarray  # (2, CHAIN): positions and velocities of a Nosé-Hoover chain
    random: np.ndarray  # (4,) uint64
    counter: np.ndarray  # (1,) int64: steps done


class Rules(NamedTuple):
    """Everything that does not."""

    masses: np.ndarray  # (n,)
    mobile: np.ndarray  # (n,) bool
    integers: np.ndarray  # (4,)
    reals: np.ndarray  # (8,)
    temperatures: np.ndarray  # (k, 2): time, kT
    pressures: np.ndarray  # (k, 2): time, pressure


_MATRIX, _ROW = float64[:, ::1], float64[::1]
STATE = types.NamedTuple(
    (_MATRIX, _MATRIX, _MATRIX, _ROW, _MATRIX, _MATRIX, _ROW, _MATRIX, uint64[::1], int64[::1]), State
)
RULES = types.NamedTuple((_ROW, bool_[::1], int64[::1], _ROW, _MATRIX, _MATRIX), Rules)


@njit(cache=True)
def at_time(table, time):
    """Linear interpolation in rows of (time, value); constant before the first and after the last."""
    last = len(table) - 1
    if time <= table[0, 0]:
        return table[0, 1]
    for k in range(last):
        if time < table[k + 1, 0]:
            share = (time - table[k, 0]) / (table[k + 1, 0] - table[k, 0])
            return table[k, 1] + share * (table[k + 1, 1] - table[k, 1])
    return table[last, 1]


@njit(cache=True)
def kinetic_energy(velocities, masses):
    """½ Σ m v², eV."""
    total = 0.0
    for i in range(len(masses)):
        total += masses[i] * (velocities[i, 0] ** 2 + velocities[i, 1] ** 2 + velocities[i, 2] ** 2)
    return 0.5 * total


@njit(cache=True)
def kinetic_tensor(velocities, masses):
    """Σ m v⊗v, (3, 3), eV."""
    total = np.zeros((3, 3))
    for i in range(len(masses)):
        for a in range(3):
            for b in range(3):
                total[a, b] += masses[i] * velocities[i, a] * velocities[i, b]
    return total


@njit(cache=True)
def remove_drift(velocities, masses):
    """Take the motion of the centre of mass away."""
    drift = np.zeros(3)
    mass = 0.0
    for i in range(len(masses)):
        mass += masses[i]
        for c in range(3):
            drift[c] += masses[i] * velocities[i, c]
    drift /= mass
    for i in range(len(masses)):
        for c in range(3):
            velocities[i, c] -= drift[c]


@njit(cache=True)
def volume(cell):
    """|det|, Å³."""
    return abs(
        cell[0, 0] * (cell[1, 1] * cell[2, 2] - cell[1, 2] * cell[2, 1])
        - cell[0, 1] * (cell[1, 0] * cell[2, 2] - cell[1, 2] * cell[2, 0])
        + cell[0, 2] * (cell[1, 0] * cell[2, 1] - cell[1, 1] * cell[2, 0])
    )


@njit(cache=True)
def pressure(state, rules, kT):
    """Instantaneous pressure, eV/Å³; kT is added where the momentum of the centre of mass is held at zero.

    Without that term an ensemble of N atoms would be at the volume of N - 1.
    """
    V = volume(state.cell)
    inner = 2.0 * state.scalars[KINETIC] - state.virial[0, 0] - state.virial[1, 1] - state.virial[2, 2]
    return (inner / 3.0 + (kT if rules.integers[STILL] else 0.0)) / V


@njit(cache=True)
def _kick(state, rules, dt):
    for i in range(len(rules.masses)):
        if rules.mobile[i]:
            push = dt / rules.masses[i]
            for c in range(3):
                state.velocities[i, c] += push * state.forces[i, c]


@njit(cache=True)
def _move(state, dt):
    """Largest squared move comes back, Å²; NaN is the largest of all."""
    largest = 0.0
    for i in range(len(state.positions)):
        square = 0.0
        for c in range(3):
            step = dt * state.velocities[i, c]
            state.positions[i, c] += step
            square += step * step
        if not square <= largest:
            largest = square
    return largest


@njit(cache=True)
def _mix(state, rules, kT):
    """The O of Langevin: exact over a whole step."""
    keep = math.exp(-rules.reals[STEP] / rules.reals[TAU])
    before = kinetic_energy(state.velocities, rules.masses)
    noise = np.empty(3 * int(rules.mobile.sum()))
    fill_normal(state.random, noise)
    at = 0
    for i in range(len(rules.masses)):
        if rules.mobile[i]:
            width = math.sqrt((1.0 - keep * keep) * kT / rules.masses[i])
            for c in range(3):
                state.velocities[i, c] = keep * state.velocities[i, c] + width * noise[at + c]
            at += 3
    if rules.integers[STILL]:
        remove_drift(state.velocities, rules.masses)
    state.scalars[HEAT] += kinetic_energy(state.velocities, rules.masses) - before


@njit(cache=True)
def _scale(state, factor):
    for i in range(len(state.velocities)):
        for c in range(3):
            state.velocities[i, c] *= factor


@njit(cache=True)
def _rescale(state, rules, kT):
    """Bussi's T: the kinetic energy takes an exact step of its own stochastic equation."""
    kinetic = kinetic_energy(state.velocities, rules.masses)
    freedom = rules.integers[FREEDOM]
    if kinetic <= 0.0 or freedom == 0:
        return
    keep = math.exp(-rules.reals[STEP] / rules.reals[TAU])
    first = normal(state.random)
    others = sum_of_squares(state.random, freedom - 1)
    unit = 0.5 * kT / kinetic * (1.0 - keep)
    square = keep + unit * (first * first + others) + 2.0 * first * math.sqrt(keep * unit)
    factor = math.sqrt(max(square, 0.0))
    if first + math.sqrt(keep / unit) < 0.0:
        factor = -factor
    _scale(state, factor)
    state.scalars[HEAT] += (factor * factor - 1.0) * kinetic


@njit(cache=True)
def _chain(state, rules, kT, dt):
    """Half of a Nosé-Hoover chain's step: from the far end to the atoms and back."""
    freedom = rules.integers[FREEDOM]
    kinetic = kinetic_energy(state.velocities, rules.masses)
    before = kinetic
    inertia = kT * rules.reals[TAU] ** 2
    eta, speed = state.chain[0], state.chain[1]
    for k in range(CHAIN - 1, -1, -1):
        _push_chain(speed, k, kinetic, freedom, inertia, kT, dt)
    factor = math.exp(-dt * speed[0])
    kinetic *= factor * factor
    for k in range(CHAIN):
        eta[k] += dt * speed[k]
    for k in range(CHAIN):
        _push_chain(speed, k, kinetic, freedom, inertia, kT, dt)
    _scale(state, factor)
    state.scalars[HEAT] += kinetic - before


@njit(cache=True)
def _push_chain(speed, k, kinetic, freedom, inertia, kT, dt):
    if k == 0:
        force = (2.0 * kinetic - freedom * kT) / (freedom * inertia)
    else:
        before = freedom * inertia if k == 1 else inertia
        force = (before * speed[k - 1] ** 2 - kT) / inertia
    brake = math.exp(-0.25 * dt * speed[k + 1]) if k + 1 < CHAIN else 1.0
    speed[k] = (speed[k] * brake + 0.5 * dt * force) * brake


@njit(cache=True)
def _breathe(state, rules, kT, wanted):
    """Isotropic V in √volume, where the noise is the same everywhere."""
    dt, V = rules.reals[STEP], volume(state.cell)
    pace = rules.reals[COMPRESSIBILITY] / rules.reals[CELL_TAU]
    state.scalars[KINETIC] = kinetic_energy(state.velocities, rules.masses)
    root = math.sqrt(V)
    excess = pressure(state, rules, kT) - wanted + 0.5 * kT / V
    root += 0.5 * pace * root * excess * dt + math.sqrt(0.5 * pace * kT * dt) * normal(state.random)
    factor = (root * root / V) ** (1.0 / 3.0)
    for i in range(len(state.positions)):
        for c in range(3):
            state.positions[i, c] *= factor
            state.velocities[i, c] /= factor
    state.cell[:] *= factor


@njit(cache=True)
def _deform(state, rules, kT, wanted):
    """V for three lengths or all six components of the strain, symmetric: the cell never turns."""
    dt, V = rules.reals[STEP], volume(state.cell)
    pace = rules.reals[COMPRESSIBILITY] / (3.0 * rules.reals[CELL_TAU])
    width = math.sqrt(2.0 * pace * kT * dt / V)
    moving = kinetic_tensor(state.velocities, rules.masses)
    strain = np.zeros((3, 3))
    for a in range(3):
        for b in range(a + 1):
            if a != b and rules.integers[BAROSTAT] == ANISOTROPIC:
                continue
            inner = (moving[a, b] - 0.5 * (state.virial[a, b] + state.virial[b, a])) / V
            if a == b:
                inner += (kT / V if rules.integers[STILL] else 0.0) - wanted
            # A symmetric noise: its off-diagonal elements are means of two.
            noise = normal(state.random) * (1.0 if a == b else math.sqrt(0.5))
            strain[a, b] = pace * inner * dt + width * noise
            strain[b, a] = strain[a, b]
    square = strain @ strain
    forward = np.eye(3) + strain + square / 2.0 + square @ strain / 6.0  # exp(strain)
    backward = np.linalg.inv(forward)
    state.positions[:] = state.positions @ forward
    state.velocities[:] = state.velocities @ backward
    state.cell[:] = state.cell @ forward


@njit(cache=True)
def first_half(state, rules):
    """Everything before the forces; tells whether the atoms moved too far.

    Returns
    -------
    int
        ``FINE``, ``TOO_FAR`` or ``BAD_VOLUME``.
    """
    integers, reals = rules.integers, rules.reals
    dt = reals[STEP]
    middle = (state.counter[0] + 0.5) * dt
    kT = at_time(rules.temperatures, middle)
    if integers[THERMOSTAT] == NOSE_HOOVER:
        _chain(state, rules, kT, 0.5 * dt)
    _kick(state, rules, 0.5 * dt)
    if integers[BAROSTAT] != FIXED_CELL:
        wanted = at_time(rules.pressures, middle)
        if integers[BAROSTAT] == ISOTROPIC:
            _breathe(state, rules, kT, wanted)
        else:
            _deform(state, rules, kT, wanted)
    if integers[THERMOSTAT] == LANGEVIN:
        largest = _move(state, 0.5 * dt)
        _mix(state, rules, kT)
        largest = 2.0 * (largest + _move(state, 0.5 * dt))  # not less than the square of the whole move
    else:
        largest = _move(state, dt)
    if not largest <= reals[LONGEST] ** 2:
        return TOO_FAR
    if integers[BAROSTAT] != FIXED_CELL and not reals[SMALLEST] <= volume(state.cell) <= reals[LARGEST]:
        return BAD_VOLUME
    return FINE


@njit(cache=True)
def second_half(state, rules):
    """Everything after the forces; one more step is done.

    Returns
    -------
    int
        ``FINE``, ``NOT_FINITE`` or ``TOO_HOT``.
    """
    integers, dt = rules.integers, rules.reals[STEP]
    kT = at_time(rules.temperatures, (state.counter[0] + 0.5) * dt)
    _kick(state, rules, 0.5 * dt)
    if integers[THERMOSTAT] == BUSSI:
        _rescale(state, rules, kT)
    elif integers[THERMOSTAT] == NOSE_HOOVER:
        _chain(state, rules, kT, 0.5 * dt)
    state.counter[0] += 1
    if integers[STILL] and state.counter[0] % _TIDY == 0:
        remove_drift(state.velocities, rules.masses)
    kinetic = kinetic_energy(state.velocities, rules.masses)
    state.scalars[KINETIC] = kinetic
    if not (math.isfinite(kinetic) and math.isfinite(state.scalars[POTENTIAL])):
        return NOT_FINITE
    if 2.0 * kinetic > integers[FREEDOM] * rules.reals[HOTTEST]:
        return TOO_HOT
    return FINE
