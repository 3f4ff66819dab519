"""Train a high-dimensional potential: files in, a potential with its error table out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from iondiff.descriptors import Descriptor, ElementDescriptor, Scaling
from iondiff.descriptors.derivatives import Described, FlatFunctions
from iondiff.errors import TrainingError
from iondiff.files import write_atomically, write_json
from iondiff.potentials import HDNNP, Committee, Network, save
from iondiff.training import dataset, results
from iondiff.training.choice import choose_functions, values_of
from iondiff.training.dataset import Labelled
from iondiff.training.functions import build_functions
from iondiff.training.loop import Member, train_member
from iondiff.training.page import page
from iondiff.training.problem import Importance, Layout, Problem
from iondiff.training.settings import TrainingConfig, read_training_config

_LETTERS = {"tanh": "t", "softplus": "p", "logistic": "s", "gaussian": "g", "cosine": "c"}
Report = Callable[[str, int, int], None]


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
    """

    potential: HDNNP | Committee
    errors: dict[str, Any]
    worst_atoms: list[dict[str, Any]]
    members: list[dict[str, Any]]
    parity: dict[str, list[Any]]
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Data:
    """Structures of all splits in one list, and which belong where."""

    structures: list[Labelled]
    train: list[int]
    validation: list[int]
    test: list[int]

    def split_names(self) -> list[str]:
        names = [""] * len(self.structures)
        for name in ("train", "validation", "test"):
            for k in getattr(self, name):
                names[k] = name
        return names


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
        Folder for ``potential.nnp``, ``training.json``, ``history.csv``, ``parity.csv``, ``training.html`` and
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
    data, messages = _gather(config, structures, test_structures)
    dataset.warn(messages)
    folder = None if output is None else Path(output)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    setup = _Setup.of(config, data, say)
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
    potential = setup.potential([m.weights for m in trained], config)
    predictions = setup.predict([m.weights for m in trained])
    table = {
        name: results.errors([data.structures[k] for k in which], [predictions[k] for k in which])
        for name, which in (("train", data.train), ("validation", data.validation), ("test", data.test))
        if which
    }
    names = data.split_names()
    training = Training(
        potential,
        table,
        results.worst_atoms(data.structures, predictions, names),
        [
            {
                "epochs": m.progress.epoch, "best_epoch": m.progress.best_epoch, "stopped": m.progress.stopped,
                "history": m.progress.history,
            }
            for m in trained
        ],
        results.parity(data.structures, predictions, names),
        messages,
    )  # fmt: skip
    if folder is not None:
        _write(training, config, folder)
    return training


def _gather(
    config: TrainingConfig, structures: Sequence[Atoms] | None, test_structures: Sequence[Atoms] | None
) -> tuple[_Data, list[str]]:
    """Read, check, split."""
    section = config.data

    def read(paths: Sequence[Path], more: Sequence[Atoms] | None, name: str) -> list[Labelled]:
        found = [s for path in paths for s in dataset.read_structures(path, section)]
        return found + [dataset.label(a, section, f"{name}[{k}]") for k, a in enumerate(more or [])]

    training = read(section.train, structures, "structures")
    validation = read(section.validation, None, "validation")
    test = read(section.test, test_structures, "test_structures")
    alpha = config.loss.force_weight
    demands = {"energies": alpha < 1, "forces": alpha > 0, "missing": section.missing}
    messages = dataset.check(training, **demands)  # type: ignore[arg-type]
    for extra in (validation, test):
        if extra:
            dataset.check_labels(extra, **demands)  # type: ignore[arg-type]
    _refuse_strangers(training, [*validation, *test])
    drawn: list[Labelled] = []
    held: list[Labelled] = []
    if section.test_fraction:
        training, drawn = _draw(training, section.test_fraction, config.seed + 1, "test")
    if section.validation_fraction and not validation:
        training, held = _draw(training, section.validation_fraction, config.seed, "validation")
    if not training:
        raise TrainingError("validation and test took all structures; nothing is left to train on")
    everything = [*training, *validation, *held, *test, *drawn]
    twice = dataset.inside(test, [*training, *validation, *held])
    if twice:
        messages.append(
            f"{len(twice)} of {len(test)} test structures are training structures too, so the test error is no "
            f"test: {', '.join(twice[:8])}"
        )
    a, b = len(training), len(training) + len(validation) + len(held)
    where = _Data(everything, list(range(a)), list(range(a, b)), list(range(b, len(everything))))
    return where, messages


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


