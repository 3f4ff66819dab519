"""The only writer of the graph contract: sites and passes in, a hopping graph out."""

from dataclasses import dataclass, field

import numpy as np

from search.graph import Graph
from search.lattice import Floats, Ints
from search.vibrations import guest_mass, modes_thz, vineyard

SCHEMA = "hopping-graph/1"


@dataclass
class Sites:
    """Polished minima: positions (n, 3), Å, wrapped; energies (n,), eV; hessians (n, 3, 3), eV/Å²."""

    positions: Floats
    energies: Floats
    hessians: Floats


@dataclass
class Passes:
    """Polished saddles with their ends: site numbers (n, 2) and images (n, 2, 3), saddles being wrapped."""

    positions: Floats
    energies: Floats
    hessians: Floats
    ends: Ints = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    images: Ints = field(default_factory=lambda: np.empty((0, 2, 3), dtype=np.int64))
    labels: list[dict[str, object]] = field(default_factory=list)


def write_graph(sites: Sites, passes: Passes, cell: Floats, guest: str, attempt: float | str) -> Graph:
    """The graph by contract 2; both directions of every hop with the same saddle energy."""
    network: Graph = Graph(
        schema=SCHEMA, cell=[[float(x) for x in row] for row in cell], guest=guest, energy_unit="eV"
    )
    mass = guest_mass(guest) if attempt == "vineyard" else 0.0

    def listed(hessian: Floats) -> dict[str, list[float]]:
        return {"modes_THz": modes_thz(hessian, mass)} if mass else {}

    for site, (position, energy) in enumerate(zip(sites.positions, sites.energies, strict=True)):
        network.add_node(
            site,
            position=[float(x) for x in position],
            energy=float(energy),
            **listed(sites.hessians[site]),
        )
    loops = []
    for row in range(len(passes.energies)):
        a, b = (int(x) for x in passes.ends[row])
        step = passes.images[row, 1] - passes.images[row, 0]
        if a == b and not step.any():
            # Both sides lead to the same place: a bump inside one basin, not a hop.
            loops.append([float(x) for x in passes.positions[row]])
            continue
        for source, target, image, home in (
            (a, b, step, passes.images[row, 0]),
            (b, a, -step, passes.images[row, 1]),
        ):
            frequency = (
                vineyard(sites.hessians[source], passes.hessians[row], mass)
                if attempt == "vineyard"
                else attempt
            )
            network.add_edge(
                source,
                target,
                barrier=float(passes.energies[row] - sites.energies[source]),
                prefactor=float(frequency),
                image=[int(x) for x in image],
                saddle_position=[float(x) for x in passes.positions[row] - home @ cell],
                saddle_energy=float(passes.energies[row]),
                **{"converged": True, "method": "saddle", **(passes.labels[row] if passes.labels else {})},
                **listed(passes.hessians[row]),
                hop=row,
            )
    network.graph["loops"] = loops
    return network
