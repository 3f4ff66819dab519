"""Energies between carriers: by neighbour shell, by a function of distance, or screened Coulomb."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy import constants
from scipy.spatial import cKDTree

from kmc._gas_tables import QUANTA_PER_EV, HopTables
from kmc.network import Floats, GraphError, Integers, Network

#: e² / 4πε₀, eV Å.
COULOMB = constants.e / (4 * np.pi * constants.epsilon_0) * 1e10
#: Distances that differ by less than this belong to one shell, Å.
SHELL_GAP = 0.05
#: A screened Coulomb energy below this, between unit charges, is let go, eV.
NEGLIGIBLE = 1e-3
#: Pairs of a cell that are remembered at most, and the largest pair energy a table holds, eV.
MOST_PAIRS = 50_000_000
LARGEST = 1000.0

#: Energies by shell, eV; a function of distance (Å) that gives eV; or what `screened_coulomb` returns.
PairEnergy: TypeAlias = Sequence[float] | Callable[[Floats], Any]
Interactions: TypeAlias = PairEnergy | Mapping[tuple[str, str], PairEnergy]


@dataclass(frozen=True)
class ScreenedCoulomb:
    """q q' e²/(4πε₀ε r) exp(−r/λ), eV; the charges are those of the carriers.

    Attributes
    ----------
    permittivity
        ε, relative.
    screening_length
        λ, Å.
    cutoff
        Å; None: where two unit charges feel 1e-3 eV.
    """

    permittivity: float
    screening_length: float
    cutoff: float | None = None

    def __post_init__(self) -> None:
        for name in ("permittivity", "screening_length"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise GraphError(f"{name} is {value!r}; wanted a finite number above 0")

    def __call__(self, distance: Floats) -> Floats:
        """Energy of two unit charges, eV."""
        r = np.asarray(distance, dtype=np.float64)
        energy: Floats = COULOMB / (self.permittivity * r) * np.exp(-r / self.screening_length)
        return energy

    @property
    def reach(self) -> float:
        """The cutoff, Å."""
        if self.cutoff is not None:
            return self.cutoff
        grid = np.geomspace(0.01, 1000.0, 20_000)
        return float(grid[np.argmax(self(grid) < NEGLIGIBLE)])


class PairTables(NamedTuple):
    """Who feels whom: rows of one site of the cell that is replicated.

    Attributes
    ----------
    first
        (basis + 1,): partners of b are entries first[b]:first[b + 1].
    partner, shift
        (pairs,), site; (pairs, 3), cells away, modulo the replication.
    energy
        (species, species, pairs), quanta.
    own
        (species, basis, width), quanta: what a carrier feels at the end of a hop from itself at its start.
    """

    first: Any
    partner: Any
    shift: Any
    energy: Any
    own: Any


def pair_tables(
    network: Network,
    t: HopTables,
    replicate: tuple[int, int, int],
    species: Sequence[str],
    charges: Mapping[str, float],
    interactions: Interactions,
    cutoff: float | None,
) -> PairTables:
    """Tabulate pair energies, periodic images included (but for a carrier's own images).

    Raises
    ------
    GraphError
        Energies that are not finite, shells that do not exist, or a function of distance without a cutoff.
    """
    models = _models(interactions, species)
    shells = _shells(network, [m for m in models.values() if not callable(m)])
    reach = max([_reach(m, cutoff, shells) for m in models.values()])
    first, partner, image, distance = _neighbours(network, reach)
    n = np.array(replicate)
    shift = image % n
    itself = (partner == np.repeat(np.arange(network.n_sites), np.diff(first))) & ~shift.any(axis=1)
    energy = np.zeros((len(species), len(species), len(partner)), dtype=np.int64)
    for (a, b), model in models.items():
        scale = charges[a] * charges[b] if isinstance(model, ScreenedCoulomb) else 1.0
        values = _evaluate(model, distance, _reach(model, cutoff, shells), shells) * scale
        quanta = np.rint(values * QUANTA_PER_EV).astype(np.int64)
        i, j = species.index(a), species.index(b)
        energy[i, j] = energy[j, i] = quanta
    energy[:, :, itself] = 0
    kept = energy.any(axis=(0, 1))
    source = np.repeat(np.arange(network.n_sites), np.diff(first))[kept]
    counts = np.bincount(source, minlength=network.n_sites)
    pairs = PairTables(
        first=np.concatenate([[0], np.cumsum(counts)]),
        partner=partner[kept],
        shift=shift[kept],
        energy=np.ascontiguousarray(energy[:, :, kept]),
        own=np.zeros((len(species), *t.manner.shape), dtype=np.int64),
    )
    _own_energies(network, t, n, pairs, source)
    return pairs


def _models(interactions: Interactions, species: Sequence[str]) -> dict[tuple[str, str], PairEnergy]:
    if not isinstance(interactions, Mapping):
        _check_model(interactions)
        return {(a, b): interactions for i, a in enumerate(species) for b in species[i:]}
    if not interactions:
        raise GraphError("interactions are {}; name at least one pair of species, or leave them out")
    models: dict[tuple[str, str], PairEnergy] = {}
    for pair, model in interactions.items():
        if not (isinstance(pair, tuple) and len(pair) == 2 and set(pair) <= set(species)):
            raise GraphError(
                f"interactions are given between {pair!r}; wanted pairs of {', '.join(map(repr, species))}"
            )
        _check_model(model)
        models[pair] = model
    return models


def _check_model(model: Any) -> None:
    if callable(model):
        return
    try:
        steps = np.asarray(model, dtype=np.float64)
    except (TypeError, ValueError):
        steps = np.zeros(())
    if steps.ndim != 1 or not np.isfinite(steps).all():
        raise GraphError(
            f"interactions are {model!r}; wanted finite energies of the neighbour shells in eV, like [0.1], or "
            "a function of distance"
        )


def _shells(network: Network, given: list[Any]) -> Floats:
    """Distances of the shells that are needed, Å."""
    wanted = max((len(shell) for shell in given), default=0)
    if wanted == 0:
        return np.zeros(0)
    reach = 1.5 * float(abs(np.linalg.det(network.cell)) / network.n_sites) ** (1 / 3)
    for _ in range(12):
        first, _, _, distance = _neighbours(network, reach)
        ordered = np.sort(distance)
        starts = np.concatenate([[0], np.nonzero(np.diff(ordered) > SHELL_GAP)[0] + 1])
        if len(distance) and len(starts) > wanted:
            ends = np.append(starts[1:], len(ordered)) - 1
            source = np.repeat(np.arange(network.n_sites), np.diff(first))
            _check_shells(ordered[starts[:wanted]], ordered[ends[:wanted]], source, distance)
            middle: Floats = 0.5 * (ordered[starts[:wanted]] + ordered[ends[:wanted]])
            return middle
        reach *= 1.4
    raise GraphError(
        f"{wanted} neighbour shells were asked for and are not there; give a function of distance"
    )


def _check_shells(low: Floats, high: Floats, source: Integers, distance: Floats) -> None:
    for number, (a, b) in enumerate(zip(low, high, strict=True)):
        members = np.unique(source[(distance >= a) & (distance <= b)])
        if 2 * len(members) < source.max() + 1 or b - a > 4 * SHELL_GAP:
            raise GraphError(
                f"neighbour shell {number + 1} spans {a:.3f} to {b:.3f} Å and reaches {len(members)} of "
                f"{source.max() + 1} sites: these sites have no shells; give a function of distance and a "
                "cutoff"
            )


def _reach(model: Any, cutoff: float | None, shells: Floats) -> float:
    if isinstance(model, ScreenedCoulomb):
        reach = model.reach if cutoff is None else cutoff
    elif callable(model):
        if cutoff is None:
            raise GraphError("interactions are a function of distance; say how far it goes: cutoff=, in Å")
        reach = cutoff
    else:
        return float(shells[len(model) - 1]) + SHELL_GAP if len(model) else 0.0
    if not (np.isfinite(reach) and reach > 0):
        raise GraphError(f"cutoff is {reach!r}; wanted a distance above 0, in Å")
    return float(reach)


def _evaluate(model: Any, distance: Floats, reach: float, shells: Floats) -> Floats:
    if callable(model):
        inside = distance <= reach
        values = np.zeros(len(distance))
        if inside.any():
            try:
                found = np.asarray(model(distance[inside]), dtype=np.float64)
                values[inside] = np.broadcast_to(found, int(inside.sum()))
            except Exception as error:
                raise GraphError(
                    f"interactions cannot be evaluated ({error}); wanted a function of an array of distances, "
                    "Å, that gives as many energies, eV"
                ) from error
    else:
        values = np.zeros(len(distance))
        for radius, step in zip(shells, np.asarray(model, dtype=np.float64), strict=False):
            values[np.abs(distance - radius) <= 2.5 * SHELL_GAP] = step
    if not np.isfinite(values).all() or np.abs(values).max(initial=0.0) > LARGEST:
        worst = int(np.argmax(np.where(np.isfinite(values), np.abs(values), np.inf)))
        raise GraphError(
            f"the pair energy at {distance[worst]:.4g} Å is {values[worst]}; wanted finite eV, at most "
            f"{LARGEST:g}"
        )
    return values


def _neighbours(network: Network, reach: float) -> tuple[Integers, Integers, Integers, Floats]:
    """Pairs of sites within `reach`, all periodic images: first, partner, image, distance."""
    cell = network.cell
    fractional = network.positions @ np.linalg.inv(cell)
    home = np.floor(fractional).astype(np.int64)
    inside = (fractional - home) @ cell
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(
        np.cross(np.roll(cell, -1, axis=0), np.roll(cell, -2, axis=0)), axis=1
    )
    around = [np.arange(-k, k + 1) for k in np.ceil(reach / heights).astype(int)]
    images = np.stack(np.meshgrid(*around, indexing="ij"), axis=-1).reshape(-1, 3)
    expected = network.n_sites**2 / abs(np.linalg.det(cell)) * 4.2 * reach**3
    if expected > MOST_PAIRS:
        raise GraphError(
            f"a cutoff of {reach:.3g} Å means about {expected:.1e} pairs a cell; more than {MOST_PAIRS:.0e} "
            "are not tabulated, shorten it"
        )
    # Only copies near the cell can be partners.
    low, high = inside.min(axis=0) - reach, inside.max(axis=0) + reach
    copies = inside[None] + (images @ cell)[:, None]
    near = np.nonzero(((copies >= low) & (copies <= high)).all(axis=2))
    tree, mine = cKDTree(copies[near]), cKDTree(inside)
    found = mine.sparse_distance_matrix(tree, reach + 1e-6, output_type="ndarray")
    found = found[found["v"] > 1e-9]
    source, partner = found["i"].astype(np.int64), near[1][found["j"]].astype(np.int64)
    image = images[near[0][found["j"]]] + home[source] - home[partner]
    distance = _both_ways(source, partner, image, found["v"])
    inside_reach = distance <= reach + 1e-9
    order = np.nonzero(inside_reach)[0]
    order = order[np.lexsort([partner[order], source[order]])]
    first = np.concatenate([[0], np.cumsum(np.bincount(source[order], minlength=network.n_sites))])
    return first, partner[order], image[order], distance[order]


def _both_ways(source: Integers, partner: Integers, image: Integers, distance: Floats) -> Floats:
    """Distances that are the same, to the last bit, seen from both ends of a pair."""
    there = np.column_stack([source, partner, image])
    back = np.column_stack([partner, source, -image])
    differ = there != back
    at = np.argmax(differ, axis=1)
    rows = np.arange(len(there))
    swap = there[rows, at] > back[rows, at]
    _, pair = np.unique(np.where(swap[:, None], back, there), axis=0, return_inverse=True)
    pair = pair.reshape(-1)
    mean: Floats = (np.bincount(pair, distance) / np.bincount(pair))[pair]
    return mean


def _own_energies(network: Network, t: HopTables, n: Integers, pairs: PairTables, source: Integers) -> None:
    """Fill `own`: pairs whose partner is where a hop leads, all images together."""
    span = n[0] * n[1] * n[2] * network.n_sites

    def key(a: Integers, b: Integers, shift: Integers) -> Integers:
        cells = (shift[:, 0] * n[1] + shift[:, 1]) * n[2] + shift[:, 2]
        number: Integers = a * span + cells * network.n_sites + b
        return number

    keys = key(source, pairs.partner, pairs.shift)
    order = np.argsort(keys, kind="stable")
    # Slot k of a site of cell 0 leads to a site whose cell is the shift.
    width = t.manner.shape[1]
    ends = t.target[: network.n_sites].astype(np.int64)
    cells, partner = np.divmod(ends, network.n_sites)
    base = np.repeat(np.arange(network.n_sites)[:, None], width, axis=1)
    wanted = (base * span + cells * network.n_sites + partner).ravel()
    for a in range(len(pairs.own)):
        sums = np.concatenate([[0], np.cumsum(pairs.energy[a, a][order])])
        low, high = (np.searchsorted(keys[order], wanted, side=s) for s in ("left", "right"))
        pairs.own[a] = (sums[high] - sums[low]).reshape(base.shape)


def pair_energies_at(t: HopTables, pairs: PairTables, shape: Integers, state: Any) -> Integers:
    """What a carrier of each species feels on every site, (species, sites), quanta: from scratch."""
    n = len(t.degree)
    felt = np.zeros((len(pairs.energy), len(state.who)), dtype=np.int64)
    for kind in range(len(pairs.energy)):
        sites = np.nonzero(state.who >= 0)[0]
        sites = sites[state.species[state.who[sites]] == kind]
        base, cell = sites % n, np.stack(np.unravel_index(sites // n, tuple(shape)), axis=1)
        for b in range(n):
            mine = cell[base == b]
            for pair in range(pairs.first[b], pairs.first[b + 1]):
                there = tuple(((mine + pairs.shift[pair]) % shape).T)
                other = np.ravel_multi_index(there, tuple(shape)) * n + pairs.partner[pair]
                for one in range(len(pairs.energy)):
                    np.add.at(felt[one], other, pairs.energy[one, kind, pair])
    return felt
