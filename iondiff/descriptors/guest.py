"""Symmetry functions of one guest atom at any point of a frozen host."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from iondiff.descriptors import _kernels_guest
from iondiff.descriptors.bins import PeriodicBins
from iondiff.descriptors.symmetry_functions import DescriptorSet
from iondiff.errors import HostError, PotentialError

_LARGEST_LENGTH = 1e6  # Å


class HostNeighbours:
    """A host sorted into bins, for fast neighbour lists around arbitrary points.

    Parameters
    ----------
    host
        Positions in Å; the cell is taken as periodic in all three directions.
    elements
        Element names in the order of the kernels' indices.
    cutoff
        Å.

    Raises
    ------
    HostError
        No cell, no atoms, or positions that are not finite.
    PotentialError
        The host has an element that is not in `elements`.
    """

    def __init__(self, host: Atoms, elements: tuple[str, ...], cutoff: float) -> None:
        check_host(host)
        unknown = sorted(set(host.get_chemical_symbols()) - set(elements))
        if unknown:
            raise PotentialError(
                f"the host has {', '.join(unknown)}, the potential was made for {', '.join(elements)}; "
                "train one for this host"
            )
        self.elements = tuple(elements)
        self.bins = PeriodicBins(host.positions, host.cell.array, cutoff)
        numbers = np.array([elements.index(symbol) for symbol in host.get_chemical_symbols()], dtype=np.int64)
        self.species = numbers[self.bins.order]

    def kernel_arguments(self) -> tuple[Any, ...]:
        """The host's part of a kernel call."""
        bins = self.bins
        return (
            bins.capacity, bins.cell, bins.inverse, bins.bins, bins.starts, bins.positions,
            self.species, bins.cutoff,
        )  # fmt: skip


def check_host(host: Atoms) -> None:
    """Refuse a host without atoms, without a cell, or with positions that are not finite."""
    if len(host) == 0:
        raise HostError("the host has no atoms; wanted a periodic structure")
    if not np.isfinite(host.positions).all() or not np.isfinite(host.cell.array).all():
        raise HostError("the host has positions or cell vectors that are not finite numbers")
    if max(np.abs(host.positions).max(), np.abs(host.cell.array).max()) > _LARGEST_LENGTH:
        raise HostError(f"the host has positions or cell vectors longer than {_LARGEST_LENGTH:g} Å; wanted Å")
    if abs(host.cell.volume) < 1e-6:
        raise HostError(
            "the host has no cell (volume 0 Å³); wanted three lattice vectors: set them in the structure file"
        )


def guest_descriptors(
    neighbours: HostNeighbours, functions: DescriptorSet, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Symmetry functions at `points` (n, 3), Å.

    Returns
    -------
    G : (n, n_functions)
    dG : (n, n_functions, 3), 1/Å, with respect to the point.
    """
    points = np.ascontiguousarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise PotentialError(f"points have shape {points.shape}; wanted (n, 3) finite numbers, Å")
    if functions.elements != neighbours.elements or functions.cutoff > neighbours.bins.cutoff:
        raise PotentialError(
            f"functions see {functions.elements} within {functions.cutoff} Å, the neighbours were "
            "gathered for "
            f"{neighbours.elements} within {neighbours.bins.cutoff} Å; wanted the same"
        )
    return _kernels_guest.describe_points(points, *neighbours.kernel_arguments(), *functions.arrays())
