"""D and conductivity against concentration: copper in amorphous Ta2O5, and a uniform lattice.

python case_studies/lattice_gas/run.py [--hops 400000] [--figure concentration.svg] [--table
concentration.csv]

Prints a table and, last, one JSON line. Where a run cannot support a number, the row says so.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

import kmc

HERE = Path(__file__).parent
TEMPERATURE = 1200.0
SHARES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9)
#: How often each cell is repeated.
REPLICATE = {"Cu in a-Ta2O5": (3, 3, 3), "uniform lattice": (10, 10, 10)}


def uniform_lattice(spacing: float = 3.0, barrier: float = 0.4) -> nx.MultiDiGraph:
    """Simple cubic, one site, six hops."""
    cell = (np.eye(3) * spacing).tolist()
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=cell, guest="Cu")
    graph.add_node(0, position=[0.0, 0.0, 0.0], energy=0.0)
    for axis in range(3):
        for sign in (1, -1):
            image = [0, 0, 0]
            image[axis] = sign
            graph.add_edge(0, 0, image=image, barrier=barrier, prefactor=1e13)
    return graph


def row(name: str, graph: nx.MultiDiGraph, share: float, hops: int) -> dict[str, Any]:
    run = kmc.simulate_gas(
        graph,
        occupancy=share,
        temperature=TEMPERATURE,
        replicate=REPLICATE[name],
        n_hops=hops,
        replicas=2,
        seed=1,
    )
    tracer = kmc.tracer_diffusivity(run, check=False)
    charge = kmc.charge_diffusivity(run, check=False)
    conductivity = kmc.conductivity(run, check=False)
    note = ""
    try:
        kmc.haven_ratio(run)
    except kmc.NotConvergedError as refusal:
        note = str(refusal).split(";")[0]
    return {
        "network": name,
        "occupancy": run.n_carriers / run.n_sites,
        "D": tracer.value,
        "D_error": tracer.error,
        "D_charge": charge.value,
        "D_charge_error": charge.error,
        "haven_ratio": conductivity.haven_ratio.value,
        "haven_ratio_error": conductivity.haven_ratio.error,
        "conductivity": conductivity.value,
        "conductivity_error": conductivity.error,
        "algorithm": run.algorithm,
        "walked": run.walked,
        "note": note,
    }


def measure(hops: int) -> pd.DataFrame:
    """All rows of the table."""
    networks = {"Cu in a-Ta2O5": kmc.read_graph(HERE / "network.json"), "uniform lattice": uniform_lattice()}
    return pd.DataFrame([row(name, graph, c, hops) for name, graph in networks.items() for c in SHARES])


def draw(table: pd.DataFrame, path: Path) -> None:
    """D and conductivity against occupancy, with error bars; hollow where the run cannot support a number."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "lattice gas"
    figure, axes = plt.subplots(2, 2, figsize=(8, 6), sharex=True, layout="constrained")
    for column, (name, rows) in enumerate(table.groupby("network", sort=False)):
        above, below = axes[0, column], axes[1, column]
        for kind, label in (("D", "tracer"), ("D_charge", "charge")):
            above.errorbar(
                rows["occupancy"], rows[kind], rows[f"{kind}_error"], marker="o", capsize=2, label=label
            )
            unsure = rows[rows["note"].str.len() > 0]
            above.plot(unsure["occupancy"], unsure[kind], "o", color="0.5", mfc="w", zorder=3)
        sigma = rows["conductivity"]
        below.errorbar(
            rows["occupancy"], sigma, rows["conductivity_error"], marker="o", capsize=2, color="C2"
        )
        above.set_title(f"{name}, {TEMPERATURE:g} K")
        above.legend(frameon=False)
        below.set_xlabel("share of the sites taken")
        for axis in (above, below):
            axis.set_ylim(bottom=0.0)
    axes[0, 0].set_ylabel("D, cm²/s")
    axes[1, 0].set_ylabel("conductivity, S/cm")
    # The law of a uniform lattice: all carriers together diffuse as 1 − c, the conductivity goes as c(1 − c).
    free = float(kmc.diffusion_tensor(uniform_lattice(), TEMPERATURE)[0, 0])
    c = np.linspace(0.0, 1.0, 101)
    axes[0, 1].plot(c, free * (1.0 - c), "k:", lw=1)
    last = table[table["network"] == "uniform lattice"].iloc[-1]
    unit = float(last["conductivity"] / (last["occupancy"] * last["D_charge"]))  # n q²/kT at c = 1
    axes[1, 1].plot(c, unit * free * c * (1.0 - c), "k:", lw=1)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--hops", type=int, default=3_000_000, help="of all carriers together, in each of two runs"
    )
    parser.add_argument("--figure", type=Path, default=HERE / "concentration.svg")
    parser.add_argument("--table", type=Path, default=HERE / "concentration.csv")
    arguments = parser.parse_args()
    table = measure(arguments.hops)
    table.to_csv(arguments.table, index=False)
    draw(table, arguments.figure)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    print(
        json.dumps(
            {"case_study": "lattice_gas", "temperature": TEMPERATURE, "rows": table.to_dict("records")}
        )
    )


if __name__ == "__main__":
    main()
