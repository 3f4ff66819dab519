"""Everything the report knows about a run, read from the files of its folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import ase.io
import networkx as nx
import numpy as np
import pandas as pd
from ase import Atoms
from pydantic import BaseModel, ValidationError

from iondiff.errors import RunError
from iondiff.literature import read_literature
from iondiff.report._models import (
    Certificate,
    Checks,
    CurvePoint,
    Evidence,
    Provenance,
    SpringStudy,
    Summary,
    TeacherCheck,
    Training,
    Transport,
)
from iondiff.run_folder import RunFolder

SCHEMA = "hopping-graph/1"
DIFFUSIVITY_COLUMNS = ("temperature", "D", "D_error", "method")
CURRENT_COLUMNS = ("source", "target", "image", "share")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Run:
    """A finished run; parts that a run may lack are None."""

    folder: Path
    config: str
    host: Atoms
    network: nx.MultiDiGraph[Any]
    diffusivity: pd.DataFrame
    transport: Transport
    training: Training | None
    teacher_check: TeacherCheck | None
    evidence: Evidence | None
    certificate: Certificate | None
    checks: Checks | None
    literature: pd.DataFrame
    summary: Summary | None
    provenance: Provenance | None
    sites: pd.DataFrame | None
    hops: pd.DataFrame | None
    current_hops: pd.DataFrame | None

    @property
    def label_noise(self) -> float | None:
        """Root mean square difference, meV, of labels of the same points reached differently."""
        parts = (self.evidence, self.training)
        return next(
            (part.label_noise_meV for part in parts if part and part.label_noise_meV is not None), None
        )

    @property
    def learning_curve(self) -> list[CurvePoint]:
        """Test errors against the number of labels; empty if not measured."""
        parts = (self.evidence, self.training)
        return next((part.learning_curve for part in parts if part and part.learning_curve), [])

    @property
    def springs(self) -> SpringStudy | None:
        """Barriers under different tethers."""
        if self.evidence and self.evidence.spring_study:
            return self.evidence.spring_study
        if self.teacher_check and self.teacher_check.spring_study:
            return SpringStudy(studies=self.teacher_check.spring_study)
        return None


def read_run(folder: Path, literature: Path | None = None) -> Run:
    """Read and check the files of a run folder.

    Parameters
    ----------
    folder
        Of a finished run.
    literature
        A table of points (:func:`iondiff.literature.read_literature`) in the place of the run's own.

    Raises
    ------
    RunError
        A file that every report needs (``config.toml``, ``host.extxyz``, ``network.json``,
        ``diffusivity.csv``, ``transport.json``) is missing, or any file is corrupt; the file is named.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"run folder {folder} does not exist; wanted the --output folder of a finished run")
    for kind in ("graph", "dynamics"):
        if (folder / "stages" / f"{kind}.json").is_file():
            raise RunError(
                f"run folder {folder} is of a study of another kind ({kind}), which has no such report; its "
                "tables are diffusivity.csv and summary.json"
            )
    for name in ("config.toml", "host.extxyz", "network.json", "diffusivity.csv", "transport.json"):
        if not (folder / name).is_file():
            raise RunError(
                f"run folder {folder} has no {name}; start the run again, it goes on where it stopped"
            )
    damaged = RunFolder(folder).damaged()
    if damaged:
        raise _corrupt(folder / damaged[0], "its checksum is not that of what the run wrote")
    return Run(
        folder=folder,
        config=_read_text(folder / "config.toml"),
        host=_read_host(folder / "host.extxyz"),
        network=_read_network(folder / "network.json"),
        diffusivity=_read_table(folder / "diffusivity.csv", DIFFUSIVITY_COLUMNS, numeric=3),
        transport=_read_model(folder / "transport.json", Transport),
        training=_optional_model(folder / "training.json", Training),
        teacher_check=_optional_model(folder / "teacher_check.json", TeacherCheck),
        evidence=_optional_model(folder / "evidence.json", Evidence),
        certificate=_optional_model(folder / "certificate.json", Certificate),
        checks=_optional_model(folder / "checks.json", Checks),
        literature=read_literature(literature or _there(folder / "literature.csv")),
        summary=_optional_model(folder / "summary.json", Summary),
        provenance=_optional_model(folder / "provenance.json", Provenance),
        sites=_optional_table(folder / "sites.csv"),
        hops=_optional_table(folder / "hops.csv"),
        current_hops=_optional_table(folder / "current_hops.csv", CURRENT_COLUMNS),
    )


