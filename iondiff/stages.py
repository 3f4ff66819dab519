"""Stages of a run, files in, files out: host, labels, further labels, training, evidence.

:mod:`iondiff.workflow` decides when; the others stand in `stages_network` and `stages_transport`.
"""

from __future__ import annotations

import io
import platform
import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import spglib
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from iondiff.assessment import split, training_report
from iondiff.config import RunConfig
from iondiff.descriptors import check_host, default_guest_set
from iondiff.errors import ConfigError, RunError
from iondiff.files import file_hash, write_atomically, write_json
from iondiff.improvement import Round, improve
from iondiff.literature import read_literature
from iondiff.potentials import GuestLandscape, GuestNNP, load, save
from iondiff.sampling import Label, LabelSet, draw_points, label_points, read_labels, write_labels
from iondiff.sampling.labeller import hessian_path
from iondiff.stage_context import Context, read_record, write_table
from iondiff.stages_network import searched
from iondiff.structures import read_structure
from iondiff.training import train_guest


def outside_files(stage: str, config: RunConfig) -> list[Path | None]:
    """Files outside the run folder that a stage reads."""
    if stage == "host":
        return [config.host.file]
    if stage == "labels":
        return [config.labels.file]
    if stage == "evidence":
        return [path for _, path in config.evidence]
    return []


def host(context: Context) -> None:
    """Read and check the host, and keep its own copy."""
    atoms = read_host(context.config.host.file)
    atoms.calc = None
    text = io.StringIO()
    ase.io.write(text, atoms, format="extxyz", columns=["symbols", "positions"])
    write_atomically(context.folder / "host.extxyz", text.getvalue())


def read_host(path: Path) -> Atoms:
    """A periodic structure from any file ASE reads."""
    atoms = read_structure(path)
    check_host(atoms)
    return atoms


def labels(context: Context) -> None:
    """Read the label file, or make the labels."""
    config = context.config
    host_atoms = context.host()
    if config.labels.file is not None:
        found = read_labels(config.labels.file, host_atoms, config.guest)
    else:
        found = make_labels(
            config, host_atoms, context.folder / "labels.jsonl", context.workers, context.reporting("labels"),
            context.say, context.executor,
        )  # fmt: skip
    write_labels(context.folder / "labels.jsonl.gz", found)


def make_labels(
    config: RunConfig,
    host_atoms: Atoms,
    checkpoint: Path,
    workers: int | None,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
    executor: Executor | None = None,
) -> LabelSet:
    """Label the grid part and the core part of a configuration."""
    settings = config.labels
    if not settings.calculator:
        raise ConfigError(
            "labels.file and labels.calculator are both empty; name a label file, or a calculator such as "
            "'chgnet.model.dynamics:CHGNetCalculator' to make labels with"
        )
    say(f"code of {settings.calculator} is run to make labels, with {settings.calculator_kwargs}")
    wall = ((settings.core_distance, 1.0), (min(settings.keep)[0], 0.0))
    parts = {
        "grid": draw_points(host_atoms, settings.count, settings.grid, settings.keep, config.seed)[0],
        "core": draw_points(host_atoms, settings.core_count, settings.grid, wall, config.seed + 1)[0],
    }
    total = sum(len(points) for points in parts.values())
    found: list = []
    provenance: dict[str, Any] = {}
    for part, points in parts.items():
        made = label_points(
            host_atoms, config.guest, points, settings.calculator, settings.calculator_kwargs,
            checkpoint=checkpoint, part=part, spring=settings.spring, fmax=settings.fmax,
            precondition=settings.precondition, workers=workers, executor=executor,
            provenance={"seed": config.seed}, progress=partial(_shifted, progress, len(found), total),
        )  # fmt: skip
        found += made.labels
        provenance = made.provenance
    return LabelSet(found, provenance)


