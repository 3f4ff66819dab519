"""What a trained potential gets wrong: by split, element and config_type, and the atoms it knows least."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.units import GPa

from iondiff.training.dataset import Labelled

_HUGE = 1.0  # eV an atom and eV/Å: errors below may be the first steps of a training that was cut short


@dataclass(frozen=True)
class Prediction:
    """Beside :class:`Labelled`: energy (eV), forces (n, 3) (eV/Å), virial (6,) (eV)."""

    energy: float
    forces: np.ndarray
    virial: np.ndarray


def errors(structures: Sequence[Labelled], predictions: Sequence[Prediction]) -> dict[str, Any]:
    """MAE and RMSE of everything that is known, as plain data.

    Energies are in meV an atom, forces in eV/Å (all components alike), stress in GPa. An element's forces are
    those on its atoms, its energies and stresses those of the structures that hold it.
    """
    table = _errors(structures, predictions)
    kinds = sorted({s.config_type for s in structures})
    table["by_config_type"] = {}
    for kind in kinds:
        chosen = [k for k, s in enumerate(structures) if s.config_type == kind]
        table["by_config_type"][kind] = _errors(
            [structures[k] for k in chosen], [predictions[k] for k in chosen]
        )
    elements = sorted({symbol for s in structures for symbol in s.atoms.get_chemical_symbols()})
    table["by_element"] = {}
    for element in elements:
        chosen = [k for k, s in enumerate(structures) if element in s.atoms.symbols]
        table["by_element"][element] = _errors(
            [structures[k] for k in chosen], [predictions[k] for k in chosen], element
        )
    return table


def _errors(
    structures: Sequence[Labelled], predictions: Sequence[Prediction], element: str | None = None
) -> dict[str, Any]:
    pairs = list(zip(structures, predictions, strict=True))
    energy = np.array([1e3 * (p.energy - s.energy) / len(s.atoms) for s, p in pairs])
    force = [
        (p.forces - s.forces)[np.ones(len(s.atoms), bool) if element is None else s.atoms.symbols == element]
        for s, p in pairs
    ]
    stress = [
        (p.virial - s.virial) / s.atoms.get_volume() / GPa
        for s, p in pairs
        if np.isfinite(s.virial).all() and s.atoms.cell.rank == 3
    ]
    return {
        "structures": len(pairs),
        "energy_meV_atom": _summary(energy),
        "force_eV_A": _summary(np.concatenate([np.zeros((0, 3)), *force])),
        "stress_GPa": _summary(np.concatenate([np.zeros(0), *stress])),
    }


def _summary(values: np.ndarray) -> dict[str, float] | None:
    """MAE and RMSE of what is finite; None of nothing."""
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    return {"mae": float(np.abs(values).mean()), "rmse": float(np.sqrt((values**2).mean()))}


def failures(
    structures: Sequence[Labelled], predictions: Sequence[Prediction], *, energies: bool, forces: bool
) -> list[str]:
    """Sentences where a potential is thirty times worse than one that knows the mean energy and no forces."""
    pairs = list(zip(structures, predictions, strict=True))
    asked = []
    if energies:
        labels = np.array([s.energy / len(s.atoms) for s in structures])
        missed = [np.atleast_1d(p.energy / len(s.atoms) - e) for (s, p), e in zip(pairs, labels, strict=True)]
        asked.append(("energies", "eV an atom", labels, missed))
    if forces:
        labels = np.concatenate([s.forces.ravel() for s in structures])
        asked.append(("forces", "eV/Å", labels, [(p.forces - s.forces).ravel() for s, p in pairs]))
    sentences = []
    for what, unit, labels, missed in asked:
        known, error = labels[np.isfinite(labels)], np.concatenate(missed)
        if not len(known):
            continue
        rms, usual = float(np.sqrt(np.nanmean(error**2))), float(known.std())
        if rms > max(30.0 * usual, _HUGE):
            worst = int(np.argmax([np.max(np.abs(m[np.isfinite(m)]), initial=0.0) for m in missed]))
            sentences.append(
                f"{what} of the training structures are missed by {rms:.3g} {unit}, which themselves vary by "
                f"{usual:.3g}: nothing was learnt; look at {structures[worst].source} first, which is furthest off"
            )
    return sentences


def worst_atoms(
    structures: Sequence[Labelled], predictions: Sequence[Prediction], split: Sequence[str], count: int = 10
) -> list[dict[str, Any]]:
    """The atoms whose force vectors are furthest off, worst first."""
    rows = [
        (float(miss), k, i)
        for k, (s, p) in enumerate(zip(structures, predictions, strict=True))
        for i, miss in enumerate(np.linalg.norm(p.forces - s.forces, axis=1))
        if np.isfinite(miss)
    ]
    rows.sort(key=lambda row: -row[0])
    return [
        {
            "structure": structures[k].source, "split": split[k], "config_type": structures[k].config_type,
            "atom": i, "element": structures[k].atoms.symbols[i], "force_error_eV_A": miss,
            "force_eV_A": float(np.linalg.norm(structures[k].forces[i])),
        }
        for miss, k, i in rows[:count]
    ]  # fmt: skip


def parity(
    structures: Sequence[Labelled], predictions: Sequence[Prediction], split: Sequence[str]
) -> dict[str, list[Any]]:
    """Energies an atom (eV) of every structure, for a parity plot and for whoever wants to look further."""
    return {
        "structure": [s.source for s in structures],
        "split": list(split),
        "config_type": [s.config_type for s in structures],
        "atoms": [len(s.atoms) for s in structures],
        "energy_eV_atom": [s.energy / len(s.atoms) for s in structures],
        "predicted_eV_atom": [p.energy / len(s.atoms) for s, p in zip(structures, predictions, strict=True)],
        "force_rmse_eV_A": [
            float(np.sqrt(((p.forces - s.forces) ** 2).mean()))
            for s, p in zip(structures, predictions, strict=True)
        ],
    }


def force_parity(
    structures: Sequence[Labelled], predictions: Sequence[Prediction], split: Sequence[str]
) -> dict[str, list[Any]]:
    """Force on every atom, reference and predicted (eV/Å), one column a component."""
    sizes = [len(s.atoms) for s in structures]
    reference = np.concatenate([s.forces for s in structures])
    predicted = np.concatenate([p.forces for p in predictions])
    columns: dict[str, list[Any]] = {
        "structure": [s.source for s, n in zip(structures, sizes, strict=True) for _ in range(n)],
        "split": [name for name, n in zip(split, sizes, strict=True) for _ in range(n)],
        "atom": [k for n in sizes for k in range(n)],
        "element": [symbol for s in structures for symbol in s.atoms.get_chemical_symbols()],
    }
    for name, forces in (("", reference), ("predicted_", predicted)):
        for axis, letter in enumerate("xyz"):
            columns[f"{name}f{letter}_eV_A"] = np.round(forces[:, axis], 6).tolist()
    return columns


def print_errors(table: dict[str, Any], write: Callable[[str], None] = print) -> None:
    """The error table as text: one line a split, config_type and, where there are several, element."""
    write(f"{'':24}{'n':>6}{'E MAE':>9}{'RMSE':>9}{'F MAE':>9}{'RMSE':>9}{'stress MAE':>12}{'RMSE':>9}")
    write(f"{'':24}{'':>6}{'meV/atom':>18}{'eV/Å':>18}{'GPa':>21}")
    for split, whole in table.items():
        parts = list(whole["by_config_type"].items())
        parts += whole["by_element"].items() if len(whole["by_element"]) > 1 else []
        for name, row in ((split, whole), *((f"  {k}", v) for k, v in parts)):
            cells = "".join(
                f"{'-':>{a}}{'-':>9}"
                if row[key] is None
                else f"{row[key]['mae']:{a}.{d}f}{row[key]['rmse']:9.{d}f}"
                for key, a, d in (("energy_meV_atom", 9, 2), ("force_eV_A", 9, 4), ("stress_GPa", 12, 3))
            )
            write(f"{name:24}{row['structures']:>6}{cells}")
