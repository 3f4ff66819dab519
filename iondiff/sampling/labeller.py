"""Label many points: a process a core, a checkpoint after every label, the same set after any kill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, as_completed
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from iondiff.descriptors import check_host
from iondiff.errors import CalculatorError, HostError, LabelError
from iondiff.files import host_fingerprint, unwritable
from iondiff.processes import ProcessDiedError, local_pool
from iondiff.sampling._checkpoint import hessian_path, open_checkpoint, read_hessian, write_hessian
from iondiff.sampling._workers import Failure, Maker, hessian_of, label_one
from iondiff.sampling.label_files import SCHEMA, Label, LabelSet, format_label, parse_label
from iondiff.sampling.points import nearest_distance
from iondiff.sampling.tethered import RelaxedLabel

_HOPELESS = 10  # failed points beyond the allowed number after which the rest is not tried


def label_points(
    host: Atoms,
    guest: str,
    points: np.ndarray,
    calculator: str,
    calculator_kwargs: Mapping[str, Any] | None = None,
    *,
    checkpoint: str | Path,
    part: str = "grid",
    spring: float = 1.0,
    fmax: float = 0.02,
    max_evaluations: int = 200,
    precondition: bool = True,
    hessian_file: str | Path | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    max_failures: int = 0,
) -> LabelSet:
    """Relax the host around the guest at every point and return the labels, in the order of `points`.

    Parameters
    ----------
    host
        Pristine host, positions in Å, periodic in all three directions.
    guest
        Chemical symbol.
    points
        (n, 3), Å, Cartesian.
    calculator, calculator_kwargs
        Import path and keyword arguments of any ASE calculator
        (:func:`iondiff.sampling.calculators.make_calculator`); every worker makes its own.
    checkpoint
        ``.jsonl`` file that grows by a line a label. Labels already in it are not computed again; it must be
        of the same host, guest, calculator, settings and points.
    part
        Name of this set of points (:class:`Label`).
    spring, fmax, max_evaluations
        See :func:`iondiff.sampling.tethered.relax_host`.
    precondition
        Compute the host's Hessian once (6 n_atoms calculator calls) and relax with it.
    hessian_file
        Where the Hessian is kept, by default beside `checkpoint`; name one to share it between sets.
    workers
        Processes, by default one a core; 0 works in this process.
    executor
        Any ``concurrent.futures.Executor`` (for Dask: ``client.get_executor()``) instead of a local pool.
    provenance
        Plain data to keep in the file's header, such as the teacher's name and version.
    progress
        Called with (labels done, labels wanted).
    max_failures
        So many points may fail, for example by a self-consistent cycle that does not end; they are missing in
        the result and tried again at the next start. A point whose process dies is tried once more in a fresh
        one before it counts as failed.

    Raises
    ------
    LabelError
        The checkpoint belongs to other labels.
    CalculatorError
        The calculator cannot be made, no process starts, or more points failed than allowed. Every label
        finished until then is in the checkpoint; one failing point does not stop the others.
    FileError
        The checkpoint cannot be written.
    """
    checkpoint = Path(checkpoint)
    points = np.asarray(points, dtype=float)
    _check(host, guest, points)
    maker: Maker = (calculator, dict(calculator_kwargs or {}))
    settings = {
        "schema": SCHEMA,
        "guest": guest,
        "host": host_fingerprint(host),
        "calculator": calculator,
        "calculator_kwargs": maker[1],
        "spring_eV_A2": spring,
        "fmax_eV_A": fmax,
        "max_evaluations": max_evaluations,
        "preconditioned": precondition,
        **dict(provenance or {}),
    }
    done = open_checkpoint(checkpoint, settings, part, points)
    wanted = [index for index in range(len(points)) if index not in done]
    total, n_before, failures = len(points), len(points) - len(wanted), {}
    if progress:
        progress(n_before, total)
    if wanted:
        kept = hessian_path(checkpoint) if hessian_file is None else Path(hessian_file)
        nearest = nearest_distance(host, points)
        local = executor is None and workers != 0
        pool = (
            local_pool(min(workers or os.cpu_count() or 1, len(wanted))) if local else nullcontext(executor)
        )
        try:
            with pool as door, checkpoint.open("a", encoding="utf-8") as stream:
                hessian = _cached_hessian(kept, host, maker, door) if precondition else None
                common = (host, maker, guest, spring, fmax, max_evaluations, hessian)
                for index, result in _run(door, common, points, wanted):
                    if isinstance(result, Failure):
                        failures[index] = result.reason
                        if len(failures) >= max_failures + _HOPELESS:
                            break
                        continue
                    done[index] = _as_label(result, index, points[index], nearest[index], host, part)
                    stream.write(format_label(done[index]) + "\n")
                    stream.flush()
                    os.fsync(stream.fileno())
                    if progress:
                        progress(len(done), total)
        except BrokenExecutor as error:
            raise CalculatorError(
                f"no labelling process could work ({error}); {len(done)} of {total} labels are in "
                f"{checkpoint}: start again to "
                "go on, with fewer workers if memory ran out; a script must start its work under "
                "if __name__ == '__main__'"
            ) from error
        except OSError as error:
            raise unwritable(checkpoint, error) from error
    if len(failures) > max_failures:
        first = min(failures)
        raise CalculatorError(
            f"{len(failures)} of {total} points could not be labelled; the first, point {first} at "
            f"{np.round(points[first], 3).tolist()} Å: {failures[first]}; {len(done)} labels are in "
            f"{checkpoint}: mend "
            "the calculator and start again, or allow max_failures"
        )
    # Through the text form, so that a label has the same digits whether it was just computed or read back.
    labels = [parse_label(format_label(done[index]), f"label {index}") for index in sorted(done)]
    return LabelSet(labels, settings)


def _check(host: Atoms, guest: str, points: np.ndarray) -> None:
    check_host(host)
    if not host.pbc.all():
        raise HostError(
            f"the host is periodic along {host.pbc.tolist()}; wanted all three directions: set "
            "host.pbc = True"
        )
    if guest not in chemical_symbols[1:]:
        raise LabelError(f"guest is {guest!r}; wanted a chemical symbol such as 'Cu'")
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise LabelError(f"points have shape {points.shape}; wanted (n, 3) finite numbers, Å")


def _run(
    executor: Executor | None, common: tuple[Any, ...], points: np.ndarray, wanted: Sequence[int]
) -> Iterator[tuple[int, RelaxedLabel | Failure]]:
    if executor is None:
        for index in wanted:
            yield index, label_one(*(*common, points[index]))
        return
    futures = {executor.submit(label_one, *(*common, points[index])): index for index in wanted}
    for future in as_completed(futures):
        yield futures[future], _outcome(future)


def _outcome(future: Future[Any]) -> Any:
    """The result of a task, or why there is none: its worker died twice, or as often as Dask allows."""
    try:
        return future.result()
    except (BrokenExecutor, CalculatorError):
        raise
    except ProcessDiedError as error:
        return Failure(f"{error}; if memory ran out, take fewer workers")
    except Exception as error:  # noqa: BLE001  schedulers have their own words for a worker that died
        return Failure(f"{type(error).__name__}: {error}")


def _as_label(
    result: RelaxedLabel, index: int, point: np.ndarray, nearest: float, host: Atoms, part: str
) -> Label:
    shift = np.sqrt(((result.host_positions - host.positions) ** 2).sum(axis=1)).max()
    x, y, z = (float(c) for c in point)
    fx, fy, fz = (float(c) for c in result.guest_force)
    return Label(
        index, (x, y, z), result.energy, result.bare_energy, (fx, fy, fz), result.evaluations, result.fmax,
        float(shift), float(nearest), bool(result.converged), part,
    )  # fmt: skip


def _cached_hessian(path: Path, host: Atoms, maker: Maker, executor: Executor | None) -> np.ndarray:
    """The host's Hessian, kept in a file: resumed labels must see the same preconditioner."""
    if not path.exists():
        found = (
            hessian_of(host, maker)
            if executor is None
            else _outcome(executor.submit(hessian_of, host, maker))
        )
        if isinstance(found, Failure):
            raise CalculatorError(f"the host's Hessian could not be computed: {found.reason}")
        write_hessian(path, found)
    hessian = read_hessian(path)
    if hessian.shape != (3 * len(host), 3 * len(host)):
        raise LabelError(f"{path} is of another host; delete it, it will be computed again")
    return hessian
