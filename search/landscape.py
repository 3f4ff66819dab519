"""The landscape protocol, and the guarded door through which the search asks it."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from search.errors import SearchError
from search.lattice import Floats, checked_cell, wrap
from search.symmetry import Operations

Progress = Callable[[str, int, int], None]


class Landscape(Protocol):
    """Anything with a periodic cell and an energy with gradient for a guest at given points."""

    cell: Floats
    """(3, 3) float64, Å, rows are lattice vectors; periodic in all three directions."""

    def energy_and_gradient(self, points: Floats) -> tuple[Floats, Floats]:
        """Points (n, 3), Cartesian Å -> energies (n,), eV, and gradients (n, 3), eV/Å."""
        ...


class Evaluator:
    """A landscape that is called in chunks, checked, counted and timed.

    Energies that are not finite, energies whose gradient is not finite, and `plateaus` come back as +inf with
    zero gradient: a wall.

    Parameters
    ----------
    landscape:
        whatever fulfils `Landscape`.
    chunk:
        the largest number of points in one call.
    progress:
        called as progress(stage, done, total) after every chunk.
    """

    def __init__(self, landscape: Landscape, chunk: int = 10_000, progress: Progress | None = None) -> None:
        checked_landscape(landscape)
        self.landscape = landscape
        self.cell = checked_cell(landscape.cell)
        self.chunk = chunk
        self.progress = progress
        self.evaluations = 0
        self.seconds = 0.0
        self.symmetry: Operations | None = None
        # Energies that stand for a wall though they are finite: a constant given for all places inside atoms.
        self.plateaus: Floats = np.empty(0)

    def on_grid(self, points: Floats, stage: str) -> tuple[Floats, Floats]:
        """As calling it, for many regular points: where the symmetry makes some equal, only one is asked."""
        if self.symmetry is None or len(self.symmetry) < 2 or len(points) == 0:
            return self(points, stage)
        which, turn = self.symmetry.classes(points)
        _, first, back = np.unique(which, return_index=True, return_inverse=True)
        energies, gradients = self(points[first], stage)
        # Operation a takes a point to its class's own place, b the one that was asked: g = Rᵃᵀ Rᵇ g'.
        rotations = self.symmetry.rotations
        there = np.einsum("nij,nj->ni", rotations[turn[first]], gradients)[back]
        return energies[back], np.asarray(np.einsum("nji,nj->ni", rotations[turn], there))

    def __call__(self, points: Floats, stage: str = "evaluate") -> tuple[Floats, Floats]:
        """Energies (n,), eV, and gradients (n, 3), eV/Å, at Cartesian points (n, 3), Å, of any image."""
        points = wrap(points, self.cell)
        energies = np.empty(len(points))
        gradients = np.empty((len(points), 3))
        for start in range(0, len(points), self.chunk):
            part = slice(start, min(start + self.chunk, len(points)))
            energies[part], gradients[part] = self._call(points[part], stage)
            if self.progress is not None:
                self.progress(stage, part.stop, len(points))
        wall = ~(np.isfinite(energies) & np.isfinite(gradients).all(axis=1)) | np.isin(
            energies, self.plateaus
        )
        energies[wall], gradients[wall] = np.inf, 0.0
        return energies, gradients

    def _call(self, points: Floats, stage: str) -> tuple[Floats, Floats]:
        began = time.perf_counter()
        try:
            answer = self.landscape.energy_and_gradient(points.copy())
        except Exception as error:
            if isinstance(error, SystemError) and not isinstance(error.__cause__, Exception | None):
                # An interrupt that came while compiled code ran is not the landscape's fault.
                raise error.__cause__ from None
            raise SearchError(
                f"The landscape raised {type(error).__name__} at one of {len(points)} points of stage "
                f"'{stage}', "
                f"the first at {np.round(points[0], 4).tolist()} Å: {error}"
            ) from error
        self.seconds += time.perf_counter() - began
        self.evaluations += len(points)
        return checked_answer(answer, len(points))


def checked_landscape(landscape: object) -> None:
    """Raise SearchError unless `landscape` has what a landscape has."""
    for name in ("cell", "energy_and_gradient"):
        if not hasattr(landscape, name):
            raise SearchError(
                f"landscape is a {type(landscape).__name__} without `{name}`; a landscape has `cell` "
                f"(3, 3) "
                "and `energy_and_gradient(points)`."
            )


def checked_answer(answer: object, n: int) -> tuple[Floats, Floats]:
    """What a landscape answered, as arrays of the shapes it promised."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise SearchError(
            f"energy_and_gradient returned a {type(answer).__name__}; wanted a pair (energies (n,), "
            f"gradients (n, 3))."
        )
    energies, gradients = (np.asarray(part, dtype=np.float64) for part in answer)
    if energies.shape != (n,) or gradients.shape != (n, 3):
        raise SearchError(
            f"energy_and_gradient returned shapes {energies.shape} and {gradients.shape} for {n} points; "
            f"wanted ({n},) eV and ({n}, 3) eV/Å."
        )
    return energies, gradients
