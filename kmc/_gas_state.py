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
def record(
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
    # In the order of the carriers: what is long is read from one end to the other.
    where = np.zeros(len(s.species), dtype=np.int32)
    for site in range(len(s.who)):
        if s.who[site] >= 0:
            where[s.who[site]] = t.basis[site]
    now = np.empty((len(s.species), 3))
    for c in range(len(now)):
        b = where[c]
        p = project[b]
        x, y, z = t.place[b, 0], t.place[b, 1], t.place[b, 2]
        for j in range(3):
            x += s.cells[c, j] * cell[j, 0]
            y += s.cells[c, j] * cell[j, 1]
            z += s.cells[c, j] * cell[j, 2]
        for i in range(3):
            now[c, i] = p[i, 0] * x + p[i, 1] * y + p[i, 2] * z
    for level in range(level_ends):
        _look_at(now, s.species, origin[level], last[level], squares[level], cross[level], fourth[level])


@njit(cache=True, nogil=True)
def _look_at(now: Any, species: Any, origin: Any, last: Any, squares: Any, cross: Any, fourth: Any) -> None:
    """The same for one block length."""
    c = 0
    while c < len(now):
        kind = species[c]  # carriers are numbered species by species
        xx = yy = zz = xy = xz = yz = 0.0
        ax = ay = az = bx = by = bz = 0.0
        four = 0.0
        while c < len(now) and species[c] == kind:
            x, y, z = now[c, 0] - origin[c, 0], now[c, 1] - origin[c, 1], now[c, 2] - origin[c, 2]
            u, v, w = last[c, 0], last[c, 1], last[c, 2]
            length = x * x + y * y + z * z
            four += length * length
            xx += x * x
            yy += y * y
            zz += z * z
            xy += x * y
            xz += x * z
            yz += y * z
            ax += x * u
            ay += y * v
            az += z * w
            bx += 0.5 * (x * v + y * u)
            by += 0.5 * (x * w + z * u)
            bz += 0.5 * (y * w + z * v)
            for i in range(3):
                origin[c, i] = now[c, i]
            last[c, 0], last[c, 1], last[c, 2] = x, y, z
            c += 1
        fourth[kind] += four
        _symmetric(squares[kind], xx, yy, zz, xy, xz, yz)
        _symmetric(cross[kind], ax, ay, az, bx, by, bz)


@njit(cache=True, nogil=True)
def _symmetric(filled: Any, xx: float, yy: float, zz: float, xy: float, xz: float, yz: float) -> None:
    """Add to (3, 3)."""
    filled[0, 0] += xx
    filled[1, 1] += yy
    filled[2, 2] += zz
    for (i, j), value in (((0, 1), xy), ((0, 2), xz), ((1, 2), yz)):
        filled[i, j] += value
        filled[j, i] += value
