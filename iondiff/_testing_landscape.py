"""The conformance kit's part for landscapes; see :mod:`iondiff.testing`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms

Maker = Callable[[Atoms], Any]


class LandscapeConformance:
    """Invariances of a guest's energy in a rigid host, and its gradient.

    Subclass it in a test file and give it two fixtures: `landscape_of`, which turns a host into a landscape,
    and `hosts`, structures without the guest, better without symmetry and triclinic.

    Attributes
    ----------
    tolerance
        Of numbers that should be the same, relative to their size, eV and eV/Å.
    derivative_tolerance
        eV/Å, analytical against numerical derivatives.
    step
        Å, of the numerical derivatives.
    points
        How many random points of every host are asked; those inside walls are left out.
    """

    tolerance = 1e-9
    derivative_tolerance = 1e-5
    step = 2e-3
    points = 40
    seed = 0

    def test_cell_is_the_host_s(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """What the search takes the period from."""
        for host in hosts:
            require(
                np.array_equal(landscape_of(host).cell, host.cell.array), "the cell is not that of the host"
            )

    def test_gradient_is_the_derivative(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """Central differences of fourth order along the axes."""
        h = self.step
        for host in hosts:
            landscape, points, _, gradients = self._open(landscape_of, host)
            for axis in range(3):
                shift = h * np.eye(3)[axis]
                e = [landscape.energy_and_gradient(points + k * shift)[0] for k in (-2, -1, 1, 2)]
                found = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * h)
                known = np.isfinite(found)  # no wall in between
                worst = np.abs(found - gradients[:, axis])[known] / np.maximum(1, np.abs(found[known]))
                require(known.any(), "all points are next to walls; give hosts with more room")
                require(
                    float(worst.max()) <= self.derivative_tolerance,
                    f"gradient: off by {worst.max():.2g} eV/Å; wanted {self.derivative_tolerance:.1g}",
                )

    def test_periodic_images(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """A point and its images are one place, and so are an atom of the host and its."""
        generator = np.random.default_rng(self.seed)
        for host in hosts:
            landscape, points, energies, gradients = self._open(landscape_of, host)
            whole = generator.integers(-3, 4, points.shape) @ host.cell.array
            self._same(landscape, points + whole, energies, gradients, "images of the points")
            moved = host.copy()
            moved.positions += generator.integers(-2, 3, (len(host), 3)) @ host.cell.array
            self._same(landscape_of(moved), points, energies, gradients, "images of the host's atoms")

    def test_translation_and_rotation(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """Host and guest moved or turned together change nothing."""
        generator = np.random.default_rng(self.seed)
        for host in hosts:
            _, points, energies, gradients = self._open(landscape_of, host)
            moved = host.copy()
            far = np.array([1.23, -4.56, 7.89])
            moved.positions += far
            self._same(landscape_of(moved), points + far, energies, gradients, "translated")
            turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
            turn *= np.sign(np.linalg.det(turn))
            turned = host.copy()
            turned.set_cell(host.cell.array @ turn.T)
            turned.positions = host.positions @ turn.T
            self._same(landscape_of(turned), points @ turn.T, energies, gradients @ turn.T, "turned")

    def test_order_and_size_of_the_host(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """The order of the host's atoms means nothing; twice the host has the same energies for one guest.

        Where the cell is smaller than twice the reach the guest also sees its own images, which a larger host
        has not: give hosts that are large enough.
        """
        generator = np.random.default_rng(self.seed)
        for host in hosts:
            _, points, energies, gradients = self._open(landscape_of, host)
            other = host[generator.permutation(len(host))]
            self._same(landscape_of(other), points, energies, gradients, "host in another order")
            self._same(
                landscape_of(host.repeat((2, 1, 1))), points, energies, gradients, "host twice as large"
            )

    def test_one_by_one(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """A point's energy does not depend on the points asked with it."""
        for host in hosts:
            landscape, points, energies, gradients = self._open(landscape_of, host)
            for k in range(0, len(points), 7):
                one = points[k : k + 1]
                self._same(landscape, one, energies[k : k + 1], gradients[k : k + 1], "a point alone")

    def test_a_place_taken_is_a_wall(self, landscape_of: Maker, hosts: list[Atoms]) -> None:
        """On top of an atom of the host: an energy that is not finite, or high; never a deep hole."""
        for host in hosts:
            landscape, _, energies, _ = self._open(landscape_of, host)
            inside = landscape.energy_and_gradient(host.positions.copy())[0]
            require(
                not (inside < energies.min()).any(),
                "a point on top of an atom of the host has a lower energy than any point between them",
            )

    def _open(self, landscape_of: Maker, host: Atoms) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
        """The landscape, random points outside the walls, energies and gradients there."""
        landscape = landscape_of(host)
        points = np.random.default_rng(self.seed).random((self.points, 3)) @ host.cell.array
        energies, gradients = landscape.energy_and_gradient(points)
        free = np.isfinite(energies)
        require(free.any(), f"none of {self.points} points of the host has a finite energy")
        return landscape, points[free], energies[free], gradients[free]

    def _same(
        self, landscape: Any, points: np.ndarray, energies: np.ndarray, gradients: np.ndarray, what: str
    ) -> None:
        found = landscape.energy_and_gradient(points)
        for name, one, other in (("energy", found[0], energies), ("gradient", found[1], gradients)):
            scale = max(1.0, float(np.abs(other).max(initial=0.0)))
            worst = float(np.abs(one - other).max(initial=0.0))
            require(
                worst <= self.tolerance * scale,
                f"{name}, {what}: differs by {worst:.3g} with numbers up to {scale:.3g}; wanted "
                f"{self.tolerance:.1g} of that",
            )


def require(holds: bool, message: str) -> None:
    """An AssertionError with a sentence, also where Python drops `assert`."""
    if not holds:
        raise AssertionError(message)
