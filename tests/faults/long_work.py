"""Long work that a test can kill at any moment: one entry a stage, run in forks of a process that is warm.

    python tests/faults/long_work.py      and then, a line each on its standard input, JSON like
    {"work": "label", "folder": "/tmp/x", "fork": true, "kill_after": 0.3}

The answer is {"code": ..., "seconds": ...}; without "fork" the work is done by the process itself, which
warms it. Work begins with its folder as it is, and ends with every file as if it had never been stopped. Each
finished unit of it (a label, an iteration, a call of a landscape, a block of a walk) adds one byte to
``units`` in the folder, from which the test knows what was done twice.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ase.io
import networkx as nx
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

import kmc
import search
from iondiff import workflow
from iondiff.descriptors import default_guest_set
from iondiff.dynamics import Protocol, melt_quench, random_packing, run
from iondiff.graph_study import run_graph_study
from iondiff.potentials import StillingerWeber, save
from iondiff.sampling import _workers, draw_points, label_points, write_labels
from iondiff.studies import read_study
from iondiff.training import TrainingSettings, train_guest
from kmc import checkpoints


@dataclass(frozen=True)
class Work:
    """A stage that can be killed.

    Attributes
    ----------
    run
        Does it in a folder.
    results
        Files that must come out the same to the last bit.
    at_risk
        Units of work that one kill may cost; the rest is finished and must not be done again.
    """

    run: Callable[[Path], None]
    results: tuple[str, ...]
    at_risk: int


def unit(folder: Path) -> None:
    """One unit of work is done."""
    with (folder / "units").open("ab") as stream:
        stream.write(b".")


class SlowEMT(EMT):
    """A teacher that takes its time."""

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        time.sleep(0.002)
        super().calculate(atoms, properties, system_changes)


def label(folder: Path) -> None:
    """Eight relaxations around a guest."""
    _workers._TEACHERS.__init__()  # begin as a new process does
    host = bulk("Cu", "fcc", a=3.7).repeat((2, 2, 1))
    host.rattle(0.03, seed=2)
    points = draw_points(host, 8, (12, 12, 12), ((1.2, 1.0),), seed=3)[0]
    started = (
        len((folder / "labels.jsonl").read_text().splitlines()) if (folder / "labels.jsonl").exists() else 0
    )

    def progress(done: int, total: int) -> None:
        if done > max(started - 1, 0):
            unit(folder)

    found = label_points(
        host, "Ni", points, "long_work:SlowEMT", checkpoint=folder / "labels.jsonl", workers=0, fmax=0.02,
        progress=progress,
    )  # fmt: skip
    write_labels(folder / "labels.jsonl.gz", found)


def small_host() -> Atoms:
    """A sheared rock-salt cell of eight atoms."""
    corners = [[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
    cell = [[5.6, 0.0, 0.0], [0.6, 5.4, 0.0], [0.3, -0.4, 5.8]]
    return Atoms("Ta4O4", scaled_positions=np.array(corners) / 2, cell=cell, pbc=True)


def train(folder: Path) -> None:
    """A committee of two on a made-up landscape."""
    host = small_host()
    positions = draw_points(host, 60, (12, 12, 12), ((1.3, 1.0),), seed=1)[0]
    wave = positions @ np.linalg.inv(host.cell.array) * 2 * np.pi
    energies = np.cos(wave).sum(axis=1)
    gradients = -np.sin(wave) @ (2 * np.pi * np.linalg.inv(host.cell.array)).T
    settings = TrainingSettings(hidden=(6,), members=2, max_iterations=60, patience=60)
    potential = train_guest(
        host, "Cu", default_guest_set(("Ta", "O"), 4.5, 3.5), positions, energies, gradients, settings,
        seed=2, checkpoint=folder / "train", progress=lambda *_: unit(folder),
    )  # fmt: skip
    save(potential, folder / "potential.nnp")


class CountedLandscape:
    """Two waves in a skewed cell, slow enough to be killed, that count how often they are asked."""

    def __init__(self, folder: Path) -> None:
        self.cell = np.array([[4.0, 0.0, 0.0], [0.7, 4.3, 0.0], [-0.4, 0.5, 3.8]])
        self._reciprocal = 2 * np.pi * np.linalg.inv(self.cell)
        self._folder = folder

    def energy_and_gradient(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wave = points @ self._reciprocal
        energies = -np.cos(wave).sum(axis=1) + 0.3 * np.cos(wave[:, 0] - wave[:, 1])
        slope = np.sin(wave)
        mixed = 0.3 * np.sin(wave[:, 0] - wave[:, 1])
        slope[:, 0] -= mixed
        slope[:, 1] += mixed
        time.sleep(0.001)
        unit(self._folder)
        return energies, slope @ self._reciprocal.T


def search_landscape(folder: Path) -> None:
    """Sites and passes of a landscape whose answers are kept on disk."""
    landscape = search.RememberedLandscape(CountedLandscape(folder), folder / "answers", batch=32)
    network = search.build_network(landscape, grid=(10, 10, 10), energy_cap=5.0, guest="Li", prefactors=1e12)
    record = network.graph["search"]
    network.graph["search"] = {k: v for k, v in record.items() if not k.startswith("seconds")}
    kmc.write_graph(network, folder / "network.json")


def bands(folder: Path) -> None:
    """Climbing bands along every hop, on the same landscape."""
    landscape = search.RememberedLandscape(CountedLandscape(folder), folder / "answers", batch=32)
    network = search.build_network(landscape, grid=(10, 10, 10), energy_cap=5.0, guest="Li", prefactors=1e12)
    rows = [[hop.edge, float(hop.barrier), hop.reason] for hop in search.neb.refine(landscape, network)]
    temporary = folder / "bands.json.tmp"
    temporary.write_text(json.dumps(rows))
    temporary.replace(folder / "bands.json")


def ring(sites: int = 40) -> nx.MultiDiGraph:
    """A disordered chain that closes through the cell."""
    rng = np.random.default_rng(5)
    energies, saddles = rng.normal(0.0, 0.05, sites), rng.uniform(0.2, 0.4, sites)
    graph = nx.MultiDiGraph(schema="hopping-graph/1", cell=np.diag([1.5 * sites, 3, 3]).tolist(), guest="Li")
    for i in range(sites):
        graph.add_node(i, position=[1.5 * i, 0.0, 0.0], energy=float(energies[i]))
    for i in range(sites):
        j, over = (i + 1) % sites, int(i == sites - 1)
        for a, b, image in ((i, j, over), (j, i, -over)):
            barrier = float(saddles[i] - energies[a])
            graph.add_edge(a, b, image=[image, 0, 0], barrier=barrier, prefactor=1e13)
    return graph


def walk(folder: Path) -> None:
    """Kinetic Monte Carlo at two temperatures."""
    checkpoints.INTERVAL = 0.0
    kept = checkpoints._save

    def save_and_count(*arguments):
        kept(*arguments)
        unit(folder)

    checkpoints._save = save_and_count
    try:
        for kelvin in (400, 700):
            run = kmc.simulate(ring(), kelvin, 200, 15_000, seed=4, checkpoint=folder / f"walk{kelvin}.npz")
            np.save(folder / f"windings{kelvin}.npy", run.windings)
            np.save(folder / f"durations{kelvin}.npy", run.durations)
    finally:
        checkpoints._save = kept


def dynamics(folder: Path) -> None:
    """Molecular dynamics at a pressure; a unit is a frame, and every frame has its checkpoint."""
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    result = run(
        atoms, StillingerWeber(), "npt-flexible", 1.0, 3000, temperature=(900, 1500), seed=3, every=60,
        log_every=20, trajectory=folder / "run.iontraj", checkpoint_seconds=0.0, watch=lambda _: unit(folder),
    )  # fmt: skip
    keep(folder / "end.npz", positions=result.atoms.positions, log=result.log.to_numpy())


def quench(folder: Path) -> None:
    """An amorphous model: melt, quench, anneal, relax."""
    protocol = Protocol(
        melt_K=4000.0, final_K=500.0, rate_K_per_s=3.5e15, melt_ps=0.6, most_melt_ps=6.0, anneal_ps=0.3,
        every=50, melted_A=0.4, relax_eV_A=0.05,
    )  # fmt: skip
    made = melt_quench(
        random_packing({"Si": 32}, density_g_cm3=2.3, seed=1), StillingerWeber(), protocol, folder / "glass",
        seed=2, checkpoint_seconds=0.0, watch=lambda _: unit(folder),
    )  # fmt: skip
    keep(folder / "end.npz", positions=made.atoms.positions, log=made.log.drop(columns="stage").to_numpy())


def keep(path: Path, **arrays: np.ndarray) -> None:
    """Arrays in a file that is there whole or not at all."""
    temporary = path.with_name("kept.npz.part")
    with temporary.open("wb") as stream:
        np.savez(stream, **arrays)
    temporary.replace(path)


def graph_study(folder: Path) -> None:
    """A study of a hopping graph; a unit is a row of its tables."""
    kmc.write_graph(ring(), folder / "graph.json")
    (folder / "study.toml").write_text(
        'seed = 3\n[graph]\nfile = "graph.json"\n[transport]\ntemperatures = [500, 700, 900]\nwalkers = 200\n'
        "hops = 20000\n[carriers]\ncounts = [4]\nhops = 300000\n"
    )

    def progress(_: str, done: int, total: int) -> None:
        if done > started:
            unit(folder)

    started = len(list((folder / "run" / "rows").glob("*.json")))
    study = read_study(folder / "study.toml")
    run_graph_study(study, folder / "study.toml", folder / "run", progress=progress)


CONFIG = """
guest = "Cu"
seed = 3
[host]
file = "host.extxyz"
[labels]
count = 40
test_count = 8
core_count = 4
core_distance = 1.2
grid = [12, 12, 12]
keep = [[1.5, 1.0]]
calculator = "ase.calculators.lj:LennardJones"
calculator_kwargs = {sigma = 1.75, epsilon = 0.25, rc = 4.5, smooth = true}
spring = 5.0
precondition = false
[network]
cutoff = 4.5
angular_cutoff = 3.5
hidden = [4]
members = 2
max_iterations = 20
patience = 10
correction = false
[search]
grid = [14, 14, 14]
prefactors = 1e12
energy_cap = 1.2
[transport]
temperatures = [600, 800, 1000]
walkers = 200
hops = 20000
"""
ROAD = tuple(name for stage in workflow.STAGES for name in stage.outputs)


def road(folder: Path) -> None:
    """A whole run; a unit is a stage that was worked at to its end."""
    ase.io.write(folder / "host.extxyz", small_host())
    (folder / "config.toml").write_text(CONFIG)
    done, workflow.RunFolder.mark_done = workflow.RunFolder.mark_done, None

    def mark_and_count(self, stage, *arguments):
        done(self, stage, *arguments)
        if stage != "summary":
            unit(folder)

    workflow.RunFolder.mark_done = mark_and_count
    try:
        workflow.run(folder / "config.toml", folder / "run", workers=0)
    finally:
        workflow.RunFolder.mark_done = done


#: One entry a stage; a new room adds its own here and nowhere else.
WORKS = {
    "label": Work(label, ("labels.jsonl", "labels.jsonl.gz", "labels.jsonl.hessian.npy"), at_risk=1),
    "train": Work(train, ("potential.nnp",), at_risk=11),  # a checkpoint every ten iterations
    "search": Work(search_landscape, ("network.json",), at_risk=1),
    "bands": Work(bands, ("bands.json",), at_risk=1),
    "walk": Work(walk, ("windings400.npy", "durations400.npy", "windings700.npy", "durations700.npy"), 1),
    "dynamics": Work(dynamics, ("end.npz", "run.iontraj"), at_risk=2),
    "quench": Work(quench, ("end.npz", "glass/quenched.json", "glass/quench.iontraj"), at_risk=2),
    "graph study": Work(graph_study, ("run/diffusivity.csv", "run/carriers.csv", "run/summary.json"), 1),
    "road": Work(road, tuple(f"run/{name}" for name in ROAD), at_risk=1),
}


def main() -> None:
    """Serve requests until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the work prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        work, folder = WORKS[request["work"]], Path(request["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        started = time.perf_counter()
        if request.get("fork"):
            pid = os.fork()
            if pid == 0:
                _in_fork(work, folder)
            code = _wait(pid, started + request.get("kill_after", 1e9))
        else:
            work.run(folder)
            code = 0
        seconds = time.perf_counter() - started
        print(json.dumps({"code": code, "seconds": seconds}), file=answers, flush=True)


def _wait(pid: int, deadline: float) -> int:
    """The exit code of a fork, which is killed at the deadline."""
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        left = deadline - time.perf_counter()
        if left <= 0:
            os.kill(pid, signal.SIGKILL)  # not waited for, so the number is still its own
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        time.sleep(min(left, 0.01))


def _in_fork(work: Work, folder: Path) -> None:
    try:
        work.run(folder)
    except BaseException:  # noqa: BLE001  nothing may get back into the loop of the parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    sys.modules["long_work"] = sys.modules["__main__"]  # the teacher's import path
    main()
