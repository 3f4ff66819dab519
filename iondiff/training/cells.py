"""Crystals written with more atoms than they have: the smallest cell that says the same.

A strained crystal of 108 atoms of which each is the translate of another teaches no more than its primitive cell,
and costs a hundred times as much.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from iondiff.training.dataset import Labelled

_SAME_PLACE = 1e-3  # Å
_SAME_FORCE = 1e-2  # eV/Å


@dataclass(frozen=True)
class Cell:
    """A structure in its smallest cell.

    Attributes
    ----------
    structure
        Labels of the small cell: energy and virial divided by `copies`, forces of equivalent atoms averaged.
    copies
        Small cells in the given one.
    place
        (n,) for every given atom the one it is a translate of.
    """

    structure: Labelled
    copies: int
    place: np.ndarray

    def whole(self, rows: np.ndarray) -> np.ndarray:
        """Forces, energy and virial (3n + 7,) of the given cell from those of the small one."""
        forces = rows[:-7].reshape(-1, 3)[self.place]
        return np.concatenate([forces.ravel(), rows[-7:] * self.copies])


def smallest_cell(s: Labelled) -> Cell:
    """The structure as it is, if no translation but those of its lattice leaves it unchanged."""
    atoms, n = s.atoms, len(s.atoms)
    same = Cell(s, 1, np.arange(n))
    if n < 2 or not atoms.pbc.all() or not np.isfinite(s.atom_weights).all():
        return same
    found = _translations(s)
    copies = len(found)
    if copies == 1 or n % copies:
        return same
    vectors = np.array([v for v, _ in found])
    cell = _lattice(vectors, atoms.cell.array, abs(np.linalg.det(atoms.cell.array)) / copies)
    # Noise of the forces can hide some translations: the others then are no lattice.
    if cell is None or not _is_whole(np.concatenate([vectors, atoms.cell.array]) @ np.linalg.inv(cell)):
        return same
    # The atom of lowest number stands for all its translates.
    orbit = np.min([targets for _, targets in found], axis=0)
    kept, place = np.unique(orbit, return_inverse=True)
    forces = np.zeros((len(kept), 3))
    np.add.at(forces, place, s.forces / copies)
    small = Atoms(atoms.numbers[kept], positions=atoms.positions[kept], cell=cell, pbc=True)
    return Cell(
        replace(
            s, atoms=small, energy=s.energy / copies, forces=forces, virial=s.virial / copies,
            atom_weights=s.atom_weights[kept],
        ),
        copies,
        place,
    )  # fmt: skip


def _translations(s: Labelled) -> list[tuple[np.ndarray, np.ndarray]]:
    """Vectors (3,), Å, that move the structure onto itself, with the atom each atom arrives at, (n,)."""
    atoms = s.atoms
    cell = atoms.cell.array
    places = atoms.positions @ np.linalg.inv(cell)
    tree = cKDTree(_inside(places), boxsize=1.0)
    found = []
    for j in np.flatnonzero(atoms.numbers == atoms.numbers[0]):
        vector = places[j] - places[0]
        if not _arrives(tree.query(_inside(places[-1:] + vector))[1], places, vector, s, [-1]):
            continue
        targets = tree.query(_inside(places + vector))[1]
        if _arrives(targets, places, vector, s, slice(None)):
            found.append((vector @ cell, targets))
    return found


def _inside(places: np.ndarray) -> np.ndarray:
    """Fractional coordinates in [0, 1)."""
    wrapped = places - np.floor(places)
    return np.where(wrapped >= 1.0, 0.0, wrapped)


def _arrives(
    targets: np.ndarray, places: np.ndarray, vector: np.ndarray, s: Labelled, which: slice | list[int]
) -> bool:
    """Whether atoms `which`, moved by a fractional vector, lie on `targets`, which are like them."""
    d = places[targets] - places[which] - vector
    distance = np.linalg.norm((d - np.round(d)) @ s.atoms.cell.array, axis=1)
    pushed = np.abs(s.forces[targets] - s.forces[which])
    return bool(
        distance.max() <= _SAME_PLACE
        and (s.atoms.numbers[targets] == s.atoms.numbers[which]).all()
        and (s.atom_weights[targets] == s.atom_weights[which]).all()
        and not (pushed > _SAME_FORCE).any()
    )


def _is_whole(numbers: np.ndarray) -> bool:
    return bool(np.abs(numbers - np.round(numbers)).max() < 0.05)


def _lattice(translations: np.ndarray, cell: np.ndarray, volume: float) -> np.ndarray | None:
    """Three shortest independent vectors (3, 3) of the lattice of all translations; they span `volume`."""
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ cell
    every = (translations[:, None] + shifts[None]).reshape(-1, 3)
    length = np.linalg.norm(every, axis=1)
    every = every[np.argsort(length, kind="stable")][np.sort(length) > 10 * _SAME_PLACE]
    chosen = [every[0]]
    for vector in every[1:]:
        if len(chosen) == 1 and np.linalg.norm(np.cross(chosen[0], vector)) > 1e-3 * np.linalg.norm(vector):
            chosen.append(vector)
        elif len(chosen) == 2 and abs(abs(np.linalg.det([*chosen, vector])) / volume - 1.0) < 1e-3:
            basis = np.array([*chosen, vector])
            return basis if np.linalg.det(basis) > 0 else -basis
    return None
