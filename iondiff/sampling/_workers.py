"""What a labelling process does, and the local pool of such processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import CalculatorError
from iondiff.files import host_fingerprint
from iondiff.sampling.calculators import make_calculator
from iondiff.sampling.tethered import RelaxedLabel, host_hessian, relax_host

#: One thread a process: universal potentials on a hundred atoms are slower with two.
_SINGLE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Maker = tuple[str, dict[str, Any]]  # import path and keyword arguments of a calculator


@dataclass(frozen=True)
class Failure:
    """Why a point has no label."""

    reason: str


@contextmanager
def local_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh single-threaded processes that end with this one, however it ends."""
    before = {name: os.environ.get(name) for name in _SINGLE_THREAD}
    os.environ.update(_SINGLE_THREAD)  # inherited by the spawned workers before they import a maths library
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_with_parent() -> None:
    """Workers of a killed parent would wait for work for ever, each with a teacher in memory."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent,), daemon=True).start()


def _exit_after(process: BaseProcess) -> None:
    process.join()
    os._exit(1)


_CALCULATORS: dict[str, Any] = {}  # one calculator a process: making it takes seconds
_HOST_ENERGIES: dict[tuple[str, str], float] = {}


def _with_calculator(host: Atoms, maker: Maker) -> Atoms:
    key = json.dumps(maker, sort_keys=True)
    if key not in _CALCULATORS:
        _CALCULATORS[key] = make_calculator(*maker)
    atoms = host.copy()
    atoms.calc = _CALCULATORS[key]
    return atoms


def _host_energy(atoms: Atoms, maker: Maker) -> float:
    key = (json.dumps(maker, sort_keys=True), host_fingerprint(atoms))
    if key not in _HOST_ENERGIES:
        try:
            energy = float(atoms.get_potential_energy())
        except Exception as error:  # a calculator can raise anything
            raise CalculatorError(
                f"calculator {maker[0]!r} failed on the empty host ({type(error).__name__}: {error})"
            ) from error
        if not np.isfinite(energy):
            raise CalculatorError(f"calculator {maker[0]!r} gave the empty host the energy {energy} eV")
        _HOST_ENERGIES[key] = energy
    return _HOST_ENERGIES[key]


def label_one(
    host: Atoms,
    maker: Maker,
    guest: str,
    spring: float,
    fmax: float,
    max_evaluations: int,
    hessian: np.ndarray | None,
    point: np.ndarray,
) -> RelaxedLabel | Failure:
    """One relaxation. What goes wrong at this point alone is returned; what dooms every point is raised."""
    atoms = _with_calculator(host, maker)
    energy = _host_energy(atoms, maker)
    try:
        return relax_host(atoms, guest, point, spring, fmax, max_evaluations, hessian, host_energy=energy)
    except CalculatorError as error:
        return Failure(str(error))
    except Exception as error:  # noqa: BLE001  a calculator can raise anything; the other points go on
        return Failure(f"{type(error).__name__}: {error}")


def hessian_of(host: Atoms, maker: Maker) -> np.ndarray:
    """The empty host's Hessian, (3n, 3n), eV/Å²."""
    atoms = _with_calculator(host, maker)
    _host_energy(atoms, maker)
    return host_hessian(atoms)
