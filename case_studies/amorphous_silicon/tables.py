"""Metrics of all glasses, figures and the tables of README.md, from the structures in glasses/ and nothing else.

python -m case_studies.amorphous_silicon.tables

Writes results.csv (one row a glass), averages.csv (one row a model, size and rate), amorphous_silicon.svg,
distances.svg and the tables of README.md, which it prints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from ase.io import read

from case_studies.amorphous_silicon.quench import crystal_energy
from case_studies.amorphous_silicon.teachers import TEACHERS
from iondiff.analysis.glass import GlassReport, glass_report
from iondiff.dynamics import relax
from iondiff.files import write_atomically

HERE = Path(__file__).parent
CUTOFF = (
    2.85  # Å, the first minimum of g(r) of these glasses; the same for all, so that numbers can be compared
)
MODELS = ("T3", "NNP-T3", "SW", "NNP-SW", "NNP-DFT")
COLOURS = {
    "T3": "tab:blue",
    "NNP-T3": "tab:blue",
    "SW": "tab:red",
    "NNP-SW": "tab:red",
    "NNP-DFT": "tab:green",
}
SHOWN = {
    "excess_eV": ("energy above the crystal (eV/atom)", 3),
    "angle_spread_deg": ("spread of the bond angle (°)", 1),
    "defects": ("share of atoms without 4 neighbours", 3),
    "density_g_cm3": ("density (g/cm³)", 3),
    "coordination": ("coordination", 2),
    "rings_5": ("share of 5-rings", 3),
}
KEYS = ["model", "atoms", "rate_K_per_s"]
ERRORS = ("energy_meV_atom", "force_eV_A", "stress_GPa")


def reports() -> dict[tuple[str, int, float], tuple[list[Atoms], GlassReport]]:
    """For every model, size and rate: its glasses and their report."""
    found = {}
    for path in sorted((HERE / "glasses").glob("*.extxyz")):
        model, _, size = path.stem.rpartition("-")
        frames = read(path, ":")
        for rate in sorted({atoms.info["rate_K_per_s"] for atoms in frames}, reverse=True):
            group = [atoms for atoms in frames if atoms.info["rate_K_per_s"] == rate]
            energies = [atoms.info["energy_eV"] for atoms in group]
            crystal = group[0].info["crystal_eV"]
            report = glass_report(group, CUTOFF, expected=4, energies_eV=energies, crystal_eV=crystal)
            found[model, int(size), float(rate)] = group, report
    return found


def rows_of(found: dict[Any, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a glass; one row a model, size and rate."""
    single, mean = [], []
    for key, (group, report) in found.items():
        names = dict(zip(KEYS, key, strict=True))
        for atoms, (_, metrics) in zip(group, report.metrics.iterrows(), strict=True):
            known = {
                name: atoms.info.get(name)
                for name in ("sample", "quench_steps", "melt_ps", "cpu_s", "warnings")
            }
            single.append(names | known | metrics.to_dict())
        table = report.averages()
        row: dict[str, Any] = {"samples": len(group)}
        for name in table.index:
            row[name] = table.loc[name, "mean"]
            if len(group) > 1:
                row[f"{name}_error"] = table.loc[name, "error"]
        mean.append(names | row)
    return pd.DataFrame(single), pd.DataFrame(mean)


def draw(mean: pd.DataFrame, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.2), layout="constrained")
    for panel, (name, (label, _)) in zip(figure.subplots(2, 3).ravel(), SHOWN.items(), strict=True):
        for (model, size), rows in mean.groupby(["model", "atoms"]):
            ordered = rows.sort_values("rate_K_per_s")
            errors = ordered.get(f"{name}_error", pd.Series(np.nan, ordered.index)).fillna(0.0)
            panel.errorbar(
                ordered["rate_K_per_s"], ordered[name], yerr=errors, color=COLOURS[model], linewidth=1, capsize=2,
                marker="o" if model in {"T3", "SW"} else "^", linestyle="-" if size > 64 else "--" if model in {
                "T3", "SW"} else ":", label=f"{model}, {size} atoms",
            )  # fmt: skip
        panel.set(xscale="log", xlabel="cooling rate (K/s)", ylabel=label)
    figure.axes[0].legend(fontsize="x-small")
    figure.savefig(path, metadata={"Date": None})


