"""Many elastic bands at once: improved tangents, climbing images, and a walker for each band.

Tangents are those of Henkelman & Jónsson, J. Chem. Phys. 113, 9978 (2000); the highest image of a band that
climbs feels no spring and the reversed true force along the band (Henkelman, Uberuaga & Jónsson, J. Chem.
Phys. 113, 9901 (2000)). The arithmetic is compiled (`_kernels_bands`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search._kernels_bands import fire_moves, nudged_forces, quasi_newton_moves
from search.lattice import Floats, Ints

Force = Callable[[Floats], tuple[Floats, Floats]]
"""Images (n, d), Å -> energies (n,), eV, and gradients (n, d), eV/Å."""
# An image inside a wall is only "very high", eV: infinite weights would leave no tangent.
_HIGH = 1e6
_MEMORY = 12
# A force this many times the smallest so far sends a quasi-Newton walk back to its first step.
_LOST = 4.0


@dataclass
class Bands:
    """Bands of equally many images: positions and gradients (b, m, d), energies (b, m), who climbs (b,).

    The last axis has 3 coordinates for each moving atom.
    """

    positions: Floats
    energies: Floats
    gradients: Floats
    climbing: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

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
        self.longest = np.full(n, longest)
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
    forces = np.zeros((b, m - 2, d))
    left, best, taken = np.full(b, np.inf), np.full(b, np.inf), np.zeros(b, dtype=np.int64)
    top, todo = np.zeros(b, dtype=np.int64), np.arange(b)
    for _ in range(steps + 1):
        heights = np.minimum(np.where(np.isnan(bands.energies), _HIGH, bands.energies), _HIGH)
        was = top[todo]
        nudged_forces(
            bands.positions, heights, bands.gradients, bands.climbing, spring, todo, forces, top, left
        )
        busy = ~(left[todo] < fmax) & np.isfinite(bands.energies[todo]).all(axis=1) & (taken[todo] < steps)
        lost = left[todo] > _LOST * best[todo]
        best[todo] = np.where(lost, left[todo], np.minimum(best[todo], left[todo]))
        # Another image climbs now: the forces have changed their meaning.
        walkers.restart(todo[lost | (bands.climbing[todo] & (was != top[todo]) & (was > 0))])
        todo = todo[busy]
        if len(todo) == 0:
            break
        walkers.careful[todo[taken[todo] == steps // 2]] = True
        moves = walkers.next_moves(forces.reshape(b, -1), todo)
        bands.positions[todo, 1:-1] += moves.reshape(-1, m - 2, d)
        energies, gradients = force(bands.positions[todo, 1:-1].reshape(-1, d))
        bands.energies[todo, 1:-1] = energies.reshape(-1, m - 2)
        bands.gradients[todo, 1:-1] = gradients.reshape(-1, m - 2, d)
        taken[todo] += 1
    return left < fmax, left, taken
