"""A configuration to start from: every key with its meaning, set or as a comment with its default."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from iondiff.config import RunConfig
from iondiff.quench_config import QuenchConfig
from iondiff.studies import DynamicsStudy, GraphStudy
from iondiff.training import TrainingConfig

#: What a new study of a guest in a host sets; every other key stands in the file as a comment.
GUEST = {
    "guest": "Li",
    "seed": 0,
    "host": {"file": "host.extxyz"},
    "labels": {
        "count": 400,
        "test_count": 40,
        "core_count": 20,
        "calculator": "chgnet.model.dynamics:CHGNetCalculator",
        "calculator_kwargs": {"use_device": "cpu"},
    },
    "improve": {"rounds": 4},
    "transport": {"temperatures": [300.0, 400.0, 500.0, 600.0]},
}
GUEST_TITLE = (
    "A dilute guest in a host: labels from any ASE calculator, a guest network, every site and pass, D(T). "
    "Paths are relative to this file. Keys in comments show their defaults."
)


def guest_template() -> str:
    """A commented ``config.toml`` for :func:`iondiff.workflow.run`."""
    return commented(RunConfig, GUEST, GUEST_TITLE)


GRAPH = {
    "seed": 0,
    "graph": {"file": "network.json"},
    "transport": {"temperatures": [300.0, 400.0, 500.0, 600.0]},
    "carriers": {"counts": [1, 8], "replicate": [2, 2, 2]},
}
GRAPH_TITLE = (
    "A hopping graph and nothing else: D(T) of single carriers, exact and walked, and of many carriers that exclude "
    "each other. Paths are relative to this file. Keys in comments show their defaults."
)
DENSE = {
    "seed": 0,
    "structure": {"file": "electrolyte.extxyz", "repeat": [1, 1, 1]},
    "potential": {"file": "potential.nnp"},
    "dynamics": {"temperatures": [600.0, 800.0, 1000.0]},
    "analysis": {"species": "Li", "charge": 1.0},
}
DENSE_TITLE = (
    "A dense electrolyte by molecular dynamics: a structure and a potential of all its atoms, D(T) and conductivity. "
    "Train a potential with: diffusion-network init training.toml --kind training. Paths are relative to this "
    "file. Keys in comments show their defaults."
)
TRAINING = {
    "seed": 0,
    "data": {"train": ["dft.extxyz"]},
    "network": {"hidden": [20, 20], "members": 3},
}
TRAINING_TITLE = (
    "A potential for all atoms from structures with energies and forces, for: diffusion-network train. Paths are "
    "relative to this file. Keys in comments show their defaults."
)

QUENCH = {
    "seed": 0,
    "start": {"composition": {"Si": 64}, "density_g_cm3": 2.3},
    "potential": {"built_in": "tersoff"},
    "protocol": {"rates_K_per_s": [1e14, 1e13], "samples": 2},
}
QUENCH_TITLE = (
    "Amorphous models by melting and quenching, and a report on them. Paths are relative to this file. Keys in "
    "comments show their defaults."
)


@dataclass(frozen=True)
class Kind:
    """A kind of study: its configuration, what a new one sets, and the command that goes on from there."""

    model: type[BaseModel]
    chosen: dict[str, Any]
    title: str
    command: str

    def __call__(self) -> str:
        """The commented configuration."""
        return commented(self.model, self.chosen, self.title)


#: What ``diffusion-network init --kind`` knows.
KINDS = {
    "guest": Kind(RunConfig, GUEST, GUEST_TITLE, "run {} --output runs/study --dry-run"),
    "dense": Kind(DynamicsStudy, DENSE, DENSE_TITLE, "run {} --output runs/study --dry-run"),
    "kmc": Kind(GraphStudy, GRAPH, GRAPH_TITLE, "run {} --output runs/study --dry-run"),
    "quench": Kind(QuenchConfig, QUENCH, QUENCH_TITLE, "quench {} --output runs/quench --dry-run"),
    "training": Kind(TrainingConfig, TRAINING, TRAINING_TITLE, "train {} --output runs/training"),
}


def commented(model: type[BaseModel], chosen: dict[str, Any], title: str) -> str:
    """TOML of a model: the chosen keys set, all others as comments with their defaults."""
    lines = [*_comment(title), ""]
    sections = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            sections.append((name, kind))
        else:
            lines += _entry(name, field, chosen)
    for name, kind in sections:
        lines += ["", *_comment((kind.__doc__ or "").split("(:")[0]), f"[{name}]"]
        for key, field in kind.model_fields.items():
            lines += _entry(key, field, chosen.get(name, {}))
    return "\n".join(lines) + "\n"


def _entry(name: str, field: Any, chosen: dict[str, Any]) -> list[str]:
    meaning = _comment((field.description or "").replace("`", ""))
    if name in chosen:
        return [*meaning, f"{name} = {toml(chosen[name])}"]
    default = field.default
    if default is PydanticUndefined or default is None:
        return [*meaning, f"# {name} = "]
    return [*meaning, f"# {name} = {toml(default)}"]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), 100)]


def toml(value: Any) -> str:
    """A value as TOML: numbers, text, truth, lists and tables of these."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, Path)):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, BaseModel):
        return toml({name: inner for name, inner in value if inner is not None})
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {toml(item)}" for key, item in value.items())
        return "{" + inside + "}"
    raise TypeError(f"{value!r} has no form in TOML here")
