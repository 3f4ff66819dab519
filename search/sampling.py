"""Where the landscape is asked: a coarse grid with gradients first, finer only where atoms can go.

Level 0 evaluates every second point of the wanted grid in each direction and refines it with the gradients.
If the surface is not accurate enough on a sample of the points in between, level 1 evaluates those of them
that the first surface puts below the cap, with a margin that grows as long as that helps; inside the cores
the prediction of level 0 is kept.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from search.errors import SearchError
from search.landscape import Evaluator
from search.lattice import Floats, Ints
from search.minimise import minimised
from search.surface import Surface, Transform, fit_spline, hermite_refine
from search.walls import continued, plateaus

SAMPLE = 2000
# What level 1 evaluates, in the order tried: energy margin in caps, and width of the halo in points.
_STAGES = ((1.25, 1), (1.4, 1), (1.5, 3), (1.5, 5), (1.5, 9))
# A stage that leaves this share of the error shows that more points of this grid do not help: the landscape
# has kinks (cutoffs, walls) sharper than its spacing, and the report says what error is left.
_STAGNANT = 0.7
# The share of the whole fine grid that may be asked, the rest of the ceiling being for tests and polishing.
_SHARE = 0.88
# Minima of the coarse grid that are followed down before anything is fitted.
_DESCENTS = 24


@dataclass(frozen=True)
class SurfaceError:
    """Differences between surface and landscape at random points below the cap; eV and eV/Å.

    `points` is how many points were compared; with none, the errors are infinite.
    """

    points: int
    largest: float
    rms: float
    gradient_rms: float


@dataclass(frozen=True)
class Fit:
    """A surface, the grid it came from, the lowest energy met on it (eV), and its sampled error.

    `seen` (m, 3), Å: minima below the lowest points of the coarse grid, found on the landscape itself.
    `plateaus` (p,), eV: energies that stand for walls. `ceiling`: the grid that was asked for;
    `tolerance`: largest error wanted, eV.
    """

    surface: Surface
    grid: tuple[int, int, int]
    lowest: float
    error: SurfaceError
    seen: Floats = field(default_factory=lambda: np.empty((0, 3)))
    plateaus: Floats = field(default_factory=lambda: np.empty(0))
    ceiling: tuple[int, int, int] = (50, 50, 50)
    tolerance: float = 1e-3


class _DeeperError(Exception):
    """The landscape goes deeper than the transform of its energies reaches."""


def grid_shape(grid: object, cell: Floats) -> tuple[int, int, int]:
    """Counts in each direction from three counts or from one spacing in Å (a float)."""
    if isinstance(grid, float):
        if not (np.isfinite(grid) and grid > 0):
            raise SearchError(f"grid={grid}: a spacing must be a positive number of Å.")
        counts = [max(8, int(np.ceil(length / grid))) for length in np.linalg.norm(cell, axis=1)]
    else:
        try:
            counts = [int(n) for n in grid]  # type: ignore[attr-defined]
            whole = all(int(n) == n for n in grid)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            counts, whole = [], False
        if len(counts) != 3 or not whole:
            raise SearchError(
                f"grid={grid!r}: wanted three counts such as (50, 50, 50), or one spacing in Å."
            )
    if min(counts) < 4:
        raise SearchError(f"grid={grid!r}: a direction needs at least 4 points; use 20 or more for a result.")
    if np.prod(counts, dtype=float) > 3e7:
        raise SearchError(
            f"grid={grid!r}: {np.prod(counts, dtype=float):.3g} points do not fit; use a coarser grid."
        )
    return counts[0], counts[1], counts[2]


def fit_landscape(
    evaluate: Evaluator, grid: tuple[int, int, int], energy_cap: float, tolerance: float | None, seed: int
) -> Fit:
    """The surface up to `energy_cap` (eV) above the lowest, to `tolerance` (eV) where it can be had.

    Without a tolerance: 1/2000 of the cap, or of twice the median height below it, and at most 1 meV.
    """
    cell = evaluate.cell
    coarse = (max(4, grid[0] // 2), max(4, grid[1] // 2), max(4, grid[2] // 2))
    energies, gradients = evaluate.on_grid(grid_points(coarse, cell), stage="grid")
    high = energies.min(initial=np.inf) + energy_cap
    evaluate.plateaus = plateaus(energies.reshape(coarse), gradients.reshape(*coarse, 3), high)
    flat = np.isin(energies, evaluate.plateaus)
    energies[flat], gradients[flat] = np.inf, 0.0
    finite = np.isfinite(energies)
    if not finite.any():
        raise SearchError(
            f"The landscape is NaN or infinite at all {len(energies)} grid points: there is nowhere to go. "
            "Check the units of the points (Cartesian Å) and the host."
        )
    if not finite.all() and finite.sum() < 8:
        raise SearchError(
            f"Only {int(finite.sum())} of {len(energies)} grid points have a finite energy; use a finer grid."
        )
    if np.abs(gradients[finite]).max() < 1e-12 and np.ptp(energies[finite]) < 1e-12:
        raise SearchError(
            "The landscape is flat: energy the same and gradient zero at every grid point, so it has no "
            "isolated sites."
        )
    # Wells may go far below the points of the grid, and the transform must reach their bottoms.
    seen, depths = _wells(evaluate, coarse, energies, energy_cap)
    lowest = min(float(energies[finite].min()), float(depths.min(initial=np.inf)))
    if tolerance is None:
        heights = energies[energies <= lowest + energy_cap] - lowest
        tolerance = min(1e-3, min(energy_cap, 2.0 * float(np.median(heights))) / 2000.0)
    while True:
        try:
            fit = _fitted(evaluate, coarse, (energies, gradients), lowest, energy_cap, tolerance, seed)
        except _DeeperError as deeper:
            lowest = float(deeper.args[0])
        else:
            seen = seen[depths <= fit.lowest + energy_cap]
            return replace(fit, seen=seen, plateaus=evaluate.plateaus, ceiling=grid, tolerance=tolerance)


def _wells(
    evaluate: Evaluator, coarse: tuple[int, ...], energies: Floats, energy_cap: float
) -> tuple[Floats, Floats]:
    """Minima (m, 3), Å, and their energies (m,), eV, below the lowest minima of the coarse grid."""
    shaped = np.where(np.isfinite(energies), energies, np.inf).reshape(coarse)
    bottom = (shaped <= ndimage.minimum_filter(shaped, size=3, mode="wrap")).ravel()
    starts = np.flatnonzero(bottom & (energies <= energies.min() + energy_cap))
    starts = starts[np.argsort(energies[starts], kind="stable")][:_DESCENTS]
    # To a thousandth of the cap: what matters is how deep they are.
    x, depths, good = minimised(
        lambda y: evaluate(y, stage="wells"),
        grid_points(coarse, evaluate.cell)[starts],
        0.01 * energy_cap,
        60,
    )
    return x[good], depths[good]


def _fitted(
    evaluate: Evaluator,
    coarse: tuple[int, int, int],
    answers: tuple[Floats, Floats],
    lowest: float,
    energy_cap: float,
    tolerance: float,
    seed: int,
) -> Fit:
    """The surface from the answers on the coarse grid and what else has to be asked."""
    energies, gradients = answers
    cell, finite = evaluate.cell, np.isfinite(energies)
    width = max(energy_cap, 0.5)
    transform = Transform(origin=lowest - 0.5 * width, width=width, wall=20.0)
    v, slope = transform.forward(energies, gradients)
    v, slope = continued(
        v.reshape(coarse),
        slope.reshape(*coarse, 3),
        finite.reshape(coarse),
        cell,
        _rise(transform, lowest, energy_cap),
        float(np.log(transform.wall)),
    )
    refined = hermite_refine(v, slope, cell)
    surface = fit_spline(refined, cell, transform)
    v, slope = v.ravel(), slope.reshape(-1, 3)
    random = np.random.default_rng(seed)
    return _refine(evaluate, surface, refined, (v, slope), finite, lowest, energy_cap, tolerance, random)


def _refine(
    evaluate: Evaluator,
    surface: Surface,
    refined: Floats,
    known: tuple[Floats, Floats],
    finite: NDArray[np.bool_],
    lowest: float,
    energy_cap: float,
    tolerance: float,
    random: np.random.Generator,
) -> Fit:
    """Level 1: test the surface on some of the points in between, then add others until it passes."""
    fine, transform, cell = refined.shape, surface.transform, surface.cell
    half = (fine[0] // 2, fine[1] // 2, fine[2] // 2)
    v, slope = _predicted(surface, refined, known)
    done: NDArray[np.bool_] = np.zeros(fine, dtype=bool)
    done[::2, ::2, ::2] = True
    done = done.reshape(-1)
    error = None
    wall: NDArray[np.bool_] = np.zeros(fine, dtype=bool)
    wall[::2, ::2, ::2] = ~finite.reshape(half)
    wall = wall.reshape(-1)
    spent = len(known[0])
    for stage, (margin, reach) in enumerate(_STAGES):
        inside = refined <= transform.value(lowest + margin * energy_cap)
        wanted = np.flatnonzero(ndimage.maximum_filter(inside, size=reach, mode="wrap").ravel() & ~done)
        if error is None:
            # The points that test level 0 belong to those that level 1 wants: nothing is wasted on the test.
            wanted = random.permutation(wanted)
            tested = wanted[:SAMPLE]
            energies, gradients = _add(evaluate, tested, fine, transform, v, slope, "surface error")
            done[tested] = True
            wall[tested] = ~np.isfinite(energies)
            spent += len(tested)
            lowest = min(lowest, float(energies.min(initial=np.inf)))
            below = energies <= lowest + energy_cap
            points = _points(tested, fine, cell)
            error = compare(surface, points[below], energies[below], gradients[below])
            if error.points >= 20 and error.largest <= tolerance:
                return Fit(surface, half, lowest, error)
            wanted = wanted[SAMPLE:]
        room = int(_SHARE * refined.size) - spent
        if len(wanted) > room:
            # Not everything can be asked: what lies lowest goes first.
            wanted = wanted[np.argsort(refined.ravel()[wanted], kind="stable")[: max(room, 0)]]
        if len(wanted) == 0:
            break
        energies, _ = _add(evaluate, wanted, fine, transform, v, slope, "refine")
        done[wanted] = True
        wall[wanted] = ~np.isfinite(energies)
        spent += len(wanted)
        lowest = min(lowest, float(energies.min(initial=np.inf)))
        rise = _rise(transform, lowest, energy_cap)
        surface = fit_spline(
            hermite_refine(*_behind_walls(v, slope, wall, done, surface, rise), cell), cell, transform
        )
        before, error = error, sample_error(evaluate, surface, lowest + energy_cap, random)
        if error.largest <= tolerance or (stage and error.largest > _STAGNANT * before.largest):
            break
    assert error is not None  # noqa: S101  # the first stage always measures it
    return Fit(surface, (fine[0], fine[1], fine[2]), lowest, error)


def _rise(transform: Transform, lowest: float, energy_cap: float) -> float:
    """How fast v grows behind walls, a layer: two lead from the lowest energy to above all that is swept."""
    return 0.5 * (transform.value(lowest + 1.3 * energy_cap) - transform.value(lowest))


def _behind_walls(
    v: Floats,
    slope: Floats,
    wall: NDArray[np.bool_],
    done: NDArray[np.bool_],
    surface: Surface,
    rise: float,
) -> tuple[Floats, Floats]:
    """The fine grid, shaped, with walls and unasked points around them continued from what was evaluated."""
    fine = surface.shape if np.prod(surface.shape) == v.size else tuple(n // 2 for n in surface.shape)
    values, gradients = v.reshape(fine), slope.reshape(*fine, 3)
    if not wall.any():
        return values, gradients
    near = ndimage.maximum_filter(wall.reshape(fine), size=5, mode="wrap")
    unknown = near & (wall | ~done).reshape(fine)
    ceiling = float(np.log(surface.transform.wall))
    return continued(values, gradients, ~unknown, surface.cell, rise, ceiling)


def _predicted(surface: Surface, refined: Floats, known: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Transformed values and gradients on the fine grid, flat: known where evaluated, predicted elsewhere."""
    fine = refined.shape
    v, slope, _ = surface.raw(grid_points(fine, np.eye(3)))
    coarse = np.zeros(fine, dtype=bool)
    coarse[::2, ::2, ::2] = True
    v[coarse.ravel()], slope[coarse.ravel()] = known
    return v, slope