def _shifted(progress: Callable[[int, int], None], before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def improve_labels(context: Context) -> None:
    """Add labels at the sites and passes that networks trained on the way find; the test labels stay out."""
    config, host_atoms = context.config, context.host()
    settings = config.improve
    found = read_labels(context.folder / "labels.jsonl.gz", host_atoms, config.guest)
    added: list[Label] = []
    rounds: list[Round] = []
    if settings.rounds:
        if not config.labels.calculator:
            raise ConfigError(
                "improve.rounds asks for further labels, and labels.calculator is empty; name the "
                "calculator of the labels, or set improve.rounds = 0"
            )
        training, _ = split(found, config.labels.test_count, config.seed)
        improved, rounds = improve(
            host_atoms, training,
            train=lambda known, n: trained(context, host_atoms, known.select(), f"improve{n}"),
            search=lambda landscape: searched(context, landscape, prefactors=1e13),
            ask=lambda points, n: asked(context, host_atoms, points, n),
            temperature=float(np.median(config.transport.temperatures)), rounds=settings.rounds,
            tolerance_eV=1e-3 * settings.tolerance_meV, most=settings.most_labels, spacing=settings.spacing,
        )  # fmt: skip
        added = improved.labels[len(training) :]
    write_labels(
        context.folder / "training_labels.jsonl.gz", LabelSet(found.labels + added, found.provenance)
    )
    write_json(context.folder / "improvement.json", {"rounds": [found.record() for found in rounds]})


def asked(context: Context, host_atoms: Atoms, points: np.ndarray, number: int) -> list[Label]:
    """Labels of one round; a quarter of the points may fail."""
    settings = context.config.labels
    return label_points(
        host_atoms, context.config.guest, points, settings.calculator, settings.calculator_kwargs,
        checkpoint=context.folder / "improve.jsonl", part=f"path{number}", spring=settings.spring,
        fmax=settings.fmax, precondition=settings.precondition, workers=context.workers,
        hessian_file=hessian_path(context.folder / "labels.jsonl"), max_failures=len(points) // 4,
        progress=context.reporting(f"improve {number}"), provenance={"seed": context.config.seed},
    ).labels  # fmt: skip


def trained(context: Context, host_atoms: Atoms, training: LabelSet, name: str) -> GuestNNP:
    """A committee on these labels, with checkpoints of this name."""
    config = context.config
    functions = default_guest_set(
        host_elements(host_atoms), config.network.cutoff, config.network.angular_cutoff
    )
    wall = min(config.labels.core_distance, float(min(label.min_distance_A for label in training.labels)))
    return train_guest(
        host_atoms, config.guest, functions, training.positions, training.energies, training.gradients,
        config.network.settings(symmetric=has_symmetry(host_atoms)), wall_A=wall, seed=config.seed,
        checkpoint=context.folder / name, progress=context.reporting(name),
    )  # fmt: skip


def train(context: Context) -> None:
    """Train the guest network and write down how good it is."""
    config = context.config
    host_atoms = context.host()
    found = read_labels(context.folder / "training_labels.jsonl.gz", host_atoms, config.guest)
    training, test = split(found, config.labels.test_count, config.seed)
    potential = trained(context, host_atoms, training, "train")
    report = training_report(potential, host_atoms, training, test)
    report["unconverged_labels"] = len(found.labels) - len(found.select().labels)
    summary = {
        **potential.summary,
        "labels": found.provenance,
        "label_count": len(found.labels),
        "test_rmse_meV": report["test_rmse_meV"],
    }
    save(replace(potential, summary=summary), context.folder / "potential.nnp")
    write_json(context.folder / "training.json", report)


def has_symmetry(host_atoms: Atoms) -> bool:
    """Whether anything but the identity maps the host onto itself, within 0.01 Å."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how spglib reports failures; None is handled
        found = spglib.get_symmetry(
            (host_atoms.cell.array, host_atoms.get_scaled_positions(), host_atoms.numbers), symprec=1e-2
        )
    return found is not None and len(found["rotations"]) > 1


#: Elements that are the anion of a compound, the most electronegative first.
_ANIONS = ("F", "O", "Cl", "N", "Br", "I", "S", "Se", "C", "Te", "P", "As", "H")


def host_elements(host_atoms: Atoms) -> tuple[str, ...]:
    """The host's elements, cations first and the heavier ones before the lighter, the anion last."""
    names = sorted(
        set(host_atoms.get_chemical_symbols()), key=lambda name: (-atomic_masses[atomic_numbers[name]], name)
    )
    anion = next((name for name in _ANIONS if name in names), names[-1])
    return (*(name for name in names if name != anion), anion)


def evidence(context: Context) -> None:
    """Hold the network against the teacher: its own energies, now, along bands the teacher has seen."""
    files = context.config.evidence
    teacher: dict[str, Any] = {"max_error_eV": None, "hops": [], "teacher": "not run"}
    if files.teacher_check is not None:
        teacher = compare_with_teacher(read_record(files.teacher_check), context.landscape())
    noise = read_record(files.label_noise) if files.label_noise else {}
    record = {
        "label_noise_meV": noise.get("label_noise_meV"),
        "label_noise": noise or None,
        "learning_curve": read_record(files.learning_curve)["curve"] if files.learning_curve else None,
        "spring_study": read_record(files.spring_study) if files.spring_study else None,
    }
    write_json(context.folder / "teacher_check.json", teacher)
    write_table(read_literature(files.literature), context.folder / "literature.csv")
    write_json(context.folder / "evidence.json", record)


def compare_with_teacher(record: dict[str, Any], landscape: GuestLandscape) -> dict[str, Any]:
    """Energies of this run's network beside the teacher's, both counted from the start of each band."""
    hops = []
    for hop in record["hops"]:
        teacher = np.array(hop["energy_teacher_eV"])
        network = landscape.energy_and_gradient(np.array(hop["positions_A"]))[0]
        difference = (network - network[0]) - (teacher - teacher[0])
        if not np.isfinite(difference).all():
            raise RunError(f"the potential is infinite on the teacher's band {hop['source']}-{hop['target']}")
        hops.append(
            {
                **hop,
                "energy_network_eV": (network - network[0]).tolist(),
                "energy_teacher_eV": (teacher - teacher[0]).tolist(),
                "barrier_network_eV": float((network - network[0]).max()),
                "barrier_teacher_eV": float((teacher - teacher[0]).max()),
                "max_error_eV": float(np.abs(difference).max()),
            }
        )
    return {**record, "hops": hops, "max_error_eV": max(hop["max_error_eV"] for hop in hops)}


_PACKAGES = ("torch", "ase", "networkx", "numba", "numpy", "scipy", "pandas", "plotly", "diffusion-network")


def provenance(folder: Path) -> dict[str, Any]:
    """Versions and hashes behind a run."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    files = (
        "config.toml",
        "host.extxyz",
        "labels.jsonl.gz",
        "potential.nnp",
        "network.json",
        "diffusivity.csv",
    )
    return {
        "versions": versions,
        "platform": platform.platform(),
        "hashes": {name: file_hash(folder / name) for name in files},
        "labels": load(folder / "potential.nnp").summary["labels"],
    }
