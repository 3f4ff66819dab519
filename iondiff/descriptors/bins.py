"""Points of a periodic cell sorted into bins, for fast neighbour lists around arbitrary places."""

from __future__ import annotations

import numpy as np

from iondiff.descriptors import _kernels_guest


class PeriodicBins:
    """Positions sorted into bins at least a cutoff wide where the cell allows it.

    Parameters
    ----------
    positions
        (n, 3), Å, Cartesian.
    cell
        (3, 3), Å, rows are lattice vectors; any shape, also smaller than the cutoff.
    cutoff
        Å.

    Attributes
    ----------
    order
        (n,), index of the original position behind each sorted one.
    capacity
        An upper bound of the number of neighbours of any place.
    """

    def __init__(self, positions: np.ndarray, cell: np.ndarray, cutoff: float) -> None:
        self.cutoff = float(cutoff)
        self.cell = np.ascontiguousarray(cell, dtype=float)
        self.inverse = np.ascontiguousarray(np.linalg.inv(self.cell))
        heights = 1.0 / np.linalg.norm(self.inverse, axis=0)
        self.bins = np.clip(np.floor(heights / cutoff), 1, 64).astype(np.int64)
        fractional = positions @ self.inverse
        fractional -= np.floor(fractional)
        fractional[fractional >= 1.0] = 0.0  # -1e-17 - floor(-1e-17) rounds to 1.0
        index = np.minimum((fractional * self.bins).astype(np.int64), self.bins - 1)
        flat = (index[:, 0] * self.bins[1] + index[:, 1]) * self.bins[2] + index[:, 2]
        self.order = np.argsort(flat, kind="stable")
        self.starts = np.searchsorted(flat[self.order], np.arange(int(np.prod(self.bins)) + 1))
        self.positions = np.ascontiguousarray((fractional @ self.cell)[self.order])
        self.capacity = self._capacity()

    def _capacity(self) -> int:
        """Every place is within half a voxel diagonal of a grid point: count around those, a bit wider."""
        counts = np.maximum(1, np.ceil(np.linalg.norm(self.cell, axis=1))).astype(int)
        while np.prod(counts) > 20_000:
            counts = np.maximum(1, counts // 2)
        axes = [np.arange(c) / c for c in counts]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ self.cell
        voxel = self.cell / counts[:, None]
        diagonals = np.array([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, 1, 1]]) @ voxel
        reach = self.cutoff + 0.5 * np.linalg.norm(diagonals, axis=1).max()
        return int(
            _kernels_guest.count_neighbours(
                grid, self.cell, self.inverse, self.bins, self.starts, self.positions, reach
            )
        )