def _add(
    evaluate: Evaluator,
    which: Ints,
    fine: tuple[int, ...],
    transform: Transform,
    v: Floats,
    slope: Floats,
    stage: str,
) -> tuple[Floats, Floats]:
    """Evaluate fine grid points `which` and write them into v and slope; returns energies and gradients."""
    energies, gradients = evaluate.on_grid(_points(which, fine, evaluate.cell), stage=stage)
    deepest = float(energies.min(initial=np.inf))
    if deepest < transform.origin + 0.1 * transform.width:
        raise _DeeperError(deepest)
    v[which], slope[which] = transform.forward(energies, gradients)
    return energies, gradients


def _points(which: Ints, fine: tuple[int, ...], cell: Floats) -> Floats:
    return np.asarray(np.stack(np.unravel_index(which, fine), axis=-1) / np.array(fine) @ cell)


def sample_error(
    evaluate: Evaluator, surface: Surface, ceiling: float, random: np.random.Generator, points: int = SAMPLE
) -> SurfaceError:
    """Compare surface and landscape at `points` random points that the surface puts below `ceiling`, eV."""
    chosen = np.empty((0, 3))
    for _ in range(50):
        trial = random.random((4 * points, 3))
        energies, _, _ = surface.energies(trial @ surface.cell)
        chosen = np.concatenate([chosen, trial[energies <= ceiling]])[:points]
        if len(chosen) == points:
            break
    positions = chosen @ surface.cell
    energies, gradients = evaluate(positions, stage="surface error")
    return compare(surface, positions, energies, gradients)


def compare(surface: Surface, positions: Floats, energies: Floats, gradients: Floats) -> SurfaceError:
    """Errors of the surface against energies (n,), eV, and gradients (n, 3), eV/Å, at positions (n, 3), Å."""
    if len(positions) == 0:
        return SurfaceError(0, np.inf, np.inf, np.inf)
    fitted, slopes, _ = surface.energies(positions)
    finite = np.isfinite(energies)
    if not finite.any():
        return SurfaceError(0, np.inf, np.inf, np.inf)
    fitted, energies, slopes, gradients = fitted[finite], energies[finite], slopes[finite], gradients[finite]
    difference = fitted - energies
    return SurfaceError(
        points=len(energies),
        largest=float(np.abs(difference).max()),
        rms=float(np.sqrt(np.mean(difference**2))),
        gradient_rms=float(np.sqrt(np.mean(np.sum((slopes - gradients) ** 2, axis=1)))),
    )


def grid_points(shape: tuple[int, ...], cell: Floats) -> Floats:
    """Points (n, 3), Å, of a regular grid of a cell, the last index running fastest."""
    axes = [np.arange(n) / n for n in shape]
    return np.asarray(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ cell)
