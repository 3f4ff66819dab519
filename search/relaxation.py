"""A network of a rigid landscape, taken over to the full potential: sites and hops relax with the host."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from ase import Atoms

from search.bands import Band, Settings, relax_bands, spread
from search.calculators import Batch, Evaluations
from search.defect_frequencies import constant
from search.errors import SearchError
from search.graph import Graph
from search.guest_frequencies import with_host
from search.idpp import idpp_path
from search.landscape import Landscape, Progress
from search.lattice import Floats, Ints, shortest_vectors, wrap
from search.minimise import minimised
from search.neb import one_direction
from search.paths import Edge, ends_of, minimum_energy_paths
from search.progress import shown
from search.vibrations import guest_mass
from search.writing import SCHEMA

# Relaxed structures are the same site when the guest is this close, Å, the host nowhere further, Å, and the
# energies this close, eV.
SAME_GUEST, SAME_HOST, SAME_ENERGY = 0.15, 0.3, 5e-3

_structures: "WeakKeyDictionary[Graph, list[Atoms]]" = WeakKeyDictionary()


def relax_network(
    network: Graph,
    host: Atoms,
    calculator: Any,  # any ASE calculator
    *,
    guest: str | None = None,
    settings: Settings | None = None,
    relax_fmax: float | None = None,
    start: str = "landscape",
    landscape: Landscape | None = None,
    prefactors: float | str = 1e13,
    radius: float | None = 4.0,
    batch: Batch | None = None,
    keep_unconverged: bool = False,
    checkpoint: str | Path | None = None,
    progress: Progress | bool | None = None,
) -> Graph:
    """The hopping graph with the full potential: sites relax with the host, every hop gets its own band.

    Parameters
    ----------
    network, host:
        hops found while the host was rigid, and that host. Its FixAtoms stay; neither is changed.
    calculator, guest:
        any ASE calculator for host and guest; chemical symbol, by default the network's.
    settings, relax_fmax:
        of the bands, `search.neb.Settings(n_images=7)` by default; largest force left on relaxed sites, eV/Å,
        by default a third of the bands' fmax.
    start, landscape:
        how the guest goes in a band at first: "landscape" over the hop's saddle (along the whole descent, if
        the landscape is given), "idpp" or "linear". The host goes straight between its two relaxed places.
    prefactors, radius:
        Hz for all hops, or "vineyard": frequencies of the guest and of the atoms within `radius`, Å, of it at
        the saddle; 0 for the guest alone, None for all atoms that move.
    batch:
        many structures in one call: list of Atoms -> energies (n,), forces (n, n_atoms, 3).
    keep_unconverged:
        whether bands that did not converge become edges (`converged=False`).
    checkpoint:
        a file that keeps finished evaluations; started again with it, the work goes on where it stopped.
    progress:
        True for a bar, or called as progress(stage, done, total).

    Returns
    -------
    networkx.MultiDiGraph by contract "hopping-graph/1"; `energy` is that of host and guest. Sites that relax
    into one are one site; a band with a minimum inside is split there, and that minimum becomes a site.
    `graph["search"]` counts both and lists what did not converge with its reason. The relaxed structures are
    `site_structures(network)` as long as the process lives.

    Raises
    ------
    SearchError
        for arguments that cannot serve, a calculator that raises, and when no site relaxes.
    """
    if start not in {"landscape", "idpp", "linear"}:
        raise SearchError(f"start={start!r}: wanted 'landscape', 'idpp' or 'linear'.")
    if isinstance(prefactors, str) and prefactors != "vineyard":
        raise SearchError(f'prefactors={prefactors!r}: wanted a frequency in Hz such as 1e13, or "vineyard".')
    if not isinstance(prefactors, str) and not (np.isfinite(prefactors) and prefactors > 0):
        raise SearchError(f"prefactors={prefactors!r}: wanted a positive frequency in Hz such as 1e13.")
    if radius is not None and not radius >= 0:
        raise SearchError(f"radius={radius}: wanted Å around the guest, 0 for the guest alone, None for all.")
    symbol = str(network.graph.get("guest", "X")) if guest is None else guest
    guest_mass(symbol)
    if network.number_of_nodes() == 0:
        raise SearchError("The network has no sites: there is nothing to relax.")
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    if not np.allclose(np.array(host.cell), cell, atol=1e-4):
        raise SearchError("host.cell is not the cell of the network; give the host it was built in.")
    settings = settings or Settings(n_images=7)
    template: Atoms = host + Atoms(symbol, positions=[[0.0, 0.0, 0.0]])
    template.pbc = True
    with shown(progress) as tell, Evaluations(template, calculator, batch, checkpoint, tell) as evaluate:
        work = _Work(network, cell, evaluate)
        work.relax(settings.fmax / 3.0 if relax_fmax is None else relax_fmax)
        edges = work.edges()
        paths = work.paths(edges, start, landscape, settings.n_images)
        for band in relax_bands(lambda x: evaluate(x, "bands"), paths, settings):
            work.add(edges[band.parent], band, keep_unconverged)
        return work.graph(symbol, prefactors, radius)


def site_structures(network: Graph) -> list[Atoms]:
    """Host and guest (last), relaxed, for every site of a network that `relax_network` made, in order."""
    if network not in _structures:
        raise SearchError(
            "The relaxed structures of this network are not in memory; call relax_network again, with its "
            "checkpoint if it has one."
        )
    return [atoms.copy() for atoms in _structures[network]]  # type: ignore[no-untyped-call]


@dataclass
class _Hop:
    """A hop between two relaxed sites: the end is in `image` as seen from the start."""

    source: int
    target: int
    image: Ints
    band: Band
    saddle: Floats
    rigid_barrier: float


@dataclass
class _Work:
    """Relaxed sites x (n, 3k), Å, energies (n,), eV, and what became of the network's own sites and hops."""

    network: Graph
    cell: Floats
    evaluate: Evaluations
    x: list[Floats] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)
    became: dict[int, tuple[int, Ints]] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    found: list[_Hop] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    vanished: int = 0
    added: int = 0

    def guest(self, x: Floats) -> Floats:
        """Position of the guest (3,), Å."""
        return np.asarray(x[-3:])

    def relax(self, fmax: float) -> None:
        """All sites in one batch; those that end in one place are one site."""
        host = self.evaluate.base.positions[self.evaluate.moving[:-1]].ravel()
        nodes = list(self.network)
        starts = np.array(
            [np.concatenate([host, np.array(self.network.nodes[n]["position"])]) for n in nodes]
        )
        x, energies, good = minimised(lambda y: self.evaluate(y, "relax sites"), starts, fmax, 1000)
        for row in np.lexsort((np.arange(len(nodes)), np.round(energies, 3))):
            if good[row]:
                self.became[nodes[row]] = self.site_at(x[row], float(energies[row]))
            else:
                self.lost.append(nodes[row])
        if not self.x:
            raise SearchError(f"None of {len(nodes)} sites relaxed to {fmax:g} eV/Å in 1000 steps.")

    def site_at(self, x: Floats, energy: float) -> tuple[int, Ints]:
        """The number of the site that a relaxed structure is, and the image its guest is in; new if none."""
        for number, known in enumerate(self.x):
            if abs(self.energies[number] - energy) > SAME_ENERGY:
                continue
            away, image = shortest_vectors((self.guest(x) - self.guest(known))[None], self.cell)
            moved = (x[:-3] - known[:-3]).reshape(-1, 3)
            if np.linalg.norm(away) < SAME_GUEST and np.abs(moved).max(initial=0.0) < SAME_HOST:
                return number, -image[0]
        home = x.copy()
        home[-3:] = wrap(self.guest(x)[None], self.cell)[0]
        self.x.append(home)
        self.energies.append(energy)
        return len(self.x) - 1, np.rint((x[-3:] - home[-3:]) @ np.linalg.inv(self.cell)).astype(np.int64)

    def edges(self) -> list[Edge]:
        """Hops of the network whose two ends are still two places."""
        kept = []
        for source, target, key in one_direction(self.network):
            if source in self.became and target in self.became:
                a, home = self.became[source]
                b, away = self.became[target]
                image = np.array(self.network.edges[source, target, key]["image"]) + away - home
                if a == b and not image.any():
                    self.vanished += 1
                else:
                    kept.append((source, target, key))
            else:
                told = {"source": source, "target": target, "reason": "one of its sites did not relax"}
                self.left.append(told)
        return kept

    def ends(self, edge: Edge) -> tuple[Floats, Floats]:
        """Relaxed start and end (3k,), Å, the guest going from the image in which the hop starts."""
        source, target, key = edge
        (a, home), (b, away) = self.became[source], self.became[target]
        begin, end = self.x[a].copy(), self.x[b].copy()
        begin[-3:] += home @ self.cell
        end[-3:] += (np.array(self.network.edges[source, target, key]["image"]) + away) @ self.cell
        return begin, end

    def paths(
        self, edges: Sequence[Edge], start: str, landscape: Landscape | None, n_images: int
    ) -> list[Floats]:
        """Where the bands begin (m, 3k), Å."""
        ways: list[Floats | None] = [None] * len(edges)
        if start == "landscape":
            ways = [self.over_saddle(edge) for edge in edges]
            if landscape is not None:
                known = minimum_energy_paths(landscape, self.network, list(edges), 4 * n_images)
                ways = [positions for positions, _ in known]
        paths = []
        for edge, way in zip(edges, ways, strict=True):
            path = np.stack(self.ends(edge))
            if way is not None:
                path = _along(path, spread(way, n_images))
            if start == "idpp":
                path = idpp_path(self.evaluate.base, self.evaluate.moving, path, n_images)
            paths.append(path)
        return paths

    def over_saddle(self, edge: Edge) -> Floats | None:
        """Site, saddle, site of a hop (3, 3), Å; None for a hop without a saddle."""
        saddle = self.network.edges[edge].get("saddle_position")
        first, last = ends_of(self.network, edge)
        return None if saddle is None else np.array([first, saddle, last])

    def add(self, edge: Edge, band: Band, keep_unconverged: bool) -> None:
        """A band, or one piece of it, as a hop between the sites at its ends."""
        lows = self.evaluate(band.positions[[0, -1]], "bands")[0]
        rises = np.isfinite(band.energies).all() and band.energies.max() > lows.max() + 1e-6
        if not rises or not (band.converged or keep_unconverged):
            reason = band.reason or "no barrier: one of the two sites is no minimum along this hop"
            self.left.append({"source": edge[0], "target": edge[1], "piece": band.piece, "reason": reason})
            return
        before = len(self.x)
        (a, home), (b, away) = (self.site_at(band.positions[end], float(lows[end])) for end in (0, -1))
        self.added += len(self.x) - before
        saddle = band.saddle.copy()
        saddle[-3:] -= home @ self.cell
        rigid = float(self.network.edges[edge]["barrier"])
        hop = _Hop(a, b, away - home, band, saddle, rigid)
        if (a != b or hop.image.any()) and not any(self.same(hop, other) for other in self.found):
            self.found.append(hop)

    def same(self, one: _Hop, other: _Hop) -> bool:
        """Whether two bands found one pass, in either direction."""
        if abs(one.band.energies.max() - other.band.energies.max()) > SAME_ENERGY:
            return False
        straight = (one.source, one.target) == (other.source, other.target)
        back = (one.source, one.target) == (other.target, other.source)
        if not (
            (straight and (one.image == other.image).all()) or (back and (one.image == -other.image).all())
        ):
            return False
        away, _ = shortest_vectors((self.guest(one.saddle) - self.guest(other.saddle))[None], self.cell)
        return bool(np.linalg.norm(away) < SAME_GUEST)

    def graph(self, symbol: str, prefactors: float | str, radius: float | None) -> Graph:
        """The graph by contract 2."""
        tops = [float(hop.band.energies.max()) for hop in self.found]
        ends = [(hop.source, hop.target) for hop in self.found]
        if isinstance(prefactors, str):
            saddles = [hop.saddle for hop in self.found]
            rates = with_host(self.evaluate, self.x, ends, saddles, radius, self.cell)
        else:
            rates = constant(list(range(len(ends))), float(prefactors))
        made: Graph = Graph(
            schema=SCHEMA, cell=[[float(v) for v in row] for row in self.cell], guest=symbol, energy_unit="eV"
        )
        for number, (x, energy) in enumerate(zip(self.x, self.energies, strict=True)):
            made.add_node(number, position=[float(v) for v in self.guest(x)], energy=energy)
        for number, hop in enumerate(self.found):
            if number not in rates.refused:
                self.write_hop(made, number, hop, tops[number], rates.forward[number], rates.backward[number])
        made.graph["loops"] = []
        made.graph["search"] = {
            "method": "relaxed",
            "atoms": len(self.evaluate.base),
            "evaluations": self.evaluate.asked,
            "sites_of_rigid_host": len(self.network),
            "sites_merged": len(self.became) - len({number for number, _ in self.became.values()}),
            "sites_not_relaxed": self.lost,
            "sites_added": self.added,
            "hops_vanished": self.vanished,
            "not_converged": self.left,
            "frequency_mismatch": rates.mismatch,
            "refused_for_vineyard": [
                {"source": ends[n][0], "target": ends[n][1], "reason": why}
                for n, why in rates.refused.items()
            ],
            "modes_THz": [{"hop": n, **modes} for n, modes in rates.modes.items()],
        }
        _structures[made] = self.evaluate.structures(np.array(self.x))
        return made

    def write_hop(
        self, made: Graph, number: int, hop: _Hop, top: float, forward: float, backward: float
    ) -> None:
        """Both directions of a hop."""
        for source, target, image, frequency, home in (
            (hop.source, hop.target, hop.image, forward, np.zeros(3, dtype=np.int64)),
            (hop.target, hop.source, -hop.image, backward, hop.image),
        ):
            made.add_edge(
                source,
                target,
                barrier=top - self.energies[source],
                prefactor=frequency,
                image=[int(v) for v in image],
                saddle_position=[float(v) for v in self.guest(hop.saddle) - home @ self.cell],
                saddle_energy=top,
                converged=hop.band.converged,
                method="relaxed-neb",
                elementary=hop.band.pieces == 1,
                rigid_barrier=hop.rigid_barrier,
                hop=number,
            )


def _along(path: Floats, way: Floats) -> Floats:
    """The host straight between the ends of path (2, 3k), Å, the guest along way (m, 3), Å, moved to them."""
    share = np.linspace(0.0, 1.0, len(way))[:, None]
    whole = (1.0 - share) * path[0] + share * path[1]
    off = (path[0, -3:] - way[0]) * (1.0 - share) + (path[1, -3:] - way[-1]) * share
    whole[:, -3:] = way + off
    return np.asarray(whole)
