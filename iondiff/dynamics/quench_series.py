"""Many quenches at once: rates and independent samples, in processes here or wherever an executor sends them."""

from __future__ import annotations

from concurrent.futures import Executor, Future, wait
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ase import Atoms

from iondiff.dynamics._drivers import Compilable
from iondiff.dynamics._quench_progress import read_progress, step_bar
from iondiff.dynamics.melt_quench import Protocol, Quenched, melt_quench
from iondiff.errors import DynamicsError, IondiffError
from iondiff.processes import local_pool

_LOOK = 0.5  # s between two looks at how far the samples are


def quench_series(
    atoms: Atoms | list[Atoms],
    potential: Any,
    protocols: list[Protocol],
    folder: str | Path,
    samples: int = 1,
    seed: int = 0,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool = False,
    **options: Any,
) -> list[Quenched]:
    """Every protocol with several independent samples; killed and called again, all go on.

    Parameters
    ----------
    atoms
        One start for all samples, or a list with one for each.
    potential
        As of :func:`melt_quench`; it is sent to other processes. What cannot be pickled (most universal potentials) is
        given as a function without arguments that makes it.
    protocols
        For example one for each rate.
    folder
        ``protocol-0/sample-0`` and so on are made in it.
    samples
        Of each protocol.
    seed
        Of the first sample; the others count on from it, whatever the number of workers.
    workers
        Processes here.
    executor
        Anything with `submit`, such as that of a Dask client, instead; its workers have to see `folder`.
    progress
        Whether to show a bar over all steps with the time left.
    options
        Of :func:`melt_quench`.

    Returns
    -------
    list of Quenched
        Samples of the first protocol, then of the second, and so on.

    Raises
    ------
    DynamicsError, and what :func:`melt_quench` raises
        After the other samples have ended; the sentence says which sample failed.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise DynamicsError(f"samples is {samples!r}; wanted a whole number of at least 1")
    starts = atoms if isinstance(atoms, list) else [atoms] * samples
    if len(starts) != samples or not protocols:
        raise DynamicsError(
            f"{len(starts)} structures for {samples} samples and {len(protocols)} protocols; wanted one structure, "
            "or one for each sample, and at least one protocol"
        )
    places = [(p, k) for p in range(len(protocols)) for k in range(samples)]
    folders = [Path(folder) / f"protocol-{p}" / f"sample-{k}" for p, k in places]
    door: AbstractContextManager[Any] = local_pool(workers) if executor is None else nullcontext(executor)
    with door as pool:
        futures = [
            pool.submit(_one, starts[k], potential, protocols[p], place, seed + k, options)
            for (p, k), place in zip(places, folders, strict=True)
        ]
        if progress:
            _show(futures, folders, [protocols[p].expected_steps for p, _ in places])
        return _gather(futures, places)


def _one(
    atoms: Atoms, potential: Any, protocol: Protocol, folder: Path, seed: int, options: dict[str, Any]
) -> Quenched:
    makes_it = callable(potential) and not isinstance(potential, Compilable)
    return melt_quench(atoms, potential() if makes_it else potential, protocol, folder, seed, **options)


def _show(futures: list[Future[Quenched]], folders: list[Path], totals: list[int]) -> None:
    with step_bar() as bar:
        task = bar.add_task(f"{len(futures)} quenches", total=sum(totals))
        waiting = set(futures)
        while waiting:
            waiting = wait(waiting, timeout=_LOOK).not_done
            seen = [read_progress(folder) for folder in folders]
            all_steps = [one.get("total", total) for one, total in zip(seen, totals, strict=True)]
            done = [
                total if future.done() else one.get("done", 0)
                for future, one, total in zip(futures, seen, all_steps, strict=True)
            ]
            bar.update(task, completed=sum(done), total=sum(all_steps))


def _gather(futures: list[Future[Quenched]], places: list[tuple[int, int]]) -> list[Quenched]:
    made: list[Quenched] = []
    failures: list[IondiffError] = []
    for (p, k), future in zip(places, futures, strict=True):
        try:
            made.append(future.result())
        except IondiffError as error:
            error.args = (f"protocol {p}, sample {k}: {error}", *error.args[1:])
            failures.append(error)
    if failures:
        raise failures[0]
    return made
