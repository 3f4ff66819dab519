"""Several runs at once, each in a process of its own, here or wherever an executor sends them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.dynamics.runner import Run, run
from iondiff.errors import DynamicsError, MDUnstable
from iondiff.processes import local_pool


def run_replicas(
    atoms: Atoms | Sequence[Atoms],
    potential: Any,
    n_replicas: int | None = None,
    *,
    seed: int = 0,
    folder: str | Path | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> list[Run]:
    """Independent runs that differ in their random numbers, their structure, or any option given as a list.

    Parameters
    ----------
    atoms
        One structure for all, or one for each.
    potential
        As of :func:`iondiff.dynamics.run`; it is sent to other processes, so it has to be picklable.
    n_replicas
        How many; may be left out where a list says it.
    seed
        Replica k has a seed derived from this one and k, whatever the number of workers.
    folder
        Where ``replica-000.iontraj`` and so on are written (and gone on from); no trajectories when not given.
    workers
        Processes; as many as there are processors when not given.
    executor
        Anything with `submit`, such as a Dask client's executor, instead of local processes.
    options
        Of :func:`iondiff.dynamics.run`; a list has one value for each replica.

    Returns
    -------
    list of Run
        In order.

    Raises
    ------
    MDUnstable
        A replica left its bounds; raised after the others have ended, with the number of the replica in its
        sentence.
    """
    structures = [atoms] if isinstance(atoms, Atoms) else list(atoms)
    lists = {name: value for name, value in options.items() if isinstance(value, list)}
    lengths = {len(value) for value in lists.values()} | ({len(structures)} - {1})
    count = n_replicas if n_replicas is not None else max(lengths, default=len(structures))
    if count < 1 or lengths - {count}:
        raise DynamicsError(
            f"{count} replicas, but lists of {sorted(lengths)} structures or options; wanted one value, or "
            "one for each"
        )
    seeds = [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(seed).spawn(count)]
    tasks = []
    for k in range(count):
        chosen = {name: value[k] if name in lists else value for name, value in options.items()}
        chosen["seed"] = seeds[k]
        if folder is not None:
            chosen["trajectory"] = Path(folder) / f"replica-{k:03d}.iontraj"
        tasks.append((structures[k % len(structures)], potential, chosen))
    workers = min(count, workers or os.cpu_count() or 1)
    door: AbstractContextManager[Any] = local_pool(workers) if executor is None else nullcontext(executor)
    with door as pool:
        return _gather([pool.submit(_one, *task) for task in tasks])


def _one(atoms: Atoms, potential: Any, options: dict[str, Any]) -> Run:
    return run(atoms, potential, **options)


def _gather(futures: list[Future[Run]]) -> list[Run]:
    runs: list[Run] = []
    failures: list[MDUnstable] = []
    for k, future in enumerate(futures):
        try:
            runs.append(future.result())
        except MDUnstable as error:
            error.reason = f"replica {k}: {error.reason}"
            error.args = (error.reason,)
            failures.append(error)
    if failures:
        raise failures[0]
    return runs
