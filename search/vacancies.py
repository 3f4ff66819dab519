"""Networks of the host's own atoms: vacancies, and extra atoms in the gaps or pushing others on."""

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from search.bands import Settings
from search.calculators import Batch, Evaluations
from search.defect_hops import Mechanism, hop_bands, write_defect_graph
from search.errors import SearchError
from search.graph import Graph
from search.interstitials import Interstitials
from search.landscape import Progress
from search.lattice import Floats
from search.minimise import minimised
from search.pairs import near_pairs
from search.progress import shown
from search.supercell import Defect, Supercell, as_copy, make_supercell, nearest_rows
from search.symmetry import Hop, Moves, Operations, as_image, identity, operations, orbits

MECHANISMS = ("vacancy", "interstitial", "interstitialcy")


def vacancy_network(
    atoms: Atoms,
    species: str = "Li",
    calculator: Any = None,  # any ASE calculator
    cutoff: float = 4.0,
    *,
    mechanism: str = "vacancy",
    supercell: tuple[int, int, int] | None = None,
    settings: Settings | None = None,
    relax_fmax: float | None = None,
    prefactors: float | str = 1e13,
    radius: float | None = None,
    sites: Floats | None = None,
    symmetry: bool = True,
    symprec: float = 1e-2,
    start: str = "idpp",
    batch: Batch | None = None,
    keep_unconverged: bool = False,
    checkpoint: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Graph:
    """The hopping graph of a vacancy (or of an extra atom) of `species`, with the full potential.

    Parameters
    ----------
    atoms:
        the perfect crystal or the glass, periodic; its places are the sites. Never changed.
    species, calculator, cutoff:
        chemical symbol of the moving atoms; any ASE calculator; longest hop, Å.
    mechanism:
        "vacancy": one atom of the species is missing and its neighbours hop into the gap. "interstitial":
        one more atom of the species hops between the gaps of the structure. "interstitialcy": it pushes an
        atom of the species from its place into the next gap.
    supercell:
        repeats of `atoms` in which the energies are computed; by default the fewest with which every lattice
        translation is longer than two cutoffs and 6.5 Å. The graph is that of `atoms` either way.
    settings:
        of the bands; `search.neb.Settings(n_images=7)` by default.
    relax_fmax:
        largest force left on relaxed sites, eV/Å; a third of the bands' fmax by default.
    prefactors, radius:
        Hz for all hops, or "vineyard": frequencies of all atoms, or only of those within `radius`, Å, of the
        moving one (docs/vacancies.md says how they are made to obey detailed balance).
    sites:
        for extra atoms: (n, 3), Å, where to try; by default the corners of the Voronoi cells.
    symmetry, symprec:
        whether equivalent hops are computed once, and to which tolerance, Å, the structure is symmetric.
    start:
        "idpp" or "linear" bands.
    batch:
        many structures in one call: list of Atoms -> energies (n,), forces (n, n_atoms, 3).
    keep_unconverged:
        whether bands that did not converge become edges (`converged=False`).
    checkpoint:
        a file that keeps finished evaluations; started again with it, the search goes on where it stopped.
    progress:
        True for a bar, or called as progress(stage, done, total).

    Returns
    -------
    networkx.MultiDiGraph by contract "hopping-graph/1". `energy` of a node is the energy of the supercell
    with the walker there, eV. `graph["walker"]` names the mechanism and `graph["charge_sign"]` is -1 for a
    vacancy: where it hops, an atom and its charge go the other way. `graph["search"]` has what was left out.

    Raises
    ------
    SearchError
        for arguments that cannot serve, a calculator that raises, and when no hop is left.
    """
    if mechanism not in MECHANISMS:
        raise SearchError(f"mechanism={mechanism!r}: wanted one of {', '.join(MECHANISMS)}.")
    if isinstance(prefactors, str) and prefactors != "vineyard":
        raise SearchError(f'prefactors={prefactors!r}: wanted a frequency in Hz such as 1e13, or "vineyard".')
    if not isinstance(prefactors, str) and not (np.isfinite(prefactors) and prefactors > 0):
        raise SearchError(f"prefactors={prefactors!r}: wanted a positive frequency in Hz such as 1e13.")
    if start not in {"idpp", "linear"}:
        raise SearchError(f"start={start!r}: wanted 'idpp' or 'linear'.")
    settings = settings or Settings(n_images=7)
    cell = make_supercell(atoms, species, cutoff, supercell, needed=mechanism != "interstitial")
    ops = operations(atoms, symprec) if symmetry else identity(cell.cell)
    ops = ops.keeping(cell.lattice)
    fmax = settings.fmax / 3.0 if relax_fmax is None else relax_fmax
    kind: Mechanism
    if mechanism == "vacancy":
        kind = Vacancies(cell, ops, cutoff, symprec)
    else:
        kind = Interstitials(cell, ops, cutoff, species, sites, exchange=mechanism == "interstitialcy")
    with (
        shown(progress) as tell,
        Evaluations(kind.template(), calculator, batch, checkpoint, tell) as evaluate,
    ):
        kind.relax(evaluate, fmax)
        found = hop_bands(kind, evaluate, settings, start)
        return write_defect_graph(
            kind, found, evaluate, mechanism, species, prefactors, radius, keep_unconverged
        )


class Vacancies(Mechanism):
    """One place of the species is empty; an atom from a place within the cutoff moves into it."""

    charge_sign = -1

    def __init__(self, cell: Supercell, ops: Operations, cutoff: float, symprec: float) -> None:
        self.cell, self.ops, self.cutoff = cell, ops, cutoff
        self.positions = cell.places
        tolerance = max(2.0 * symprec, 1e-3)
        self.moves = Moves(ops.on_images, ops.permutations(cell.places, tolerance))
        self.orbit = orbits(self.moves.sites[0])
        self.parents = np.unique(self.orbit, return_index=True)[1]
        self.defects: list[Defect] = []
        self.unstable: list[int] = []

    def template(self) -> Atoms:
        """The supercell without one atom of the species: which one makes no difference to the order."""
        return self.cell.structure(np.arange(len(self.cell.ideal) - 1))

    def relax(self, evaluate: Evaluations, fmax: float) -> None:
        """One vacancy of every kind, relaxed; places into which a neighbour falls are no sites."""
        rows = [self.cell.row(int(site), (0, 0, 0)) for site in self.parents]
        starts = np.stack([np.delete(self.cell.ideal, row, axis=0).ravel() for row in rows])
        x, energies, good = minimised(lambda y: evaluate(y, "relax sites"), starts, fmax, 1000)
        if not good.all():
            place = np.round(self.positions[self.parents[np.argmin(good)]], 3).tolist()
            raise SearchError(
                f"The vacancy at {place} Å did not relax to {fmax:g} eV/Å in 1000 steps; raise relax_fmax."
            )
        known: dict[int, Defect] = {}
        for site, row, now, energy in zip(
            self.parents, rows, x.reshape(len(x), -1, 3), energies, strict=True
        ):
            away = now - np.delete(self.cell.ideal, row, axis=0)
            known[int(site)] = Defect(np.insert(away, row, 0.0, axis=0), float(energy), row)
            if self.empty_row(np.insert(now, row, np.nan, axis=0)) != row:
                self.unstable += [int(s) for s in np.flatnonzero(self.orbit == self.orbit[site])]
        self.defects = [self._copy(site, known) for site in range(len(self.positions))]

    def _copy(self, site: int, known: dict[int, Defect]) -> Defect:
        """The relaxed vacancy at a site from that of its kind, by the first operation that leads there."""
        parent = int(self.parents[self.orbit[site]])
        if site == parent:
            return known[parent]
        numbers, images = self.moves.sites
        operation = int(np.argmax(numbers[:, parent] == site))
        return as_copy(known[parent], self.cell, self.ops, operation, images[operation, parent])

    def empty_row(self, positions: Floats) -> int:
        """The row of the place that no atom is nearest to; -1 when there is not exactly one."""
        own = positions[self.cell.first :]
        rows, _ = nearest_rows(self.cell, own[np.isfinite(own).all(axis=1)])
        empty = np.setdiff1d(np.arange(self.cell.first, len(self.cell.ideal)), rows)
        return int(empty[0]) if len(empty) == 1 else -1

    def hops(self) -> list[Hop]:
        """Directed hops between places within the cutoff."""
        found = []
        for i, j, image in near_pairs(self.positions, self.cell.cell, self.cutoff):
            found += [Hop(i, j, as_image(image)), Hop(j, i, as_image(-image))]
        return [hop for hop in found if not {hop.source, hop.target} & set(self.unstable)]

    def ends(self, hop: Hop) -> tuple[Floats, Floats]:
        """Start and end (3k,), Å, in the template's order: the atom at the target comes to the source."""
        cell = self.cell
        here, there = cell.row(hop.source, (0, 0, 0)), cell.row(hop.target, hop.image)
        first = self.defects[hop.source]
        last = as_copy(self.defects[hop.target], cell, self.ops, -1, -np.array(hop.image))
        way = self.positions[hop.source] - self.positions[hop.target] - np.array(hop.image) @ cell.cell
        begin, end = cell.ideal + first.displacements, cell.ideal + last.displacements
        end[there] = cell.ideal[there] + way + last.displacements[here]
        return np.delete(begin, here, axis=0).ravel(), np.delete(end, here, axis=0).ravel()

    def site_between(self, hop: Hop, x: Floats) -> bool:
        """Whether a configuration of a band (3k,) has its vacancy at a third place."""
        here, there = self.cell.row(hop.source, (0, 0, 0)), self.cell.row(hop.target, hop.image)
        empty = self.empty_row(np.insert(x.reshape(-1, 3), here, np.nan, axis=0))
        return empty >= 0 and empty not in (here, there)

    def moving_row(self, hop: Hop) -> int:
        """The row, in the order of the template, of the atom that hops."""
        here, there = self.cell.row(hop.source, (0, 0, 0)), self.cell.row(hop.target, hop.image)
        return there - int(there > here)

    def walker_at(self, hop: Hop, x: Floats) -> Floats:
        """Where the walker is (3,), Å, when the atoms are at x (3k,): in the image the hop starts in.

        The gap and the atom exchange places, so the walker is where the atom is, half-way between them.
        """
        there = self.cell.row(hop.target, hop.image)
        atom = x.reshape(-1, 3)[self.moving_row(hop)] - self.cell.ideal[there]
        return np.asarray(atom + self.positions[hop.target] + np.array(hop.image) @ self.cell.cell)
