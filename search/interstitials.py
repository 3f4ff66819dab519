"""One more atom of a species: in the gaps of a structure, or pushing an atom on (interstitialcy)."""

import itertools

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from scipy.spatial import Voronoi

from search.calculators import Evaluations
from search.defect_hops import Mechanism
from search.errors import SearchError
from search.lattice import Floats, Ints, merge_labels, nearest, shortest_vectors, wrap
from search.minimise import minimised
from search.pairs import near_pairs
from search.supercell import Defect, Supercell, as_copy, nearest_rows
from search.symmetry import Hop, Moves, Operations, as_image, orbits

# Gaps smaller than this share of the largest are not tried.
SMALLEST_GAP = 0.7
# Relaxed sites closer than this are one, Å.
SAME_SITE = 0.2


def gaps(atoms: Atoms, merge: float = 0.4) -> tuple[Floats, Floats]:
    """Corners of the Voronoi cells of a periodic structure (n, 3), Å, and their distance to the atoms, Å.

    Corners closer than `merge` Å are one; the roomiest comes first.
    """
    cell = np.array(atoms.cell, dtype=np.float64)
    positions = wrap(np.array(atoms.positions), cell)
    # Sparse cells need further images: until the corners inside do not change.
    layers = 1 + int(np.ceil(8.0 / np.abs(np.linalg.det(cell)) ** (1 / 3) / 3.0))
    shifts = np.array(list(itertools.product(range(-layers, layers + 1), repeat=3)))
    points = (positions[:, None] + shifts @ cell).reshape(-1, 3)
    fractional = points @ np.linalg.inv(cell)
    corners = Voronoi(points[(np.abs(fractional - 0.5) < 0.5 + layers).all(axis=1)]).vertices
    inside = corners @ np.linalg.inv(cell)
    corners = corners[((inside > -1e-6) & (inside < 1.0 - 1e-6)).all(axis=1)]
    labels = merge_labels(corners, cell, merge)
    first = corners[np.unique(labels, return_index=True)[1]]
    room = np.array([np.linalg.norm(shortest_vectors(positions - p, cell)[0], axis=1).min() for p in first])
    order = np.argsort(-np.round(room, 6), kind="stable")
    return wrap(first[order], cell), room[order]


