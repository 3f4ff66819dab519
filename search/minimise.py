"""Minima below many starting structures, all advanced together."""

import numpy as np
from numpy.typing import NDArray

from search._bands import Force, Walkers
from search.lattice import Floats, Ints


def minimise(
    force: Force,
    positions: Floats,
    fmax: float = 1e-3,
    steps: int = 500,
    *,
    longest: float = 0.1,
    optimiser: str = "lbfgs",
) -> tuple[Floats, NDArray[np.bool_]]:
    """Nearby minima of points (n, d), Å, all in one batch; and which of them reached `fmax`, eV/Å.

    A move that raises the energy is halved until it does not, so a walk ends in the basin it started in
    unless a single move of `longest` Å leaves it.
    """
    x, _, good = minimised(force, positions, fmax, steps, longest=longest, optimiser=optimiser)
    return x, good


def minimised(
    force: Force,
    positions: Floats,
    fmax: float,
    steps: int,
    *,
    longest: float = 0.1,
    optimiser: str = "lbfgs",
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """As `minimise`, with the energies (n,), eV, between positions and flags."""
    x = np.array(positions, dtype=np.float64)
    n = len(x)
    walkers = Walkers(n, x.shape[1] if n else 3, optimiser, longest)
    energies, good, tries = np.full(n, np.inf), np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64)
    forces, todo = np.zeros_like(x), np.arange(n)
    for step in range(steps):
        if len(todo) == 0:
            break
        energy, gradient = force(x[todo])
        worse = energy > energies[todo] + 1e-6 * np.maximum(1.0, np.minimum(np.abs(energies[todo]), 1e3))
        back = todo[worse & (tries[todo] < 6) & ~walkers.careful[todo]] if step else todo[:0]
        _half_back(x, walkers, tries, back)
        on = np.isin(todo, back, invert=True)
        todo, energy, gradient = todo[on], energy[on], gradient[on]
        energies[todo], forces[todo], tries[todo] = energy, -gradient, 0
        largest = np.linalg.norm(gradient.reshape(len(todo), x.shape[1] // 3, 3), axis=-1).max(
            axis=1, initial=0.0
        )
        good[todo] = np.isfinite(energy) & (largest < fmax)
        todo = todo[np.isfinite(energy) & ~good[todo]]
        if len(todo):
            x[todo] += walkers.next_moves(forces, todo)
        todo = np.sort(np.concatenate([todo, back]))
    return x, energies, good


def _half_back(x: Floats, walkers: Walkers, tries: Ints, back: Ints) -> None:
    """Undo half of the last move of the walkers `back`, and let the history know."""
    walkers.moves[back] *= 0.5
    x[back] -= walkers.moves[back]
    tries[back] += 1
    # The shortened move is a move like any other: its pair is as true.
