"""Critical points: all of them on the surface, by cell exclusion, then polished on the landscape itself."""

from dataclasses import dataclass

import numpy as np

from search import _cells
from search.errors import SearchError
from search.landscape import Evaluator, Progress
from search.lattice import Floats, Ints, merge_labels
from search.surface import Surface
from search.vibrations import hessians

MAX_DEPTH = 8
MAX_BOXES = 3_000_000
"""For surfaces of up to a million cells; larger ones may take three boxes a cell."""
# Points softer than this share of their largest curvature are degenerate: not taken from doubtful places.
SOFTEST = 1e-4
# Curvatures are taken for at least this share of the largest, so that flat directions throw no point far.
_FLOOR = 1e-5
_LEAST = 1e-13  # eV/Å²


@dataclass(frozen=True)
class Sweep:
    """What cell exclusion found on a surface below a cap.

    positions: (n, 3), Å; energies: (n,), eV; curvatures: (n, 3), eV/Å², ascending; hessians: (n, 3, 3),
    eV/Å²; undecided: (u, 4), fractional centre and depth of boxes left open; suspects: (s, 3), Å, places
    that were hard to decide; cells, below_cap, boxes, open_cells: counts.
    """

    positions: Floats
    energies: Floats
    curvatures: Floats
    hessians: Floats
    undecided: Floats
    suspects: Floats
    cells: int
    below_cap: int
    boxes: int
    open_cells: int

    @property
    def index(self) -> Ints:
        """Number of negative curvatures of each point: 0 minimum, 1 first-order saddle."""
        return np.asarray((self.curvatures < 0).sum(axis=1), dtype=np.int64)


def sweep_surface(surface: Surface, ceiling: float, progress: Progress | None = None) -> Sweep:
    """All critical points of the surface with energy up to `ceiling` (eV), by exclusion of every cell."""
    cap = surface.transform.value(ceiling)
    slabs = surface.shape[0]
    counts = np.zeros(8, dtype=np.int64)
    room = max(1.0, np.prod(surface.shape) / 1e6)  # a larger cell has as many more critical points
    points, undecided, hard = (
        np.empty((int(room * most), width)) for most, width in ((500_000, 3), (10_000, 4), (200_000, 3))
    )
    boxes = int(room * MAX_BOXES)
    for first in range(slabs):
        _cells.sweep(
            surface.coefficients, cap, first, first + 1, MAX_DEPTH, boxes, points, undecided, hard, counts
        )
        if counts[6]:
            raise SearchError(
                "The landscape has too many places with almost no force (a plateau, or a direction in "
                "which nothing "
                f"changes): {int(counts[2])} boxes examined, {int(counts[3])} critical points and still "
                f"counting. "
                "Isolated sites do not exist there; lower energy_cap or give the landscape its missing "
                "dimension."
            )
        if progress is not None:
            progress("exclude cells", first + 1, slabs)
    found = points[: counts[3]] @ surface.cell
    labels = merge_labels(found, surface.cell, 1e-6 * surface.spacing + 1e-9)
    positions = found[np.unique(labels, return_index=True)[1]]
    energies, _, hessian = surface.energies(positions)
    keep = energies <= ceiling
    hessian = hessian[keep]
    return Sweep(
        positions=positions[keep],
        energies=energies[keep],
        curvatures=np.asarray(np.linalg.eigvalsh(hessian), dtype=np.float64),
        hessians=hessian,
        undecided=undecided[: min(counts[4], len(undecided))].copy(),
        suspects=hard[: counts[7]] @ surface.cell,
        cells=int(counts[0]),
        below_cap=int(counts[1]),
        boxes=int(counts[2]),
        open_cells=int(counts[5]),
    )


@dataclass(frozen=True)
class Polished:
    """Critical points of the landscape: positions (n, 3), Å; energies (n,), eV; hessians (n, 3, 3), eV/Å².

    `good` (n,) says which converged to a point of the wanted index; the others keep their last position.
    """

    positions: Floats
    energies: Floats
    hessians: Floats
    good: np.ndarray


def polish(evaluate: Evaluator, positions: Floats, guesses: Floats, index: int, rounds: int = 4) -> Polished:
    """Move points to critical points of index `index` on the landscape, starting from Hessians `guesses`.

    A quasi-Newton iteration (symmetric rank-one updates, which suit saddles as well as minima) until steps
    fall below 1e-6 Å; then the Hessian by central differences decides the index. Where the guess was poor,
    the measured Hessian takes over and the iteration goes on.
    """
    positions, guess = positions.copy(), guesses.copy()
    n = len(positions)
    if n == 0:
        return Polished(positions, np.empty(0), guess, np.zeros(0, dtype=bool))
    energies = np.full(n, np.inf)
    measured = guess.copy()
    good = np.zeros(n, dtype=bool)
    todo = np.arange(n)
    for _ in range(rounds):
        positions[todo], energies[todo], settled = _quasi_newton(evaluate, positions[todo], guess[todo])
        finite = np.isfinite(energies[todo])
        todo, settled = todo[finite], settled[finite]
        if len(todo) == 0:
            break
        measured[todo] = hessians(evaluate, positions[todo])
        guess[todo] = measured[todo]
        right = (np.linalg.eigvalsh(measured[todo]) < 0).sum(axis=1) == index
        good[todo] = settled & right
        # A settled point of the wrong index will not change; an unsettled one deserves the better Hessian.
        todo = todo[~settled]
        if len(todo) == 0:
            break
    return Polished(positions, energies, measured, good)


