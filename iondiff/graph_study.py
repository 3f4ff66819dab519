"""Transport on a hopping graph and nothing else: exact, walked, and with many carriers; each row kept as it ends."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

import iondiff
import kmc
from iondiff.files import file_hash, is_sealed, read_bounded, sealed, write_atomically, write_json
from iondiff.run_folder import RunFolder
from iondiff.studies import GraphStudy, Progress, keep_configuration

_LARGEST = 1 << 20  # bytes of a row
OUTPUTS = ("network.json", "diffusivity.csv", "carriers.csv", "summary.json")


@dataclass(frozen=True)
class Task:
    """One row of a table: temperature in K, by one method, for one number of carriers."""

    method: str
    temperature: float
    seed: int
    walkers: int = 0
    hops: int = 0
    carriers: int = 0
    replicate: tuple[int, int, int] = (1, 1, 1)


def tasks_of(study: GraphStudy) -> list[Task]:
    """The rows of a study; each has a seed of its own."""
    transport, carriers, tasks = study.transport, study.carriers, []
    for number, kelvin in enumerate(transport.temperatures):
        seed = study.seed + number
        if "exact" in transport.methods:
            tasks.append(Task("exact", kelvin, 0))
        if "walk" in transport.methods:
            tasks.append(Task("walk", kelvin, seed, transport.walkers, transport.hops))
        tasks += [
            Task("gas", kelvin, seed, hops=carriers.hops, carriers=count, replicate=carriers.replicate)
            for count in carriers.counts
        ]
    return tasks


def run_graph_study(
    study: GraphStudy,
    config_path: Path,
    output: Path,
    *,
    progress: Progress = lambda *_: None,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Fill a run folder from a hopping graph and return its summary.

    Parameters
    ----------
    study
        From :func:`iondiff.studies.read_study`.
    config_path
        Where it came from; a copy is kept.
    output
        Run folder; started again, rows that are there are not made again.
    progress
        Called with ("rows", done, in all).
    executor
        Where rows are made, instead of here one after another.
    """
    graph = kmc.read_graph(study.graph.file)
    with RunFolder(output) as folder:
        folder.log(f"diffusion-network {iondiff.__version__}, process {os.getpid()} on {platform.node()}")
        keep_configuration(config_path, output / "config.toml", study)
        kmc.write_graph(graph, output / "network.json")
        try:
            tasks = tasks_of(study)
            rows = _rows(graph, tasks, output, progress, folder.log, executor)
            _write_tables(tasks, rows, output)
            summary = _summary(graph, output)
        except BaseException as error:
            folder.log(f"stopped: {type(error).__name__}: {error}")
            raise
        key = hashlib.sha256(study.model_dump_json().encode()).hexdigest()
        folder.mark_done("graph", key, OUTPUTS, None)
        folder.log("finished")
    return summary


