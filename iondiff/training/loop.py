"""One network's training: epochs, the best weights on the validation set, checkpoints that lose nothing."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from iondiff.files import write_atomically
from iondiff.training.optimisers import (
    LBFGS,
    AdamW,
    KalmanFilter,
    LevenbergMarquardt,
    Optimiser,
    restore,
)
from iondiff.training.problem import Importance, Problem
from iondiff.training.settings import TrainingConfig

_CHECKPOINT_SECONDS = 5.0
_DONE = "all epochs done"


@dataclass
class Progress:
    """What a member has gone through.

    Attributes
    ----------
    epoch
        Epochs done.
    best_epoch, best_loss
        Where the validation loss was lowest (the training loss, where there is no validation set).
    stopped
        Why it ended; empty while it goes on.
    history
        One row an epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = float("inf")
    stopped: str = ""
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Member:
    """A trained network: its best weights and how it got there."""

    weights: np.ndarray
    progress: Progress


def make_optimiser(
    config: TrainingConfig, problem: Problem, which: Sequence[int], importance: Importance,
    weights: np.ndarray, seed: int,
) -> Optimiser:  # fmt: skip
    """The optimiser of a configuration."""
    section = config.optimiser
    nothing = np.concatenate([problem.targets[k] * importance.rows[k] for k in which])
    decay = config.loss.decay * float(nothing @ nothing) / len(weights)
    match section.kind:
        case "levenberg-marquardt":
            return LevenbergMarquardt(
                problem, which, importance, weights, decay=decay, oversampling=section.oversampling, seed=seed
            )
        case "l-bfgs":
            return LBFGS(problem, which, importance, weights, decay=decay, memory=section.memory)
        case "adamw":
            return AdamW(
                problem, which, importance, weights, rate=section.rate, decay=config.loss.decay,
                batch=section.batch, epochs=section.epochs, seed=seed,
            )  # fmt: skip
    return KalmanFilter(
        problem, which, importance, weights, streams=section.streams, forces=section.forces,
        force_updates=section.force_updates, epsilon=section.epsilon, seed=seed,
    )  # fmt: skip


def train_member(
    config: TrainingConfig,
    member: int,
    problem: Problem,
    train: Sequence[int],
    validation: Sequence[int],
    importances: tuple[Importance, Importance],
    task: str,
    checkpoint: Path | None,
    progress: Callable[[int, int], None] | None = None,
) -> Member:
    """Epochs until the validation loss has not fallen for `patience` of them.

    A loss that is not finite ends the training; the best weights so far are kept.
    """
    seed = config.seed * 1000 + member
    weights = problem.layout.initial(np.random.default_rng([config.seed, member]))
    optimiser = make_optimiser(config, problem, train, importances[0], weights, seed)
    best, status = weights, Progress()
    if checkpoint is not None:
        status, best = _resume(checkpoint, task, optimiser, best, config.optimiser.epochs) or (status, best)
    written = time.monotonic()
    while not status.stopped and status.epoch < config.optimiser.epochs:
        started = time.process_time()
        going = optimiser.epoch(status.epoch)
        status.epoch += 1
        row = _measure(problem, optimiser.state["weights"], train, validation, importances)
        row |= {"epoch": status.epoch, "cpu_s": time.process_time() - started}
        score = row["validation_loss" if validation else "train_loss"]
        if not np.isfinite(score) or not np.isfinite(row["train_loss"]):
            status.stopped = (
                f"the loss was no longer finite in epoch {status.epoch} (energies, forces or weights overflowed); "
                f"the weights of epoch {status.best_epoch} are kept"
            )
        else:
            status.history.append(row)
            if score < status.best_loss:
                status.best_loss, status.best_epoch = score, status.epoch
                best = optimiser.state["weights"].copy()
            if not going:
                status.stopped = "no further step lowers the loss"
            elif status.epoch - status.best_epoch >= config.optimiser.patience:
                status.stopped = f"no better validation loss in {config.optimiser.patience} epochs"
        if status.epoch == config.optimiser.epochs and not status.stopped:
            status.stopped = _DONE
        if checkpoint is not None and (status.stopped or time.monotonic() - written > _CHECKPOINT_SECONDS):
            _write(checkpoint, task, optimiser, best, status)
            written = time.monotonic()
        if progress:
            progress(status.epoch if not status.stopped else config.optimiser.epochs, config.optimiser.epochs)
    return Member(best, status)


def _measure(
    problem: Problem, weights: np.ndarray, train: Sequence[int], validation: Sequence[int],
    importances: tuple[Importance, Importance],
) -> dict[str, float]:  # fmt: skip
    """Losses and errors of both sets: meV/atom and eV/Å."""
    row = {}
    single = weights.astype(np.float32)
    for name, which, importance in (
        ("train", train, importances[0]),
        ("validation", validation, importances[1]),
    ):
        loss, energies, forces = 0.0, [], []
        for k in which:
            residual = problem.residual(single, k)
            loss += float(((residual * importance.rows[k]) ** 2).sum(dtype=float))
            known = problem.known[k]
            if known[-7]:
                energies.append(residual[-7] / (len(residual) // 3 - 2))
            forces.append(np.repeat(residual[:-7][known[:-7]], problem.copies[k]))
        row[f"{name}_loss"] = loss * problem.scale**2
        for what, values, unit in (
            ("energy_meV", np.array(energies), 1e3), ("force_eV_A", np.concatenate([np.zeros(0), *forces]), 1.0)
        ):  # fmt: skip
            if values.size:
                row[f"{name}_{what}"] = (
                    float(np.sqrt((values.astype(float) ** 2).mean())) * problem.scale * unit
                )
    return row


def _write(path: Path, task: str, optimiser: Optimiser, best: np.ndarray, status: Progress) -> None:
    header = np.frombuffer(json.dumps({"task": task, "status": asdict(status)}).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    state = {f"state_{name}": array for name, array in optimiser.state.items()}
    np.savez(buffer, header=header, best=best, **state)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def _resume(
    path: Path, task: str, optimiser: Optimiser, like: np.ndarray, epochs: int
) -> tuple[Progress, np.ndarray] | None:
    """Status and best weights of a checkpoint; None if it is absent, damaged or of another training.

    One that ended at fewer epochs than there are now is to go on; one that went further is of no use.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            header: dict[str, Any] = json.loads(archive["header"].tobytes().decode())
            if header["task"] != task or archive["best"].shape != like.shape:
                return None
            state = {name[6:]: archive[name] for name in archive.files if name.startswith("state_")}
            best = archive["best"]
            status = Progress(**header["status"])
            if status.epoch > epochs:
                return None
            if status.stopped == _DONE and status.epoch < epochs:
                status.stopped = ""
    except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile):
        return None
    restore(optimiser, state)
    return status, best