def _there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _corrupt(path: Path, reason: object) -> RunError:
    sentence = " ".join(str(reason).split())[:300]
    return RunError(f"{path} is corrupt ({sentence}); remove it and start the run again to make it anew")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _corrupt(path, error) from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise _corrupt(path, error) from error


def _read_model(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate(_read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _corrupt(path, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _optional_model(path: Path, model: type[Model]) -> Model | None:
    return _read_model(path, model) if path.is_file() else None


def _read_table(path: Path, columns: tuple[str, ...] = (), numeric: int = 0) -> pd.DataFrame:
    """Read a CSV file that has `columns`, the first `numeric` of them numbers."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise _corrupt(path, error) from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise _corrupt(path, f"column {missing[0]!r} is missing; it has {', '.join(map(str, table.columns))}")
    for name in columns[:numeric]:
        if len(table) and not pd.api.types.is_numeric_dtype(table[name]):
            raise _corrupt(path, f"column {name!r} holds something that is not a number")
    return table


def _optional_table(path: Path, columns: tuple[str, ...] = ()) -> pd.DataFrame | None:
    return _read_table(path, columns) if path.is_file() else None


def _read_host(path: Path) -> Atoms:
    try:
        host = ase.io.read(path, index=-1, format="extxyz")
    except Exception as error:
        raise _corrupt(path, error) from error
    if not isinstance(host, Atoms) or len(host) == 0 or not np.all(np.isfinite(host.positions)):
        raise _corrupt(path, "it has no atoms with finite positions")
    return host


def _read_network(path: Path) -> nx.MultiDiGraph[Any]:
    """The hopping graph of contract 2, with every attribute the report draws checked."""
    data = _read_json(path)
    try:
        network = nx.node_link_graph(data, edges="edges")
    except (nx.NetworkXError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise _corrupt(path, f"not a node-link graph: {error!r}") from error
    if not isinstance(network, nx.MultiDiGraph):
        raise _corrupt(path, "the graph is not a directed multigraph")
    if network.graph.get("schema") != SCHEMA:
        raise _corrupt(path, f"schema is {network.graph.get('schema')!r}, wanted {SCHEMA!r}")
    cell = network.graph.get("cell")
    if not _is_array(cell, (3, 3)) or abs(np.linalg.det(np.array(cell, dtype=float))) < 1e-9:
        raise _corrupt(path, "graph attribute 'cell' is not three independent vectors")
    for node, data in network.nodes(data=True):
        if not _is_array(data.get("position"), (3,)) or not _is_array(data.get("energy"), ()):
            raise _corrupt(path, f"site {node!r} lacks a finite position (3 floats, Å) or energy (eV)")
    for source, target, data in network.edges(data=True):
        numbers_fine = _is_array(data.get("barrier"), ()) and _is_array(data.get("prefactor"), ())
        if not numbers_fine or not _is_array(data.get("image"), (3,)) or data["prefactor"] <= 0:
            raise _corrupt(path, f"hop {source!r} → {target!r} lacks a barrier (eV), prefactor (Hz) or image")
    return network


def _is_array(value: object, shape: tuple[int, ...]) -> bool:
    """Whether `value` is a number (shape ()) or nested list of finite numbers of that shape."""
    if not shape:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return (
        isinstance(value, list | tuple)
        and len(value) == shape[0]
        and all(_is_array(v, shape[1:]) for v in value)
    )
