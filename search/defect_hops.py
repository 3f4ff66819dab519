"""What vacancies and extra atoms share: bands of the distinct hops, copies by symmetry, the graph."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms

from search.bands import Band, Settings, relax_bands
from search.calculators import Evaluations
from search.defect_frequencies import by_vineyard, constant
from search.errors import SearchError
from search.graph import Graph
from search.idpp import idpp_path
from search.lattice import Floats, Ints, wrap
from search.supercell import Defect, Supercell
from search.symmetry import Copy, Hop, Moves, Operations, distinct_hops, reverse_of
from search.writing import SCHEMA


class Mechanism(ABC):
    """A walker among the atoms of a structure: its relaxed sites, and the two ends of each hop.

    positions: (n, 3), Å, of the sites in the unit cell; defects: (n) relaxed supercells; orbit: (n,) labels
    of equivalent sites; unstable: sites that relax into others.
    """

    charge_sign: int
    cell: Supercell
    ops: Operations
    moves: Moves
    positions: Floats
    defects: list[Defect]
    orbit: Ints
    unstable: list[int]

    @abstractmethod
    def template(self) -> Atoms:
        """A structure with the elements in the order of all configurations."""

    @abstractmethod
    def relax(self, evaluate: Evaluations, fmax: float) -> None:
        """Relax the distinct sites to `fmax`, eV/Å, and copy them to the others."""

    @abstractmethod
    def hops(self) -> list[Hop]:
        """Directed hops to be tried, both directions."""

    @abstractmethod
    def ends(self, hop: Hop) -> tuple[Floats, Floats]:
        """Start and end of a hop (3k,), Å, every atom going the way it goes."""

    @abstractmethod
    def site_between(self, hop: Hop, x: Floats) -> bool:
        """Whether a configuration of a band (3k,) is at a third site, so that the hop is two hops."""

    @abstractmethod
    def moving_row(self, hop: Hop) -> int:
        """Row of the atom that moves furthest."""

    @abstractmethod
    def walker_at(self, hop: Hop, x: Floats) -> Floats:
        """Where the walker is (3,), Å, in a configuration (3k,) of a hop's band."""


@dataclass
class FoundHop:
    """The answer for one distinct hop: energies in eV; saddle (3k,), Å; walker (3,), Å."""

    hop: Hop
    saddle_energy: float
    saddle: Floats
    walker: Floats
    converged: bool
    reason: str
    pieces: int
    through_site: bool
    band: Floats = field(default_factory=lambda: np.empty(0))


@dataclass
class FoundHops:
    """Distinct hops with their answers, and every hop as a copy of one of them."""

    distinct: dict[int, FoundHop]
    copies: dict[Hop, Copy]


def hop_bands(kind: Mechanism, evaluate: Evaluations, settings: Settings, start: str) -> FoundHops:
    """Climbing-image bands for the distinct hops, all in one batch."""
    hops = kind.hops()
    if not hops:
        raise SearchError(
            f"No two sites lie within the cutoff of each other ({len(kind.positions)} sites, "
            f"{len(kind.unstable)} of them unstable); raise cutoff."
        )
    copies = distinct_hops(hops, kind.moves)
    numbers = sorted({copy.parent for copy in copies.values()})
    paths = []
    for number in numbers:
        path = np.stack(kind.ends(hops[number]))
        if start == "idpp":
            path = idpp_path(evaluate.base, evaluate.moving, path, settings.n_images)
        paths.append(path)
    lows = np.array([[kind.defects[s].energy for s in hops[n][:2]] for n in numbers])
    answers: dict[int, list[Band]] = {number: [] for number in numbers}
    for band in relax_bands(lambda x: evaluate(x, "bands"), paths, settings):
        answers[numbers[band.parent]].append(band)
    found = {
        number: _answer(kind, hops[number], answers[number], low)
        for number, low in zip(numbers, lows, strict=True)
    }
    return FoundHops(found, copies)


def _answer(kind: Mechanism, hop: Hop, bands: list[Band], lows: Floats) -> FoundHop:
    """One hop from its band, or from the pieces of a band that was split at minima that are no sites."""
    top = max(bands, key=lambda band: float(band.energies.max()))
    energy = float(top.energies.max())
    images = np.concatenate([band.positions for band in bands])
    # Between images too: a site may lie in a dent too shallow to split the band.
    between = np.concatenate(
        [images[:-1] + share * np.diff(images, axis=0) for share in (0.25, 0.5, 0.75, 1.0)]
    )
    reason = "; ".join(band.reason for band in bands if band.reason)
    if not reason and energy <= lows.max() + 1e-6:
        reason = "no barrier: one of the two sites is no minimum along this hop"
    return FoundHop(
        hop,
        energy,
        top.saddle,
        kind.walker_at(hop, top.saddle),
        not reason,
        reason,
        len(bands),
        any(kind.site_between(hop, x) for x in between),
        np.concatenate([band.energies for band in bands]),
    )


