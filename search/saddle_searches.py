"""Saddles around relaxed sites with the full potential: the hops that a rigid landscape missed.

From every site the structure is displaced at random, and its softest mode is followed uphill to a saddle by
the dimer method; both sides of the saddle relax, and what they end in says which hop it is. A search at
random proves nothing about what it did not find: the count of new hops against the number of searches does
the talking.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from search._dimer import climb
from search.calculators import Batch, Evaluations
from search.errors import SearchError
from search.graph import Graph
from search.landscape import Progress
from search.lattice import Floats, Ints, shortest_vectors
from search.minimise import minimised
from search.modes import modes
from search.progress import shown


@dataclass(frozen=True)
class Saddle:
    """One saddle of the full potential, found from a site.

    positions: (n, 3), Å; energy, barrier (above the site it was found from): eV; ends: two relaxed structures
    (2, n, 3), Å; steps: (2, 3), Å, displacements of the guest from the start site to each end; curvature:
    lowest, eV/Å²; site: number of the start; leaves: whether just one of its sides is the start site; hop:
    edge of the network that it confirms, None for none. frequencies: THz, of the guest and the atoms near it;
    found: how many searches came here.
    """

    positions: Floats
    energy: float
    barrier: float
    ends: Floats
    steps: Floats
    curvature: float
    site: int
    leaves: bool
    hop: tuple[int, int, int] | None = None
    frequencies: Floats = field(default_factory=lambda: np.empty(0))
    found: int = 1


@dataclass(frozen=True)
class SaddleSearch:
    """All distinct saddles, how many searches were made, and how those ended that found none."""

    saddles: list[Saddle]
    searches: int
    failed: dict[str, int]
    evaluations: int

    @property
    def new_hops(self) -> list[Saddle]:
        """Saddles that lead away from their site and are no hop of the network."""
        return [saddle for saddle in self.saddles if saddle.leaves and saddle.hop is None]

    def __str__(self) -> str:
        away = [saddle for saddle in self.saddles if saddle.leaves]
        once = sum(saddle.found == 1 for saddle in away)
        failed = ", ".join(f"{count} {reason}" for reason, count in sorted(self.failed.items())) or "none"
        return (
            f"{self.searches} searches: {len(self.saddles)} distinct saddles, {len(away)} of them lead out "
            f"of their site, {len(self.new_hops)} are hops that the network does not have; {once} were met "
            f"only once, so more may be left. Failed: {failed}. {self.evaluations} evaluations."
        )


def saddle_searches(
    sites: Sequence[Atoms],
    calculator: Any,  # any ASE calculator
    *,
    guest: int = -1,
    searches: int = 10,
    radius: float = 4.0,
    displacement: float = 0.3,
    network: Graph | None = None,
    fmax: float = 0.01,
    steps: int = 300,
    energy_cap: float = 3.0,
    seed: int = 0,
    batch: Batch | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> SaddleSearch:
    """Seeded dimer searches from relaxed structures that differ in where the guest is.

    Parameters
    ----------
    sites:
        relaxed structures, the same atoms in the same order; their FixAtoms stay.
    guest:
        number of the diffusing atom.
    searches, displacement, radius:
        per site; how far the guest starts from it, Å (root mean square), its neighbours within `radius` Å a
        fifth of that. The same atoms vibrate where the modes of a saddle are counted.
    network:
        a hopping graph whose nodes are `sites` in order: what it already has is told apart.
    fmax, steps, energy_cap:
        largest force left on a saddle, eV/Å; most steps; searches higher than this above their site, eV, end.
    batch, checkpoint, progress:
        as in `search.neb.with_calculator`.

    A point that does not have exactly one imaginary mode is refused and counted in `failed`.
    """
    if not sites:
        raise SearchError("sites is empty; wanted relaxed structures to search from.")
    if network is not None and len(network) != len(sites):
        raise SearchError(
            f"{len(sites)} sites for a network of {len(network)}; wanted one for each node, in order."
        )
    if searches < 1:
        raise SearchError(f"searches={searches}: wanted at least one a site.")
    with (
        shown(progress) as tell,
        Evaluations(sites[0], calculator, batch, checkpoint, tell) as evaluate,
    ):
        atom = range(len(sites[0]))[guest]
        if atom not in evaluate.moving:
            raise SearchError(f"guest={guest} is a fixed atom; wanted the one that diffuses.")
        return _Searches(sites, evaluate, atom, radius, network).run(
            searches, displacement, fmax, steps, energy_cap, np.random.default_rng(seed)
        )


class _Searches:
    """The sites and the bookkeeping of their searches."""

    def __init__(
        self, sites: Sequence[Atoms], evaluate: Evaluations, atom: int, radius: float, network: Graph | None
    ) -> None:
        self.evaluate, self.network = evaluate, network
        self.cell = np.array(sites[0].cell, dtype=np.float64)
        self.starts = np.array([site.positions[evaluate.moving].ravel() for site in sites])
        self.row = int(np.flatnonzero(evaluate.moving == atom)[0])
        self.radius = radius
        self.energies, _ = evaluate(self.starts, "sites")

    def near(self, x: Floats) -> Ints:
        """Moving atoms within the radius of the guest, the guest among them."""
        positions = x.reshape(-1, 3)
        away, _ = shortest_vectors(positions - positions[self.row], self.cell)
        return np.flatnonzero(np.linalg.norm(away, axis=1) <= self.radius)

    def run(
        self,
        searches: int,
        displacement: float,
        fmax: float,
        steps: int,
        energy_cap: float,
        random: np.random.Generator,
    ) -> SaddleSearch:
        """All searches in one batch."""
        owner = np.repeat(np.arange(len(self.starts)), searches)
        x = self.starts[owner].copy()
        axes = np.zeros_like(x)
        for number, site in enumerate(owner.tolist()):
            rows = self.near(self.starts[site])
            kick = random.standard_normal((len(rows), 3)) * displacement / np.sqrt(3.0)
            kick[rows != self.row] *= 0.2
            x[number].reshape(-1, 3)[rows] += kick
            axes[number].reshape(-1, 3)[rows] = kick
        ceiling = self.energies[owner] + energy_cap
        done = climb(lambda y: self.evaluate(y, "dimers"), x, axes, fmax, steps, ceiling)
        failed = {str(why): int((done.reason == why).sum()) for why in set(done.reason) - {""}}
        saddles: list[Saddle] = []
        for number in np.flatnonzero(done.reason == "").tolist():
            why = self._add(saddles, done.positions[number], done.axes[number], int(owner[number]), fmax)
            if why:
                failed[why] = failed.get(why, 0) + 1
        saddles.sort(key=lambda saddle: (saddle.site, round(saddle.energy, 5)))
        return SaddleSearch(saddles, len(owner), failed, self.evaluate.asked)

    def _add(self, saddles: list[Saddle], x: Floats, axis: Floats, site: int, fmax: float) -> str:
        """Count a saddle that is known, or find out where a new one leads; why it was refused, if it was."""
        energy = float(self.evaluate(x[None], "saddles")[0][0])
        for number, known in enumerate(saddles):
            if known.site == site and abs(known.energy - energy) < 2e-3:
                apart, _ = shortest_vectors(known.positions - x.reshape(-1, 3), self.cell)
                if np.linalg.norm(apart, axis=1).max() < 0.15:
                    saddles[number] = Saddle(**{**vars(known), "found": known.found + 1})
                    return ""
        found = modes(self.evaluate, x, self.near(x))
        if found.negative != 1:
            return f"refused: {found.negative} imaginary modes"
        pushed = x + 0.1 * np.array([[1.0], [-1.0]]) * axis / np.abs(axis).max()
        ends, _, good = minimised(lambda y: self.evaluate(y, "descents"), pushed, fmax, 500)
        if not good.all():
            return "a side did not relax"
        guest = 3 * self.row + np.arange(3)
        moved = ends[:, guest] - self.starts[site][guest]
        home = np.linalg.norm(moved, axis=1) < 0.3
        steps = moved
        saddles.append(
            Saddle(
                x.reshape(-1, 3),
                energy,
                energy - float(self.energies[site]),
                ends.reshape(2, -1, 3),
                steps,
                float(-((found.frequencies[0]) ** 2)),
                site,
                bool(home.sum() == 1),
                self._hop_of(site, moved[~home][0]) if home.sum() == 1 else None,
                found.frequencies,
            )
        )
        return ""

    def _hop_of(self, site: int, step: Floats) -> tuple[int, int, int] | None:
        """The edge of the network with this start and displacement of the guest, Å; None for none."""
        if self.network is None:
            return None
        nodes, cell = list(self.network), np.asarray(self.network.graph["cell"], dtype=np.float64)
        start = np.array(self.network.nodes[nodes[site]]["position"])
        for _, target, key, data in self.network.out_edges(nodes[site], keys=True, data=True):
            end = np.array(self.network.nodes[target]["position"]) + np.array(data["image"]) @ cell
            if np.linalg.norm(end - start - step) < 0.5:
                return nodes[site], target, key
        return None
