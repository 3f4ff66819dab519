"""What the case study's scripts share: a run's host, and labels at given places with its own settings."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms

import kmc
from iondiff.config import RunConfig, read_config
from iondiff.potentials import load
from iondiff.sampling import LabelSet, label_points

FOLDER = Path(__file__).parent
TEACHER = "CHGNet 0.3.0 weights, package chgnet 0.4.2"


@dataclass(frozen=True)
class Study:
    """A finished run and its configuration."""

    config: RunConfig
    run: Path
    host: Atoms

    @property
    def network(self):
        """Hopping graph."""
        return kmc.read_graph(self.run / "network.json")

    @property
    def landscape(self):
        """Trained potential in the host."""
        return load(self.run / "potential.nnp").landscape(self.host)

    def carrying_hops(self, count: int) -> list[tuple[int, int, int, float]]:
        """The hops with the largest share of D between different sites: (source, target, key, share)."""
        table = pd.read_csv(self.run / "current_hops.csv")
        table = table[table["source"] != table["target"]].head(count)
        return [(int(r.source), int(r.target), int(r.key), float(r.share)) for r in table.itertuples()]

    def label(
        self, points: np.ndarray, name: str, spring: float | None = None, workers: int | None = None
    ) -> LabelSet:
        """Teacher labels at `points` (n, 3), Å, relaxed as the labels of the case study were."""
        settings = self.config.labels
        (self.run / "teacher").mkdir(exist_ok=True)
        return label_points(
            self.host, self.config.guest, np.asarray(points), settings.calculator, settings.calculator_kwargs,
            checkpoint=self.run / "teacher" / f"{name}.jsonl", part=name,
            hessian_file=self.run / "teacher" / "hessian.npy",
            spring=settings.spring if spring is None else spring, fmax=settings.fmax, workers=workers,
            progress=lambda done, total: print(f"{name}: {done} of {total}", flush=True),
        )  # fmt: skip


def study(description: str | None, *extra: tuple[str, type, object, str]) -> tuple[Study, argparse.Namespace]:
    """Command line of a script: the run folder, and further options (name, type, default, help)."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, nargs="?", default=FOLDER.parents[1] / "runs" / "cu_ta2o5")
    parser.add_argument("--config", type=Path, default=FOLDER / "config.toml")
    parser.add_argument("--workers", type=int, default=None)
    for name, kind, default, text in extra:
        parser.add_argument(f"--{name}", type=kind, default=default, help=text)
    options = parser.parse_args()
    found = Study(read_config(options.config), options.run, ase.io.read(options.run / "host.extxyz"))
    return found, options
