"""Analytic landscapes with known critical points, and an exact diffusion tensor to compare networks by."""

import itertools

import numpy as np

BOLTZMANN = 8.617333262e-5


class Cosines:
    """Σ A_i cos(2π s_i): one minimum, three saddles, three second-order saddles and one maximum a cell."""

    def __init__(self, cell, amplitudes):
        self.cell = np.array(cell, dtype=float)
        self.inverse = np.linalg.inv(self.cell)
        self.amplitudes = np.array(amplitudes, dtype=float)

    def energy_and_gradient(self, points):
        angle = 2 * np.pi * points @ self.inverse
        energies = (self.amplitudes * np.cos(angle)).sum(axis=1)
        return energies, (-2 * np.pi * self.amplitudes * np.sin(angle)) @ self.inverse.T


class TwoHarmonics:
    """Σ (cos X + ½ cos 2X): 8 minima of energy -2.25, 24 saddles, 24 of second order, 8 maxima a cell."""

    def __init__(self, cell):
        self.cell = np.array(cell, dtype=float)
        self.inverse = np.linalg.inv(self.cell)

    def energy_and_gradient(self, points):
        angle = 2 * np.pi * points @ self.inverse
        energies = (np.cos(angle) + 0.5 * np.cos(2 * angle)).sum(axis=1)
        return energies, (-2 * np.pi * (np.sin(angle) + np.sin(2 * angle))) @ self.inverse.T


class Waves:
    """Σ c_k cos(k·x) over given integer waves (m, 3) of a cubic cell."""

    def __init__(self, a, waves, amplitudes):
        self.cell = a * np.eye(3)
        self.k = 2 * np.pi / a * np.array(waves, dtype=float)
        self.amplitudes = np.array(amplitudes, dtype=float)

    def energy_and_gradient(self, points):
        phase = points @ self.k.T
        return np.cos(phase) @ self.amplitudes, -(np.sin(phase) * self.amplitudes) @ self.k


class MorseHost:
    """A guest in the sum of Morse potentials of randomly packed atoms, cut off smoothly at `reach` Å."""

    def __init__(self, seed, n_atoms=16, cell=None, distance=1.9, reach=5.0):
        random = np.random.default_rng(seed)
        self.cell = 6.0 * np.eye(3) if cell is None else np.array(cell, dtype=float)
        self.inverse = np.linalg.inv(self.cell)
        shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ self.cell
        chosen = []
        while len(chosen) < n_atoms:
            trial = random.random(3) @ self.cell
            apart = [np.linalg.norm(trial - other + shifts, axis=1).min() for other in chosen]
            if min(apart, default=np.inf) > distance:
                chosen.append(trial)
            else:
                distance *= 0.9995
        # Planes of the lattice are 1 / |reciprocal vector| apart.
        layers = int(np.ceil(reach * np.linalg.norm(self.inverse, axis=0).max())) + 1
        grid = np.array(list(itertools.product(range(-layers, layers + 1), repeat=3))) @ self.cell
        atoms = (np.array(chosen)[:, None] + grid[None]).reshape(-1, 3)
        depth = np.repeat(0.5 + 0.1 * random.standard_normal(n_atoms), len(grid))
        length = np.repeat(2.0 + 0.1 * random.standard_normal(n_atoms), len(grid))
        corners = np.array(list(itertools.product((0, 1), repeat=3))) @ self.cell
        centre, size = corners.mean(axis=0), np.linalg.norm(corners - corners.mean(axis=0), axis=1).max()
        near = np.linalg.norm(atoms - centre, axis=1) < size + reach
        self.atoms, self.depth, self.length, self.reach = atoms[near], depth[near], length[near], reach

    def energy_and_gradient(self, points):
        points = points - np.floor(points @ self.inverse) @ self.cell
        parts = [self._part(points[i : i + 500]) for i in range(0, len(points), 500)]
        return np.concatenate([e for e, _ in parts]), np.concatenate([g for _, g in parts])

    def _part(self, points):
        vectors = points[:, None] - self.atoms
        r = np.sqrt((vectors**2).sum(axis=-1)) + 1e-12
        x = np.exp(-1.5 * (r - self.length))
        value, slope = self.depth * (x * x - 2 * x), -3.0 * self.depth * (x * x - x)
        t = np.minimum(r / self.reach, 1.0)
        window, tilt = (1 - t * t) ** 3, -6 * t / self.reach * (1 - t * t) ** 2
        force = (slope * window + value * tilt) / r
        return (value * window).sum(axis=1), np.einsum("na,nad->nd", force, vectors)


class Moved:
    """A landscape rotated by R (3, 3) and shifted by t (3,)."""

    def __init__(self, inner, rotation, shift):
        self.inner, self.rotation, self.shift = inner, rotation, shift
        self.cell = inner.cell @ rotation.T

    def energy_and_gradient(self, points):
        energies, gradients = self.inner.energy_and_gradient((points - self.shift) @ self.rotation)
        return energies, gradients @ self.rotation.T


class Recelled:
    """The same landscape in another cell: rows of the integer matrix say how it is made of the first."""

    def __init__(self, inner, matrix):
        self.inner, self.cell = inner, np.array(matrix) @ inner.cell

    def energy_and_gradient(self, points):
        return self.inner.energy_and_gradient(points)


class Walled:
    """A landscape that answers `bad` and NaN gradients above `ceiling`, eV."""

    def __init__(self, inner, ceiling, bad=np.inf):
        self.inner, self.cell, self.ceiling, self.bad = inner, inner.cell, ceiling, bad

    def energy_and_gradient(self, points):
        energies, gradients = self.inner.energy_and_gradient(points)
        wall = energies > self.ceiling
        return np.where(wall, self.bad, energies), np.where(wall[:, None], np.nan, gradients)


def diffusion_tensor(network, temperature):
    """Exact D (3, 3), Å²/s, of one walker with equal prefactors, by the formula for reversible walks."""
    n, beta = len(network), 1.0 / (BOLTZMANN * temperature)
    cell = np.array(network.graph["cell"])
    positions = np.array([network.nodes[i]["position"] for i in range(n)])
    energies = np.array([network.nodes[i]["energy"] for i in range(n)])
    weight = np.exp(-beta * (energies - energies.min()))
    weight /= weight.sum()
    laplacian, drift, tensor = np.zeros((n, n)), np.zeros((n, 3)), np.zeros((3, 3))
    for i, j, data in network.edges(data=True):
        flow = weight[i] * data["prefactor"] * np.exp(-beta * data["barrier"])
        step = positions[j] + np.array(data["image"]) @ cell - positions[i]
        laplacian[i, i] += flow
        laplacian[i, j] -= flow
        drift[i] += flow * step
        tensor += 0.5 * flow * np.outer(step, step)
    corrector = np.linalg.lstsq(laplacian, drift, rcond=1e-13)[0]
    return tensor - 0.5 * drift.T @ corrector
