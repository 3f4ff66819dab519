"""Train a high-dimensional potential: files in, a potential with its error table out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import TrainingError
from iondiff.files import write_atomically, write_json
from iondiff.potentials import HDNNP, Committee, save
from iondiff.training import dataset, results
from iondiff.training.dataset import Labelled
from iondiff.training.gather import Data, gather
from iondiff.training.loop import Member, train_member
from iondiff.training.page import page
from iondiff.training.settings import TrainingConfig, read_training_config
from iondiff.training.setup import Report, Setup


@dataclass(frozen=True)
class Training:
    """What :func:`train` returns.

    Attributes
    ----------
    potential
        A committee, or its one member.
    errors
        MAE and RMSE of "train", "validation" and "test" (:func:`iondiff.training.results.errors`).
    worst_atoms
        The ten atoms whose forces are furthest off.
    members
        For each: epochs, best epoch, why it stopped, and one row of the learning curve an epoch.
    parity
        Reference and predicted energies of every structure.
    warnings
        What a person should look at.
    derivatives_GB
        Stored derivatives of the symmetry functions; more than `memory_budget_GB` were kept in a file.
    """

    potential: HDNNP | Committee
    errors: dict[str, Any]
    worst_atoms: list[dict[str, Any]]
    members: list[dict[str, Any]]
    parity: dict[str, list[Any]]
    warnings: list[str] = field(default_factory=list)
    derivatives_GB: float = 0.0


def train(
    config: str | Path | dict[str, Any] | TrainingConfig,
    output: str | Path | None = None,
    *,
    structures: Sequence[Atoms] | None = None,
    test_structures: Sequence[Atoms] | None = None,
    progress: Report | None = None,
) -> Training:
    """Train a potential for all atoms.

    Parameters
    ----------
    config
        TOML file, or the same as plain data (:class:`iondiff.training.TrainingConfig`).
    output
        Folder for ``potential.nnp``, ``training.json``, ``history.csv``, ``parity.csv``, ``parity_forces.csv``,
        ``training.html`` and
        checkpoints. Started again with the same configuration, it goes on where it stopped and ends at the
        same last digit.
    structures, test_structures
        ASE structures with energies and forces, instead of (or beside) the files of the configuration.
    progress
        Called with (what, done, in all).

    Raises
    ------
    iondiff.errors.TrainingError, iondiff.errors.ConfigError
        With one sentence.
    """
    config = read_training_config(config)
    say = progress or (lambda *_: None)
    data, messages = gather(config, structures, test_structures)
    dataset.warn(messages)
    folder = None if output is None else Path(output)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    setup = Setup.of(config, data, say)
    named = [
        m for m in setup.odd_energies() if m.split(" is ")[0] not in {n.split(" is ")[0] for n in messages}
    ]
    dataset.warn(named)
    messages += named
    trained = _train_members(config, setup, folder, say)
    bad = [m for m in trained if m.progress.best_epoch == 0]
    if bad:
        raise TrainingError(
            f"{len(bad)} of {len(trained)} networks never had a finite loss ({bad[0].progress.stopped}); lower "
            "[optimiser] rate, or look for structures with very large energies or forces"
        )
    for k, member in enumerate(trained):
        if "finite" in member.progress.stopped:
            messages.append(f"member {k}: {member.progress.stopped}")
            dataset.warn(messages[-1:])
    found = _predictions(data, setup, [m.weights for m in trained])
    alpha = config.loss.force_weight
    failed = results.failures(*zip(*found["train"], strict=True), energies=alpha < 1, forces=alpha > 0)
    dataset.warn(failed)
    messages += failed
    errors = {
        name: results.errors([s for s, _ in pairs], [p for _, p in pairs]) for name, pairs in found.items()
    }
    rows = [(s, p, name) for name, pairs in found.items() for s, p in pairs]
    everything = ([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    training = Training(
        setup.potential([m.weights for m in trained], config, errors),
        errors,
        results.worst_atoms(*everything),
        [
            {
                "epochs": m.progress.epoch, "best_epoch": m.progress.best_epoch, "stopped": m.progress.stopped,
                "history": m.progress.history,
            }
            for m in trained
        ],
        results.parity(*everything),
        messages,
        sum(d.derivatives.nbytes for d in setup.described) / 1e9,
    )  # fmt: skip
    if folder is not None:
        _write(training, results.force_parity(*everything), config, folder)
    return training


def _predictions(
    data: Data, setup: Setup, weights: Sequence[np.ndarray]
) -> dict[str, list[tuple[Labelled, results.Prediction]]]:
    """Structures and predictions of every split: the committee's mean.

    With bagging, "validation" is what some members held out, each structure predicted by these alone.
    """
    outputs = [setup.outputs(w) for w in weights]
    splits = {
        "train": [(k, outputs) for k in data.train],
        "validation": [(k, outputs) for k in data.validation]
        + [(k, [outputs[m] for m in members]) for k, members in data.unseen().items()],
        "test": [(k, outputs) for k in data.test],
    }
    return {
        name: [(data.structures[k], setup.mean(members, k)) for k, members in split]
        for name, split in splits.items()
        if split
    }


def _task(config: TrainingConfig, setup: Setup, member: int) -> str:
    """What a checkpoint must have been made for: every number that decides where the training ends."""
    digest = hashlib.sha256()
    settings = config.model_dump(mode="json", exclude={"workers", "memory_budget_GB", "data"})
    if config.optimiser.kind != "adamw":  # only its schedule knows the last epoch; the others may go on
        del settings["optimiser"]["epochs"]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for which in setup.data.of_member(member):
        digest.update(np.array(which).tobytes())
    for s in setup.data.structures[: len(setup.data.train) + len(setup.data.validation)]:
        for array in (s.atoms.positions, s.atoms.cell.array, s.atoms.numbers, s.targets, s.atom_weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr(s.weight).encode())
    return digest.hexdigest()


def _train_members(config: TrainingConfig, setup: Setup, folder: Path | None, say: Report) -> list[Member]:
    members = list(range(config.network.members))
    workers = min(config.workers, len(members))
    if workers == 1:
        return [_one_member(config, setup, folder, k, say) for k in members]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        shares = [members[k::workers] for k in range(workers)]
        jobs = [pool.submit(_some_members, config, setup.data, folder, share) for share in shares]
        done: dict[int, Member] = {}
        for job in jobs:
            done |= job.result()
            say("train", len(done), len(members))
    return [done[k] for k in members]


def _some_members(
    config: TrainingConfig, data: Data, folder: Path | None, share: Sequence[int]
) -> dict[int, Member]:
    """In a process of its own: the functions are computed again there, which is cheaper than sending them."""
    setup = Setup.of(config, data, lambda *_: None)
    return {k: _one_member(config, setup, folder, k, lambda *_: None) for k in share}


def _one_member(
    config: TrainingConfig, setup: Setup, folder: Path | None, member: int, say: Report
) -> Member:
    learnt, held = setup.data.of_member(member)
    importances = (setup.importance(learnt, config), setup.importance(held, config))
    checkpoint = None if folder is None else folder / f"checkpoint.member{member}.npz"
    return train_member(
        config, member, setup.problem, learnt, held, importances, _task(config, setup, member), checkpoint,
        lambda done, total: say("train", member * total + done, config.network.members * total),
    )  # fmt: skip


def _write(training: Training, forces: dict[str, list[Any]], config: TrainingConfig, folder: Path) -> None:
    save(training.potential, folder / "potential.nnp")
    write_json(
        folder / "training.json",
        {
            "config": config.model_dump(mode="json"),
            "errors": training.errors,
            "worst_atoms": training.worst_atoms,
            "members": [{k: v for k, v in m.items() if k != "history"} for m in training.members],
            "warnings": training.warnings,
            "derivatives_GB": round(training.derivatives_GB, 6),
            "written": time.strftime("%Y-%m-%d"),
        },
    )
    rows = [{"member": k, **row} for k, m in enumerate(training.members) for row in m["history"]]
    write_atomically(folder / "history.csv", _csv({key: [r.get(key, "") for r in rows] for key in rows[0]}))
    write_atomically(folder / "parity.csv", _csv(training.parity))
    write_atomically(folder / "parity_forces.csv", _csv(forces))
    text = page(
        training.errors, training.parity, forces, training.members, training.worst_atoms, training.warnings
    )
    write_atomically(folder / "training.html", text)


def _csv(columns: dict[str, list[Any]]) -> str:
    lines = [",".join(columns)]
    lines += [",".join(str(v) for v in row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"
