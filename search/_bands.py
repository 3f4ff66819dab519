"""Many elastic bands at once: improved tangents, climbing images, and a walker for each band.

Tangents are those of Henkelman & Jónsson, J. Chem. Phys. 113, 9978 (2000); the highest image of a band that
climbs feels no spring and the reversed true force along the band (Henkelman, Uberuaga & Jónsson, J. Chem.
Phys. 113, 9901 (2000)). The arithmetic is compiled (`_kernels_bands`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search._kernels_bands import LOST, fire_moves, nudged_forces, quasi_newton_moves
from search.lattice import Floats, Ints

Force = Callable[[Floats], tuple[Floats, Floats]]
"""Images (n, d), Å -> energies (n,), eV, and gradients (n, d), eV/Å."""
# An image inside a wall is only "very high", eV: infinite weights would leave no tangent.
_HIGH = 1e6
_MEMORY = 12


@dataclass
class Bands:
    """Bands of equally many images: positions and gradients (b, m, d), energies (b, m), who climbs (b,).

    The last axis has 3 coordinates for each moving atom.
    """

    positions: Floats
    energies: Floats
    gradients: Floats
    climbing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def parts(self) -> tuple[Floats, Floats, Floats]:
        """The three arrays that a move changes."""
        return self.positions, self.energies, self.gradients

    def rows(self, chosen: Ints) -> "Bands":
        """Some of the bands, copied."""
        return Bands(
            self.positions[chosen], self.energies[chosen], self.gradients[chosen], self.climbing[chosen]
        )


class Walkers:
    """One optimiser for each of `n` walkers of `d` coordinates: L-BFGS or FIRE, chosen walker by walker."""

    def __init__(self, n: int, d: int, optimiser: str, longest: float = 0.1) -> None:
        memory = _MEMORY if optimiser == "lbfgs" else 1
        self.moves, self.before = np.zeros((n, d)), np.zeros((n, d))
        self.steps, self.changes = np.zeros((n, memory, d)), np.zeros((n, memory, d))
        self.count, self.fresh = np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
        self.reach, self.longest = longest, np.full(n, longest)
        self.careful = np.full(n, optimiser == "fire")
        self.dt, self.mixing, self.patience = np.full(n, 0.1), np.full(n, 0.1), np.zeros(n, dtype=np.int64)
        self.velocity = np.zeros((n, d))

    def next_moves(self, forces: Floats, todo: Ints) -> Floats:
        """Moves (len(todo), d), Å, of the walkers `todo` under forces (n, d), eV/Å."""
        slow, quick = todo[self.careful[todo]], todo[~self.careful[todo]]
        if len(quick):
            quasi_newton_moves(
                forces, self.moves, self.before, self.steps, self.changes, self.count, self.fresh,
                self.longest, quick,
            )  # fmt: skip
        if len(slow):
            fire_moves(
                forces, self.moves, self.velocity, self.dt, self.mixing, self.patience, self.longest, slow
            )
        return self.moves[todo]

    def restart(self, which: Ints) -> None:
        """Forget the history of some walkers: it belongs to another band or has misled them."""
        self.count[which], self.fresh[which] = 0, True
        self.velocity[which], self.dt[which], self.mixing[which], self.patience[which] = 0.0, 0.1, 0.1, 0


def relax(
    force: Force, bands: Bands, spring: float, fmax: float, steps: int, walkers: Walkers | None = None
) -> tuple[NDArray[np.bool_], Floats, Ints]:
    """All bands in one batch until each is below `fmax`; those leave the batch. Changes `bands` in place.

    A band that a quasi-Newton walk has not brought home in half of its steps goes on with FIRE. Returns which
    converged (b,), the largest force left (b,), eV/Å, and the steps taken (b,).
    """
    b, m, d = bands.positions.shape
    walkers = walkers or Walkers(b, (m - 2) * d, "lbfgs")
    home = bands.rows(np.arange(b))
    forces = np.zeros((b, m - 2, d))
    left, best, taken = np.full(b, np.inf), np.full(b, np.inf), np.zeros(b, dtype=np.int64)
    top, todo = np.zeros(b, dtype=np.int64), np.arange(b)
    for _ in range(steps + 1):
        was = top[todo]
        _measure(bands, spring, todo, forces, top, left)
        busy = ~(left[todo] < fmax) & np.isfinite(bands.energies[todo]).all(axis=1) & (taken[todo] < steps)
        # A quasi-Newton walk that has lost its way goes back to its best place and on with FIRE from there.
        lost = todo[(left[todo] > LOST * best[todo]) & ~walkers.careful[todo]]
        if len(lost):
            for mine, kept in zip(bands.parts(), home.parts(), strict=True):
                mine[lost] = kept[lost]
            _measure(bands, spring, lost, forces, top, left)
            walkers.careful[lost] = True
        # Another image climbs now: the forces have changed their meaning.
        walkers.restart(todo[bands.climbing[todo] & (was != top[todo]) & (was > 0)])
        better = todo[left[todo] < best[todo]]
        best[better] = left[better]
        for mine, kept in zip(bands.parts(), home.parts(), strict=True):
            kept[better] = mine[better]
        todo = todo[busy]
        if len(todo) == 0:
            break
        walkers.careful[todo[taken[todo] == steps // 2]] = True
        _step(force, bands, walkers, forces, todo)
        taken[todo] += 1
    return left < fmax, left, taken


def _measure(bands: Bands, spring: float, todo: Ints, forces: Floats, top: Ints, left: Floats) -> None:
    """Fill forces, highest images and largest forces of the bands `todo`."""
    heights = np.minimum(np.where(np.isnan(bands.energies), _HIGH, bands.energies), _HIGH)
    nudged_forces(bands.positions, heights, bands.gradients, bands.climbing, spring, todo, forces, top, left)


def _step(force: Force, bands: Bands, walkers: Walkers, forces: Floats, todo: Ints) -> None:
    """Move the bands `todo`; a move into a wall is not made, and the next ones are shorter."""
    _, m, d = bands.positions.shape
    moves = walkers.next_moves(forces.reshape(len(forces), -1), todo)
    new = bands.positions[todo, 1:-1] + moves.reshape(-1, m - 2, d)
    energies, gradients = force(new.reshape(-1, d))
    fine = np.isfinite(energies).reshape(-1, m - 2).all(axis=1)
    walkers.restart(todo[~fine])
    walkers.longest[todo] = np.where(
        fine, np.minimum(1.2 * walkers.longest[todo], walkers.reach), 0.3 * walkers.longest[todo]
    )
    rows = todo[fine]
    bands.positions[rows, 1:-1] = new[fine]
    bands.energies[rows, 1:-1] = energies.reshape(-1, m - 2)[fine]
    bands.gradients[rows, 1:-1] = gradients.reshape(-1, m - 2, d)[fine]
