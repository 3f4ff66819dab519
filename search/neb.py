"""Climbing-image nudged elastic bands, many at once, on landscapes and on ASE calculators.

Bands first relax without climbing; a band with a minimum inside is split there, and both halves go on; only
then do the highest images climb. What does not converge is returned with its reason and is never a hop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from search._bands import Bands, Force, fire, relax
from search.errors import SearchError
from search.graph import Graph
from search.landscape import Evaluator, Landscape
from search.lattice import Floats, Ints
from search.paths import Edge, ends_of, minimum_energy_paths

# A minimum inside a band counts when both of its walls are higher than this, eV.
DENT = 5e-3


@dataclass(frozen=True)
class Settings:
    """How bands are relaxed; energies in eV, lengths in Å."""

    n_images: int = 9
    """Images of a band, both ends included."""
    spring: float = 1.0
    """Spring constant between neighbouring images, eV/Å²."""
    fmax: float = 0.01
    """Largest force on any atom of a converged band, eV/Å."""
    steps: int = 500
    """Most steps before, and again after the climb begins."""
    climb_below: float = 0.1
    """Force, eV/Å, below which a band may be split and may climb."""
    climb: bool = True
    """Whether the highest image climbs to the saddle."""
    max_splits: int = 4
    """How often a band and its halves may be split."""


@dataclass
class Band:
    """One relaxed band.

    positions: (m, d), Å, unwrapped; energies: (m,), eV; force: largest force left, eV/Å. `parent` is the
    number of the request it answers; `piece` counts along it when it was split. `reason` says why it did
    not converge.
    """

    positions: Floats
    energies: Floats
    force: float
    steps: int
    converged: bool
    reason: str
    parent: int
    piece: int = 0
    pieces: int = 1
    saddle: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def barrier(self) -> float:
        """Highest energy of the band minus its first, eV."""
        return float(self.energies.max() - self.energies[0])

    @property
    def barrier_back(self) -> float:
        """Highest energy of the band minus its last, eV."""
        return float(self.energies.max() - self.energies[-1])


def relax_bands(force: Force, paths: Sequence[Floats], settings: Settings | None = None) -> list[Band]:
    """Relax bands that start as the given paths, each (m, d), Å, whose ends are minima and stay.

    Returns the bands in the order of the paths; a split path answers with its pieces in order along it.
    """
    settings = settings or Settings()
    queue = [(number, np.array(path, dtype=np.float64)) for number, path in enumerate(paths)]
    done: dict[int, list[Band]] = {number: [] for number in range(len(paths))}
    ready: list[tuple[int, Floats]] = []
    for generation in range(settings.max_splits + 1):
        if not queue:
            break
        bands = _start(force, queue, settings)
        settled, _, _ = relax(force, bands, settings.spring, settings.climb_below, settings.steps)
        following: list[tuple[int, Floats]] = []
        cuts = _intermediate_minima(force, bands, settled) if generation < settings.max_splits else {}
        for row, (number, _) in enumerate(queue):
            if row in cuts:
                following += [(number, piece) for piece in _pieces(bands.positions[row], *cuts[row])]
            else:
                ready.append((number, bands.positions[row]))
        queue = following
    for band in _climb(force, ready, settings):
        done[band.parent].append(band)
    return [
        band for number in range(len(paths)) for band in _in_order(done[number], np.asarray(paths[number]))
    ]


def _start(force: Force, queue: list[tuple[int, Floats]], settings: Settings) -> Bands:
    """Bands of equally many images along the queued paths, with energies and gradients."""
    positions = np.stack([_spread(path, settings.n_images) for _, path in queue])
    energies, gradients = force(positions.reshape(-1, positions.shape[-1]))
    return Bands(
        positions,
        energies.reshape(positions.shape[:2]),
        gradients.reshape(positions.shape),
        np.zeros(len(queue), dtype=bool),
    )


def _climb(force: Force, ready: list[tuple[int, Floats]], settings: Settings) -> list[Band]:
    """The second half: climbing, then more images where the band between images is higher."""
    results: list[Band] = []
    images = settings.n_images
    for attempt in range(3):
        if not ready:
            break
        bands = _start(force, ready, Settings(**{**vars(settings), "n_images": images}))
        if attempt:
            relax(force, bands, settings.spring, settings.climb_below, settings.steps)
        bands.climbing[:] = settings.climb
        settled, left, taken = relax(force, bands, settings.spring, settings.fmax, settings.steps)
        again = []
        for row, (number, _) in enumerate(ready):
            if settled[row] and attempt < 2 and _hidden_maximum(bands, row):
                again.append((number, bands.positions[row]))
                continue
            results.append(_result(bands, row, number, bool(settled[row]), float(left[row]), int(taken[row])))
        ready, images = again, 2 * images - 1
    return results


def _result(bands: Bands, row: int, number: int, settled: bool, left: float, taken: int) -> Band:
    energies = bands.energies[row].copy()
    reason = ""
    if not np.isfinite(energies).all():
        reason = "an image ran into a wall (its energy is not finite)"
    elif not settled:
        reason = f"largest force {left:.3g} eV/Å after {taken} steps"
    elif _hidden_maximum(bands, row):
        reason = "between two images the band is more than 5 meV higher than at its highest image"
    top = int(np.argmax(energies))
    if not reason and top in {0, len(energies) - 1}:
        reason = "no barrier: the highest image is an end of the band"
    return Band(
        bands.positions[row].copy(),
        energies,
        left,
        taken,
        not reason,
        reason,
        number,
        saddle=bands.positions[row, top].copy(),
    )


def _hidden_maximum(bands: Bands, row: int) -> bool:
    """Whether the cubic through energies and slopes along the band rises DENT above its highest image."""
    positions, energies, gradients = bands.positions[row], bands.energies[row], bands.gradients[row]
    chord = np.diff(positions, axis=0)
    start = np.einsum("id,id->i", gradients[:-1], chord)
    end = np.einsum("id,id->i", gradients[1:], chord)
    t = np.linspace(0.0, 1.0, 21)[:, None]
    low, high = energies[:-1], energies[1:]
    cubic = (
        (2 * t**3 - 3 * t**2 + 1) * low
        + (t**3 - 2 * t**2 + t) * start
        + (3 * t**2 - 2 * t**3) * high
        + (t**3 - t**2) * end
    )
    return bool(cubic.max() > energies.max() + DENT)


def _intermediate_minima(force: Force, bands: Bands, settled: np.ndarray) -> dict[int, tuple[int, Floats]]:
    """For bands with a dent: which image lies in it, and the minimum (d,) below that image."""
    rows: list[int] = []
    images: list[int] = []
    for row in np.flatnonzero(settled):
        energies = bands.energies[row]
        inner = [
            i
            for i in range(1, len(energies) - 1)
            if energies[i] < energies[i - 1]
            and energies[i] <= energies[i + 1]
            and min(energies[:i].max(), energies[i + 1 :].max()) > energies[i] + DENT
        ]
        if inner:
            rows.append(int(row))
            images.append(inner[int(np.argmin(energies[inner]))])
    if not rows:
        return {}
    minima, found = minimise(force, bands.positions[rows, images])
    cuts: dict[int, tuple[int, Floats]] = {}
    for number, image, minimum, good in zip(rows, images, minima, found, strict=True):
        ends = bands.positions[number][[0, -1]]
        # A minimum that is one of the ends is a ripple of the band, not a site.
        if good and np.linalg.norm(ends - minimum, axis=1).min() > 0.05:
            cuts[number] = (image, minimum)
    return cuts


def minimise(
    force: Force, positions: Floats, fmax: float = 1e-3, steps: int = 500
) -> tuple[Floats, np.ndarray]:
    """Nearby minima of points (n, d), Å, all in one batch, by FIRE; and which reached `fmax`, eV/Å."""
    x, v = positions.copy(), np.zeros_like(positions)
    dt, mixing, patience = np.full(len(x), 0.1), np.full(len(x), 0.1), np.zeros(len(x), dtype=np.int64)
    good = np.zeros(len(x), dtype=bool)
    todo = np.arange(len(x))
    for _ in range(steps):
        energy, gradient = force(x[todo])
        largest = np.linalg.norm(gradient.reshape(len(todo), -1, 3), axis=-1).max(axis=1)
        good[todo] = np.isfinite(energy) & (largest < fmax)
        busy = np.isfinite(energy) & ~good[todo]
        todo, gradient = todo[busy], gradient[busy]
        if len(todo) == 0:
            break
        v[todo] = _fire_points(v, -gradient, todo, dt, mixing, patience)
        move = dt[todo, None] * v[todo]
        size = np.linalg.norm(move.reshape(len(todo), -1, 3), axis=-1).max(axis=1)
        x[todo] += move * np.minimum(1.0, 0.1 / np.maximum(size, 1e-300))[:, None]
    return x, good


def _fire_points(v: Floats, forces: Floats, todo: Ints, dt: Floats, mixing: Floats, patience: Ints) -> Floats:
    return fire(v[:, None, :], forces[:, None, :], todo, dt, mixing, patience)[:, 0, :]


def _pieces(positions: Floats, image: int, minimum: Floats) -> list[Floats]:
    return [
        np.concatenate([positions[:image], minimum[None]]),
        np.concatenate([minimum[None], positions[image + 1 :]]),
    ]


def _in_order(bands: list[Band], path: Floats) -> list[Band]:
    """Pieces of one path in the order in which they follow each other from its start."""
    ordered: list[Band] = []
    place = path[0]
    left = list(bands)
    while left:
        following = min(left, key=lambda band: float(np.linalg.norm(band.positions[0] - place)))
        left.remove(following)
        ordered.append(following)
        place = following.positions[-1]
    for piece, band in enumerate(ordered):
        band.piece, band.pieces = piece, len(ordered)
    return ordered


def _spread(path: Floats, n_images: int) -> Floats:
    """`n_images` points at equal distances along a path (m, d)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    wanted = np.linspace(0.0, length[-1], n_images)
    return np.stack([np.interp(wanted, length, column) for column in path.T], axis=1)


