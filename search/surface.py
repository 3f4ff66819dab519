"""A smooth surface through landscape values: Hermite refinement, then a periodic quintic spline.

What is splined is not the energy but a monotone transform of it that saturates inside atoms,
v = -log(1/y + 1/y_wall) with y = 1 + (E - E0) / w. Monotone transforms keep critical points, their indices
and the lines of steepest descent, and this one turns exponential walls into gentle slopes.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import fft

from search import _spline
from search._surface_bands import relax_on_surface
from search.lattice import Floats, Ints

Complexes = NDArray[np.complex128]
# Hermite interpolation minimises Σ |u(K)|² (|K|² h² + κ²)^s: the smoother the landscape, the larger s pays.
_STIFFNESS = 4
_KAPPA2 = 0.16


@dataclass(frozen=True)
class Transform:
    """v(E) = -log(1/y + 1/y_wall), y = 1 + (E - origin) / width; energies in eV, v without unit."""

    origin: float
    width: float
    wall: float

    def forward(self, energies: Floats, gradients: Floats) -> tuple[Floats, Floats]:
        """Energies (n,), eV, and gradients (n, 3), eV/Å -> v (n,) and its gradient (n, 3), 1/Å.

        +inf allowed.
        """
        y = np.maximum(1.0 + (energies - self.origin) / self.width, 1e-6)
        decay = 1.0 / y + 1.0 / self.wall
        slope = np.zeros_like(y)
        finite = y < 1e100  # beyond, squares overflow and the slope is nothing
        slope[finite] = 1.0 / (self.width * y[finite] ** 2 * decay[finite])
        return -np.log(decay), slope[:, None] * gradients

    def value(self, energy: float) -> float:
        """V of one energy, eV."""
        return float(-np.log(1.0 / (1.0 + (energy - self.origin) / self.width) + 1.0 / self.wall))

    def backward(self, v: Floats) -> tuple[Floats, Floats, Floats]:
        """V (n,) -> energies (n,), eV, with first and second derivatives dE/dv and d²E/dv²."""
        ceiling = np.log(self.wall) - 1e-9
        decay = np.exp(-np.minimum(v, ceiling))
        y = 1.0 / np.maximum(decay - 1.0 / self.wall, 1e-12)
        energy = self.origin + self.width * (y - 1.0)
        first = self.width * decay * y**2
        return energy, first, first * (2.0 * decay * y - 1.0)


@dataclass(frozen=True)
class Surface:
    """A periodic quintic spline of transformed energies.

    coefficients: (n1 + 5, n2 + 5, n3 + 5), padded; cell: (3, 3), Å; transform: v from E and back.
    """

    coefficients: Floats
    cell: Floats
    inverse: Floats
    transform: Transform

    @property
    def shape(self) -> tuple[int, int, int]:
        """Knots in each direction."""
        a, b, c = self.coefficients.shape
        return a - _spline.PAD, b - _spline.PAD, c - _spline.PAD

    @property
    def spacing(self) -> float:
        """Largest distance between neighbouring knots, Å."""
        return float(max(np.linalg.norm(self.cell, axis=1) / self.shape))

    def raw(self, fractional: Floats) -> tuple[Floats, Floats, Floats]:
        """V (n,), gradients (n, 3) in 1/Å and Hessians (n, 3, 3) in 1/Å² at fractional points (n, 3)."""
        n = len(fractional)
        values, gradients, hessians = np.empty(n), np.empty((n, 3)), np.empty((n, 3, 3))
        _spline.evaluate_many(
            self.coefficients, np.ascontiguousarray(fractional), values, gradients, hessians
        )
        return values, gradients @ self.inverse.T, self.inverse @ hessians @ self.inverse.T

    def energies(self, positions: Floats) -> tuple[Floats, Floats, Floats]:
        """Energies (n,), eV, gradients (n, 3), eV/Å, Hessians (n, 3, 3), eV/Å², at positions (n, 3), Å."""
        values, gradients, hessians = self.raw(positions @ self.inverse)
        energy, first, second = self.transform.backward(values)
        outer = gradients[:, :, None] * gradients[:, None, :]
        return (
            energy,
            first[:, None] * gradients,
            first[:, None, None] * hessians + second[:, None, None] * outer,
        )

    def relax_bands(
        self, positions: Floats, spring: float, fmax: float, steps: int, longest: float
    ) -> tuple[Floats, Floats]:
        """Climbing bands (b, m, 3), Å, moved in place; energies (b, m), eV, largest forces (b,), eV/Å."""
        energies, left = np.empty(positions.shape[:2]), np.empty(len(positions))
        transform = np.array([self.transform.origin, self.transform.width, self.transform.wall])
        relax_on_surface(
            self.coefficients,
            self.inverse,
            transform,
            positions,
            energies,
            spring,
            fmax,
            steps,
            longest,
            left,
        )
        return energies, left

    def nearby(self, position: Floats) -> Floats | None:
        """The critical point (3,), Å, that Newton's method finds within two knots of a position (3,), Å."""
        s = np.ascontiguousarray(position @ self.inverse)
        return np.asarray(s @ self.cell) if _spline.newton(self.coefficients, s, 2.0) else None


