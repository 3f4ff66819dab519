"""What a training learns from: files read, checked, and split into training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from iondiff.errors import TrainingError
from iondiff.training import checks, dataset
from iondiff.training.dataset import Labelled
from iondiff.training.settings import TrainingConfig


@dataclass(frozen=True)
class Data:
    """Structures of all splits in one list, and which belong where.

    Attributes
    ----------
    train, validation, test
        Their places in the list. With bagging, `validation` is empty and `train` holds everything that some
        member learns.
    held
        With bagging, the part of `train` that each member does not learn but is validated on; else empty.
    """

    structures: list[Labelled]
    train: list[int]
    validation: list[int]
    test: list[int]
    held: tuple[tuple[int, ...], ...] = ()

    def of_member(self, member: int) -> tuple[list[int], list[int]]:
        """What a member learns, and what it is validated on."""
        if not self.held:
            return self.train, self.validation
        out = set(self.held[member])
        return [k for k in self.train if k not in out], sorted(out)

    def unseen(self) -> dict[int, list[int]]:
        """For every validated structure, the members that never learnt it; the members of one list share."""
        if not self.held:
            return {}
        by: dict[int, list[int]] = {}
        for member, out in enumerate(self.held):
            for k in out:
                by.setdefault(k, []).append(member)
        return dict(sorted(by.items()))


def gather(
    config: TrainingConfig, structures: Sequence[Atoms] | None, test_structures: Sequence[Atoms] | None
) -> tuple[Data, list[str]]:
    """Read, check, split; beside the data, what a person should look at.

    Raises
    ------
    TrainingError
        Data that cannot be learnt from (:func:`iondiff.training.checks.check`), or an empty split.
    """
    section = config.data

    def read(paths: Sequence[Path], more: Sequence[Atoms] | None, name: str) -> list[Labelled]:
        found = [s for path in paths for s in dataset.read_structures(path, section)]
        return found + [dataset.label(a, section, f"{name}[{k}]") for k, a in enumerate(more or [])]

    training = read(section.train, structures, "structures")
    validation = read(section.validation, None, "validation")
    test = read(section.test, test_structures, "test_structures")
    alpha = config.loss.force_weight
    demands = {"energies": alpha < 1, "forces": alpha > 0, "missing": section.missing}
    messages = checks.check(training, **demands)  # type: ignore[arg-type]
    for extra in (validation, test):
        if extra:
            checks.check_labels(extra, **demands)  # type: ignore[arg-type]
    _refuse_strangers(training, [*validation, *test])
    messages += _unused(config, [*training, *validation])
    drawn: list[Labelled] = []
    kept: list[Labelled] = []
    if section.test_fraction:
        training, drawn = _draw(training, section.test_fraction, config.seed + 1, "test")
    held: tuple[tuple[int, ...], ...] = ()
    if config.network.bagging:
        held = _folds(training, config)
    elif section.validation_fraction and not validation:
        training, kept = _draw(training, section.validation_fraction, config.seed, "validation")
    if not training:
        raise TrainingError("validation and test took all structures; nothing is left to train on")
    everything = [*training, *validation, *kept, *test, *drawn]
    twice = checks.inside(test, [*training, *validation, *kept])
    if twice:
        messages.append(
            f"{len(twice)} of {len(test)} test structures are training structures too, so the test error is no "
            f"test: {', '.join(twice[:8])}"
        )
    a, b = len(training), len(training) + len(validation) + len(kept)
    data = Data(everything, list(range(a)), list(range(a, b)), list(range(b, len(everything))), held)
    return data, messages


def _folds(structures: Sequence[Labelled], config: TrainingConfig) -> tuple[tuple[int, ...], ...]:
    """What each member holds out: parts of `validation_fraction`, one after the other."""
    count = round(1.0 / config.data.validation_fraction)
    parts = dataset.folds(structures, count, config.seed)
    parts = [part for part in parts if part]
    if len(parts) < 2:
        raise TrainingError(
            f"[network] bagging wants at least two parts to hold out in turn, and {len(structures)} structures make "
            f"{len(parts)}; add structures or leave bagging out"
        )
    return tuple(tuple(parts[k % len(parts)]) for k in range(config.network.members))


def _draw(
    structures: list[Labelled], fraction: float, seed: int, name: str
) -> tuple[list[Labelled], list[Labelled]]:
    """What stays and what is held out."""
    stay, out = dataset.split(structures, fraction, seed)
    if not out and name == "validation" and len(structures) > 1:
        stay, out = list(range(len(structures) - 1)), [len(structures) - 1]
    if not out:
        raise TrainingError(
            f"{name}_fraction = {fraction} of {len(structures)} structures leaves the {name} set empty; raise it, or "
            f"name files in [data] {name}"
        )
    return [structures[k] for k in stay], [structures[k] for k in out]


def _refuse_strangers(training: Sequence[Labelled], others: Sequence[Labelled]) -> None:
    known = {symbol for s in training for symbol in s.atoms.get_chemical_symbols()}
    for s in others:
        unknown = sorted(set(s.atoms.get_chemical_symbols()) - known)
        if unknown:
            raise TrainingError(f"{s.source} holds {', '.join(unknown)}, which is in no training structure")


def _unused(config: TrainingConfig, structures: Sequence[Labelled]) -> list[str]:
    """Settings that no structure answers to.

    Raises
    ------
    TrainingError
        A reference energy of an element that is not there.
    """
    present = {symbol for s in structures for symbol in s.atoms.get_chemical_symbols()}
    absent = sorted(set(config.data.reference_energies) - present)
    if absent:
        raise TrainingError(
            f"[data.reference_energies] names {', '.join(absent)}, which is in no training structure; the data hold "
            f"{', '.join(sorted(present))}"
        )
    messages = []
    kinds = {s.config_type for s in structures}
    for name, table in (("weights", config.data.weights), ("unused_stresses", config.data.unused_stresses)):
        idle = sorted(set(table) - kinds)
        if idle:
            messages.append(
                f"[data.{name}] names {', '.join(idle)}, which is the config_type of no structure; the data hold "
                f"{', '.join(sorted(kinds))}"
            )
    if config.loss.stress_weight and not any(np.isfinite(s.virial).any() for s in structures):
        messages.append("[loss] stress_weight is set, but no structure has a stress; it changes nothing")
    return messages
