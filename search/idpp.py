"""Starting paths that keep atoms apart: the image dependent pair potential.

Smidstrup, Pedersen, Stokbro & Jónsson, J. Chem. Phys. 140, 214106 (2014): every image is pulled towards
interatomic distances interpolated between those of the two ends, weighted by the inverse fourth power.
"""

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numba import njit

from search._bands import Bands, relax
from search.bands import spread
from search.lattice import Floats, Ints

REACH = 6.0


def idpp_path(atoms: Atoms, moving: Ints, path: Floats, n_images: int, steps: int = 300) -> Floats:
    """A path (n_images, 3k) of the k moving atoms, Å, from path (m, 3k): ends kept, the rest by IDPP.

    Pairs closer than 6 Å at either end count, each in the image in which it is closest half-way.
    """
    images = spread(path, n_images)
    whole = np.repeat(atoms.positions[None], n_images, axis=0)
    whole[:, moving] = images.reshape(n_images, -1, 3)
    pairs, shifts = _pairs(whole[[0, n_images // 2, -1]], np.array(atoms.cell), np.array(atoms.pbc), moving)
    if len(pairs) == 0:
        return images
    ends = [_distances(whole[k], pairs, shifts) for k in (0, -1)]
    share = np.arange(n_images)[:, None] / (n_images - 1)
    wanted = (1.0 - share) * ends[0] + share * ends[1]
    number = np.full(len(atoms), -1, dtype=np.int64)
    number[moving] = np.arange(len(moving))

    def force(x: Floats) -> tuple[Floats, Floats]:
        # One band only: its inner images always come all together and in order.
        targets = wanted if len(x) == n_images else wanted[1:-1]
        energies, gradients = np.empty(len(x)), np.zeros_like(x)
        for image in range(len(x)):
            now = atoms.positions.copy()
            now[moving] = x[image].reshape(-1, 3)
            energies[image] = _idpp(now, pairs, shifts, targets[image], number, gradients[image])
        return energies, gradients

    energies, gradients = force(images)
    bands = Bands(images[None].copy(), energies[None], gradients[None], np.zeros(1, dtype=bool))
    relax(force, bands, spring=0.1, fmax=0.1, steps=steps)
    return np.asarray(bands.positions[0])


def _pairs(three: Floats, cell: Floats, pbc: np.ndarray, moving: Ints) -> tuple[Ints, Floats]:
    """Pairs (p, 2) with a moving atom, and their lattice translations (p, 3), Å; from three snapshots."""
    n = three.shape[1]
    first, second = np.triu_indices(n, 1)
    moves = np.zeros(n, dtype=bool)
    moves[moving] = True
    keep = moves[first] | moves[second]
    first, second = first[keep], second[keep]
    half = three[1]
    reduced, _ = minkowski_reduce(cell, pbc=pbc)  # type: ignore[no-untyped-call]
    vectors = half[second] - half[first]
    whole = np.where(pbc, -np.round(vectors @ np.linalg.pinv(reduced)), 0.0)
    shifts = whole @ reduced
    near = np.zeros(len(first), dtype=bool)
    for snapshot in three:
        near |= np.linalg.norm(snapshot[second] - snapshot[first] + shifts, axis=1) < REACH
    return np.stack([first, second], axis=1)[near], shifts[near]


def _distances(positions: Floats, pairs: Ints, shifts: Floats) -> Floats:
    apart = positions[pairs[:, 1]] - positions[pairs[:, 0]] + shifts
    return np.asarray(np.linalg.norm(apart, axis=1))


@njit(cache=True)
def _idpp(
    positions: Floats, pairs: Ints, shifts: Floats, wanted: Floats, number: Ints, gradient: Floats
) -> float:
    """Σ (d - wanted)² / d⁴ and its gradient on the moving atoms (3k,), added."""
    energy = 0.0
    step = np.empty(3)
    for p in range(pairs.shape[0]):
        i, j = pairs[p, 0], pairs[p, 1]
        square = 0.0
        for a in range(3):
            step[a] = positions[j, a] - positions[i, a] + shifts[p, a]
            square += step[a] ** 2
        d = max(np.sqrt(square), 1e-3)
        off = d - wanted[p]
        energy += off * off / d**4
        slope = 2.0 * off / d**4 - 4.0 * off * off / d**5
        for a in range(3):
            pull = slope * step[a] / d
            if number[j] >= 0:
                gradient[3 * number[j] + a] += pull
            if number[i] >= 0:
                gradient[3 * number[i] + a] -= pull
    return energy
