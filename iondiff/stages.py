"""What each stage of a run does: files in, files out. :mod:`iondiff.workflow` decides when."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import ase.io
import networkx as nx
import numpy as np
import pandas as pd
import spglib
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

import kmc
import search
from iondiff.assessment import split, training_report
from iondiff.config import RunConfig
from iondiff.descriptors import check_host, default_guest_set
from iondiff.errors import ConfigError, RunError
from iondiff.files import file_hash, is_sealed, read_bounded, sealed, write_atomically, write_json
from iondiff.improvement import Round, improve
from iondiff.potentials import GuestLandscape, GuestNNP, load, save
from iondiff.sampling import Label, LabelSet, draw_points, label_points, read_labels, write_labels
from iondiff.sampling.labeller import hessian_path
from iondiff.structures import read_structure
from iondiff.training import train_guest
from iondiff.uncertainty import potential_uncertainty

Progress = Callable[[str, int, int], None]
_LARGEST_RECORD = 256 << 20  # bytes


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


def searched(
    context: Context, landscape: GuestLandscape, prefactors: float | Literal["vineyard"]
) -> nx.MultiDiGraph:
    """The hopping graph of a landscape by the run's settings."""
    settings = context.config.search
    return search.build_network(
        landscape, grid=settings.grid, energy_cap=settings.energy_cap, guest=context.config.guest,
        prefactors=prefactors, seed=context.config.seed, progress=context.progress,
    )  # fmt: skip


def search_network(context: Context) -> None:
    """Sites, passes, hops; and the certificate that none is missing on the fitted surface."""
    settings = context.config.search
    landscape = context.landscape()
    network = searched(context, landscape, settings.prefactors)
    certificate: dict[str, Any] = {"complete": False, "text": "not asked for (search.certify = false)"}
    if settings.certify:
        certificate = certificate_record(search.certify(landscape, network))
    # How long it took is no property of the network; the same run must give the same file.
    record = network.graph["search"]
    network.graph["search"] = {
        name: value for name, value in record.items() if not name.startswith("seconds")
    }
    kmc.validate(network)
    kmc.write_graph(network, context.folder / "network.json")
    write_table(search.sites_table(network), context.folder / "sites.csv")
    write_table(search.hops_table(network), context.folder / "hops.csv")
    write_json(context.folder / "certificate.json", certificate)


def bands(context: Context) -> None:
    """Check every hop with a climbing-image band; what disagrees or does not converge is said."""
    network = context.network()
    refined = search.neb.refine(context.landscape(), network)
    rows = []
    for hop in refined:
        source, target, key = hop.edge
        finite = bool(np.isfinite(hop.barrier))
        rows.append(
            {
                "source": source,
                "target": target,
                "key": key,
                "image": list(network.edges[hop.edge]["image"]),
                "barrier_eV": float(hop.network_barrier),
                "band_barrier_eV": float(hop.barrier) if finite else None,
                "difference_eV": float(hop.barrier - hop.network_barrier) if finite else None,
                "elementary": bool(hop.elementary),
                "converged": bool(hop.converged),
                "reason": hop.reason,
            }
        )
    settled = [
        row for row in rows if row["converged"] and row["elementary"] and row["difference_eV"] is not None
    ]
    differences = np.abs(np.array([row["difference_eV"] for row in settled], dtype=float))
    record = {
        "hops": len(rows),
        "converged_elementary": len(settled),
        "within_5_meV": int((differences < 5e-3).sum()),
        "largest_difference_eV": float(differences.max()) if len(differences) else None,
        "bands": rows,
    }
    write_json(context.folder / "bands.json", record)


def certificate_record(certificate: Any) -> dict[str, Any]:
    """A certificate as plain data; times are left out."""
    numbers = {
        name: value
        for name, value in vars(certificate).items()
        if isinstance(value, (bool, int, float, str)) and not name.startswith("seconds")
    }
    numbers = {k: v for k, v in numbers.items() if not isinstance(v, float) or np.isfinite(v)}
    return {**numbers, "complete": bool(certificate.complete), "text": str(certificate)}


