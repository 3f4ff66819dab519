"""Where all carriers are, what they wound, and what was seen on the way."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc._gas_tables import HopTables, unpack


class GasState(NamedTuple):
    """Everything that changes; arrays only, so that a checkpoint is a file of arrays.

    Attributes
    ----------
    who
        (sites,), the carrier on each site; −1: empty.
    wind
        (carriers, 2): windings since they were last emptied, packed; hops made.
    cells
        (carriers, 3), whole cells wound until then.
    species
        (carriers,).
    occupied
        (species, basis), time that carriers left minus time that they arrived, in units of the clock.
    moved
        (species, 3), Å: sum over all hops of this block.
    sums
        Clock; squared lengths of hops, Å²; attempts; hops since windings were emptied; crossings of the open
        ends (left in, left out, right in, right out).
    energy
        (2,), quanta: site energies and interaction energies of all carriers.
    stream
        (2,), key and state of the random stream.
    """

    who: Any
    wind: Any
    cells: Any
    species: Any
    occupied: Any
    moved: Any
    sums: Any
    energy: Any
    stream: Any


CLOCK, SQUARED, ATTEMPTS, SINCE, LEFT_IN, LEFT_OUT, RIGHT_IN, RIGHT_OUT = range(8)


def new_state(who: Any, species: Any, n_species: int, n_basis: int, key: Any, state: Any) -> GasState:
    """A state in which nobody has moved yet."""
    n = len(species)
    return GasState(
        who=who,
        wind=np.zeros((n, 2), dtype=np.int64),
        cells=np.zeros((n, 3), dtype=np.int64),
        species=species,
        occupied=np.zeros((n_species, n_basis)),
        moved=np.zeros((n_species, 3)),
        sums=np.zeros(8),
        energy=np.zeros(2, dtype=np.int64),
        stream=np.array([key, state], dtype=np.uint64),
    )


@njit(cache=True, nogil=True)
def empty_windings(s: GasState) -> None:
    """Unpack what carriers wound before a field runs over."""
    for c in range(len(s.cells)):
        if s.wind[c, 0] != 0:
            unpack(s.cells[c], s.wind[c, 0])
            s.wind[c, 0] = 0
    s.sums[SINCE] = 0.0


@njit(cache=True, nogil=True)
def close_block(t: HopTables, s: GasState, occupied: Any) -> None:
    """Add to `occupied` (species, basis) the time that sites were taken, and set the clock to zero."""
    now = s.sums[CLOCK]
    for site in range(len(s.who)):
        c = s.who[site]
        if c >= 0:
            s.occupied[s.species[c], t.basis[site]] += now
    occupied += s.occupied
    s.occupied[:] = 0.0
    s.sums[CLOCK] = 0.0


@njit(cache=True, nogil=True)
def record(  # noqa: C901 - compiled as one piece
    t: HopTables,
    s: GasState,
    project: Any,
    cell: Any,
    origin: Any,
    last: Any,
    level_ends: int,
    squares: Any,
    cross: Any,
    fourth: Any,
) -> None:
    """Look at the displacements over all block lengths that end now, and begin new blocks.

    Parameters
    ----------
    project
        (basis, 3, 3): onto the directions in which the component of a site percolates.
    origin, last
        (levels, carriers, 3), Å: positions at the beginning of the block, displacement in the one before.
    level_ends
        How many of the block lengths end here, the shortest first.
    squares, cross, fourth
        (levels, species, 3, 3) twice and (levels, species): Σ ΔrΔrᵀ, the same with the block before
        (symmetrised), Å², and Σ |Δr|⁴, Å⁴; filled.
    """
    empty_windings(s)
    squares[:] = 0.0
    cross[:] = 0.0
    fourth[:] = 0.0
    r, d = np.empty(3), np.empty(3)
    for site in range(len(s.who)):
        c = s.who[site]
        if c < 0:
            continue
        b = t.basis[site]
        p = project[b]
        for i in range(3):
            d[i] = t.place[b, i]
            for j in range(3):
                d[i] += s.cells[c, j] * cell[j, i]
        for i in range(3):
            r[i] = p[i, 0] * d[0] + p[i, 1] * d[1] + p[i, 2] * d[2]
        kind = s.species[c]
        for level in range(level_ends):
            length = 0.0
            for i in range(3):
                d[i] = r[i] - origin[level, c, i]
                length += d[i] * d[i]
                origin[level, c, i] = r[i]
            fourth[level, kind] += length * length
            for i in range(3):
                for j in range(3):
                    squares[level, kind, i, j] += d[i] * d[j]
                    cross[level, kind, i, j] += 0.5 * (d[i] * last[level, c, j] + d[j] * last[level, c, i])
            for i in range(3):
                last[level, c, i] = d[i]
