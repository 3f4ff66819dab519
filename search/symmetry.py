"""Which places, hops and points of a crystal are the same by symmetry (spglib)."""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import spglib
from ase import Atoms
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from search.errors import SearchError
from search.lattice import Floats, Ints, nearest


class Hop(NamedTuple):
    """A hop: it ends at position[target] + image @ cell, and may push the atom at a place aside.

    over, over_image: that place, in the image in which the hop starts at its source; -1 for none.
    """

    source: int
    target: int
    image: tuple[int, int, int]
    over: int = -1
    over_image: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class Operations:
    """Symmetry operations x -> rotation @ x + translation, Cartesian.

    rotations: (m, 3, 3); translations: (m, 3), Å; cell: (3, 3), Å; symbol: the space group, as spglib
    names it.
    """

    rotations: Floats
    translations: Floats
    cell: Floats
    symbol: str = "P1"

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def on_images(self) -> Ints:
        """What each operation does to images: (m, 3, 3), new image = image @ matrix."""
        inverse = np.linalg.inv(self.cell)
        return np.rint(self.cell @ self.rotations.transpose(0, 2, 1) @ inverse).astype(np.int64)

    def keeping(self, lattice: Floats) -> "Operations":
        """Those whose rotation maps another lattice (3, 3), Å, such as a supercell's, onto itself."""
        matrices = lattice @ self.rotations.transpose(0, 2, 1) @ np.linalg.inv(lattice)
        keep = np.abs(matrices - np.rint(matrices)).max(axis=(1, 2)) < 1e-3
        return Operations(self.rotations[keep], self.translations[keep], self.cell, self.symbol)

    def apply(self, number: int, points: Floats) -> Floats:
        """Points (n, 3), Å, moved by one operation."""
        return np.asarray(points @ self.rotations[number].T + self.translations[number])

    def classes(self, points: Floats) -> tuple[Ints, Ints]:
        """Labels (n,), equal for equivalent points (n, 3), Å, and operations (n,).

        The operation of a point takes it to the place that stands for its class.
        """
        inverse = np.linalg.inv(self.cell)
        best = np.full(len(points), np.iinfo(np.int64).max)
        turn = np.zeros(len(points), dtype=np.int64)
        for operation in range(len(self)):
            fractional = self.apply(operation, points) @ inverse
            # Rounded with an offset that no small fraction meets, so that rounding cannot split a class.
            whole = np.floor((fractional - np.floor(fractional)) * 1e6 + 0.1234).astype(np.int64) % 1_000_000
            key = (whole[:, 0] * 1_000_000 + whole[:, 1]) * 1_000_000 + whole[:, 2]
            better = key < best
            best[better], turn[better] = key[better], operation
        return best, turn

    def permutations(self, points: Floats, tolerance: float) -> tuple[Ints, Ints]:
        """Where each operation takes points (n, 3), Å: numbers (m, n), -1 for nowhere, and images (m, n, 3).

        operation(point i) = point[number] + image @ cell, within `tolerance`, Å.
        """
        inverse = np.linalg.inv(self.cell)
        numbers = np.empty((len(self), len(points)), dtype=np.int64)
        images = np.zeros((len(self), len(points), 3), dtype=np.int64)
        for operation in range(len(self)):
            moved = self.apply(operation, points)
            numbers[operation] = nearest(moved, points, self.cell, tolerance)
            images[operation] = np.rint((moved - points[numbers[operation]]) @ inverse)
        return numbers, images


def symmetry_of(landscape: Any, atoms: Atoms, symprec: float) -> Operations | None:  # contract 1
    """Operations of `atoms` if the landscape has them too, tried at random points; None if it does not."""
    cell = np.asarray(landscape.cell, dtype=np.float64)
    if not np.allclose(np.array(atoms.cell), cell, atol=1e-4):
        raise SearchError("host.cell is not the landscape's cell; give the host of this landscape.")
    found = operations(atoms, symprec)
    ops = Operations(found.rotations, found.translations, cell, found.symbol)
    if len(ops) < 2:
        return ops
    random = np.random.default_rng(5)
    points = random.random((6, 3)) @ cell
    chosen = random.permutation(len(ops))[:8]
    moved = np.stack([points, *[ops.apply(int(number), points) for number in chosen]])
    energies = np.asarray(landscape.energy_and_gradient(moved.reshape(-1, 3))[0]).reshape(len(moved), -1)
    fine = np.isfinite(energies).all(axis=0)
    apart = np.abs(energies[1:, fine] - energies[0, fine])
    return ops if (apart <= 1e-4 * np.maximum(1.0, np.abs(energies[0, fine]))).all() else None


