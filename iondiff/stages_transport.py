"""Stages of a run: D(T), exactly and by walking, and the activation energy with its errors."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

import kmc
from iondiff.errors import RunError
from iondiff.files import file_hash, is_sealed, read_bounded, sealed, write_json
from iondiff.stage_context import LARGEST_RECORD, Context, read_record, write_table
from iondiff.uncertainty import potential_uncertainty


def transport(context: Context) -> None:
    """D(T), exactly and by walking, and the activation energy."""
    settings = context.config.transport
    network = context.network()
    temperatures = list(settings.temperatures)
    exact = kmc.sweep(network, temperatures)
    percolation = kmc.percolation(network)
    if not (exact["D"] > 0).all():
        raise RunError(
            f"no path leads through the cell below the energy cap (percolation rank {percolation.rank}); "
            "raise search.energy_cap"
        )
    walked = [
        Walked(t, settings.walkers, settings.hops, context.config.seed + i)
        for i, t in enumerate(temperatures)
    ]
    results = walks(context, network, walked)
    rows = [exact, *(pd.DataFrame([row]) for row, _ in results)]
    notes = [note for _, mine in results for note in mine]
    table = pd.concat(rows, ignore_index=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = kmc.fit_arrhenius(exact)
    # Two temperatures leave a straight line nothing to miss: its error is unknown, not infinite.
    fit_error = float(fit.Ea_error) if np.isfinite(fit.Ea_error) else None
    middle = float(np.median(temperatures))
    training = read_record(context.folder / "training.json")
    spread = potential_uncertainty(
        network, temperatures, training["by_energy"], training["lowest_eV"], seed=context.config.seed
    )
    hops = kmc.current_hops(network, middle)
    hops["image"] = [json.dumps(list(image)) for image in hops["image"]]
    write_table(table, context.folder / "diffusivity.csv")
    write_table(hops, context.folder / "current_hops.csv")
    barriers = [float(b) if np.isfinite(b) else None for b in percolation.barriers]
    write_json(
        context.folder / "transport.json",
        {
            "activation_energy_eV": float(fit.Ea),
            "activation_energy_error_eV": float(np.hypot(fit_error or 0.0, spread["activation_energy_eV"])),
            "activation_energy_fit_error_eV": fit_error,
            "potential_uncertainty": spread,
            "D0_cm2_s": float(fit.D0),
            "activation_energy_exact_eV": {
                str(t): float(kmc.activation_energy(network, t)) for t in temperatures
            },
            "percolation": {
                "rank": int(percolation.rank),
                **{f"barrier_{n}d_eV": barrier for n, barrier in zip((1, 2, 3), barriers, strict=True)},
            },
            "network": {"n_sites": network.number_of_nodes(), "n_hops": network.number_of_edges()},
            "notes": notes + [str(w.message) for w in caught],
        },
    )


@dataclass(frozen=True)
class Walked:
    """One temperature (K) to be walked, and how."""

    temperature: float
    walkers: int
    hops: int
    seed: int


Row = tuple[dict[str, Any], list[str]]  # a row of D(T), and what should be said about it


def walks(context: Context, network: nx.MultiDiGraph, walked: Sequence[Walked]) -> list[Row]:
    """A row of D(T) for each temperature; those of a run that was killed are read, not walked again."""
    compiled, graph = kmc.compile_graph(network), file_hash(context.folder / "network.json")
    # Named by what decides the walk, so that one of an older configuration is not in the way.
    names = [hashlib.sha256(f"{graph} {task}".encode()).hexdigest()[:16] for task in walked]
    kept = [context.folder / f"walk-{name}.json" for name in names]
    rows = {place: _kept_row(path) for place, path in enumerate(kept)}
    missing = [place for place, row in rows.items() if row is None]
    for place, row in _walk_all(context, compiled, walked, kept, missing):
        write_json(kept[place], sealed({"row": row[0], "notes": row[1]}))
        rows[place] = row
        context.progress("transport", sum(row is not None for row in rows.values()), len(walked))
    return [row for row in rows.values() if row is not None]


def _kept_row(path: Path) -> Row | None:
    try:
        record = json.loads(read_bounded(path, LARGEST_RECORD))
    except (OSError, ValueError, RecursionError):
        return None
    return (record["row"], record["notes"]) if is_sealed(record) else None


def _walk_all(
    context: Context, network: kmc.Network, walked: Sequence[Walked], kept: Sequence[Path], missing: list[int]
) -> Iterator[tuple[int, Row]]:
    """Places and rows as they are finished: here, or wherever the executor has its workers."""
    if context.executor is None:
        for place in missing:
            yield place, _walk_here(context, network, walked[place], kept[place].with_suffix(".npz"))
        return
    futures = {context.executor.submit(walk, network, walked[place]): place for place in missing}
    for future in as_completed(futures):
        yield futures[future], future.result()


def _walk_here(context: Context, network: kmc.Network, task: Walked, checkpoint: Path) -> Row:
    try:
        return walk(network, task, checkpoint)
    except kmc.CheckpointError as error:
        if not checkpoint.exists():  # it could not be written: nothing that walking again would mend
            raise
        context.say(f"{error}; the walk starts again")
        checkpoint.unlink()
        return walk(network, task, checkpoint)


def walk(network: kmc.Network, task: Walked, checkpoint: Path | None = None) -> Row:
    """One row of D(T) by kinetic Monte Carlo; a walk too short for its own error bar is kept and says so."""
    run = kmc.simulate(
        network, task.temperature, task.walkers, task.hops, seed=task.seed, checkpoint=checkpoint
    )
    notes = []
    try:
        estimate = kmc.tracer_diffusivity(run)
    except kmc.NotConvergedError as error:
        estimate = error.estimate
        notes.append(f"walk at {task.temperature:g} K: {error}")
    row = {
        "temperature": task.temperature,
        "D": float(estimate.value),
        "D_error": float(estimate.error),
        "method": "walk",
    }
    return row, notes
