"""Ask the teacher where it matters: at the sites and passes that the present potential finds.

Labels drawn from a grid rarely fall on a site or a pass, where accuracy is needed. Each round searches the
present landscape, labels the stationary points of the hops that carry the current and those of the others at
which the committee disagrees most, compares the barriers of the carrying hops with the teacher's, and trains
again. It ends when the largest of these differences is below the tolerance: measured before training on the
labels that measured it, so the comparison is a true prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx
import numpy as np
from ase import Atoms

import kmc
from iondiff.potentials import GuestLandscape
from iondiff.sampling import Label, LabelSet
from iondiff.sampling.points import nearest_distance

#: Hops that together dissipate this share of the current have their barriers held against the teacher's.
CARRYING = 0.99
#: Standard deviations of the symmetry functions within which two places are the same: by symmetry, or nearly.
SAME_ENVIRONMENT = 0.05


@dataclass(frozen=True)
class Barrier:
    """One carrying hop, by the potential and by the teacher at the potential's own site and pass, eV."""

    potential_eV: float
    teacher_eV: float


@dataclass(frozen=True)
class Round:
    """What a round found.

    Attributes
    ----------
    labels
        How many were added.
    label_count, D_cm2_s
        How many this round's potential was trained on, and the exact D of its network, with one prefactor for
        all hops.
    sites, hops
        Of the network before these labels were trained on.
    barriers
        Of the carrying hops.
    largest_error_eV
        Of these barriers; None where no hop carries current.
    """

    labels: int
    label_count: int
    D_cm2_s: float
    sites: int
    hops: int
    barriers: tuple[Barrier, ...]
    largest_error_eV: float | None

    def record(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def stationary_points(network: nx.MultiDiGraph, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Sites and passes of a network: those of the carrying hops, (n, 3) Å, and all others, (m, 3) Å.

    The carrying ones come in threes: source, pass, target of each hop.
    """
    carrying, named = [], set()
    rows = kmc.current_hops(network, temperature)
    enough = rows["share"].cumsum() - rows["share"] < CARRYING * rows["share"].sum()
    for row in rows[enough].itertuples():
        saddle = network.edges[row.source, row.target, row.key]["saddle_position"]
        carrying += [network.nodes[row.source]["position"], saddle, network.nodes[row.target]["position"]]
        named |= {row.source, row.target, (row.source, row.target, row.key)}
    others = [data["position"] for site, data in network.nodes(data=True) if site not in named]
    others += [
        data["saddle_position"]
        for source, target, key, data in network.edges(keys=True, data=True)
        if source <= target and (source, target, key) not in named
    ]
    return np.array(carrying).reshape(-1, 3), np.array(others).reshape(-1, 3)


def points_to_label(
    host: Atoms, landscape: GuestLandscape, known: np.ndarray, carrying: np.ndarray, others: np.ndarray,
    most: int, spacing: float,
) -> np.ndarray:  # fmt: skip
    """The carrying points, then the others by the committee's disagreement, none known already: (n, 3), Å.

    Of places that a symmetry of the host maps onto each other one is taken.
    """
    ranked = others[np.argsort(-landscape.spread(others), kind="stable")] if len(others) else others
    chosen: list[np.ndarray] = []
    places = _places(host, known)
    seen = landscape.environments(known)
    for point, apart in [(p, 0.0) for p in carrying] + [(p, spacing) for p in ranked]:
        if len(chosen) >= most:
            break
        here = landscape.environments(point[None])
        if len(seen) and np.abs(seen - here).max(axis=1).min() <= SAME_ENVIRONMENT:
            continue
        if apart and len(places) and nearest_distance(places, point[None])[0] <= apart:
            continue
        chosen.append(point)
        places += _places(host, point[None])
        seen = np.concatenate([seen, here])
    return np.array(chosen).reshape(-1, 3)


def _places(host: Atoms, points: np.ndarray) -> Atoms:
    """Points as atoms of the host's cell, so that distances know its images."""
    return Atoms(f"H{len(points)}", positions=points, cell=host.cell, pbc=True)


def teacher_barriers(
    landscape: GuestLandscape, carrying: np.ndarray, labels: list[Label]
) -> tuple[Barrier, ...]:
    """Barriers of the carrying hops by the potential, and by labels in the same environments."""
    seen = landscape.environments(np.array([label.position_A for label in labels]))
    energies = np.array([label.energy_eV for label in labels])
    barriers = []
    here = landscape.environments(carrying)
    predicted = landscape.energy_and_gradient(carrying)[0]
    found = np.full(len(carrying), np.nan)
    for row, environment in enumerate(here):
        apart = np.abs(seen - environment).max(axis=1)
        nearest = int(np.argmin(apart))
        if apart[nearest] <= SAME_ENVIRONMENT:
            found[row] = energies[nearest]
    for heights, labelled in zip(predicted.reshape(-1, 3), found.reshape(-1, 3), strict=True):
        # Both directions, each from its own site.
        for site in (0, 2):
            barrier = Barrier(float(heights[1] - heights[site]), float(labelled[1] - labelled[site]))
            if np.isfinite(barrier.teacher_eV):
                barriers.append(barrier)
    return tuple(barriers)


def improve(
    host: Atoms,
    labels: LabelSet,
    *,
    train: Callable[[LabelSet, int], Any],
    search: Callable[[GuestLandscape], nx.MultiDiGraph],
    ask: Callable[[np.ndarray, int], list[Label]],
    temperature: float,
    rounds: int,
    tolerance_eV: float,
    most: int,
    spacing: float,
) -> tuple[LabelSet, list[Round]]:
    """Add labels at sites and passes, round by round.

    Parameters
    ----------
    host
        Pristine host.
    labels
        What there is to train on at the start.
    train
        (labels, round) to a potential with ``landscape(host)``.
    search
        Landscape to hopping graph (contract 2).
    ask
        (points (n, 3) Å, round) to labels; fewer where the teacher failed.
    temperature
        K, at which the carrying hops are found.
    rounds
        At most so many.
    tolerance_eV
        The loop ends when no carrying barrier differs more from the teacher's.
    most
        Labels a round; the carrying points come first, those that carry most before the others.
    spacing
        Å, nearer than which to a label no further one is asked at the points that do not carry.

    Returns
    -------
    The labels with those added, and what each round found.
    """
    record: list[Round] = []
    for number in range(rounds):
        landscape = train(labels, number).landscape(host)
        network = search(landscape)
        carrying, others = stationary_points(network, temperature)
        points = points_to_label(host, landscape, labels.positions, carrying, others, most, spacing)
        found = ask(points, number) if len(points) else []
        known, D = len(labels.select()), 0.0
        if network.number_of_edges():
            D = float(np.trace(kmc.diffusion_tensor(network, temperature))) / 3.0
        labels = LabelSet(labels.labels + found, labels.provenance)
        barriers = teacher_barriers(landscape, carrying, labels.labels) if len(carrying) else ()
        worst = max((abs(b.potential_eV - b.teacher_eV) for b in barriers), default=None)
        record.append(Round(len(found), known, D, len(network), network.number_of_edges(), barriers, worst))
        if not found or (worst is not None and worst < tolerance_eV):
            break
    return labels, record
