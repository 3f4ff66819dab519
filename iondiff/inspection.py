"""What a file is, and whether it is sound."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pandas as pd
from ase import Atoms

import kmc
from iondiff.dynamics import Trajectory
from iondiff.errors import IondiffError, RunError
from iondiff.files import read_bounded
from iondiff.potentials import Committee, GuestNNP, load
from iondiff.quench_config import read_quench_config
from iondiff.run_folder import RunFolder
from iondiff.sampling import read_labels
from iondiff.structures import checked_format
from iondiff.studies import DynamicsStudy, GraphStudy, read_study
from iondiff.tables import read_toml
from iondiff.training import read_training_config
from iondiff.workflow import STAGES

#: Frames of a trajectory looked at; more are counted as "at least".
MOST_FRAMES = 100_000
_LARGEST_RECORD = 256 << 20  # bytes


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes
    ----------
    kind
        "potential", "hopping graph", "run folder", "labels", "configuration", "structure", "trajectory",
        "trajectories" (a folder of them), "training" (its folder) or "table".
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
        if (path / "quenched.json").exists() or any(path.glob("*.iontraj")):
            return "trajectories", _trajectories
        if (path / "training.json").exists():
            return "training", _training
        raise RunError(
            f"{path} is a folder without stages/ (a run), input.nn (an n2p2 potential), training.json or *.iontraj"
        )
    endings = {
        (".nnp",): ("potential", _potential),
        (".iontraj",): ("trajectory", _trajectory),
        (".csv",): ("table", _table),
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
        return _whole(potential)
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


def _whole(potential: Any) -> dict[str, Any]:
    """A potential for all atoms, alone or in a committee."""
    members = potential.members if isinstance(potential, Committee) else (potential,)
    lead = members[0]
    facts: dict[str, Any] = {
        "type": "HDNNP" if len(members) == 1 else "committee of HDNNPs",
        "elements": list(lead.species),
        "members": len(members),
        "cutoff_A": float(lead.cutoff),
        "units": "Angstrom, eV",
    }
    if lead.summary.get("source"):
        facts["source"] = str(lead.summary["source"])
        facts["units assumed of the files"] = ", ".join(lead.units)
    facts |= _learnt(lead.summary.get("training", {}))
    for element, network, energy in zip(lead.descriptor.elements, lead.networks, lead.offsets(), strict=True):
        facts[element.centre] = {
            "functions": len(element),
            "layers": list(network.layers),
            "activations": " ".join(network.activations),
            "energy of reference_eV": float(energy),
        }
    return facts


_ERRORS = {
    "energy_meV_atom": ("energy", "meV an atom"),
    "force_eV_A": ("forces", "eV/Å"),
    "stress_GPa": ("stress", "GPa"),
}


def _learnt(summary: dict[str, Any]) -> dict[str, Any]:
    """What a potential has learnt from, and how well."""
    facts: dict[str, Any] = {}
    if summary.get("data"):
        facts["learnt from"] = ", ".join(
            f"{d['file']} (sha256 {d['sha256'][:12] or 'unknown'})" for d in summary["data"]
        )
    for name, table in summary.get("errors", {}).items():
        parts = [
            f"{what} {table[key]['rmse']:.3g} {unit}"
            for key, (what, unit) in _ERRORS.items()
            if table.get(key)
        ]
        facts[f"RMSE, {name}"] = ", ".join([f"{table['structures']} structures", *parts])
    return facts


def _trajectory(path: Path) -> dict[str, Any]:
    frames = Trajectory(path)
    if frames.damage:
        raise RunError(f"{path}: {frames.damage}")
    return _frames(frames)


def _frames(frames: Trajectory) -> dict[str, Any]:
    times = frames.times_ps()
    return {
        "frames": len(frames),
        "formula": Atoms(list(frames.symbols)).get_chemical_formula(),
        "atoms": len(frames.symbols),
        "begins_ps": float(times[0]) if len(times) else None,
        "ends_ps": float(times[-1]) if len(times) else None,
        "periodic": [bool(p) for p in frames.pbc],
    }


def _trajectories(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(path.glob("*.iontraj")):
        facts = _trajectory(file)
        found[file.name] = f"{facts['frames']} frames of {facts['formula']} to {facts['ends_ps']} ps"
    model = path / "quenched.json"
    if model.exists():
        record = _record(model)
        found["amorphous model"] = {name: record.get(name) for name in ("energy_eV", "seed", "warnings")}
    return found


def _training(path: Path) -> dict[str, Any]:
    record = _record(path / "training.json")
    facts = {name: value for name, value in record.items() if isinstance(value, (int, float, str))}
    potential = path / "potential.nnp"
    return {**facts, "potential": _potential(potential)} if potential.exists() else facts


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(read_bounded(path, _LARGEST_RECORD))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise RunError(f"{path} does not hold a table of names and values")
    return record


def _table(path: Path) -> dict[str, Any]:
    try:
        table = pd.read_csv(io.BytesIO(read_bounded(path, _LARGEST_RECORD)))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as a table: {error}") from error
    facts: dict[str, Any] = {"rows": len(table), "columns": list(map(str, table.columns))}
    if {"temperature", "D"} <= set(table.columns):
        if not (
            pd.api.types.is_numeric_dtype(table["D"]) and pd.api.types.is_numeric_dtype(table["temperature"])
        ):
            raise RunError(f"{path} has a temperature or a D that is not a number")
        facts["holds"] = "diffusivities, cm²/s"
        facts["temperatures_K"] = sorted(set(table["temperature"].dropna().tolist()))[:50]
    return facts


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
    tables = read_toml(path)
    if "data" in tables and "host" not in tables:
        training = read_training_config(path)
        return {"study": "training", "files": [str(f) for f in training.data.train], "seed": training.seed}
    if "start" in tables and "host" not in tables:
        melt = read_quench_config(path)
        return {"study": "melt-quench", "rates_K_per_s": list(melt.protocol.rates_K_per_s), "seed": melt.seed}
    study = read_study(path)
    if isinstance(study, GraphStudy):
        return {"study": "hopping graph", "graph": str(study.graph.file), "seed": study.seed}
    if isinstance(study, DynamicsStudy):
        asked = study.potential.file or study.potential.calculator
        return {
            "study": "molecular dynamics", "structure": str(study.structure.file), "potential": str(asked),
            "seed": study.seed,
        }  # fmt: skip
    return {"study": "guest", "guest": study.guest, "host": str(study.host.file), "seed": study.seed}


def _structure(path: Path) -> dict[str, Any]:
    count, first, sizes = 0, None, set()
    try:
        for atoms in ase.io.iread(path, format=checked_format(path)):
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
    for record in sorted((path / "stages").glob("*.json")):  # other kinds of study have other stages
        if record.stem not in states and record.stem != "summary":
            states = {name: state for name, state in states.items() if state != "open"}
            states[record.stem] = "done"
    facts: dict[str, Any] = {"stages": states}
    damaged = folder.damaged()
    damaged += [name for name, state in states.items() if state == "damaged" and not damaged]
    if (path / "summary.json").exists() and not damaged:
        facts["summary"] = json.loads((path / "summary.json").read_text(encoding="utf-8"))
    trouble = (
        f"{', '.join(damaged)}: not what was written there, or gone; run again, they are made anew"
        if damaged
        else ""
    )
    return Inspection("run folder", facts, trouble)