def _rows(
    graph: nx.MultiDiGraph, tasks: list[Task], folder: Path, progress: Progress, log: Callable[[str], None],
    executor: Executor | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows in order; those of an earlier start are read."""
    network, digest = kmc.compile_graph(graph), file_hash(folder / "network.json")
    (folder / "rows").mkdir(exist_ok=True)
    names = [hashlib.sha256(f"{digest} {task}".encode()).hexdigest()[:16] for task in tasks]
    kept = [folder / "rows" / f"{name}.json" for name in names]
    rows = {place: row for place, path in enumerate(kept) if (row := _kept(path)) is not None}
    progress("rows", len(rows), len(tasks))
    missing = [place for place in range(len(tasks)) if place not in rows]
    for place, row in _made(network, tasks, kept, missing, executor):
        write_json(kept[place], sealed({"row": row}))
        kept[place].with_suffix(".npz").unlink(missing_ok=True)
        rows[place] = row
        log(f"{tasks[place].method} at {tasks[place].temperature:g} K: D = {row['D']:.4g} cm²/s")
        progress("rows", len(rows), len(tasks))
    return [rows[place] for place in range(len(tasks))]


def _made(
    network: kmc.Network, tasks: list[Task], kept: list[Path], missing: list[int], executor: Executor | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    if executor is None:
        for place in missing:
            yield place, row_of(network, tasks[place], kept[place].with_suffix(".npz"))
        return
    futures = {executor.submit(row_of, network, tasks[place]): place for place in missing}
    for future in as_completed(futures):
        yield futures[future], future.result()


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(read_bounded(path, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return record["row"] if is_sealed(record) else None


def row_of(network: kmc.Network, task: Task, checkpoint: Path | None = None) -> dict[str, Any]:
    """One row, cm²/s; what is too short for its own error bar is kept, with a note that says so."""
    row: dict[str, Any] = {"temperature": task.temperature, "method": task.method, "note": ""}
    if task.method == "exact":
        tensor = kmc.diffusion_tensor(network, task.temperature)
        return {**row, "D": float(np.trace(tensor)) / 3.0, "D_error": 0.0}
    if task.method == "walk":
        walk = kmc.simulate(
            network, task.temperature, task.walkers, task.hops, seed=task.seed, checkpoint=checkpoint
        )
        return {**row, **_estimated(kmc.tracer_diffusivity, walk, "D")}
    gas = kmc.simulate_gas(
        network, task.carriers, task.temperature, replicate=task.replicate, n_hops=task.hops, seed=task.seed,
        checkpoint=checkpoint,
    )  # fmt: skip
    row |= {"carriers": task.carriers, "occupancy": task.carriers / gas.n_sites}
    tracer = _estimated(kmc.tracer_diffusivity, gas, "D")
    charge = _estimated(kmc.charge_diffusivity, gas, "D_charge")
    return {**row, **tracer, **charge, "note": tracer["note"] or charge["note"]}


def _estimated(measure: Callable[..., kmc.Estimate], run: Any, name: str) -> dict[str, Any]:
    note = ""
    try:
        estimate = measure(run)
    except kmc.NotConvergedError as error:
        estimate, note = error.estimate, str(error)
    value, spread = float(np.asarray(estimate.value)), float(np.asarray(estimate.error))
    finite = np.isfinite(value)
    return {
        name: value if finite else None,
        f"{name}_error": spread if np.isfinite(spread) else None,
        "note": note or ("" if finite else f"{name} cannot be told from this run"),
    }


def _write_tables(tasks: list[Task], rows: list[dict[str, Any]], folder: Path) -> None:
    single = [row for task, row in zip(tasks, rows, strict=True) if task.method != "gas"]
    many = [row for task, row in zip(tasks, rows, strict=True) if task.method == "gas"]
    columns = ["temperature", "D", "D_error", "method", "note"]
    write_atomically(folder / "diffusivity.csv", pd.DataFrame(single, columns=columns).to_csv(index=False))
    columns = ["temperature", "carriers", "occupancy", "D", "D_error", "D_charge", "D_charge_error", "note"]
    write_atomically(folder / "carriers.csv", pd.DataFrame(many, columns=columns).to_csv(index=False))


def _summary(graph: nx.MultiDiGraph, folder: Path) -> dict[str, Any]:
    percolation = kmc.percolation(graph)
    table = pd.read_csv(folder / "diffusivity.csv")
    usable = table[(table["method"] == table["method"].iloc[0]) & (table["D"] > 0)] if len(table) else table
    fit = kmc.fit_arrhenius(usable) if usable["temperature"].nunique() > 1 else None
    summary = {
        "study": "graph",
        "n_sites": graph.number_of_nodes(),
        "n_hops": graph.number_of_edges(),
        "percolates_in": percolation.rank,
        "percolation_barriers_eV": [float(b) if np.isfinite(b) else None for b in percolation.barriers],
        "activation_energy_eV": None if fit is None else float(fit.Ea),
        "D0_cm2_s": None if fit is None else float(fit.D0),
    }
    write_json(folder / "summary.json", summary)
    return summary


def plan_rows(study: GraphStudy) -> list[dict[str, Any]]:
    """What would be done, as plain data."""
    return [asdict(task) for task in tasks_of(study)]
