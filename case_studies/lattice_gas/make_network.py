"""The hopping graph of copper in amorphous Ta2O5, from the potential of the neighbouring case study.

python case_studies/lattice_gas/make_network.py

Writes network.json beside this file.
"""

from __future__ import annotations

from pathlib import Path

import ase.io

import kmc
import search
from iondiff.potentials import load

HERE = Path(__file__).parent
SOURCE = HERE.parent / "cu_ta2o5"


def main() -> None:
    host = ase.io.read(SOURCE / "host.extxyz")
    landscape = load(SOURCE / "cu.nnp").landscape(host)
    graph = search.build_network(landscape, grid=(50, 50, 50), energy_cap=2.5, guest="Cu")
    kmc.validate(graph)
    kmc.write_graph(graph, HERE / "network.json")
    found = kmc.percolation(graph)
    print(f"{graph.number_of_nodes()} sites, {graph.number_of_edges()} hops, barriers {found.barriers} eV")


if __name__ == "__main__":
    main()
