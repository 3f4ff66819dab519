"""The network as pandas tables: one row a site, one row a hop."""

import numpy as np
import pandas as pd

from search.graph import Graph

_HOPS = [
    *("source", "target", "key", "image_a", "image_b", "image_c", "distance_A", "barrier_eV"),
    *("prefactor_Hz", "saddle_energy_eV", "saddle_x_A", "saddle_y_A", "saddle_z_A"),
    *("converged", "method", "orbit"),
]


def sites_table(network: Graph) -> pd.DataFrame:
    """Sites in the order of the graph.

    Columns: site, energy_eV, relative_energy_eV (above the lowest), x_A, y_A, z_A, a, b, c (fractional),
    orbit (equal for sites equal by symmetry, -1 where unknown), hops (leaving it), lowest_barrier_eV (NaN for
    a site without hops).
    """
    nodes = list(network.nodes(data=True))
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    positions = np.array([data["position"] for _, data in nodes], dtype=np.float64).reshape(-1, 3)
    energies = np.array([data["energy"] for _, data in nodes], dtype=np.float64)
    fractional = positions @ np.linalg.inv(cell)
    barriers = [[edge["barrier"] for _, _, edge in network.out_edges(site, data=True)] for site, _ in nodes]
    return pd.DataFrame(
        {
            "site": [site for site, _ in nodes],
            "energy_eV": energies,
            "relative_energy_eV": energies - energies.min(initial=np.inf),
            **{f"{axis}_A": positions[:, i] for i, axis in enumerate("xyz")},
            **{axis: fractional[:, i] for i, axis in enumerate("abc")},
            "orbit": [data.get("orbit", -1) for _, data in nodes],
            "hops": [len(row) for row in barriers],
            "lowest_barrier_eV": [min(row, default=np.nan) for row in barriers],
        }
    )


def hops_table(network: Graph) -> pd.DataFrame:
    """Directed hops in the order of the graph.

    Columns: source, target, key, image_a, image_b, image_c, distance_A, barrier_eV, prefactor_Hz,
    saddle_energy_eV, saddle_x_A, saddle_y_A, saddle_z_A, converged, method, orbit.
    """
    cell = np.asarray(network.graph["cell"], dtype=np.float64)
    rows = []
    for source, target, key, data in network.edges(keys=True, data=True):
        image = np.array(data["image"])
        start, end = (np.array(network.nodes[site]["position"]) for site in (source, target))
        saddle = data.get("saddle_position", [np.nan] * 3)
        rows.append(
            {
                "source": source,
                "target": target,
                "key": key,
                **{f"image_{axis}": int(image[i]) for i, axis in enumerate("abc")},
                "distance_A": float(np.linalg.norm(end + image @ cell - start)),
                "barrier_eV": data["barrier"],
                "prefactor_Hz": data["prefactor"],
                "saddle_energy_eV": data.get(
                    "saddle_energy", network.nodes[source]["energy"] + data["barrier"]
                ),
                **{f"saddle_{axis}_A": saddle[i] for i, axis in enumerate("xyz")},
                "converged": data.get("converged", True),
                "method": data.get("method", ""),
                "orbit": data.get("orbit", -1),
            }
        )
    return pd.DataFrame(rows, columns=_HOPS)
