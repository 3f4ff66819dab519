"""The guest-species network: the energy of one diffusing atom as a function of where it is in a frozen host.

After Li, Ando and Watanabe, J. Phys. Soc. Jpn. 86, 104004 (2017): symmetry functions centred on the guest
see the unrelaxed host; the labels behind the network contain the host's relaxation. Two things are added
here. Several members trained from different starts give a mean and a spread. And the residuals of the mean
on the labels, energies and gradients, are interpolated by a compactly supported kernel
(:mod:`iondiff.training.correction`), so that where labels are dense the potential is as good as the labels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.descriptors import DescriptorSet, HostNeighbours
from iondiff.descriptors._kernels_guest import describe_points
from iondiff.descriptors.bins import PeriodicBins
from iondiff.errors import PotentialError
from iondiff.files import host_fingerprint
from iondiff.potentials import _kernels_guest

_LARGEST_SUPPORT = 50.0  # Å; farther would gather millions of images


@dataclass(frozen=True)
class KernelCorrection:
    """Interpolated residuals; belongs to one host.

    Attributes
    ----------
    centres
        (n, 3), Å.
    coefficients
        (n, 4), eV and eV Å: of φ and of its gradient with respect to the centre.
    support
        Å, distance from which on a centre is not felt.
    host
        Fingerprint of the host (:func:`iondiff.files.host_fingerprint`).
    """

    centres: np.ndarray
    coefficients: np.ndarray
    support: float
    host: str

    def __post_init__(self) -> None:
        n = len(self.centres)
        if self.centres.shape != (n, 3) or self.coefficients.shape != (n, 4):
            raise PotentialError(
                f"the correction has centres {self.centres.shape} and coefficients "
                f"{self.coefficients.shape}; "
                "wanted (n, 3) and (n, 4)"
            )
        if not (np.isfinite(self.centres).all() and np.isfinite(self.coefficients).all()):
            raise PotentialError("the correction holds numbers that are not finite; train again")
        if not 0 < self.support <= _LARGEST_SUPPORT:
            raise PotentialError(
                f"the correction's support is {self.support} Å; wanted above 0 and up to {_LARGEST_SUPPORT}"
            )


@dataclass(frozen=True)
class GuestNNP:
    """A committee of small networks around one guest atom.

    Attributes
    ----------
    guest
        Chemical symbol.
    functions
        Symmetry functions around the guest.
    centre, width
        (n_functions,) mean and standard deviation of each function over the training set.
    layers
        Numbers of nodes, input to output, for example (36, 9, 9, 1).
    weights
        (n_members, n_weights): W (row by row) and b of every layer in turn, tanh between layers.
    energy_shift, energy_scale
        eV; energy = shift + scale · network.
    wall_A
        Å; nearer than this to a host atom nothing was labelled: the energy there is infinite.
    correction
        Interpolated residuals, or None.
    summary
        What training said: label counts, errors, provenance. Plain data.
    """

    guest: str
    functions: DescriptorSet
    centre: np.ndarray
    width: np.ndarray
    layers: tuple[int, ...]
    weights: np.ndarray
    energy_shift: float
    energy_scale: float
    wall_A: float
    correction: KernelCorrection | None = None
    summary: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.layers) < 2 or min(self.layers) < 1:
            raise PotentialError(f"layers are {self.layers}; wanted at least an input and an output")
        if self.layers[0] != len(self.functions) or self.layers[-1] != 1:
            raise PotentialError(
                f"layers are {self.layers}; wanted {len(self.functions)} inputs, as many as symmetry "
                "functions, "
                "and one output"
            )
        wanted = n_weights(self.layers)
        if self.weights.ndim != 2 or self.weights.shape[1] != wanted or len(self.weights) == 0:
            raise PotentialError(
                f"weights have shape {self.weights.shape}; layers {self.layers} want (members, {wanted})"
            )
        for name in ("centre", "width"):
            if getattr(self, name).shape != (self.layers[0],):
                raise PotentialError(
                    f"{name} has shape {getattr(self, name).shape}; wanted one number a symmetry function, "
                    f"({self.layers[0]},)"
                )
        for name in ("centre", "width", "weights", "energy_shift", "energy_scale"):
            if not np.isfinite(getattr(self, name)).all():
                raise PotentialError(f"{name} holds numbers that are not finite; train again")
        if not (self.width > 0).all():
            raise PotentialError("width holds numbers that are not positive; train again")
        if not 0 <= self.wall_A <= self.functions.cutoff:
            raise PotentialError(
                f"wall_A is {self.wall_A} Å; wanted 0 to the functions' cutoff, {self.functions.cutoff} Å"
            )

    def landscape(self, host: Atoms, guest: str | None = None) -> GuestLandscape:
        """The potential in a given host, answering contract 1.

        Raises
        ------
        HostError
            The host has no cell or no atoms.
        PotentialError
            An element or a guest the potential was not trained for, or a correction made for another host.
        """
        if guest is not None and guest != self.guest:
            raise PotentialError(
                f"guest is {guest!r}, the potential was trained for {self.guest!r}; train one for {guest}"
            )
        return GuestLandscape(self, host)


def n_weights(layers: tuple[int, ...]) -> int:
    """Number of weights and biases of a network."""
    return sum((a + 1) * b for a, b in itertools.pairwise(layers))


class GuestLandscape:
    """A :class:`GuestNNP` in one host: the landscape of contract 1.

    Attributes
    ----------
    cell
        (3, 3), Å, rows are lattice vectors.
    guest
        Chemical symbol.
    """

    def __init__(self, potential: GuestNNP, host: Atoms) -> None:
        self.potential = potential
        self.guest = potential.guest
        functions = potential.functions
        neighbours = HostNeighbours(host, functions.elements, functions.cutoff)
        self.cell = neighbours.bins.cell
        self._host = neighbours.kernel_arguments()
        self._functions = functions.arrays()
        self._corrector = self._correction_arguments(host)

    def _correction_arguments(self, host: Atoms) -> tuple[Any, ...]:
        correction = self.potential.correction
        if correction is None:
            # No centres: the kernel skips the correction; the arrays only fix the types.
            bins = PeriodicBins(np.zeros((0, 3)), self.cell, 1.0)
            coefficients, support = np.zeros((0, 4)), 1.0
        else:
            if correction.host != host_fingerprint(host):
                raise PotentialError(
                    "the potential carries a kernel correction made for another host structure; use "
                    "it with the host "
                    "it was trained on, or drop the correction (dataclasses.replace(potential, "
                    "correction=None))"
                )
            bins = PeriodicBins(correction.centres, self.cell, correction.support)
            coefficients, support = correction.coefficients[bins.order], correction.support
        return (
            bins.capacity, bins.cell, bins.inverse, bins.bins, bins.starts, bins.positions,
            np.ascontiguousarray(coefficients), float(support),
        )  # fmt: skip

    def energy_and_gradient(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (n,), eV, and gradients (n, 3), eV/Å, at `points` (n, 3), Å; infinite inside the walls."""
        energies, gradients, _ = self._evaluate(points)
        return energies, gradients

    def spread(self, points: np.ndarray) -> np.ndarray:
        """Standard deviation (n,), eV, of the members' energies: where the potential is unsure."""
        members = self._evaluate(points)[2]
        with np.errstate(invalid="ignore"):
            return np.where(np.isfinite(members[:, 0]), members.std(axis=1), np.inf)

    def environments(self, points: np.ndarray) -> np.ndarray:
        """Symmetry functions at `points` (n, 3), Å, in standard deviations of the training set: (n, m).

        Places that a symmetry of the host maps onto each other have the same.
        """
        points = np.ascontiguousarray(points, dtype=float).reshape(-1, 3)
        values = describe_points(points, *self._host, *self._functions)[0]
        scaled: np.ndarray = (values - self.potential.centre) / self.potential.width
        return scaled

    def _evaluate(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        points = np.ascontiguousarray(points, dtype=float)
        if points.ndim != 2 or points.shape[1] != 3:
            raise PotentialError(f"points have shape {points.shape}; wanted (n, 3), Å")
        if not np.isfinite(points).all():
            raise PotentialError(
                f"point {int(np.argwhere(~np.isfinite(points))[0][0])} is not finite; wanted Cartesian Å"
            )
        p = self.potential
        return _kernels_guest.evaluate(
            points, p.wall_A, self._host, self._functions, (p.centre, 1.0 / p.width), p.weights,
            np.array(p.layers, dtype=np.int64), np.array([p.energy_shift, p.energy_scale]), self._corrector,
        )  # fmt: skip
