"""How few symmetry functions will do for silicon? Force error against number, every method of selection.

python -m case_studies.elements.selection [--data ../shared/data/mlearn] [--seeds 10]

The 44 functions of Si.toml, whitened by principal component analysis to 44, 41, 30, 20, 15 and 10 components, or
selected by each method of `iondiff.descriptors.selection` down to 30, 20, 15 and 10 ("pca" also to 41), beside random
choice. For each seed: 16 training and 24 test structures drawn anew, a network of 8 hidden nodes trained on them by
Levenberg-Marquardt (15 steps), force RMSE (eV/Å) on the test structures. So few structures and steps make errors
larger than those of a potential; what is compared is functions. Writes selection.json and selection.svg beside this
file after every seed; started again, it goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iondiff.descriptors.derivatives import Described, FlatFunctions, describe
from iondiff.descriptors.selection import NEEDS_MODEL, groups_of, principal_components, select
from iondiff.files import write_atomically, write_json
from iondiff.training import read_structures, read_training_config
from iondiff.training.choice import linear_models
from iondiff.training.dataset import fit_reference_energies
from iondiff.training.functions import build_functions
from iondiff.training.optimisers import LevenbergMarquardt
from iondiff.training.problem import Importance, Layout, Problem

HERE = Path(__file__).parent
METHODS = ("whitening", "pca", "cur", "farthest", "pearson", "lasso", "group-lasso", "genetic", "random")
COUNTS = (30, 20, 15, 10)
MORE = 41
"""Functions that principal components are tried with, too."""
TRAIN, TEST = 16, 24


def combined(described: Sequence[Described], flat: FlatFunctions, matrix: np.ndarray) -> list[Described]:
    """The same structures seen through linear combinations of the functions, matrix (m, k)."""
    k = matrix.shape[1]
    seen = []
    for d in described:
        derivatives = np.zeros((len(d.index), 3, k), dtype=np.float32)
        for kind in np.unique(d.pair_class):
            pairs = np.flatnonzero(d.pair_class == kind)
            size = int(flat.class_size[kind])
            gathered = d.derivatives[d.offset[pairs][:, None] + np.arange(3 * size)].reshape(
                len(pairs), 3, size
            )
            derivatives[pairs] = gathered @ matrix[flat.class_columns[kind, :size]].astype(np.float32)
        offset = 3 * k * np.arange(len(d.index))
        seen.append(
            Described(
                d.species, d.values @ matrix, d.first, d.index, d.vectors, np.zeros_like(d.pair_class), offset,
                derivatives.ravel(),
            )
        )  # fmt: skip
    return seen


class _Plain:
    """The part of FlatFunctions that a problem reads, for k functions of one element."""

    def __init__(self, k: int) -> None:
        self.class_columns = np.arange(k)[None]
        self.class_size = np.array([k])


def force_error(
    described: list[Described], targets: list[np.ndarray], train: list[int], test: list[int], seed: int,
    steps: int = 15,
) -> float:  # fmt: skip
    """RMSE (eV/Å) on the test structures of a small network trained on the others."""
    k = described[0].values.shape[1]
    values = np.concatenate([described[i].values for i in train])
    spread = values.std(axis=0)
    layout = Layout(np.array([[k, 8, 1]]), ("t",))
    scale = float(np.concatenate([targets[i][:-7] for i in train]).std())
    problem = Problem(
        described, _Plain(k), values.mean(axis=0)[None], 1.0 / np.where(spread > 0, spread, np.inf)[None], layout,
        targets, scale,
    )  # type: ignore[arg-type]  # fmt: skip
    ones = [np.ones(len(d.species)) for d in described]
    importance = Importance(problem, train, 0.02, 0.0, np.ones(len(described)), ones)
    weights = layout.initial(np.random.default_rng(seed))
    optimiser = LevenbergMarquardt(
        problem, train, importance, weights, decay=1e-9, oversampling=12.0, seed=seed
    )
    for step in range(steps):
        if not optimiser.epoch(step):
            break
    single = optimiser.state["weights"].astype(np.float32)
    missed = np.concatenate([problem.residual(single, i)[:-7] for i in test])
    return float(np.sqrt((missed.astype(float) ** 2).mean())) * scale


def study(data: Path, seeds: int, path: Path) -> dict:
    """All seeds; those already in the file are not done again."""
    config = read_training_config(HERE / "Si.toml")
    structures = read_structures(data / "Si_train.extxyz.gz", config.data)
    functions = build_functions(config.descriptors, ["Si"])
    flat = FlatFunctions(functions)
    m = len(functions["Si"])
    reference = fit_reference_energies(structures, ["Si"], {})[0]
    result: dict = {
        "functions": m, "counts": [m, MORE, *COUNTS], "seeds": 0, "errors": {name: {} for name in ("all", *METHODS)}
    }  # fmt: skip
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["functions"] == m:
        result = json.loads(path.read_text(encoding="utf-8"))
    for seed in range(result["seeds"], seeds):
        drawn = np.random.default_rng(seed).permutation(len(structures))[: TRAIN + TEST]
        chosen = [structures[k] for k in drawn]
        described = describe([s.atoms for s in chosen], flat)
        targets = []
        for s in chosen:
            target = s.targets.copy()
            target[-7] -= reference * len(s.atoms)
            targets.append(target)
        train, test = list(range(TRAIN)), list(range(TRAIN, TRAIN + TEST))
        values = np.concatenate([described[k].values for k in train])
        model = linear_models(flat, described, targets, train, 0.02)["Si"]
        whole = force_error(combined(described, flat, np.eye(m)), targets, train, test, seed)
        result["errors"]["all"].setdefault(str(m), []).append(whole)
        for name in METHODS:
            for count in {"whitening": (m, MORE, *COUNTS), "pca": (MORE, *COUNTS)}.get(name, COUNTS):
                if name == "whitening":
                    matrix = principal_components(values, count)[1]
                else:
                    picked = select(
                        name, count, values, model=model if name in NEEDS_MODEL else None,
                        groups=groups_of(functions["Si"]), seed=seed,
                    )  # fmt: skip
                    matrix = np.eye(m)[:, picked]
                error = force_error(combined(described, flat, matrix), targets, train, test, seed)
                result["errors"][name].setdefault(str(count), []).append(error)
        result["seeds"] = seed + 1
        write_json(path, result)
        write_atomically(path.with_suffix(".svg"), draw(result))
        print(f"seed {seed}: all {m} functions {whole:.3f} eV/Å", flush=True)
    return result


def draw(result: dict) -> str:
    """Lines of means with bars of one standard deviation, as SVG."""
    width, height, left, bottom = 760, 440, 70, 60
    counts = result["counts"]
    colours = (
        "#1f77b4",
        "#17becf",
        "#2ca02c",
        "#98c14a",
        "#8c564b",
        "#d62728",
        "#ff9896",
        "#9467bd",
        "#7f7f7f",
    )
    every = [e for by in result["errors"].values() for errors in by.values() for e in errors]
    low, high = 0.9 * min(every), min(1.05 * max(every), 3.0 * float(np.median(every)))

    def x(count: float) -> float:
        return left + (width - left - 190) * (count - 8) / (max(counts) + 2 - 8)

    def y(error: float) -> float:
        return height - bottom - (height - bottom - 20) * (min(error, high) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="13"><rect width="{width}" height="{height}" fill="white"/>',
        f'<path d="M{left},20V{height - bottom}H{width - 190}" fill="none" stroke="#333"/>',
        f'<text x="{(left + width - 190) / 2}" y="{height - 18}" text-anchor="middle">symmetry functions</text>',
        f'<text transform="translate(20,{height / 2}) rotate(-90)" text-anchor="middle">force RMSE, eV/Å</text>',
    ]
    parts += [
        f'<text x="{x(c):.1f}" y="{height - 40}" text-anchor="middle">{c}</text>' for c in counts if c != MORE
    ]
    parts += [
        f'<text x="{left - 8}" y="{y(t) + 4:.1f}" text-anchor="end">{t:.2f}</text>'
        for t in np.linspace(low, high, 6)
    ]
    whole = float(np.mean(result["errors"]["all"][str(counts[0])]))
    for k, name in enumerate(METHODS):
        by = dict(result["errors"][name])
        by.setdefault(str(counts[0]), result["errors"]["all"][str(counts[0])])
        points = [
            (x(c), float(np.mean(by[str(c)])), float(np.std(by[str(c)]))) for c in counts if str(c) in by
        ]
        line = " ".join(f"{a:.1f},{y(b):.1f}" for a, b, _ in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colours[k]}" stroke-width="2"/>')
        parts += [
            f'<path d="M{a:.1f},{y(b - s):.1f}V{y(b + s):.1f}" stroke="{colours[k]}"/>'
            f'<circle cx="{a:.1f}" cy="{y(b):.1f}" r="3" fill="{colours[k]}"/>'
            for a, b, s in points
        ]
        parts.append(f'<text x="{width - 175}" y="{40 + 22 * k}" fill="{colours[k]}">{name}</text>')
    parts.append(
        f'<path d="M{left},{y(whole):.1f}H{width - 190}" stroke="#333" stroke-dasharray="4 4"/>'
        f'<text x="{width - 175}" y="{40 + 22 * len(METHODS)}">dashed: all functions</text></svg>'
    )
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data" / "mlearn")
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    result = study(arguments.data, arguments.seeds, HERE / "selection.json")
    for name, by in result["errors"].items():
        print(f"{name:12}" + "".join(f"{c:>5}: {np.mean(e):.3f} ± {np.std(e):.3f}" for c, e in by.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
