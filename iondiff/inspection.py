"""What a file is, and whether it is sound."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

import kmc
from iondiff.config import read_config
from iondiff.errors import IondiffError, RunError
from iondiff.potentials import GuestNNP, load
from iondiff.run_folder import RunFolder
from iondiff.sampling import read_labels
from iondiff.workflow import STAGES

#: Frames of a trajectory looked at; more are counted as "at least".
MOST_FRAMES = 100_000


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes
    ----------
    kind
        "potential", "hopping graph", "run folder", "labels", "configuration", "structure" or "trajectory".
    facts
        Names and values, plain data.
    trouble
        One sentence, empty where the file is sound.
    """

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.trouble


def inspect(path: str | Path) -> Inspection:
    """Say what a file or folder is and whether it is sound.

    Raises
    ------
    RunError
        It does not exist, or is nothing that this suite knows.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"{path} does not exist; name a file or a run folder")
    kind, look = _choose(path)
    try:
        return Inspection(kind, look(path)) if kind != "run folder" else _run_folder(path)
    except (IondiffError, kmc.GraphError) as error:
        return Inspection(kind, {}, str(error))


def _choose(path: Path) -> tuple[str, Any]:
    name = path.name.lower()
    if path.is_dir():
        if (path / "stages").is_dir():
            return "run folder", _run_folder
        if (path / "input.nn").exists():
            return "potential", _potential
        raise RunError(f"{path} is a folder without stages/ (a run) or input.nn (an n2p2 potential)")
    endings = {
        (".nnp",): ("potential", _potential),
        (".json", ".graphml"): ("hopping graph", _graph),
        (".jsonl", ".jsonl.gz"): ("labels", _labels),
        (".toml",): ("configuration", _configuration),
    }
    for suffixes, found in endings.items():
        if name.endswith(suffixes):
            return found
    return "structure", _structure


def _potential(path: Path) -> dict[str, Any]:
    potential = load(path)
    if not isinstance(potential, GuestNNP):
        return dict(potential.info())
    facts = {
        "type": "guest network",
        "guest": potential.guest,
        "host elements": list(potential.functions.elements),
        "layers": list(potential.layers),
        "members": len(potential.weights),
        "cutoff_A": potential.functions.cutoff,
        "wall_A": potential.wall_A,
        "units": "Angstrom, eV",
    }
    if potential.correction is not None:
        facts["correction"] = f"{len(potential.correction.centres)} centres"
        facts["host"] = potential.correction.host
    return {**facts, **{k: v for k, v in potential.summary.items() if isinstance(v, (int, float, str))}}


def _graph(path: Path) -> dict[str, Any]:
    graph = kmc.read_graph(path)
    kmc.validate(graph)
    percolation = kmc.percolation(graph)
    return {
        "guest": graph.graph.get("guest"),
        "sites": graph.number_of_nodes(),
        "hops": graph.number_of_edges(),
        "percolates in directions": percolation.rank,
        "carrying barriers_eV": [float(b) for b in percolation.barriers if np.isfinite(b)],
    }


def _labels(path: Path) -> dict[str, Any]:
    found = read_labels(path)
    parts = sorted({label.part for label in found.labels})
    return {
        "labels": len(found),
        "converged": len(found.select()),
        "parts": {part: len(found.select(part, converged=None)) for part in parts},
        **{k: v for k, v in found.provenance.items() if isinstance(v, (int, float, str))},
    }


def _configuration(path: Path) -> dict[str, Any]:
    config = read_config(path)
    return {"guest": config.guest, "host": str(config.host.file), "seed": config.seed}


def _structure(path: Path) -> dict[str, Any]:
    count, first, sizes = 0, None, set()
    try:
        for atoms in ase.io.iread(path):
            first = first if first is not None else atoms
            sizes.add(len(atoms))
            count += 1
            if count >= MOST_FRAMES:
                break
    except Exception as error:  # any of ASE's many readers may raise anything
        if first is None:
            raise RunError(f"{path} is nothing this suite knows, and ASE cannot read it: {error}") from error
        raise RunError(f"{path} is cut off or damaged after {count} whole frames: {error}") from error
    if first is None:
        raise RunError(f"{path} holds no structure")
    if len(sizes) > 1:
        raise RunError(f"{path} holds frames of {sorted(sizes)[:5]} atoms; wanted the same number in each")
    return {
        "frames": count,
        "formula": first.get_chemical_formula(),
        "atoms": len(first),
        "volume_A3": float(abs(first.cell.volume)),
        "periodic": [bool(p) for p in first.pbc],
    }


def _run_folder(path: Path) -> Inspection:
    folder = RunFolder(path)
    states = {stage.name: folder.state(stage.name, stage.outputs) for stage in STAGES}
    facts: dict[str, Any] = {"stages": states}
    damaged = [name for name, state in states.items() if state == "damaged"]
    if (path / "summary.json").exists() and not damaged:
        facts["summary"] = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    trouble = (
        f"the outputs of {', '.join(damaged)} are not what was written; run again, they are made anew"
        if damaged
        else ""
    )
    return Inspection("run folder", facts, trouble)