def on_landscape(
    landscape: Landscape, starts: Floats, ends: Floats, settings: Settings | None = None
) -> list[Band]:
    """Bands between minima starts (n, 3) and ends (n, 3), Å, unwrapped; they begin as straight lines."""
    evaluate = Evaluator(landscape)
    return relax_bands(
        lambda x: evaluate(x, stage="bands"),
        [np.stack(pair) for pair in zip(starts, ends, strict=True)],
        settings,
    )


@dataclass
class RefinedHop:
    """A hop of a network and the bands that answered it: one if it is elementary, more if it was split."""

    edge: Edge
    bands: list[Band]
    barrier: float
    network_barrier: float
    elementary: bool
    converged: bool
    reason: str

    @property
    def positions(self) -> Floats:
        """Images of the whole hop (m, 3), Å, unwrapped from the source on."""
        return np.concatenate([self.bands[0].positions, *[band.positions[1:] for band in self.bands[1:]]])

    @property
    def energies(self) -> Floats:
        """Energies of `positions`, eV."""
        return np.concatenate([self.bands[0].energies, *[band.energies[1:] for band in self.bands[1:]]])


def refine(
    landscape: Landscape,
    network: Graph,
    edges: Sequence[Edge] | None = None,
    settings: Settings | None = None,
) -> list[RefinedHop]:
    """Check hops of a network with climbing-image bands through their saddles, one answer for each edge.

    Without `edges` every hop is taken in one of its two directions. The barriers found stand beside the
    network's; nothing is written to the network.
    """
    chosen = list(edges) if edges is not None else one_direction(network)
    paths = _starting_paths(landscape, network, chosen)
    evaluate = Evaluator(landscape)
    answers: dict[int, list[Band]] = {number: [] for number in range(len(chosen))}
    for band in relax_bands(lambda x: evaluate(x, stage="bands"), paths, settings):
        answers[band.parent].append(band)
    return [_refined(edge, answers[number], network) for number, edge in enumerate(chosen)]


