"""What every stage of a run is handed, and the plain files that stages read and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
from ase import Atoms

import kmc
from iondiff.config import RunConfig
from iondiff.errors import RunError
from iondiff.files import read_bounded, write_atomically
from iondiff.potentials import GuestLandscape, load
from iondiff.structures import read_structure

Progress = Callable[[str, int, int], None]
LARGEST_RECORD = 256 << 20  # bytes


@dataclass(frozen=True)
class Context:
    """What a stage may use."""

    config: RunConfig
    folder: Path
    workers: int | None
    progress: Progress
    say: Callable[[str], None] = lambda _: None
    executor: Executor | None = None

    def reporting(self, stage: str) -> Callable[[int, int], None]:
        """Progress of one stage."""
        return lambda done, total: self.progress(stage, done, total)

    def host(self) -> Atoms:
        """The run's host."""
        return read_structure(self.folder / "host.extxyz")

    def landscape(self) -> GuestLandscape:
        """The trained potential in the run's host."""
        return load(self.folder / "potential.nnp").landscape(self.host(), guest=self.config.guest)

    def network(self) -> nx.MultiDiGraph:
        """The run's hopping graph."""
        return kmc.read_graph(self.folder / "network.json")


def read_record(path: Path) -> dict[str, Any]:
    """A shipped JSON result."""
    try:
        record = json.loads(read_bounded(path, LARGEST_RECORD))
    except FileNotFoundError:
        raise RunError(
            f"evidence file {path} does not exist; make it with the case study's script or drop the key"
        ) from None
    except (ValueError, RecursionError, OSError) as error:
        raise RunError(f"evidence file {path} cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise RunError(f"evidence file {path} does not hold a table of names and values")
    return record


def write_table(table: pd.DataFrame, path: Path) -> None:
    """CSV with every digit, written atomically."""
    write_atomically(path, table.to_csv(index=False))