def write_defect_graph(
    kind: Mechanism,
    found: FoundHops,
    evaluate: Evaluations,
    mechanism: str,
    species: str,
    prefactors: float | str,
    radius: float | None,
    keep_unconverged: bool,
) -> Graph:
    """The graph by contract 2, equivalent hops copied; what is left out is listed."""
    cell = kind.cell.cell
    network: Graph = Graph(
        schema=SCHEMA,
        cell=[[float(x) for x in row] for row in cell],
        guest=species,
        energy_unit="eV",
        walker=mechanism,
        charge_sign=kind.charge_sign,
        space_group=kind.ops.symbol,
    )
    stable = [site for site in range(len(kind.positions)) if site not in set(kind.unstable)]
    number = {site: new for new, site in enumerate(stable)}
    for site in stable:
        position = wrap(kind.positions[site : site + 1], cell)[0]
        network.add_node(
            number[site],
            position=[float(x) for x in position],
            energy=kind.defects[site].energy,
            orbit=int(kind.orbit[site]),
            **kind_label(kind, site),
        )
    usable = {
        n: hop
        for n, hop in found.distinct.items()
        if not hop.through_site and (hop.converged or (keep_unconverged and _rises(kind, hop)))
    }
    frequencies = (
        by_vineyard(kind, usable, evaluate, radius)
        if isinstance(prefactors, str)
        else constant(list(usable), float(prefactors))
    )
    hops: dict[Hop, int] = {}
    for hop, copy in found.copies.items():
        if copy.parent in frequencies.forward:
            hops[hop] = hops.get(reverse_of(hop), len(hops))
            ends = number[hop.source], number[hop.target]
            network.add_edge(
                *ends,
                **_edge(kind, hop, copy, usable[copy.parent]),
                prefactor=frequencies.of(copy.parent, copy.reverse),
                method=f"{mechanism}-neb",
                hop=hops[hop],
            )
    if network.number_of_edges() == 0:
        reasons = sorted({hop.reason or "leads over a third site" for hop in found.distinct.values()})
        raise SearchError(f"None of {len(found.distinct)} distinct hops converged: {'; '.join(reasons)}.")
    network.graph["loops"] = []
    network.graph["search"] = {
        "method": mechanism,
        "supercell": [int(n) for n in kind.cell.repeats],
        "atoms": len(evaluate.base),
        "evaluations": evaluate.asked,
        "symmetry_operations": len(kind.ops),
        "distinct_sites": len(np.unique(kind.orbit[stable])),
        "distinct_hops": len(found.distinct),
        "unstable_sites": [[float(x) for x in kind.positions[site]] for site in kind.unstable],
        "not_elementary": [_told(hop, number) for hop in found.distinct.values() if hop.through_site],
        "not_converged": [
            {**_told(hop, number), "reason": hop.reason, "kept": n in usable}
            for n, hop in found.distinct.items()
            if not hop.converged and not hop.through_site
        ],
        "frequency_mismatch": frequencies.mismatch,
        "refused_for_vineyard": [
            {**_told(usable[n], number), "reason": reason} for n, reason in frequencies.refused.items()
        ],
        "modes_THz": [{**_told(usable[n], number), **listed} for n, listed in frequencies.modes.items()],
    }
    return network


def kind_label(kind: Mechanism, site: int) -> dict[str, int]:
    """For vacancies, the number of the atom whose place a site is."""
    return {"atom": int(kind.cell.atom_of[site])} if kind.charge_sign < 0 else {}


def _told(hop: FoundHop, number: dict[int, int]) -> dict[str, Any]:
    return {"source": number[hop.hop.source], "target": number[hop.hop.target], "image": list(hop.hop.image)}


def _rises(kind: Mechanism, hop: FoundHop) -> bool:
    """Whether the saddle of an unconverged hop lies above both of its sites."""
    lows = [kind.defects[site].energy for site in hop.hop[:2]]
    return bool(np.isfinite(hop.saddle_energy)) and hop.saddle_energy > max(lows)


def _edge(kind: Mechanism, hop: Hop, copy: Copy, answer: FoundHop) -> dict[str, Any]:
    """Attributes of a hop that is a copy of a distinct one."""
    cell = kind.cell.cell
    walker = answer.walker
    if copy.operation >= 0:
        walker = kind.ops.apply(copy.operation, walker[None])[0]
        walker = walker - kind.moves.sites[1][copy.operation, answer.hop.source] @ cell
    if copy.reverse:
        walker = walker + np.array(hop.image) @ cell
    return {
        "barrier": answer.saddle_energy - kind.defects[hop.source].energy,
        "image": [int(x) for x in hop.image],
        "saddle_position": [float(x) for x in walker],
        "saddle_energy": answer.saddle_energy,
        "converged": answer.converged,
        "elementary": answer.pieces == 1,
        "orbit": copy.parent,
    }