def transport(context: Context) -> None:
    """D(T), exactly and by walking, and the activation energy."""
    settings = context.config.transport
    network = context.network()
    temperatures = list(settings.temperatures)
    exact = kmc.sweep(network, temperatures)
    percolation = kmc.percolation(network)
    if not (exact["D"] > 0).all():
        raise RunError(
            f"no path leads through the cell below the energy cap (percolation rank {percolation.rank}); "
            "raise search.energy_cap"
        )
    walked = [
        Walked(t, settings.walkers, settings.hops, context.config.seed + i)
        for i, t in enumerate(temperatures)
    ]
    results = walks(context, network, walked)
    rows = [exact, *(pd.DataFrame([row]) for row, _ in results)]
    notes = [note for _, mine in results for note in mine]
    table = pd.concat(rows, ignore_index=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = kmc.fit_arrhenius(exact)
    middle = float(np.median(temperatures))
    training = read_record(context.folder / "training.json")
    spread = potential_uncertainty(
        network, temperatures, training["by_energy"], training["lowest_eV"], seed=context.config.seed
    )
    hops = kmc.current_hops(network, middle)
    hops["image"] = [json.dumps(list(image)) for image in hops["image"]]
    write_table(table, context.folder / "diffusivity.csv")
    write_table(hops, context.folder / "current_hops.csv")
    barriers = [float(b) if np.isfinite(b) else None for b in percolation.barriers]
    write_json(
        context.folder / "transport.json",
        {
            "activation_energy_eV": float(fit.Ea),
            "activation_energy_error_eV": float(np.hypot(fit.Ea_error, spread["activation_energy_eV"])),
            "activation_energy_fit_error_eV": float(fit.Ea_error),
            "potential_uncertainty": spread,
            "D0_cm2_s": float(fit.D0),
            "activation_energy_exact_eV": {
                str(t): float(kmc.activation_energy(network, t)) for t in temperatures
            },
            "percolation": {
                "rank": int(percolation.rank),
                **{f"barrier_{n}d_eV": barrier for n, barrier in zip((1, 2, 3), barriers, strict=True)},
            },
            "network": {"n_sites": network.number_of_nodes(), "n_hops": network.number_of_edges()},
            "notes": notes + [str(w.message) for w in caught],
        },
    )


@dataclass(frozen=True)
class Walked:
    """One temperature (K) to be walked, and how."""

    temperature: float
    walkers: int
    hops: int
    seed: int


Row = tuple[dict[str, Any], list[str]]  # a row of D(T), and what should be said about it


def walks(context: Context, network: nx.MultiDiGraph, walked: Sequence[Walked]) -> list[Row]:
    """A row of D(T) for each temperature; those of a run that was killed are read, not walked again."""
    compiled, graph = kmc.compile_graph(network), file_hash(context.folder / "network.json")
    # Named by what decides the walk, so that one of an older configuration is not in the way.
    names = [hashlib.sha256(f"{graph} {task}".encode()).hexdigest()[:16] for task in walked]
    kept = [context.folder / f"walk-{name}.json" for name in names]
    rows = {place: _kept_row(path) for place, path in enumerate(kept)}
    missing = [place for place, row in rows.items() if row is None]
    for place, row in _walk_all(context, compiled, walked, kept, missing):
        write_json(kept[place], sealed({"row": row[0], "notes": row[1]}))
        rows[place] = row
        context.progress("transport", sum(row is not None for row in rows.values()), len(walked))
    return [row for row in rows.values() if row is not None]


def _kept_row(path: Path) -> Row | None:
    try:
        record = json.loads(read_bounded(path, _LARGEST_RECORD))
    except (OSError, ValueError, RecursionError):
        return None
    return (record["row"], record["notes"]) if is_sealed(record) else None


def _walk_all(
    context: Context, network: kmc.Network, walked: Sequence[Walked], kept: Sequence[Path], missing: list[int]
) -> Iterator[tuple[int, Row]]:
    """Places and rows as they are finished: here, or wherever the executor has its workers."""
    if context.executor is None:
        for place in missing:
            yield place, _walk_here(context, network, walked[place], kept[place].with_suffix(".npz"))
        return
    futures = {context.executor.submit(walk, network, walked[place]): place for place in missing}
    for future in as_completed(futures):
        yield futures[future], future.result()


def _walk_here(context: Context, network: kmc.Network, task: Walked, checkpoint: Path) -> Row:
    try:
        return walk(network, task, checkpoint)
    except kmc.CheckpointError as error:
        if not checkpoint.exists():  # it could not be written: nothing that walking again would mend
            raise
        context.say(f"{error}; the walk starts again")
        checkpoint.unlink()
        return walk(network, task, checkpoint)


def walk(network: kmc.Network, task: Walked, checkpoint: Path | None = None) -> Row:
    """One row of D(T) by kinetic Monte Carlo; a walk too short for its own error bar is kept and says so."""
    run = kmc.simulate(
        network, task.temperature, task.walkers, task.hops, seed=task.seed, checkpoint=checkpoint
    )
    notes = []
    try:
        estimate = kmc.tracer_diffusivity(run)
    except kmc.NotConvergedError as error:
        estimate = error.estimate
        notes.append(f"walk at {task.temperature:g} K: {error}")
    row = {
        "temperature": task.temperature,
        "D": float(estimate.value),
        "D_error": float(estimate.error),
        "method": "walk",
    }
    return row, notes


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
    write_json(context.folder / "evidence.json", record)


def read_record(path: Path) -> dict[str, Any]:
    """A shipped JSON result."""
    try:
        record = json.loads(read_bounded(path, _LARGEST_RECORD))
    except FileNotFoundError:
        raise RunError(
            f"evidence file {path} does not exist; make it with the case study's script or drop the key"
        ) from None
    except (ValueError, RecursionError, OSError) as error:
        raise RunError(f"evidence file {path} cannot be read: {error}") from error
    if not isinstance(record, dict):
        raise RunError(f"evidence file {path} does not hold a table of names and values")
    return record


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


def write_table(table: pd.DataFrame, path: Path) -> None:
    """CSV with every digit, written atomically."""
    write_atomically(path, table.to_csv(index=False))


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
