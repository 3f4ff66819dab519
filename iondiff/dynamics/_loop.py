"""Many steps without returning to Python: neighbour list with skin, forces through a pointer, integration."""

from typing import NamedTuple

import numpy as np
from numba import bool_, float64, int64, njit, types

from iondiff.dynamics._integrators import (
    FINE,
    HEAT,
    KINETIC,
    POTENTIAL,
    RULES,
    STATE,
    at_time,
    first_half,
    pressure,
    second_half,
    volume,
)
from iondiff.neighbours import neighbour_table, stretched
from iondiff.potentials.compiled import KERNEL_POINTER

#: Columns of a log: step, potential, kinetic, heat (eV), volume (Å³), pressure (eV/Å³), wanted kT (eV).
COLUMNS = 7


class Near(NamedTuple):
    """A neighbour list: where it was made, how far it sees, and what it holds."""

    reference: np.ndarray  # (n, 3) positions when it was made
    reference_cell: np.ndarray  # (3, 3)
    pbc: np.ndarray  # (3,)
    ranges: np.ndarray  # (2,): cutoff, skin
    builds: np.ndarray  # (1,) int64


class Table(NamedTuple):
    """What :func:`iondiff.neighbours.neighbour_table` returns, in its order."""

    first: np.ndarray
    neighbour: np.ndarray
    image: np.ndarray


_NEAR = types.NamedTuple((float64[:, ::1], float64[:, ::1], bool_[::1], float64[::1], int64[::1]), Near)
_TABLE = types.NamedTuple((int64[::1], int64[::1], int64[:, ::1]), Table)


@njit(cache=True)
def build(near):
    """The table of the reference positions: a list is nothing but them, so a checkpoint need hold no more."""
    first, index, image = neighbour_table(
        near.reference, near.reference_cell, near.pbc, near.ranges[0] + near.ranges[1]
    )
    return Table(first, index, image)


@njit(cache=True)
def write_row(log, row, state, rules):
    """One row of a log."""
    kT = at_time(rules.temperatures, state.counter[0] * rules.reals[0])
    log[row, 0] = state.counter[0]
    log[row, 1] = state.scalars[POTENTIAL]
    log[row, 2] = state.scalars[KINETIC]
    log[row, 3] = state.scalars[HEAT]
    V = volume(state.cell)
    log[row, 4] = V
    log[row, 5] = pressure(state, rules, kT) if V > 0.0 else 0.0
    log[row, 6] = kT


@njit(
    types.Tuple((int64, int64, _TABLE))(
        KERNEL_POINTER,
        int64[::1],
        float64[::1],
        int64[::1],
        STATE,
        RULES,
        _NEAR,
        _TABLE,
        int64,
        int64,
        float64[:, ::1],
    ),
    cache=True,
    nogil=True,
)
def advance(kernel, integers, reals, species, state, rules, near, table, steps, log_every, log):
    """Take `steps` steps, or fewer where something goes wrong.

    Returns
    -------
    status, rows, table
        Why it stopped (``FINE`` at the end), rows of `log` written, the neighbour list as it is now.
    """
    rows = 0
    for _ in range(steps):
        status = first_half(state, rules)
        if status != FINE:
            return status, rows, table
        if stretched(
            state.positions, near.reference, state.cell, near.reference_cell, near.ranges[0], near.ranges[1]
        ):
            near.reference[:] = state.positions
            near.reference_cell[:] = state.cell
            near.builds[0] += 1
            table = build(near)
        state.scalars[POTENTIAL] = kernel(
            state.positions,
            state.cell,
            species,
            table.first,
            table.neighbour,
            table.image,
            integers,
            reals,
            state.forces,
            state.energies,
            state.virial,
        )
        status = second_half(state, rules)
        if state.counter[0] % log_every == 0:
            write_row(log, rows, state, rules)
            rows += 1
        if status != FINE:
            return status, rows, table
    return FINE, rows, table
