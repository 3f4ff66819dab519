"""Label many points: one process a core, a checkpoint after every label, the same final set after any kill."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import LabelError
from iondiff.files import host_fingerprint
from iondiff.sampling.calculators import make_calculator
from iondiff.sampling.label_files import (
    SCHEMA,
    Label,
    LabelSet,
    format_label,
    parse_header,
    parse_label,
)
from iondiff.sampling.points import nearest_distance
from iondiff.sampling.tethered import host_hessian, relax_host

#: One thread a process: universal potentials on a hundred atoms are slower with two.
_SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


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
    workers: int | None = None,
    executor: Executor | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LabelSet:
    """Relax the host around the guest at every point and return the labels, in the order of `points`.

    Parameters
    ----------
    host
        Pristine host, positions in Å.
    guest
        Chemical symbol.
    points
        (n, 3), Å, Cartesian.
    calculator, calculator_kwargs
        Import path and keyword arguments of any ASE calculator
        (:func:`iondiff.sampling.calculators.make_calculator`); every worker makes its own.
    checkpoint
        ``.jsonl`` file that grows by a line a label. Labels already in it are not computed again; it must be
        of the same host, guest, calculator and settings.
    part
        Name of this set of points (:class:`Label`).
    spring, fmax, max_evaluations
        See :func:`iondiff.sampling.tethered.relax_host`.
    precondition
        Compute the host's Hessian once (6 n_atoms calculator calls) and relax with it.
    workers
        Processes, by default one a core; 0 works in this process.
    executor
        Any ``concurrent.futures.Executor`` (a Dask client's too) instead of a local pool.
    progress
        Called with (labels done, labels wanted).

    Raises
    ------
    LabelError
        The checkpoint belongs to other labels.
    CalculatorError
        The calculator cannot be made or fails.
    """
    checkpoint = Path(checkpoint)
    settings = {
        "schema": SCHEMA,
        "guest": guest,
        "host": host_fingerprint(host),
        "calculator": calculator,
        "calculator_kwargs": dict(calculator_kwargs or {}),
        "spring_eV_A2": spring,
        "fmax_eV_A": fmax,
        "max_evaluations": max_evaluations,
        "preconditioned": precondition,
        **dict(provenance or {}),
    }
    done = _open_checkpoint(checkpoint, settings)
    wanted = [index for index in range(len(points)) if (part, index) not in done]
    nearest = nearest_distance(host, points) if len(points) else np.zeros(0)
    total = len(points)
    if progress:
        progress(total - len(wanted), total)
    if wanted:
        maker = (calculator, dict(calculator_kwargs or {}))
        own = executor is None and workers != 0
        if own:
            executor = _local_pool(workers)
        try:
            hessian = _cached_hessian(checkpoint, host, maker, executor) if precondition else None
            common = (host, maker, guest, spring, fmax, max_evaluations, hessian)
            with checkpoint.open("a", encoding="utf-8") as stream:
                finished = total - len(wanted)
                for index, result in _run(executor, common, points, wanted):
                    label = _as_label(result, index, points[index], nearest[index], host, part)
                    stream.write(format_label(label) + "\n")
                    stream.flush()
                    os.fsync(stream.fileno())
                    done[part, index] = label
                    finished += 1
                    if progress:
                        progress(finished, total)
        finally:
            if own and executor is not None:
                executor.shutdown(cancel_futures=True)
    # Through the text form, so that a label has the same digits whether it was just computed or read back.
    labels = [parse_label(format_label(done[part, index]), f"label {index}") for index in range(total)]
    return LabelSet(labels, settings)


def _local_pool(workers: int | None) -> ProcessPoolExecutor:
    os.environ.update(_SINGLE_THREAD)  # inherited by the spawned workers before they import a maths library
    return ProcessPoolExecutor(workers or os.cpu_count(), mp_context=multiprocessing.get_context("spawn"))


def _run(executor: Executor | None, common: tuple, points: np.ndarray, wanted: Sequence[int]):
    if executor is None:
        for index in wanted:
            yield index, _label_one(*common, points[index])
        return
    futures = {executor.submit(_label_one, *common, points[index]): index for index in wanted}
    for future in as_completed(futures):
        yield futures[future], future.result()


_CALCULATORS: dict[str, Any] = {}  # one calculator a process: making it takes seconds


def _with_calculator(host: Atoms, maker: tuple[str, dict]) -> Atoms:
    key = json.dumps(maker, sort_keys=True)
    if key not in _CALCULATORS:
        _CALCULATORS[key] = make_calculator(*maker)
    atoms = host.copy()
    atoms.calc = _CALCULATORS[key]
    return atoms


_HOST_ENERGIES: dict[tuple[str, str], float] = {}


def _label_one(host, maker, guest, spring, fmax, max_evaluations, hessian, point):
    atoms = _with_calculator(host, maker)
    key = (json.dumps(maker, sort_keys=True), host_fingerprint(host))
    if key not in _HOST_ENERGIES:
        _HOST_ENERGIES[key] = float(atoms.get_potential_energy())
    return relax_host(
        atoms, guest, point, spring, fmax, max_evaluations, hessian, host_energy=_HOST_ENERGIES[key]
    )


def _as_label(result, index: int, point: np.ndarray, nearest: float, host: Atoms, part: str) -> Label:
    shift = np.sqrt(((result.host_positions - host.positions) ** 2).sum(axis=1)).max()
    x, y, z = (float(c) for c in point)
    fx, fy, fz = (float(c) for c in result.guest_force)
    return Label(
        index, (x, y, z), result.energy, result.bare_energy, (fx, fy, fz), result.evaluations, result.fmax,
        float(shift), float(nearest), bool(result.converged), part,
    )  # fmt: skip


def _open_checkpoint(path: Path, settings: dict[str, Any]) -> dict[tuple[str, int], Label]:
    """Labels already there; a last line cut off by a kill is removed from the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    lines = whole.splitlines()
    if not lines:
        path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        return {}
    header = parse_header(lines[0], path)
    for name, value in settings.items():
        if header.get(name) != value:
            raise LabelError(
                f"{path} holds labels made with {name} = {header.get(name)!r}, this run wants {value!r}; "
                "name another file or go on with the old settings"
            )
    if whole != text:
        temporary = path.with_name(path.name + ".tmp")
        temporary.write_text(whole, encoding="utf-8")
        os.replace(temporary, path)
    labels = [parse_label(line, f"{path} line {row}") for row, line in enumerate(lines[1:], start=2)]
    return {(label.part, label.index): label for label in labels}


def _hessian_of(host: Atoms, maker: tuple[str, dict]) -> np.ndarray:
    return host_hessian(_with_calculator(host, maker))


def _cached_hessian(
    checkpoint: Path, host: Atoms, maker: tuple[str, dict], executor: Executor | None
) -> np.ndarray:
    """The host's Hessian, kept beside the checkpoint: resumed labels must see the same preconditioner."""
    path = checkpoint.with_name(checkpoint.name + ".hessian.npy")
    if not path.exists():
        if executor is None:
            hessian = _hessian_of(host, maker)
        else:
            hessian = executor.submit(_hessian_of, host, maker).result()
        temporary = path.with_name(path.name + ".tmp.npy")
        np.save(temporary, hessian)
        os.replace(temporary, path)
    return np.load(path)