class Interstitials(Mechanism):
    """An extra atom of the species in the gaps; with `exchange`, hops lead over the place of another atom."""

    charge_sign = 1

    def __init__(
        self,
        cell: Supercell,
        ops: Operations,
        cutoff: float,
        species: str,
        sites: Floats | None,
        exchange: bool,
    ) -> None:
        if species not in atomic_numbers or species == "X":
            raise SearchError(f"species={species!r} is not a chemical symbol.")
        self.cell, self.ops, self.cutoff, self.exchange = cell, ops, cutoff, exchange
        self.number = atomic_numbers[species]
        self.positions = self._candidates(sites)
        self.unstable: list[int] = []
        self.defects: list[Defect] = []

    def _candidates(self, sites: Floats | None) -> Floats:
        if sites is not None:
            given = np.asarray(sites, dtype=np.float64)
            if given.ndim != 2 or given.shape[1] != 3 or len(given) == 0 or not np.isfinite(given).all():
                raise SearchError(f"sites has shape {given.shape}; wanted positions (n, 3), Å.")
            return wrap(given, self.cell.cell)
        positions, room = gaps(self.cell.unit)
        return np.asarray(positions[room >= SMALLEST_GAP * room.max()])

    def template(self) -> Atoms:
        """The supercell and the extra atom, last."""
        whole: Atoms = self.cell.structure() + Atoms([self.number], positions=[self.positions[0]])
        return whole

    def relax(self, evaluate: Evaluations, fmax: float) -> None:
        """Relax one candidate of each kind; what is distinct then, and its copies, are the sites."""
        numbers, _ = self.ops.permutations(self.positions, 0.3)
        first = np.unique(orbits(numbers), return_index=True)[1]
        starts = np.stack([np.concatenate([self.cell.ideal, p[None]]).ravel() for p in self.positions[first]])
        x, energies, good = minimised(lambda y: evaluate(y, "relax sites"), starts, fmax, 1000)
        if not good.any():
            raise SearchError(f"None of {len(first)} candidate sites relaxed to {fmax:g} eV/Å in 1000 steps.")
        relaxed = [
            self._defect(now, float(e))
            for now, e in zip(x[good].reshape(good.sum(), -1, 3), energies[good], strict=True)
        ]
        self._spread_over_the_cell(sorted(relaxed, key=lambda defect: round(defect.energy, 4)))

    def _defect(self, now: Floats, energy: float) -> Defect:
        """A relaxed configuration (m + 1, 3); the atom furthest from its place is the extra one."""
        own = np.append(np.arange(self.cell.first, len(self.cell.ideal)), len(now) - 1)
        if len(own) > 1:
            rows, away = nearest_rows(self.cell, now[own])
            crowded = np.flatnonzero(np.bincount(rows, minlength=len(self.cell.ideal)) > 1)
            for row in crowded:
                both = own[rows == row]
                extra = both[np.argmax(away[rows == row])]
                stays = both[both != extra][0]
                positions = now.copy()
                positions[-1], positions[row] = now[extra], now[stays]
                if extra != len(now) - 1 and extra != row:
                    # A chain of replacements: the one between has moved up.
                    positions[extra] = now[row] if stays != row else now[-1]
                now = positions
        away = now[:-1] - self.cell.ideal
        away, _ = shortest_vectors(away, self.cell.lattice)
        return Defect(away, energy, -1, now[-1].copy())

    def _spread_over_the_cell(self, relaxed: list[Defect]) -> None:
        """All copies of the relaxed sites in the unit cell; `positions`, `defects`, `orbit` and `moves`."""
        positions: list[Floats] = []
        self.defects, orbit = [], []
        for label, defect in enumerate(relaxed):
            for operation in range(-1, len(self.ops)):
                copy = as_copy(defect, self.cell, self.ops, operation, np.zeros(3, dtype=np.int64))
                assert copy.extra is not None  # noqa: S101  # interstitials always have one
                home = wrap(copy.extra[None], self.cell.cell)[0]
                if positions and nearest(home[None], np.array(positions), self.cell.cell, SAME_SITE)[0] >= 0:
                    continue
                image = np.rint((copy.extra - home) @ np.linalg.inv(self.cell.cell))
                self.defects.append(as_copy(copy, self.cell, self.ops, -1, image))
                positions.append(home)
                orbit.append(label)
        self.positions = np.array(positions)
        _, self.orbit = np.unique(orbit, return_inverse=True)
        places = self.ops.permutations(self.cell.places, 0.05) if len(self.cell.places) else None
        self.moves = Moves(self.ops.on_images, self.ops.permutations(self.positions, SAME_SITE), places)

    def hops(self) -> list[Hop]:
        """Directed hops: straight between sites within the cutoff, or over a place of the species."""
        if self.exchange:
            return self._exchanges()
        found = []
        for i, j, image in near_pairs(self.positions, self.cell.cell, self.cutoff):
            found += [Hop(i, j, as_image(image)), Hop(j, i, as_image(-image))]
        return found

    def _exchanges(self) -> list[Hop]:
        """Hops s -> place -> s', both steps within the cutoff and turning by less than a right angle."""
        both = np.concatenate([self.positions, self.cell.places])
        split = len(self.positions)
        steps: dict[int, list[tuple[int, Ints]]] = {p: [] for p in range(len(self.cell.places))}
        for i, j, image in near_pairs(both, self.cell.cell, self.cutoff):
            if i < split <= j:
                steps[j - split].append((i, -image))
        found = []
        for place, sites in steps.items():
            centre = self.cell.places[place]
            for (s, near), (t, far) in itertools.permutations(sites, 2):
                inwards = centre - self.positions[s] - near @ self.cell.cell
                onwards = self.positions[t] + far @ self.cell.cell - centre
                if inwards @ onwards > 1e-6:
                    found.append(Hop(s, t, as_image(far - near), place, as_image(-near)))
        return found

    def ends(self, hop: Hop) -> tuple[Floats, Floats]:
        """Start and end of a hop (3k,), Å; in an exchange the atom at the place goes on instead."""
        cell = self.cell
        first = self.defects[hop.source]
        last = as_copy(self.defects[hop.target], cell, self.ops, -1, -np.array(hop.image))
        assert first.extra is not None  # noqa: S101
        assert last.extra is not None  # noqa: S101
        begin = np.concatenate([cell.ideal + first.displacements, first.extra[None]])
        end = np.concatenate([cell.ideal + last.displacements, last.extra[None]])
        if hop.over >= 0:
            row = cell.row(hop.over, hop.over_image)
            place = cell.places[hop.over] + np.array(hop.over_image) @ cell.cell
            end[-1] = place + last.displacements[row]
            end[row] = cell.ideal[row] + last.extra - place
        return begin.ravel(), end.ravel()

    def site_between(self, hop: Hop, x: Floats) -> bool:
        """Whether the walker passes through a third site in a configuration of a band (3k,)."""
        ends = {hop.source, hop.target}
        found = nearest(self._walker(hop, x)[None], self.positions, self.cell.cell, SAME_SITE)[0]
        return int(found) >= 0 and int(found) not in ends

    def moving_row(self, hop: Hop) -> int:  # noqa: ARG002  # the same for all
        """The extra atom's row."""
        return len(self.cell.ideal)

    def walker_at(self, hop: Hop, x: Floats) -> Floats:
        """Position of the extra atom; in an exchange, of the charge that the pair carries."""
        return self._walker(hop, x)

    def _walker(self, hop: Hop, x: Floats) -> Floats:
        now = x.reshape(-1, 3)
        if hop.over < 0:
            return np.asarray(now[-1])
        row = self.cell.row(hop.over, hop.over_image)
        # Both atoms together carry one charge from s to s': their places add up.
        return np.asarray(now[-1] + now[row] - self.cell.ideal[row])
