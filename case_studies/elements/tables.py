"""Write the tables of README.md from results.json and selection.json.

python -m case_studies.elements.tables
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from iondiff.files import write_atomically

HERE = Path(__file__).parent
PUBLISHED = {
    "Si": ((6.93, 0.170), (8.06, 0.205), (5.51, 0.177)), "Ge": ((7.63, 0.125), (9.75, 0.295), (10.6, 0.201)),
    "Li": ((0.98, 0.0234), (1.31, 0.038), (0.85, 0.044)), "Mo": ((5.43, 0.204), (9.25, 0.376), (4.04, 0.333)),
    "Cu": ((1.68, 0.063), (0.75, 0.083), (0.77, 0.055)), "Ni": ((2.25, 0.067), (1.17, 0.085), (1.04, 0.075)),
}  # fmt: skip
"""RMSE of energy (meV/atom) and force (eV/Å) of NNP, SNAP and qSNAP on the paper's test sets, with the weights its
authors ship (Zuo et al. 2020)."""


def errors(results: dict) -> str:
    lines = [
        "| | held out | energy MAE / RMSE, meV/atom | NNP, SNAP, qSNAP: RMSE | force MAE / RMSE, eV/Å "
        "| NNP, SNAP, qSNAP: RMSE | CPU minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for element, published in PUBLISHED.items():
        row = results.get(element, {})
        if "errors" not in row:
            continue
        table = row["errors"]["validation"]
        e, f = table["energy_meV_atom"], table["force_eV_A"]
        whose = "in turn" if row.get("validation") == "held out in turn" else "once"
        lines.append(
            f"| {element} | {table['structures']}, {whose} | {e['mae']:.2f} / {e['rmse']:.2f} | "
            f"{', '.join(str(p[0]) for p in published)} | {f['mae']:.4f} / {f['rmse']:.4f} | "
            f"{', '.join(str(p[1]) for p in published)} | {row['cpu_seconds_of_epochs'] / 60:.1f} |"
        )
    return "\n".join(lines)


def properties(results: dict) -> str:
    lines = [
        "| | a, Å | C11, C12, C44, GPa | vacancy, eV | its barrier, eV | phonons, THz | "
        "strained cells [DFT; potential]: C11, C44, GPa |",
        "|---|---|---|---|---|---|---|",
    ]
    for element in PUBLISHED:
        row = results.get(element, {}).get("properties")
        if row is None:
            continue
        c, v, p = row["elastic_GPa"], row.get("vacancy"), row["phonons"]
        hole = (f"{v['formation_eV']:.2f}", f"{v['migration_eV']:.2f}") if v else ("not computed",) * 2
        cells = row.get("elastic_of_the_strained_cells_GPa", {})
        pairs = (
            [f"{cells[k]['C11']:.0f}, {cells[k]['C44']:.0f}" for k in ("dft", "potential")] if cells else []
        )
        lines.append(
            f"| {element} | {row['lattice_A']:.3f} | {c['C11']:.0f}, {c['C12']:.0f}, {c['C44']:.0f} "
            f"| {hole[0]} | {hole[1]} | "
            f"{p['lowest_THz']:.2f} to {p['highest_THz']:.2f} | [{'; '.join(pairs)}] |"
        )
    return "\n".join(lines)


def heat(results: dict) -> str:
    """Empty where no crystal was heated."""
    lines = [
        "| | mean temperature, K | largest change of the energy, meV/atom | closest two atoms, Å |",
        "|---|---|---|---|",
    ]
    for element in PUBLISHED:
        row = results.get(element, {}).get("properties", {}).get("hot")
        if row is None:
            lines.append(f"| {element} | not computed | | |")
        else:
            lines.append(
                f"| {element} | {row['temperature_K']:.0f} | {row['largest_energy_change_meV_atom']:.1f} | "
                f"{row['closest_A']:.2f} |"
            )
    return "\n".join(lines)


def selection(result: dict) -> str:
    """Medians over the draws of the error with some functions over that with all."""
    whole = np.array(result["errors"]["all"][str(result["functions"])])
    counts = result["counts"]
    lines = ["| | " + " | ".join(map(str, counts)) + " |", "|---" * (1 + len(counts)) + "|"]
    for method, by in result["errors"].items():
        if method != "all":
            cells = [
                f"{np.median(np.array(by[str(n)]) / whole[: len(by[str(n)])]):.2f}" if str(n) in by else ""
                for n in counts
            ]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    text = (HERE / "README.md").read_text(encoding="utf-8")
    tables = {"errors": errors(results), "properties": properties(results), "heat": heat(results)}
    chosen = HERE / "selection.json"
    if chosen.exists():
        tables["selection"] = selection(json.loads(chosen.read_text(encoding="utf-8")))
    for name, table in tables.items():
        text = re.sub(
            rf"<!-- {name} -->.*?<!-- end -->",
            f"<!-- {name} -->\n{table}\n<!-- end -->",
            text,
            flags=re.DOTALL,
        )
    write_atomically(HERE / "README.md", text)
    print("\n\n".join(tables.values()))


if __name__ == "__main__":
    main()