def fit_spline(values: Floats, cell: Floats, transform: Transform) -> Surface:
    """The periodic quintic spline through `values` (n1, n2, n3) on the regular grid of `cell`."""
    spectrum = fft.rfftn(values)
    for axis, n in enumerate(values.shape):
        count = spectrum.shape[axis]
        angle = 2.0 * np.pi * np.arange(count) / n
        response = (66.0 + 52.0 * np.cos(angle) + 2.0 * np.cos(2.0 * angle)) / 120.0
        spectrum /= response.reshape([-1 if a == axis else 1 for a in range(3)])
    coefficients = fft.irfftn(spectrum, s=values.shape)
    padded = np.pad(coefficients, [(2, 3)] * 3, mode="wrap")
    return Surface(np.ascontiguousarray(padded), cell, np.asarray(np.linalg.inv(cell)), transform)


def hermite_refine(values: Floats, gradients: Floats, cell: Floats) -> Floats:
    """Double a periodic grid, using values and gradients: (n1, n2, n3), (n1, n2, n3, 3) -> (2n1, 2n2, 2n3).

    The interpolant is the function of least roughness Σ |u(K)|² (|K|² h² + κ²)^s that has the given values
    and Cartesian gradients at the grid points. On a lattice of points the problem separates into one 4x4
    system for every wave vector of the grid: its aliases K = k + G carry the unknowns.
    """
    shape = values.shape
    spectra = np.stack(
        [fft.rfftn(values), *(-1j * fft.rfftn(gradients[..., axis]) for axis in range(3))], axis=-1
    )
    spacing = float(np.linalg.norm(cell, axis=1).mean() / np.mean(shape))
    reciprocal = np.asarray(2.0 * np.pi * np.linalg.inv(cell).T)  # row i: wave vector of index i
    answer = np.empty((8, *spectra.shape[:3]), dtype=np.complex128)
    _hermite_spectra(
        np.array(shape), reciprocal * spacing, spectra / np.array([1, *[1 / spacing] * 3]), answer
    )
    fine = np.empty([2 * n for n in shape])
    for part in range(8):
        a, b, c = part >> 2 & 1, part >> 1 & 1, part & 1
        fine[a::2, b::2, c::2] = fft.irfftn(answer[part], s=shape)
    return fine


@njit(cache=True)
def _hermite_spectra(  # noqa: C901
    shape: Ints, reciprocal: Floats, data: Complexes, answer: Complexes
) -> None:
    """Spectra of the interpolant on the eight half-shifted grids.

    shape: (3,); reciprocal: (3, 3), wave vectors times spacing; data: (n1, n2, m, 4) spectra of the value and
    of -i times the gradient (times spacing); answer: (8, n1, n2, m), filled.
    """
    wave = np.empty(3)
    columns = np.empty(4)
    normal = np.empty((4, 4))
    rows = np.empty((8, 4), dtype=np.complex128)
    half = np.empty(3, dtype=np.int64)
    for i in range(data.shape[0]):
        for j in range(data.shape[1]):
            for k in range(data.shape[2]):
                half[0] = i if 2 * i <= shape[0] else i - shape[0]
                half[1] = j if 2 * j <= shape[1] else j - shape[1]
                half[2] = k
                normal[:, :] = 0.0
                rows[:, :] = 0.0
                for alias in range(27):
                    m0 = half[0] + (alias // 9 - 1) * shape[0]
                    m1 = half[1] + (alias // 3 % 3 - 1) * shape[1]
                    m2 = half[2] + (alias % 3 - 1) * shape[2]
                    size = 0.0
                    for a in range(3):
                        wave[a] = m0 * reciprocal[0, a] + m1 * reciprocal[1, a] + m2 * reciprocal[2, a]
                        size += wave[a] ** 2
                    weight = (size + _KAPPA2) ** (-_STIFFNESS)
                    columns[0] = 1.0
                    columns[1:] = wave
                    for a in range(4):
                        for b in range(4):
                            normal[a, b] += weight * columns[a] * columns[b]
                    for part in range(8):
                        phase = np.pi * (
                            (part >> 2 & 1) * m0 / shape[0]
                            + (part >> 1 & 1) * m1 / shape[1]
                            + (part & 1) * m2 / shape[2]
                        )
                        factor = weight * (np.cos(phase) + 1j * np.sin(phase))
                        for a in range(4):
                            rows[part, a] += factor * columns[a]
                solution = np.linalg.solve(normal.astype(np.complex128), data[i, j, k])
                for part in range(8):
                    total = 0.0 + 0.0j
                    for a in range(4):
                        total += rows[part, a] * solution[a]
                    answer[part, i, j, k] = total
