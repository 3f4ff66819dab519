"""Hops of a replicated graph as flat tables.

What leads where is stored per site, everything else per site of the cell that was replicated. Site b of cell
(x, y, z) has the number ((x · n_y + y) · n_z + z) · n_basis + b. Displacements are counted as in the walk of
one carrier: sites are carried by whole lattice vectors along the strongest spanning forest (`Rates.offset`),
hops wind whole numbers of cells, and positions come back at the end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from kmc.network import Floats, GraphError, Integers
from kmc.rates import Rates

#: How kernels are compiled that only touch arrays they were given: without counting references to them.
BARE: Any = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
BARE_INLINE: Any = {"cache": True, "inline": "always", "error_model": "numpy", "_nrt": False}
#: Slots of a row come in multiples of this, so that a comparison with all of them is one instruction.
LANE = 8
#: What a carrier winds is packed into one word, 21 bits a direction.
FIELD = 21
LARGEST_FIELD = (1 << (FIELD - 1)) - 1
#: Energies are whole multiples of 2^-48 eV: sums of them are exact, however many hops were made.
QUANTA_PER_EV = 2.0**48
#: Manners of hopping that two bytes can tell apart, and decimals (Å²) to which their lengths differ.
MANY, DECIMALS = 1 << 16, 9
#: Totals that agree this well count as equal rates.
EQUAL = 1e-12


class HopTables(NamedTuple):
    """What a kernel needs to know about a replicated graph.

    Attributes
    ----------
    target
        (sites, width), where slot k of a site leads; the site itself where there is no such hop.
    threshold
        (species · basis, width), float32: slot k is taken by random numbers from threshold[k − 1] on. Slots
        are sorted, rarest first, so that small probabilities keep their relative precision.
    degree
        (basis,), slots in use.
    manner
        (basis, width), which row of the next three belongs to a slot.
    winding, vector, length
        (manners,), packed whole cells; (manners, 3), Å, the same; (manners,), Å², squared lengths of hops.
    place
        (basis, 3), Å: what displacements are made of: positions, or smoother coordinates
        (`kmc._gas_setup.smooth_places`), in the gauge in which windings are counted.
    energy
        (species, basis), quanta.
    group, bound
        (species · basis,), (groups,): the composition class of a walker and the rate all of its members are
        padded to, in units of `unit`.
    basis
        (sites,), site of the cell.
    rate
        (species · basis, width), in units of `unit`.
    """

    target: Any
    threshold: Any
    degree: Any
    manner: Any
    winding: Any
    vector: Any
    length: Any
    place: Any
    energy: Any
    group: Any
    bound: Any
    basis: Any
    rate: Any


def build_tables(
    rates: list[Rates], replicate: tuple[int, int, int], *, vacancies: bool, open_axis: int | None = None
) -> tuple[HopTables, float, Integers]:
    """Tables of a replicated graph, and what a unit of rate is.

    Parameters
    ----------
    rates
        Of each species, on the same sites and hops.
    vacancies
        True: slot k of a site is a hop *into* it, walked backwards by the vacancy on it.
    open_axis
        Lattice direction that is cut at the end of the replicated cell; None: periodic.

    Returns
    -------
    tables
    log_unit
        Logarithm of the rate that counts as one, Hz.
    slot
        (hops,), the slot of every hop in the row of its source.
    """
    network = rates[0].network
    n, n_species = network.n_sites, len(rates)
    log_rates = np.array([one.log_rates for one in rates])
    if vacancies:
        log_rates = log_rates[:, network.reverse]
    log_unit = float(log_rates.max())
    relative = np.exp(log_rates - log_unit)
    wound = network.image + rates[0].offset[network.target] - rates[0].offset[network.source]
    if vacancies:
        wound = -wound  # the carrier goes the other way
    distinct, squares, which = _distinct(wound, (network.displacements**2).sum(axis=1))
    order = np.lexsort([np.arange(network.n_hops), log_rates[0], network.source])
    degree = np.bincount(network.source, minlength=n)
    first = np.concatenate([[0], np.cumsum(degree)])
    slot = np.empty(network.n_hops, dtype=np.int64)
    slot[order] = np.arange(network.n_hops) - first[network.source[order]]
    totals = np.array([np.bincount(network.source, each, minlength=n) for each in relative]).ravel()
    group, bound = _groups(totals)
    padded = not np.allclose(totals[totals > 0], bound[0], rtol=EQUAL, atol=0.0)
    width = LANE * -(-(int(degree.max(initial=0)) + int(padded)) // LANE)
    manner = np.zeros((n, width), dtype=np.uint16 if len(distinct) <= MANY else np.uint32)
    manner[network.source, slot] = which
    rate = np.zeros((n_species * n, width))
    for number, each in enumerate(relative):
        rate[number * n + network.source, slot] = each
    threshold = np.cumsum(rate, axis=1) / bound[group][:, None]
    threshold[np.arange(width)[None, :] >= np.tile(degree, n_species)[:, None]] = np.inf
    if not padded:
        threshold[np.arange(n_species * n), np.tile(degree, n_species) - 1] = np.inf
    target = np.empty((n * int(np.prod(replicate)), width), dtype=np.int32)
    _fill_targets(network.source, network.target, network.image, slot, n, np.array(replicate), target)
    if open_axis is not None:
        _cut(network.source, network.image, slot, n, np.array(replicate), open_axis, target)
    energies = np.array([one.network.energies for one in rates])
    tables = HopTables(
        target=target,
        threshold=threshold.astype(np.float32),
        degree=degree,
        manner=manner,
        winding=pack(distinct),
        vector=distinct @ network.cell,
        length=squares,
        place=network.positions - rates[0].offset @ network.cell,
        energy=np.rint(energies * QUANTA_PER_EV).astype(np.int64),
        group=group,
        bound=bound,
        basis=np.tile(np.arange(n, dtype=np.int32), int(np.prod(replicate))),
        rate=rate,
    )
    return tables, log_unit, slot


def _distinct(wound: Integers, squares: Floats) -> tuple[Integers, Floats, Integers]:
    """Different ways to hop: windings (manners, 3), squared lengths (manners,), and which each hop is of."""
    if np.abs(wound).max(initial=0) > LARGEST_FIELD // 1000:
        raise GraphError(
            f"a hop winds {np.abs(wound).max()} cells; the lattice gas goes to "
            f"{LARGEST_FIELD // 1000}, are the images right?"
        )
    # What differs only by rounding is one length. Packed, because sorting whole numbers is quick.
    packed, of_winding = np.unique(pack(wound), return_inverse=True)
    lengths, of_length = np.unique(np.round(squares, DECIMALS), return_inverse=True)
    both, which = np.unique(of_winding * len(lengths) + of_length, return_inverse=True)
    rows = np.zeros((len(packed), 3), dtype=np.int64)
    rows[of_winding] = wound
    return rows[both // max(len(lengths), 1)], lengths[both % max(len(lengths), 1)], which


def pack(wound: Integers) -> Integers:
    """Whole cells (n, 3) in one word each."""
    packed: Integers = (wound[:, 0] << (2 * FIELD)) + (wound[:, 1] << FIELD) + wound[:, 2]
    return packed


def _groups(totals: Floats) -> tuple[Integers, Floats]:
    """Composition classes: totals between two powers of two share one, and the upper end as their bound."""
    top = totals.max(initial=0.0)
    moving = totals > 0
    if not moving.any() or np.allclose(totals[moving], top, rtol=EQUAL, atol=0.0):
        return np.zeros(len(totals), dtype=np.int64), np.array([max(top, np.finfo(float).tiny)])
    depth = np.full(len(totals), -1, dtype=np.int64)
    depth[moving] = np.floor(np.log2(top / totals[moving])).astype(np.int64)
    depth[~moving] = depth.max()
    present, group = np.unique(depth, return_inverse=True)
    bound = top * 2.0 ** -present.astype(np.float64)
    too_small = totals > bound[group]  # by rounding of the logarithm
    bound[group[too_small]] *= 1.0 + 1e-9
    return group.reshape(-1), bound


@njit(cache=True)
def _fill_targets(
    source: Any, target: Any, image: Any, slot: Any, n: int, replicate: Any, filled: Any
) -> None:
    """Targets of all slots of all sites of the replicated cell."""
    nx, ny, nz = replicate[0], replicate[1], replicate[2]
    for site in range(len(filled)):
        for k in range(filled.shape[1]):
            filled[site, k] = site
    for x in range(nx):
        for y in range(ny):
            for z in range(nz):
                here = ((x * ny + y) * nz + z) * n
                for hop in range(len(source)):
                    a = (x + image[hop, 0]) % nx
                    b = (y + image[hop, 1]) % ny
                    c = (z + image[hop, 2]) % nz
                    filled[here + source[hop], slot[hop]] = ((a * ny + b) * nz + c) * n + target[hop]


@njit(cache=True)
def _cut(source: Any, image: Any, slot: Any, n: int, replicate: Any, axis: int, filled: Any) -> None:
    """Let hops that would leave the replicated cell along one direction lead nowhere."""
    nx, ny, nz = replicate[0], replicate[1], replicate[2]
    at = np.zeros(3, dtype=np.int64)
    for x in range(nx):
        for y in range(ny):
            for z in range(nz):
                at[0], at[1], at[2] = x, y, z
                here = ((x * ny + y) * nz + z) * n
                for hop in range(len(source)):
                    end = at[axis] + image[hop, axis]
                    if end < 0 or end >= replicate[axis]:
                        filled[here + source[hop], slot[hop]] = here + source[hop]


@njit(cache=True, inline="always")
def unpack(total: Any, packed: Any) -> None:
    """Add the three signed fields of a sum of packed windings to (3,)."""
    half = 1 << (FIELD - 1)
    for axis in range(2, -1, -1):
        field = ((packed + half) & ((1 << FIELD) - 1)) - half
        total[axis] += field
        packed = (packed - field) >> FIELD