def _starting_paths(landscape: Landscape, network: Graph, edges: Sequence[Edge]) -> list[Floats]:
    """The descents from each hop's saddle: a straight line may cut through walls or slide to another pass."""
    known = [edge for edge in edges if network.edges[edge].get("saddle_position") is not None]
    paths = {
        edge: path
        for edge, (path, _) in zip(known, minimum_energy_paths(landscape, network, known), strict=True)
    }
    return [paths[edge] if edge in paths else np.array(ends_of(network, edge)) for edge in edges]


def _refined(edge: Edge, bands: list[Band], network: Graph) -> RefinedHop:
    top = max(float(band.energies.max()) for band in bands)
    return RefinedHop(
        edge=edge,
        bands=bands,
        barrier=top - float(bands[0].energies[0]),
        network_barrier=float(network.edges[edge]["barrier"]),
        elementary=len(bands) == 1,
        converged=all(band.converged for band in bands),
        reason="; ".join(band.reason for band in bands if band.reason),
    )


def one_direction(network: Graph) -> list[Edge]:
    """Every hop in one of its two directions: the first met of each pair of edges with one saddle."""
    seen: set[tuple[Any, ...]] = set()
    chosen: list[Edge] = []
    for source, target, key, data in network.edges(keys=True, data=True):
        image = tuple(data["image"])
        saddle = round(network.nodes[source]["energy"] + data["barrier"], 9)
        hop = data.get("hop", saddle)
        reverse = (target, source, tuple(-x for x in image), hop)
        if reverse in seen:
            continue
        seen.add((source, target, image, hop))
        chosen.append((source, target, key))
    return chosen


