"""Who is near whom, in any cell and boundary, and a list with a skin that knows when it is stale.

The table is *full*: every pair appears from both its ends, and an atom sees its own periodic images.
Positions need not lie inside the cell, so unwrapped trajectories can be handed over as they are.
"""

from __future__ import annotations

import math

import numpy as np

from iondiff._kernels_neighbours import neighbour_table, stretched

__all__ = ["VerletList", "neighbour_table", "stretched"]


class VerletList:
    """A neighbour table with a skin, made anew only when atoms or cell have moved too far.

    Parameters
    ----------
    cutoff
        Å, what the potential needs.
    skin
        Å, how much farther the table reaches.

    Attributes
    ----------
    builds
        How often the table has been made.
    """

    def __init__(self, cutoff: float, skin: float = 0.5) -> None:
        if not (math.isfinite(cutoff) and cutoff > 0 and math.isfinite(skin) and skin >= 0):
            raise ValueError(
                f"cutoff is {cutoff} Å and skin {skin} Å; wanted a positive cutoff and a skin of at least 0"
            )
        self.cutoff = float(cutoff)
        self.skin = float(skin)
        self.builds = 0
        self._built: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def update(
        self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``first, index, image`` that hold every pair within the cutoff, and some within the skin."""
        positions = np.ascontiguousarray(positions, dtype=np.float64)
        cell = np.ascontiguousarray(cell, dtype=np.float64)
        pbc = np.ascontiguousarray(pbc, dtype=np.bool_)
        if self._built is None or self._stale(positions, cell, pbc):
            self.table = neighbour_table(positions, cell, pbc, self.cutoff + self.skin)
            self._built = (positions.copy(), cell.copy(), pbc.copy())
            self.builds += 1
        return self.table

    def _stale(self, positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> bool:
        assert self._built is not None  # noqa: S101 - for the type checker
        reference, reference_cell, reference_pbc = self._built
        if positions.shape != reference.shape or (pbc != reference_pbc).any():
            return True
        if (cell != reference_cell).any() and not pbc.all():
            return True  # a missing lattice vector has no deformation
        return bool(stretched(positions, reference, cell, reference_cell, self.cutoff, self.skin))
