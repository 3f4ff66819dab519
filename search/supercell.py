"""The supercell of a crystal or a glass in which an atom is moved, and where everything belongs in it."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce

from search.errors import SearchError
from search.lattice import Floats, Ints, checked_cell, nearest, shortest_vectors, wrap
from search.symmetry import Operations

# A walker this close to its own image, Å, feels it: supercells chosen here keep them further apart.
SMALLEST = 6.5


@dataclass(frozen=True)
class Supercell:
    """Ideal places of every atom of a supercell: the other elements first, those of the species last.

    unit: the structure as given, wrapped; places: (n, 3), Å, of the species in it; ideal: (m, 3), Å;
    numbers: (m,), atomic numbers; first: where the species begins in `ideal`. The place of site s in image t
    stands in `row(s, t)`.
    """

    unit: Atoms
    cell: Floats
    repeats: Ints
    places: Floats
    atom_of: Ints
    ideal: Floats
    numbers: Ints
    first: int

    @property
    def lattice(self) -> Floats:
        """(3, 3), Å: the supercell's vectors."""
        return np.asarray(self.repeats[:, None] * self.cell)

    def row(self, site: int, image: Ints | tuple[int, int, int]) -> int:
        """The row of `ideal` that holds the place of a site in an image of the unit cell."""
        a, b, c = (int(i) % int(n) for i, n in zip(image, self.repeats, strict=True))
        block = (a * int(self.repeats[1]) + b) * int(self.repeats[2]) + c
        return self.first + block * len(self.places) + site

    def rows_after(self, rotation: Floats, shift: Floats) -> Ints:
        """(m,): the row of the place to which x -> rotation @ x + shift takes each ideal place."""
        rows = nearest(self.ideal @ rotation.T + shift, self.ideal, self.lattice, 0.5)
        if len(np.unique(rows)) != len(rows) or (rows < 0).any():
            raise SearchError(
                "A symmetry operation does not take the structure onto itself; lower symprec or pass "
                "symmetry=False."
            )
        return rows

    def structure(self, keep: Ints | slice = slice(None)) -> Atoms:
        """The ideal supercell, or some of its rows."""
        return Atoms(self.numbers[keep], positions=self.ideal[keep], cell=self.lattice, pbc=True)


def make_supercell(
    atoms: Atoms, species: str, cutoff: float, repeats: tuple[int, int, int] | None, needed: bool
) -> Supercell:
    """The supercell of `repeats`, or the smallest whose shortest translation exceeds two cutoffs and 6.5 Å.

    `needed` says whether the species must be there.
    """
    if not np.all(atoms.pbc):
        raise SearchError(
            f"atoms.pbc is {atoms.pbc.tolist()}; wanted a structure periodic in all directions."
        )
    cell = checked_cell(np.array(atoms.cell))
    symbols = np.array(atoms.get_chemical_symbols())  # type: ignore[no-untyped-call]
    own = np.flatnonzero(symbols == species)
    if needed and len(own) == 0:
        raise SearchError(
            f"species={species!r} is not in the structure, which has {', '.join(sorted(set(symbols)))}."
        )
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise SearchError(f"cutoff={cutoff}: wanted the largest length of a hop in Å, such as 4.0.")
    counts = _repeats(cell, cutoff, repeats)
    wrapped = wrap(np.array(atoms.positions), cell)
    others = np.flatnonzero(symbols != species)
    images = np.stack(np.meshgrid(*[np.arange(n) for n in counts], indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = images @ cell
    numbers = np.asarray(atoms.numbers, dtype=np.int64)
    return Supercell(
        unit=Atoms(numbers, positions=wrapped, cell=cell, pbc=True),
        cell=cell,
        repeats=counts,
        places=wrapped[own],
        atom_of=own,
        ideal=np.concatenate([(shifts[:, None] + wrapped[part]).reshape(-1, 3) for part in (others, own)]),
        numbers=np.concatenate([np.tile(numbers[part], len(images)) for part in (others, own)]),
        first=len(images) * len(others),
    )


def shortest_translation(cell: Floats) -> float:
    """Length of the shortest lattice vector, Å."""
    reduced, _ = minkowski_reduce(cell, pbc=True)  # type: ignore[no-untyped-call]
    return float(np.linalg.norm(reduced, axis=1).min())


def _repeats(cell: Floats, cutoff: float, wanted: tuple[int, int, int] | None) -> Ints:
    if wanted is not None:
        counts = np.array(wanted)
        if counts.shape != (3,) or (counts != np.rint(counts)).any() or counts.min() < 1:
            raise SearchError(
                f"supercell={wanted!r}: wanted three whole numbers of repeats, such as (2, 2, 2)."
            )
        counts = counts.astype(np.int64)
        if shortest_translation(counts[:, None] * cell) <= cutoff:
            raise SearchError(
                f"supercell={wanted!r}: its shortest translation is not longer than the cutoff {cutoff} Å, "
                "so an atom would hop onto its own image; repeat more often, or leave supercell out."
            )
        return counts
    counts = np.ones(3, dtype=np.int64)
    while shortest_translation(counts[:, None] * cell) <= max(2.0 * cutoff, SMALLEST):
        trials = counts + np.eye(3, dtype=np.int64)
        lengths = [shortest_translation(trial[:, None] * cell) for trial in trials]
        sizes = np.linalg.norm(counts[:, None] * cell, axis=1)
        # The repeat that helps most; where none does alone, the shortest direction grows.
        best = int(np.argmax(lengths)) if max(lengths) > min(lengths) + 1e-9 else int(np.argmin(sizes))
        counts = trials[best]
    return counts


@dataclass(frozen=True)
class Defect:
    """A relaxed supercell with a vacancy or an extra atom: displacements of all ideal rows, energy, eV.

    displacements: (m, 3), Å, zero in the row of a vacancy; row: of the vacancy, -1 for none; extra: (3,), Å,
    position of an extra atom, or None.
    """

    displacements: Floats
    energy: float
    row: int = -1
    extra: Floats | None = None

    def moved(self, cell: Supercell, rotation: Floats, shift: Floats) -> "Defect":
        """The same defect after x -> rotation @ x + shift, a symmetry of the ideal supercell."""
        rows = cell.rows_after(rotation, shift)
        displacements = np.empty_like(self.displacements)
        displacements[rows] = self.displacements @ rotation.T
        extra = None if self.extra is None else np.asarray(rotation @ self.extra + shift)
        return Defect(displacements, self.energy, int(rows[self.row]) if self.row >= 0 else -1, extra)


def as_copy(defect: Defect, cell: Supercell, ops: Operations, operation: int, image: Ints) -> Defect:
    """A defect moved by an operation (-1: none) and back by the image in which it ended."""
    rotation = np.eye(3) if operation < 0 else ops.rotations[operation]
    shift = np.zeros(3) if operation < 0 else ops.translations[operation]
    return defect.moved(cell, rotation, shift - image @ cell.cell)


def nearest_rows(cell: Supercell, positions: Floats) -> tuple[Ints, Floats]:
    """For positions (k, 3), Å, of atoms of the species: the nearest place's row (k,), and how far, Å (k,)."""
    own = cell.ideal[cell.first :]
    rows = nearest(positions, own, cell.lattice, 5.0)
    away, _ = shortest_vectors(positions - own[rows], cell.lattice)
    return rows + cell.first, np.asarray(np.linalg.norm(away, axis=1))
