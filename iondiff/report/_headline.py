"""The top of the report: what was found, in two small tables."""

from __future__ import annotations

import pandas as pd

from iondiff.report._files import DIFFUSIVITY_COLUMNS, Run
from iondiff.report._html import section, table
from iondiff.report._models import Percolation, TeacherCheck
from iondiff.report._numbers import MISSING, count, is_number, rounded, scientific, with_error
from iondiff.report._transport_charts import method_name, methods_in


def title(run: Run) -> str:
    """Guest and host, as plain text: ``Cu in Ta₂₄O₆₀``."""
    guest = str(run.network.graph.get("guest", "guest"))
    formula = run.host.symbols.get_chemical_formula(mode="metal")
    return f"{guest} in {formula.translate(str.maketrans('0123456789', '₀₁₂₃₄₅₆₇₈₉'))}"


def headline(run: Run) -> str:
    """The numbers a reader looks for first."""
    return section(
        "headline",
        "In short",
        f'<div class="two headline">{_findings(run)}{diffusivities(run.diffusivity)}</div>',
    )


def _findings(run: Run) -> str:
    percolation = run.transport.percolation
    pairs = run.network.number_of_edges() / 2
    rows = [
        ("Sites", f"{run.network.number_of_nodes():,}", ""),
        ("Hops", f"{run.network.number_of_edges():,}", f"{pairs:,.0f} pairs of opposite directions"),
        ("Percolation barrier", _value(_widest(percolation), "eV"), _percolation_note(run)),
        (
            "Activation energy",
            with_error(run.transport.activation_energy_eV, run.transport.activation_energy_error_eV, "eV"),
            f"D<sub>0</sub> = {scientific(run.transport.D0_cm2_s, unit='cm²/s')}",
        ),
        ("Network on test labels", *_training_note(run)),
        ("Network against teacher", *_teacher_note(run.teacher_check)),
    ]
    return table(([name, f"<b>{value}</b>", note] for name, value, note in rows), kind="findings")


def diffusivities(frame: pd.DataFrame) -> str:
    """D at each temperature by each method, with errors."""
    methods = methods_in(frame)
    found = {
        (t, str(m)): (float(D), float(error)) for t, D, error, m in frame[list(DIFFUSIVITY_COLUMNS)].values
    }
    rows = [
        [
            f"{temperature:g} K",
            *(scientific(*found.get((temperature, method), (None, None))) for method in methods),
        ]
        for temperature in sorted(set(frame["temperature"]))
    ]
    return table(rows, head=["D, cm²/s", *(method_name(method) for method in methods)], kind="numbers")


def _widest(percolation: Percolation) -> float | None:
    """The barrier for as many directions as the network spans."""
    barriers = (percolation.barrier_3d_eV, percolation.barrier_2d_eV, percolation.barrier_1d_eV)
    return next((barrier for barrier in barriers if barrier is not None), None)


def _percolation_note(run: Run) -> str:
    percolation = run.transport.percolation
    parts = [
        f"{axes} {_value(value, 'eV')}"
        for axes, value in (("one axis", percolation.barrier_1d_eV), ("two", percolation.barrier_2d_eV))
        if value is not None
    ]
    if percolation.rank is not None and percolation.rank < 3:
        parts.insert(0, f"the network spans only {count(percolation.rank, 'direction')}")
    return ", ".join(parts)


def _training_note(run: Run) -> tuple[str, str]:
    training, noise = run.training, run.label_noise
    if training is None:
        return MISSING, "no training in this run"
    parts = []
    if training.test_rmse_low_meV is not None:
        parts.append(f"{_value(training.test_rmse_low_meV, 'meV')} within 1 eV of the lowest label")
    parts.append(f"label noise {rounded(noise, 2)} meV" if is_number(noise) else "label noise not measured")
    return f"{_value(training.test_rmse_meV, 'meV')} RMSE", "; ".join(parts)


def _teacher_note(check: TeacherCheck | None) -> tuple[str, str]:
    if check is None or not check.hops:
        return MISSING, "not run"
    return (
        f"{rounded(check.max_error_eV, 2)} eV",
        f"largest difference along {count(len(check.hops), 'band')}",
    )


def _value(number: float | None, unit: str) -> str:
    return f"{rounded(number)} {unit}" if is_number(number) else MISSING