def draw_distances(found: dict[Any, Any], path: Path) -> None:
    """g(r), S(q), angles of teacher and network at the slowest rate that both have."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    for model in MODELS:
        rates = [key[2] for key in found if key[:2] == (model, 64)]
        partner = model.removeprefix("NNP-")
        if partner in {"T3", "SW"}:
            pair = {"NNP-" + partner, partner}
            shared = [{key[2] for key in found if key[:2] == (one, 64)} for one in pair]
            rates = sorted(shared[0] & shared[1])
        if not rates:
            continue
        curves = found[model, 64, min(rates)][1].curves
        style = {
            "color": COLOURS[model], "linestyle": "--" if model.startswith("NNP-") else "-", "linewidth": 1,
            "label": f"{model}, {min(rates):.0e} K/s",
        }  # fmt: skip
        for panel, name in zip(panels, ("rdf", "structure_factor", "angles"), strict=True):
            table = curves[name]
            panel.plot(table.iloc[:, 0], table.iloc[:, 1], **style)
    for panel, (x, y) in zip(
        panels, (("r (Å)", "g(r)"), ("q (1/Å)", "S(q)"), ("angle (°)", "density (1/°)")), strict=True
    ):
        panel.set(xlabel=x, ylabel=y)
    panels[1].legend(fontsize="x-small")
    figure.savefig(path, metadata={"Date": None})


def table_of(mean: pd.DataFrame, size: int) -> str:
    """Markdown, teacher and network one under the other at each rate."""
    chosen = mean[mean["atoms"] == size].copy()
    chosen["place"] = chosen["model"].map(MODELS.index)
    head = ["rate, K/s", "model", "samples", *(label for label, _ in SHOWN.values())]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for _, row in chosen.sort_values(["rate_K_per_s", "place"], ascending=[False, True]).iterrows():
        cells = [f"{row['rate_K_per_s']:.0e}", row["model"], str(row["samples"])]
        for name, (_, digits) in SHOWN.items():
            error = row.get(f"{name}_error")
            cells.append(f"{row[name]:.{digits}f}" + (f" ± {error:.{digits}f}" if pd.notna(error) else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def errors_table() -> str:
    """Test errors of the networks, from the records of their trainings."""
    lines = [
        "| learnt from | structures | energy, meV/atom | force, eV/Å | stress, GPa |",
        "|---|---|---|---|---|",
    ]
    for teacher in ("T3", "SW"):
        test = json.loads((HERE / f"{teacher}.json").read_text(encoding="utf-8"))["errors"]["test"]
        for kind, table in test["by_config_type"].items():
            cells = [f"{table[key]['mae']:.3g} ({table[key]['rmse']:.3g})" for key in ERRORS]
            lines.append("| " + " | ".join([teacher, f"{kind}, {table['structures']}", *cells]) + " |")
    table = "\n".join(lines)
    return f"Mean absolute errors on the test structures (in brackets: root mean square).\n\n{table}"


def judged(found: dict[Any, Any]) -> str:
    """The networks' glasses as they stand, in eV an atom above the crystal: by the network, and by its teacher."""
    lines = [
        "| network, atoms | glasses | by the network | by its teacher | mean distance |",
        "|---|---|---|---|---|",
    ]
    for name, teacher in TEACHERS.items():
        crystal = crystal_energy(teacher)
        for size in sorted({key[1] for key in found if key[0] == f"NNP-{name}"}):
            pairs = []
            for (model, atoms, _), (group, _) in found.items():
                if (model, atoms) == (f"NNP-{name}", size):
                    for glass in group:
                        own = glass.info["energy_eV"] / size - glass.info["crystal_eV"]
                        pairs.append((own, relax(glass, teacher, 0.0)[1] / size - crystal))
            own, theirs = np.array(pairs).T
            lines.append(
                f"| {name}, {size} | {len(pairs)} | {own.mean():.3f} | {theirs.mean():.3f} | "
                f"{np.abs(own - theirs).mean():.4f} |"
            )
    return "\n".join(lines)


def insert(text: str, name: str, content: str) -> str:
    """Text with what stands between a pair of comments replaced."""
    first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
    head, tail = text.split(first, maxsplit=1)[0], text.split(last)[1]
    return f"{head}{first}\n\n{content}\n\n{last}{tail}"


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    found = reports()
    single, mean = rows_of(found)
    write_atomically(HERE / "results.csv", single.round(5).to_csv(index=False))
    write_atomically(HERE / "averages.csv", mean.round(5).to_csv(index=False))
    draw(mean, HERE / "amorphous_silicon.svg")
    draw_distances(found, HERE / "distances.svg")
    tables = [
        f"{size} atoms\n\n{table_of(mean, size)}" for size in sorted(mean["atoms"].unique(), reverse=True)
    ]
    for _, row in single[single["warnings"].notna()].iterrows():
        name = f"{row['model']}, {row['atoms']} atoms, {row['rate_K_per_s']:.0e} K/s, sample {row['sample']}"
        tables.append(f"{name}: {row['warnings']}")
    text = (HERE / "README.md").read_text(encoding="utf-8")
    parts = {"errors": errors_table(), "tables": "\n\n".join(tables), "judged": judged(found)}
    for name, content in parts.items():
        text = insert(text, name, content)
    write_atomically(HERE / "README.md", text)
    print("\n\n".join(parts.values()))


if __name__ == "__main__":
    main()
