"""Time and memory against the size of what is read, searched and walked.

    python -m benchmarks.load            sizes up to 10,000 sites, 1,000,000 hops and 100,000 atoms
    python -m benchmarks.load --small    a tenth of that

Each row is measured in a fresh process: processor seconds, and the peak of its memory above what it had
before the work. The exponent is that of the last doubling, size^exponent: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np


def lattice(sites: int, neighbours: int = 6) -> nx.MultiDiGraph:
    """A cubic lattice of sites with random energies and saddles; 6 hops a site, or more along diagonals."""
    n = round(sites ** (1 / 3))
    rng = np.random.default_rng(0)
    energies = rng.normal(0.0, 0.05, (n, n, n))
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=(np.eye(3) * 2.0 * n).tolist(), guest="Li")
    index = np.arange(n**3).reshape(n, n, n)
    for place in np.ndindex(n, n, n):
        graph.add_node(int(index[place]), position=[2.0 * x for x in place], energy=float(energies[place]))
    steps = [s for s in np.ndindex(3, 3, 3) if s > (1, 1, 1)]
    steps = sorted(steps, key=lambda s: sum(abs(x - 1) for x in s))[: neighbours // 2]
    for step in steps:
        for place in np.ndindex(n, n, n):
            end = [p + s - 1 for p, s in zip(place, step, strict=True)]
            image = [e // n for e in end]
            other = tuple(e % n for e in end)
            saddle = max(energies[place], energies[other]) + float(rng.uniform(0.2, 0.4))
            a, b = int(index[place]), int(index[other])
            there, back = float(saddle - energies[place]), float(saddle - energies[other])
            graph.add_edge(a, b, image=image, barrier=there, prefactor=1e13)
            graph.add_edge(b, a, image=[-i for i in image], barrier=back, prefactor=1e13)
    return graph


def exact_transport(size: int) -> Callable[[], Any]:
    """The exact diffusion tensor of `size` sites."""
    import kmc

    network = kmc.compile_graph(lattice(size))
    kmc.diffusion_tensor(lattice(64), 500.0)
    return lambda: kmc.diffusion_tensor(network, 500.0)


def walk(size: int) -> Callable[[], Any]:
    """A million hops on `size` sites."""
    import kmc

    network = kmc.compile_graph(lattice(size))
    kmc.simulate(lattice(64), 500.0, 100, 100)
    return lambda: kmc.simulate(network, 500.0, 1000, 1000)


def validate(size: int) -> Callable[[], Any]:
    """Checking and laying out a graph of `size` hops."""
    import kmc

    graph = lattice(size // 26, 26)
    kmc.validate(lattice(64))
    return lambda: kmc.validate(graph)


def write_graph(size: int) -> Callable[[], Any]:
    """Writing `size` hops as JSON."""
    import kmc

    graph = lattice(size // 26, 26)
    path = Path(tempfile.mkdtemp()) / "network.json"
    return lambda: kmc.write_graph(graph, path)


def read_graph(size: int) -> Callable[[], Any]:
    """Reading and checking `size` hops from JSON."""
    import gc

    import kmc

    graph = lattice(size // 26, 26)
    path = Path(tempfile.mkdtemp()) / "network.json"
    kmc.write_graph(graph, path)
    del graph
    gc.collect()
    return lambda: kmc.read_graph(path)


def host_of(atoms: int) -> Any:
    """Rock salt with a little disorder."""
    from ase import Atoms

    n = round((atoms / 8) ** (1 / 3))
    corners = [[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    cell = Atoms("Ta4O4", scaled_positions=np.array(corners) / 2, cell=[4.4, 4.4, 4.4], pbc=True)
    host = cell.repeat((n, n, n))
    host.rattle(0.05, seed=1)
    return host


def read_structure(size: int) -> Callable[[], Any]:
    """Reading a host of `size` atoms."""
    import ase.io

    from iondiff.structures import read_structure as read

    path = Path(tempfile.mkdtemp()) / "host.extxyz"
    ase.io.write(path, host_of(size))
    return lambda: read(path)


def landscape(size: int) -> Callable[[], Any]:
    """A guest network placed in a host of `size` atoms, and asked at a thousand points."""
    from dataclasses import replace

    from iondiff.potentials import load

    case = Path(__file__).parents[1] / "case_studies" / "cu_ta2o5"
    potential = replace(load(case / "cu.nnp"), correction=None)
    host = host_of(size)
    points = np.random.default_rng(0).random((1000, 3)) @ host.cell.array
    potential.landscape(host_of(64)).energy_and_gradient(points[:2])
    return lambda: potential.landscape(host).energy_and_gradient(points)


class Waves:
    """A landscape of one site in each 4 Å cube."""

    def __init__(self, sites: int) -> None:
        self.n = round(sites ** (1 / 3))
        self.cell = np.eye(3) * 4.0 * self.n

    def energy_and_gradient(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wave = points * (2 * np.pi / 4.0)
        return -0.5 * np.cos(wave).sum(axis=1), 0.5 * np.sin(wave) * (2 * np.pi / 4.0)


def search_sites(size: int) -> Callable[[], Any]:
    """Every site and pass of a landscape of `size` sites."""
    import search

    def run(sites: int) -> Any:
        waves = Waves(sites)
        grid = (8 * waves.n,) * 3
        return search.build_network(waves, grid=grid, energy_cap=1.5, guest="Li", prefactors=1e12)

    run(1)
    return lambda: run(size)


QUESTIONS: dict[str, tuple[Callable[[int], Callable[[], Any]], str, tuple[int, ...]]] = {
    "exact D(T)": (exact_transport, "sites", (1000, 8000, 10648)),
    "walk, 10^6 hops": (walk, "sites", (1000, 8000, 10648)),
    "search": (search_sites, "sites", (125, 1000, 10648)),
    "validate": (validate, "hops", (100_000, 500_000, 1_000_000)),
    "write .json": (write_graph, "hops", (100_000, 500_000, 1_000_000)),
    "read .json": (read_graph, "hops", (100_000, 500_000, 1_000_000)),
    "read host": (read_structure, "atoms", (12_500, 50_000, 100_000)),
    "guest landscape": (landscape, "atoms", (12_500, 50_000, 100_000)),
}


def measured(name: str, size: int, answers: Any) -> None:
    """In a process of its own: seconds and MiB of one question at one size."""
    work = QUESTIONS[name][0](size)
    before = memory(reset=True)
    started = time.process_time()
    try:
        work()
        refused = ""
    except (ValueError, RuntimeError) as error:
        refused = str(error)
    answers.put((time.process_time() - started, memory() - before, refused))


def memory(*, reset: bool = False) -> float:
    """Peak resident memory, MiB, since it was reset to what is in use now (Linux; elsewhere never reset)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(found.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="a tenth of every size")
    parser.add_argument("--only", help="the question whose name begins so")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    print(f"{'question':<18} {'size':>10}        {'CPU s':>8} {'peak MiB':>9} {'t^':>6} {'mem^':>6}")
    for name, (_, what, sizes) in QUESTIONS.items():
        if options.only and not name.startswith(options.only):
            continue
        last: dict[str, Any] | None = None
        for full in sizes:
            size = max(8, full // 10) if options.small else full
            answers = context.SimpleQueue()
            process = context.Process(target=measured, args=(name, size, answers))
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"{name} with {size} {what} ended with exit code {process.exitcode}")
            seconds, mebibytes, refused = answers.get()
            row = {"question": name, "what": what, "size": size, "cpu_s": seconds, "peak_MiB": mebibytes}
            row["refused"] = refused
            for key, short in (("cpu_s", "time_exponent"), ("peak_MiB", "memory_exponent")):
                row[short] = exponent(last, row, key)
            print(
                f"{name:<18} {size:>10} {what:<6} {seconds:8.2f} {mebibytes:9.1f} "
                f"{number(row['time_exponent'])} {number(row['memory_exponent'])} {refused}",
                flush=True,
            )
            rows.append(row)
            last = row
    print(json.dumps({"benchmark": "load", "rows": rows}))


def exponent(last: dict[str, Any] | None, row: dict[str, Any], key: str) -> float | None:
    """Of growth between two sizes; None where it was too little to say."""
    if last is None or min(last[key], row[key]) < 0.05 or last["size"] == row["size"]:
        return None
    return math.log(row[key] / last[key]) / math.log(row["size"] / last["size"])


def number(value: float | None) -> str:
    return f"{value:6.2f}" if value is not None else "     -"


if __name__ == "__main__":
    main()