def with_calculator(
    pairs: Sequence[tuple[Atoms, Atoms]],
    calculator: Any,  # any ASE calculator
    settings: Settings | None = None,
    batch: Callable[[list[Atoms]], tuple[Floats, Floats]] | None = None,
) -> list[Band]:
    """Bands between pairs of relaxed structures with an ASE calculator.

    All pairs must have the same atoms, cell and constraints; fixed atoms stay. Each atom goes the shortest
    way. `batch` may compute many images in one call: list of Atoms -> energies (n,), eV, forces (n,
    n_atoms, 3), eV/Å.
    """
    if not pairs:
        return []
    moving, force = _calculator_force(pairs[0][0], calculator, batch)
    paths = []
    for first, last in pairs:
        if len(first) != len(last) or (first.numbers != last.numbers).any():
            raise SearchError("The two ends of a band must have the same atoms in the same order.")
        start = first.positions[moving]
        step = _shortest_steps(last.positions[moving] - start, first)
        paths.append(np.stack([start.ravel(), (start + step).ravel()]))
    return relax_bands(force, paths, settings)


def _shortest_steps(steps: Floats, atoms: Atoms) -> Floats:
    from ase.geometry import find_mic

    return np.asarray(find_mic(steps, atoms.cell, atoms.pbc)[0])  # type: ignore[no-untyped-call]


def _calculator_force(
    template: Atoms,
    calculator: Any,
    batch: Callable[[list[Atoms]], tuple[Floats, Floats]] | None,
) -> tuple[Ints, Force]:
    """Indices of the atoms that move, and a Force on their flattened coordinates."""
    from ase.constraints import FixAtoms

    fixed: set[int] = set()
    for constraint in template.constraints:
        if not isinstance(constraint, FixAtoms):
            raise SearchError(f"Bands know FixAtoms only; the structure has a {type(constraint).__name__}.")
        fixed |= {int(i) for i in constraint.index}
    moving = np.array([i for i in range(len(template)) if i not in fixed], dtype=np.int64)
    base = template.copy()  # type: ignore[no-untyped-call]
    base.set_constraint()

    def images(x: Floats) -> list[Atoms]:
        made = []
        for row in x:
            atoms = base.copy()
            atoms.positions[moving] = row.reshape(-1, 3)
            made.append(atoms)
        return made

    def force(x: Floats) -> tuple[Floats, Floats]:
        if batch is not None:
            energies, forces = batch(images(x))
            return np.asarray(energies), -np.asarray(forces)[:, moving].reshape(len(x), -1)
        energies, gradients = np.empty(len(x)), np.empty_like(x)
        for number, atoms in enumerate(images(x)):
            atoms.calc = calculator
            try:
                energies[number] = atoms.get_potential_energy()  # type: ignore[no-untyped-call]
                gradients[number] = -atoms.get_forces()[moving].ravel()  # type: ignore[no-untyped-call]
            except Exception as error:
                raise SearchError(
                    f"The calculator raised {type(error).__name__} at image {number} of a batch of "
                    f"{len(x)}: {error}"
                ) from error
        return energies, gradients

    return moving, force