@dataclass(frozen=True)
class _Setup:
    """Everything members share: functions, their values on all structures, networks' layout, targets."""

    data: _Data
    flat: FlatFunctions
    described: list[Described]
    scalings: list[Scaling]
    reference: np.ndarray
    problem: Problem

    @classmethod
    def of(cls, config: TrainingConfig, data: _Data, say: Report) -> _Setup:
        species = sorted(
            {symbol for s in data.structures for symbol in s.atoms.get_chemical_symbols()},
            key=atomic_numbers.__getitem__,
        )
        train = [data.structures[k] for k in data.train]
        reference = dataset.fit_reference_energies(train, species, config.data.reference_energies)
        targets = []
        for s in data.structures:
            target = s.targets.copy()
            target[-7] -= sum(reference[species.index(symbol)] for symbol in s.atoms.symbols)
            targets.append(target)
        flat, described = choose_functions(
            build_functions(config.descriptors, species), [s.atoms for s in data.structures], targets, data.train,
            config.descriptors.selection, alpha=config.loss.force_weight, seed=config.seed,
            memory_budget=config.memory_budget_GB * 1e9 / config.workers,
            progress=lambda done, total: say("descriptors", done, total),
        )  # fmt: skip
        scalings = []
        for code in range(len(species)):
            values = values_of(described, data.train, code, int(flat.sizes[code]))
            scalings.append(
                Scaling(
                    "sigma", values.min(axis=0), values.max(axis=0), values.mean(axis=0), values.std(axis=0)
                )
            )
        widest = int(flat.sizes.max())
        shift, factor = np.zeros((len(species), widest)), np.zeros((len(species), widest))
        for code, scaling in enumerate(scalings):
            shift[code, : len(scaling)], factor[code, : len(scaling)] = scaling.shift, scaling.factor
        forces = np.concatenate([s.forces[np.isfinite(s.forces)] for s in train])
        energies = np.array([targets[k][-7] / len(data.structures[k].atoms) for k in data.train])
        spread = float(forces.std()) if forces.size else float(np.nanstd(energies))
        layout = Layout(
            np.array([[size, *config.network.hidden, 1] for size in flat.sizes]),
            (_LETTERS[config.network.activation],) * len(config.network.hidden),
        )
        scale = spread if spread > 1e-6 else 1.0
        problem = Problem(described, flat, shift, factor, layout, targets, scale)
        return cls(data, flat, described, scalings, reference, problem)

    def importance(self, which: Sequence[int], config: TrainingConfig) -> Importance:
        """Weights of the loss over these structures."""
        structures = self.data.structures
        return Importance(
            self.problem, which, config.loss.force_weight, config.loss.stress_weight,
            np.array([s.weight for s in structures]), [s.atom_weights for s in structures],
        )  # fmt: skip

    def potential(self, weights: Sequence[np.ndarray], config: TrainingConfig) -> HDNNP | Committee:
        """The potential of these members."""
        descriptor = Descriptor(
            tuple(
                ElementDescriptor(symbol, self.flat.functions[symbol], scaling)
                for symbol, scaling in zip(self.flat.species, self.scalings, strict=True)
            )
        )
        layout = self.problem.layout
        summary = {
            "training": config.model_dump(mode="json", exclude={"workers", "memory_budget_GB", "data"})
        }
        members = []
        for vector in weights:
            networks = []
            for code in range(len(self.flat.species)):
                layers = layout.unpack(vector, code)
                networks.append(
                    Network(tuple(w for w, _ in layers), tuple(b for _, b in layers), (*layout.letters, "l"))
                )
            members.append(
                HDNNP(descriptor, tuple(networks), self.reference, self.problem.scale, 0.0, summary=summary)
            )
        return members[0] if len(members) == 1 else Committee(tuple(members))

    def predict(self, weights: Sequence[np.ndarray]) -> list[results.Prediction]:
        """The committee's mean for every structure."""
        predictions = []
        for k, d in enumerate(self.described):
            mean = np.mean([self.problem.predict(w, k) for w in weights], axis=0) * self.problem.scale
            energy = float(mean[-7] + self.reference[d.species].sum())
            predictions.append(results.Prediction(energy, mean[:-7].reshape(-1, 3), mean[-6:]))
        return predictions


def _task(config: TrainingConfig, setup: _Setup) -> str:
    """What a checkpoint must have been made for: every number that decides where the training ends."""
    digest = hashlib.sha256()
    settings = config.model_dump(mode="json", exclude={"workers", "memory_budget_GB", "data"})
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for name in ("train", "validation"):
        digest.update(np.array(getattr(setup.data, name)).tobytes())
    for s in setup.data.structures[: len(setup.data.train) + len(setup.data.validation)]:
        for array in (s.atoms.positions, s.atoms.cell.array, s.atoms.numbers, s.targets, s.atom_weights):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr(s.weight).encode())
    return digest.hexdigest()


def _train_members(config: TrainingConfig, setup: _Setup, folder: Path | None, say: Report) -> list[Member]:
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
    config: TrainingConfig, data: _Data, folder: Path | None, share: Sequence[int]
) -> dict[int, Member]:
    """In a process of its own: the functions are computed again there, which is cheaper than sending them."""
    setup = _Setup.of(config, data, lambda *_: None)
    return {k: _one_member(config, setup, folder, k, lambda *_: None) for k in share}


def _one_member(
    config: TrainingConfig, setup: _Setup, folder: Path | None, member: int, say: Report
) -> Member:
    importances = (
        setup.importance(setup.data.train, config),
        setup.importance(setup.data.validation, config),
    )
    checkpoint = None if folder is None else folder / f"checkpoint.member{member}.npz"
    return train_member(
        config, member, setup.problem, setup.data.train, setup.data.validation, importances, _task(config, setup),
        checkpoint,
        lambda done, total: say("train", member * total + done, config.network.members * total),
    )  # fmt: skip


def _write(training: Training, config: TrainingConfig, folder: Path) -> None:
    save(training.potential, folder / "potential.nnp")
    write_json(
        folder / "training.json",
        {
            "config": config.model_dump(mode="json"),
            "errors": training.errors,
            "worst_atoms": training.worst_atoms,
            "members": [{k: v for k, v in m.items() if k != "history"} for m in training.members],
            "warnings": training.warnings,
            "written": time.strftime("%Y-%m-%d"),
        },
    )
    rows = [{"member": k, **row} for k, m in enumerate(training.members) for row in m["history"]]
    write_atomically(folder / "history.csv", _csv({key: [r.get(key, "") for r in rows] for key in rows[0]}))
    write_atomically(folder / "parity.csv", _csv(training.parity))
    text = page(training.errors, training.parity, training.members, training.worst_atoms, training.warnings)
    write_atomically(folder / "training.html", text)


def _csv(columns: dict[str, list[Any]]) -> str:
    lines = [",".join(columns)]
    lines += [",".join(str(v) for v in row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"
