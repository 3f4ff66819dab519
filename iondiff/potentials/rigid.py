"""A guest atom in a rigid host, from a potential for all atoms: the landscape of contract 1."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from iondiff.descriptors import check_host
from iondiff.errors import PotentialError
from iondiff.neighbours import neighbour_table
from iondiff.potentials.committee import Committee
from iondiff.potentials.evaluation import Evaluation
from iondiff.potentials.evaluator import Evaluator
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.structure import Surroundings, surroundings

_WALL = 0.6  # of the sum of covalent radii: no bond is that short, and no network has seen it


class RigidHost:
    """Energies of a guest at any point of a host that does not move.

    The energy is that of host and guest less that of the host. Only atoms that see the guest are asked.

    Parameters
    ----------
    potential
        Knows the host's elements and the guest.
    host
        Periodic in all three directions, without the guest.
    guest
        Chemical symbol; None where the potential knows exactly one element that the host has not.
    wall_A
        Å; nearer than this to a host atom (or to its own image) the energy is infinite. None: 0.6 times the
        sum of the covalent radii (Cordero et al., Dalton Trans. 2008, 2832), pair by pair.

    Attributes
    ----------
    cell
        (3, 3), Å, rows are lattice vectors.
    guest
        Chemical symbol.

    Raises
    ------
    HostError
        The host has no cell or no atoms.
    PotentialError
        Elements the potential does not know, or a guest that has to be named.
    """

    def __init__(
        self, potential: HDNNP | Committee, host: Atoms, guest: str | None = None, wall_A: float | None = None
    ) -> None:
        check_host(host)
        self.potential = potential
        self.guest = _guest(potential, host, guest)
        self.cell = np.array(host.cell.array, dtype=float)
        if wall_A is not None and not 0 < wall_A < potential.cutoff:
            raise PotentialError(
                f"wall_A is {wall_A} Å; wanted above 0 and below the cutoff, {potential.cutoff} Å"
            )
        self._host = Atoms(host.symbols, host.positions, cell=host.cell, pbc=True)
        self._evaluator = Evaluator((potential,) if isinstance(potential, HDNNP) else potential.members)
        self._energies = self._host_energies()
        radii = covalent_radii[self._host.numbers] + covalent_radii[atomic_numbers[self.guest]]
        walls = _WALL * radii if wall_A is None else np.full(len(host), wall_A)
        self._walls = np.append(walls, _WALL * 2 * covalent_radii[atomic_numbers[self.guest]])

    def _host_energies(self) -> np.ndarray:
        return self._evaluator.one(self._host, "ignore").energies

    def energy_and_gradient(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Energies (n,), eV, and gradients (n, 3), eV/Å, at `points` (n, 3), Å; infinite inside the walls."""
        points = np.ascontiguousarray(points, dtype=float)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise PotentialError(f"points have shape {points.shape}; wanted (n, 3) finite numbers, Å")
        energies = np.full(len(points), np.inf)
        gradients = np.zeros_like(points)
        for k, point in enumerate(points):
            found = self._with_guest(point)
            if found is not None:
                energies[k], gradients[k] = found
        return energies, gradients

    def _with_guest(self, point: np.ndarray) -> tuple[float, np.ndarray] | None:
        """Energy and gradient at one point; None inside a wall."""
        atoms = self._host + Atoms(self.guest, [point])
        positions, cell, n = atoms.positions, self.cell, len(self._host)
        first, index, image = neighbour_table(positions, cell, atoms.pbc, self.potential.cutoff)
        own = slice(first[n], first[n + 1])
        vectors = positions[index[own]] + image[own] @ cell - point
        if (np.linalg.norm(vectors, axis=1) < self._walls[index[own]]).any():
            return None
        sees = np.zeros(n + 1, dtype=bool)
        sees[index[own]] = True
        sees[n] = True
        # Atoms that do not see the guest lose their neighbours: they cost nothing and feel nothing.
        kept = np.repeat(sees, np.diff(first))
        counts = np.where(sees, np.diff(first), 0)
        table = (np.concatenate([[0], np.cumsum(counts)]), index[kept], image[kept])
        found = self._evaluate(atoms, table)
        host = sees[:n]
        energy = found.energies[n] + (found.energies[:n][host] - self._energies[host]).sum()
        return float(energy), -found.forces[n]

    def _evaluate(self, atoms: Atoms, table: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Evaluation:
        lookup = {symbol: k for k, symbol in enumerate(self.potential.species)}
        species = np.array([lookup[symbol] for symbol in atoms.symbols], dtype=np.int64)
        around = Surroundings(np.ascontiguousarray(atoms.positions), self.cell, species, *table)
        return self._evaluator.prepared(around, atoms)


def _guest(potential: HDNNP | Committee, host: Atoms, guest: str | None) -> str:
    absent = [symbol for symbol in potential.species if symbol not in host.symbols]
    if guest is None:
        if len(absent) != 1:
            raise PotentialError(
                f"the guest is not named, and the potential ({', '.join(potential.species)}) knows "
                f"{len(absent)} elements that the host has not; give guest='...'"
            )
        return absent[0]
    if guest not in potential.species:
        raise PotentialError(f"guest is {guest!r}, the potential knows {', '.join(potential.species)}")
    surroundings(host, potential.species, potential.cutoff)
    return guest
