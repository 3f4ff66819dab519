"""Relaxing many climbing-image bands: first without climbing, split where a minimum hides, then climbing.

What does not converge is returned with its reason and is never a hop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from search._bands import Bands, Force, Walkers, relax
from search.errors import SearchError
from search.lattice import Floats
from search.minimise import minimise
from search.surface import Surface

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
    optimiser: str = "lbfgs"
    """"lbfgs" for each band, with FIRE after half of the steps, or "fire" from the start."""
    longest: float = 0.1
    """Largest move of an atom in one step, Å."""

    def __post_init__(self) -> None:
        if self.n_images < 3:
            raise SearchError(f"n_images={self.n_images}: a band needs its two ends and one image between.")
        for name in ("spring", "fmax", "climb_below", "longest"):
            if not getattr(self, name) > 0:
                raise SearchError(f"{name}={getattr(self, name)}: wanted a positive number.")
        if self.optimiser not in {"lbfgs", "fire"}:
            raise SearchError(f"optimiser={self.optimiser!r}: wanted 'lbfgs' or 'fire'.")


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


@dataclass
class _Part:
    """A band on its way: which request it answers, its start, and the one-row Bands it has become."""

    parent: int
    path: Floats
    band: Bands | None = None


def relax_bands(
    force: Force,
    paths: Sequence[Floats],
    settings: Settings | None = None,
    *,
    guide: Surface | None = None,
    ends: Floats | None = None,
) -> list[Band]:
    """Relax bands that start as the given paths, each (m, d), Å, whose ends are minima and stay.

    `guide` is a surface fitted to `force`: bands whose path is already a descent on it converge there first
    and on `force` last. `ends` (n, 2), eV, are the energies of the paths' ends where they are known. Returns
    the bands in the order of the paths; a split path answers with its pieces in order along it.
    """
    settings = settings or Settings()
    paths = [np.array(path, dtype=np.float64) for path in paths]
    parts = [_Part(number, path) for number, path in enumerate(paths)]
    if guide is not None and settings.climb and paths:
        _guide(parts, force, guide, settings, ends)
    ready: list[_Part] = [part for part in parts if part.band is not None]
    queue = [part for part in parts if part.band is None]
    for generation in range(settings.max_splits + 1):
        if not queue:
            break
        bands, walkers = _start(force, [part.path for part in queue], settings.n_images, settings)
        settled, _, _ = relax(force, bands, settings.spring, settings.climb_below, settings.steps, walkers)
        following: list[_Part] = []
        cuts = (
            _intermediate_minima(force, bands, settled, 0.1 * settings.fmax)
            if generation < settings.max_splits
            else {}
        )
        for row, part in enumerate(queue):
            if row in cuts:
                following += [
                    _Part(part.parent, piece) for piece in _pieces(bands.positions[row], *cuts[row])
                ]
            else:
                ready.append(_Part(part.parent, part.path, bands.rows(np.array([row]))))
        queue = following
    done: dict[int, list[Band]] = {number: [] for number in range(len(paths))}
    for band in _climb(force, ready, settings):
        done[band.parent].append(band)
    return [band for number, path in enumerate(paths) for band in _in_order(done[number], path)]


def _guide(parts: list[_Part], force: Force, guide: Surface, settings: Settings, ends: Floats | None) -> None:
    """Relax parts on the guide; those that converge there in one piece become bands of `force`."""
    positions = np.stack([spread(part.path, settings.n_images) for part in parts])
    energies, left = guide.relax_bands(
        positions, settings.spring, 0.2 * settings.fmax, settings.steps, settings.longest
    )
    whole = np.array(
        [n for n in range(len(parts)) if left[n] < settings.fmax and dent_of(energies[n]) is None], dtype=int
    )
    if len(whole) == 0:
        return
    inner = slice(None) if ends is None else slice(1, -1)
    b, m, d = positions[whole].shape
    asked = positions[whole, inner]
    values, slopes = force(asked.reshape(-1, d))
    bands = Bands(positions[whole], np.zeros((b, m)), np.zeros((b, m, d)), np.zeros(b, dtype=bool))
    bands.energies[:, inner], bands.gradients[:, inner] = values.reshape(b, -1), slopes.reshape(asked.shape)
    if ends is not None:
        bands.energies[:, [0, -1]] = ends[whole]
    for row, number in enumerate(whole):
        if dent_of(bands.energies[row]) is None:
            parts[number].band = bands.rows(np.array([row]))


def _start(force: Force, paths: Sequence[Floats], n_images: int, settings: Settings) -> tuple[Bands, Walkers]:
    """Bands along the paths with energies and gradients, spread to `n_images` unless they have them."""
    positions = np.stack([path if n_images == len(path) else spread(path, n_images) for path in paths])
    energies, gradients = force(positions.reshape(-1, positions.shape[-1]))
    b, m, d = positions.shape
    bands = Bands(positions, energies.reshape(b, m), gradients.reshape(b, m, d), np.zeros(b, dtype=bool))
    return bands, Walkers(b, (m - 2) * d, settings.optimiser, settings.longest)


def _climb(force: Force, ready: list[_Part], settings: Settings) -> list[Band]:
    """The second half: climbing, then more images where the band between images is higher."""
    results: list[Band] = []
    images = settings.n_images
    for attempt in range(3):
        if not ready:
            break
        if attempt:
            bands, walkers = _start(force, [part.path for part in ready], images, settings)
            relax(force, bands, settings.spring, settings.climb_below, settings.steps, walkers)
            walkers.restart(np.arange(len(ready)))
        else:
            bands = _stacked([part.band for part in ready if part.band is not None])
            b, m, d = bands.positions.shape
            walkers = Walkers(b, (m - 2) * d, settings.optimiser, settings.longest)
        bands.climbing[:] = settings.climb
        settled, left, taken = relax(force, bands, settings.spring, settings.fmax, settings.steps, walkers)
        again = []
        for row, part in enumerate(ready):
            if settled[row] and attempt < 2 and _hidden_maximum(bands, row):
                again.append(_Part(part.parent, bands.positions[row]))
                continue
            band = _result(bands, row, part.parent, bool(settled[row]), float(left[row]), int(taken[row]))
            results.append(band)
        ready, images = again, 2 * images - 1
    return results


def _stacked(bands: list[Bands]) -> Bands:
    return Bands(
        np.concatenate([band.positions for band in bands]),
        np.concatenate([band.energies for band in bands]),
        np.concatenate([band.gradients for band in bands]),
        np.zeros(len(bands), dtype=bool),
    )


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
    positions = bands.positions[row].copy()
    return Band(
        positions, energies, left, taken, not reason, reason, number, saddle=positions[top].copy()
    )  # fmt: skip


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


def dent_of(energies: Floats) -> int | None:
    """The image that lies deepest in a dent of a band with energies (m,), eV; None where there is none."""
    inner = [
        i
        for i in range(1, len(energies) - 1)
        if energies[i] < energies[i - 1]
        and energies[i] <= energies[i + 1]
        and min(energies[:i].max(), energies[i + 1 :].max()) > energies[i] + DENT
    ]
    return inner[int(np.argmin(energies[inner]))] if inner else None


def _intermediate_minima(
    force: Force, bands: Bands, settled: np.ndarray, fmax: float
) -> dict[int, tuple[int, Floats]]:
    """For bands with a dent: which image lies in it, and the minimum (d,) below that image."""
    dents = {int(row): dent_of(bands.energies[row]) for row in np.flatnonzero(settled)}
    found = [(row, image) for row, image in dents.items() if image is not None]
    if not found:
        return {}
    rows, images = ([pair[k] for pair in found] for k in range(2))
    minima, good = minimise(force, bands.positions[rows, images], fmax)
    cuts: dict[int, tuple[int, Floats]] = {}
    for number, image, minimum, right in zip(rows, images, minima, good, strict=True):
        ends = bands.positions[number][[0, -1]]
        # A minimum that is one of the ends is a ripple of the band, not a site.
        if right and np.linalg.norm(ends - minimum, axis=1).min() > 0.05:
            cuts[number] = (image, minimum)
    return cuts


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


def spread(path: Floats, n_images: int) -> Floats:
    """`n_images` points at equal distances along a path (m, d)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    wanted = np.linspace(0.0, length[-1], n_images)
    return np.stack([np.interp(wanted, length, column) for column in path.T], axis=1)
