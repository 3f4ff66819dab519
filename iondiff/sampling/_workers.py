"""What a labelling process does."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import CalculatorError
from iondiff.files import host_fingerprint
from iondiff.sampling.calculators import make_calculator
from iondiff.sampling.tethered import RelaxedLabel, host_hessian, relax_host

Maker = tuple[str, dict[str, Any]]  # import path and keyword arguments of a calculator


@dataclass(frozen=True)
class Failure:
    """Why a point has no label."""

    reason: str


class _Teachers(threading.local):
    """Calculators of this thread: making one takes seconds, and one cannot serve two threads at a time."""

    def __init__(self) -> None:
        self.calculators: dict[str, Any] = {}
        self.host_energies: dict[tuple[str, str], float] = {}


_TEACHERS = _Teachers()


def _with_calculator(host: Atoms, maker: Maker) -> Atoms:
    key = json.dumps(maker, sort_keys=True)
    if key not in _TEACHERS.calculators:
        _TEACHERS.calculators[key] = make_calculator(*maker)
    atoms = host.copy()
    atoms.calc = _TEACHERS.calculators[key]
    return atoms


def _host_energy(atoms: Atoms, maker: Maker) -> float:
    key = (json.dumps(maker, sort_keys=True), host_fingerprint(atoms))
    if key not in _TEACHERS.host_energies:
        _TEACHERS.host_energies[key] = _empty_energy(atoms, maker)
    return _TEACHERS.host_energies[key]


def _empty_energy(atoms: Atoms, maker: Maker) -> float:
    try:
        energy = float(atoms.get_potential_energy())
    except Exception as error:  # a calculator can raise anything
        raise CalculatorError(
            f"calculator {maker[0]!r} failed on the empty host ({type(error).__name__}: {error})"
        ) from error
    if not np.isfinite(energy):
        raise CalculatorError(f"calculator {maker[0]!r} gave the empty host the energy {energy} eV")
    return energy


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
    """The empty host's Hessian, (3n, 3n), eV/Å², by a calculator of its own.

    One that has worked before may have kept something, such as a neighbour list, and give other last digits.
    """
    atoms = host.copy()
    atoms.calc = make_calculator(*maker)
    _empty_energy(atoms, maker)
    return host_hessian(atoms)