def _quasi_newton(
    evaluate: Evaluator, positions: Floats, hessian: Floats, steps: int = 15
) -> tuple[Floats, Floats, np.ndarray]:
    """Positions, energies and which settled (last step under 1e-6 Å) after at most `steps` steps."""
    x, model = positions.copy(), hessian.copy()
    energy, gradient = evaluate(x, stage="polish")
    settled = np.zeros(len(x), dtype=bool)
    todo = np.flatnonzero(np.isfinite(energy))
    for _ in range(steps):
        if len(todo) == 0:
            break
        step = -_solve(model[todo], gradient[todo])
        length = np.linalg.norm(step, axis=1)
        step *= np.minimum(1.0, 0.1 / np.maximum(length, 1e-300))[:, None]
        settled[todo] = length < 1e-6
        moving = length > 1e-9
        todo, step = todo[moving], step[moving]
        if len(todo) == 0:
            break
        x[todo] += step
        energy[todo], new = evaluate(x[todo], stage="polish")
        residual = new - gradient[todo] - np.einsum("nij,nj->ni", model[todo], step)
        overlap = np.einsum("ni,ni->n", residual, step)
        # The usual guard of symmetric rank-one updates: skip where the denominator is lost in rounding.
        safe = (
            np.abs(overlap) > 1e-6 * np.linalg.norm(residual, axis=1) * np.linalg.norm(step, axis=1) + 1e-300
        )
        update = residual[:, :, None] * residual[:, None, :] / np.where(safe, overlap, 1.0)[:, None, None]
        model[todo] += np.where(safe[:, None, None], update, 0.0)
        gradient[todo] = new
        todo = todo[np.isfinite(energy[todo]) & ~settled[todo]]
    return x, energy, settled & np.isfinite(energy)


def _solve(hessian: Floats, gradient: Floats) -> Floats:
    """Newton steps with curvatures kept away from zero, so that flat directions do not throw points far."""
    values, vectors = np.linalg.eigh(hessian)
    floor = np.maximum(_FLOOR * np.abs(values).max(axis=1, keepdims=True), _LEAST)
    safe = np.where(np.abs(values) < floor, np.where(values < 0, -floor, floor), values)
    return np.asarray(np.einsum("nij,nj->ni", vectors, np.einsum("nji,nj->ni", vectors, gradient) / safe))


def follow(
    evaluate: Evaluator,
    positions: Floats,
    index: int,
    budget: float = np.inf,
    steps: int = 40,
    longest: float = 0.05,
) -> tuple[Floats, np.ndarray]:
    """Eigenvector following on the landscape itself, with Hessians by differences: slow, for a few points.

    Uphill along the `index` softest modes, downhill along the others (Cerjan & Miller, J. Chem. Phys. 75,
    2800 (1981)). Ends when the landscape has been asked `budget` times in all. Returns positions (n, 3), Å,
    and which came to rest with the right index.
    """
    x = positions.copy()
    found = np.zeros(len(x), dtype=bool)
    todo = np.arange(len(x))
    sign = np.where(np.arange(3) < index, -1.0, 1.0)
    for _ in range(steps):
        energy, gradient = evaluate(x[todo], stage="follow")
        values, vectors = np.linalg.eigh(hessians(evaluate, x[todo]))
        slope = np.einsum("nji,nj->ni", vectors, gradient)
        floor = np.maximum(_FLOOR * np.abs(values).max(axis=1, keepdims=True), _LEAST)
        step = -np.einsum("nij,nj->ni", vectors, sign * slope / np.maximum(np.abs(values), floor))
        length = np.linalg.norm(step, axis=1)
        x[todo] += step * np.minimum(1.0, longest / np.maximum(length, 1e-300))[:, None]
        rest = (length < 1e-5) & ((values < 0).sum(axis=1) == index)
        found[todo[rest]] = True
        todo = todo[~rest & np.isfinite(energy)]
        if len(todo) == 0 or evaluate.evaluations > budget:
            break
    return x, found


def near_folds(evaluate: Evaluator, places: Floats, index: int, budget: float = np.inf) -> Polished:
    """Critical points of the landscape near doubtful `places` (n, 3), Å, and on both sides of them.

    `budget`: as for `follow`.
    """
    if len(places) == 0:
        return Polished(np.empty((0, 3)), np.empty(0), np.empty((0, 3, 3)), np.zeros(0, dtype=bool))
    values, vectors = np.linalg.eigh(hessians(evaluate, places))
    soft = vectors[np.arange(len(places)), :, np.abs(values).argmin(axis=1)]
    starts = np.concatenate([places, places + 0.06 * soft, places - 0.06 * soft])
    positions, found = follow(evaluate, starts, index, budget)
    positions = positions[found]
    final = polish(evaluate, positions, hessians(evaluate, positions), index)
    curvatures = np.abs(np.linalg.eigvalsh(final.hessians))
    firm = curvatures.min(axis=-1, initial=np.inf) > SOFTEST * curvatures.max(axis=-1, initial=0.0)
    return Polished(final.positions, final.energies, final.hessians, final.good & firm)


def joined(first: Polished, second: Polished) -> Polished:
    """Two sets of polished points as one, the first set first."""
    return Polished(
        np.concatenate([first.positions, second.positions]),
        np.concatenate([first.energies, second.energies]),
        np.concatenate([first.hessians, second.hessians]),
        np.concatenate([first.good, second.good]),
    )