def identity(cell: Floats) -> Operations:
    """No symmetry but the lattice's own translations."""
    return Operations(np.eye(3)[None], np.zeros((1, 3)), np.asarray(cell, dtype=np.float64))


def operations(atoms: Atoms, symprec: float = 1e-2) -> Operations:
    """Symmetry operations of a periodic structure, its own cell's translations included, to `symprec` Å."""
    if not symprec > 0:
        raise SearchError(f"symprec={symprec}: wanted a tolerance in Å above zero, such as 0.01.")
    cell = np.array(atoms.cell, dtype=np.float64)
    if len(atoms) == 0 or not np.all(atoms.pbc):
        return identity(cell)
    found = _dataset(atoms, symprec)
    if found is None:
        return identity(cell)
    # Fractional column vectors s' = W s + w become Cartesian x' = R x + t with rows as lattice vectors.
    rotations = cell.T @ found.rotations @ np.linalg.inv(cell.T)
    return Operations(rotations, np.asarray(found.translations @ cell), cell, str(found.international))


def orbits(numbers: Ints) -> Ints:
    """Labels (n,) of points that operations take into each other; from permutations (m, n), -1 ignored."""
    m, n = numbers.shape
    rows = np.tile(np.arange(n), m)
    columns = numbers.ravel()
    keep = columns >= 0
    graph = coo_array((np.ones(keep.sum()), (rows[keep], columns[keep])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], dtype=np.int64)


def _dataset(atoms: Atoms, symprec: float) -> Any:  # spglib's own class, or None
    with warnings.catch_warnings():
        # Some versions warn that errors will be raised one day; either way they are caught here.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return spglib.get_symmetry_dataset(_spglib_cell(atoms), symprec=symprec)
        except spglib.error.SpglibError:
            return None


def _spglib_cell(atoms: Atoms) -> Any:  # spglib is typed for lists, and takes arrays
    return np.array(atoms.cell), atoms.get_scaled_positions(), atoms.numbers  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Copy:
    """How a hop comes from its representative: which one, by which operation, and whether turned around.

    An operation of -1 is the identity.
    """

    parent: int
    operation: int
    reverse: bool


def reverse_of(hop: Hop) -> Hop:
    """The same hop the other way."""
    (a, b, c), (x, y, z) = hop.image, hop.over_image
    return Hop(hop.target, hop.source, (-a, -b, -c), hop.over, (x - a, y - b, z - c))


@dataclass(frozen=True)
class Moves:
    """What operations do to sites, and to the places hops lead over: numbers (m, n) and images (m, n, 3)."""

    on_images: Ints
    sites: tuple[Ints, Ints]
    places: tuple[Ints, Ints] | None = None

    def hop(self, hop: Hop, operation: int) -> Hop | None:
        """The hop into which an operation takes another; None where one of its ends has no counterpart."""
        numbers, images = self.sites
        a, b = int(numbers[operation, hop.source]), int(numbers[operation, hop.target])
        if a < 0 or b < 0:
            return None
        home = images[operation, hop.source]
        turn = self.on_images[operation]
        image = np.array(hop.image) @ turn + images[operation, hop.target] - home
        if hop.over < 0 or self.places is None:
            return Hop(a, b, as_image(image))
        numbers, images = self.places
        over = int(numbers[operation, hop.over])
        over_image = np.array(hop.over_image) @ turn + images[operation, hop.over] - home
        return None if over < 0 else Hop(a, b, as_image(image), over, as_image(over_image))


def distinct_hops(hops: list[Hop], moves: Moves) -> dict[Hop, Copy]:
    """Every hop as a copy of the first of its kind, in the order given; both directions are of one kind.

    `parent` is the place of that first hop in `hops`.
    """
    known = set(hops)
    copies: dict[Hop, Copy] = {}
    for number, hop in enumerate(hops):
        if hop in copies:
            continue
        copies[hop] = Copy(number, -1, False)
        for operation in range(-1, len(moves.on_images)):
            moved = hop if operation < 0 else moves.hop(hop, operation)
            if moved is None:
                continue
            for candidate, turned in ((moved, False), (reverse_of(moved), True)):
                if candidate in known and candidate not in copies:
                    copies[candidate] = Copy(number, operation, turned)
    return copies


def as_image(image: Ints) -> tuple[int, int, int]:
    """Three whole numbers."""
    return int(image[0]), int(image[1]), int(image[2])
