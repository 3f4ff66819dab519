"""Files for looking at networks and landscapes: extended XYZ for OVITO, cube for VESTA and VMD."""

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from ase.io.cube import write_cube

from search.errors import SearchError
from search.graph import Graph
from search.landscape import Evaluator, Landscape
from search.lattice import Floats, wrap
from search.sampling import grid_points, grid_shape


def sites_structure(network: Graph, host: Atoms | None = None, saddles: bool = False) -> Atoms:
    """Host and all sites as one structure; with `saddles`, the passes too.

    Arrays of the structure: `kind` ("host", "site", "saddle"), `site` (number, -1 elsewhere), `energy_eV`
    (above the lowest site; NaN on host atoms), `orbit` (-1 where unknown). Sites and saddles carry the
    guest's symbol, or "X" when the network does not name one.
    """
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    guest = str(network.graph.get("guest", "X"))
    nodes = list(network.nodes(data=True))
    if not nodes:
        raise SearchError("The network has no sites to draw.")
    lowest = min(float(data["energy"]) for _, data in nodes)
    positions = [data["position"] for _, data in nodes]
    rows: dict[str, list[Any]] = {
        "kind": ["site"] * len(nodes),
        "site": [site for site, _ in nodes],
        "energy_eV": [float(data["energy"]) - lowest for _, data in nodes],
        "orbit": [int(data.get("orbit", -1)) for _, data in nodes],
    }
    seen: set[int] = set()
    for _, _, data in network.edges(data=True) if saddles else []:
        if "saddle_position" not in data or data.get("hop") in seen:
            continue
        seen.add(data.get("hop", len(seen)))
        positions.append(wrap(np.array([data["saddle_position"]]), cell)[0])
        rows["kind"].append("saddle")
        rows["site"].append(-1)
        rows["energy_eV"].append(float(data["saddle_energy"]) - lowest)
        rows["orbit"].append(int(data.get("orbit", -1)))
    whole: Atoms = Atoms([guest] * len(positions), positions=np.array(positions), cell=cell, pbc=True)
    if host is not None:
        if not np.allclose(np.array(host.cell), cell, atol=1e-6):
            raise SearchError("host.cell is not the cell of the network; give the host it was built in.")
        bare = Atoms(host.numbers, positions=host.positions, cell=cell, pbc=True)
        whole = bare + whole
        for name, blank in (("kind", "host"), ("site", -1), ("energy_eV", np.nan), ("orbit", -1)):
            rows[name] = [blank] * len(host) + rows[name]
    for name, column in rows.items():
        whole.set_array(name, np.array(column))  # type: ignore[no-untyped-call]
    return whole


def write_sites(network: Graph, path: str | Path, host: Atoms | None = None, saddles: bool = False) -> None:
    """Write `sites_structure` as extended XYZ."""
    write(path, sites_structure(network, host, saddles), format="extxyz")


def write_landscape(
    landscape: Landscape,
    path: str | Path,
    grid: tuple[int, int, int] | float = (50, 50, 50),
    energy_cap: float = 2.0,
    host: Atoms | None = None,
) -> Floats:
    """Write the landscape as a Gaussian cube file, eV above its lowest grid value, cut at `energy_cap`.

    VESTA, OVITO and VMD read it. Returns the values written (n1, n2, n3), eV.
    """
    evaluate = Evaluator(landscape)
    shape = grid_shape(grid, evaluate.cell)
    energies, _ = evaluate(grid_points(shape, evaluate.cell), stage="export")
    if not np.isfinite(energies).any():
        raise SearchError("The landscape is NaN or infinite at all grid points: there is nothing to draw.")
    values = np.minimum(energies - energies.min(), energy_cap).reshape(shape)
    atoms = Atoms(cell=evaluate.cell, pbc=True) if host is None else host.copy()  # type: ignore[no-untyped-call]
    with Path(path).open("w", encoding="utf-8") as file:
        # The format holds no unit of the values; ASE turns lengths into bohr and leaves values alone.
        note = "eV above the lowest value, cut at the cap"
        write_cube(file, atoms, data=values, origin=np.zeros(3), comment=note)  # type: ignore[no-untyped-call]
    return np.asarray(values)
