"""Train a guest-species network on labels: energies and the exact forces on the guest.

The loss is the usual (1 − α)·(energy error)² + α·(force error)², summed over the labels, on standardised
symmetry functions; labels high above the lowest one weigh less. Each member of the committee starts from its
own weights and keeps its own validation part, so that the spread of the members also feels which labels they
saw.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from iondiff.descriptors import DescriptorSet, HostNeighbours, guest_descriptors
from iondiff.errors import TrainingError
from iondiff.files import host_fingerprint, write_atomically
from iondiff.potentials import GuestNNP
from iondiff.training import _levenberg
from iondiff.training.correction import fit_correction

_MIN_LABELS = 20


@dataclass(frozen=True)
class TrainingSettings:
    """How a guest network is trained.

    Attributes
    ----------
    hidden
        Nodes of the hidden layers.
    members
        Networks in the committee.
    force_weight
        α of the loss, between 0 and 1.
    height_scale
        eV; the residuals of a label this far above the lowest one count half, so that walls do not steer the
        fit.
    decay
        Pull of the weights towards zero.
    validation_fraction
        Part of the training labels each member holds back for early stopping.
    max_iterations, patience
        Levenberg-Marquardt iterations, and how many without progress on the held-back part end a member.
    correction
        Interpolate the residuals by a kernel (:mod:`iondiff.training.correction`).
    correction_support, correction_amplitude
        Å and eV.
    energy_noise, gradient_noise
        eV and eV/Å of the labels, for the correction.
    """

    hidden: tuple[int, ...] = (9, 9)
    members: int = 4
    force_weight: float = 0.1
    height_scale: float = 2.0
    decay: float = 1e-2
    validation_fraction: float = 0.1
    max_iterations: int = 300
    patience: int = 40
    correction: bool = True
    correction_support: float = 2.5
    correction_amplitude: float = 0.3
    energy_noise: float = 0.01
    gradient_noise: float = 0.05

    def __post_init__(self) -> None:
        positive = {
            name: getattr(self, name)
            for name in ("members", "height_scale", "max_iterations", "patience", "correction_support",
                         "correction_amplitude")
        }  # fmt: skip
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise TrainingError(f"{name} is {value}; wanted a number above 0")
        for name in ("decay", "energy_noise", "gradient_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainingError(f"{name} is {getattr(self, name)}; wanted a number of at least 0")
        if not 0 <= self.force_weight <= 1:
            raise TrainingError(f"force_weight is {self.force_weight}; wanted a number from 0 to 1")
        if not 0 < self.validation_fraction <= 0.5:
            raise TrainingError(
                f"validation_fraction is {self.validation_fraction}; wanted above 0 and at most 0.5"
            )
        if any(nodes < 1 for nodes in self.hidden):
            raise TrainingError(f"hidden is {self.hidden}; wanted at least one node a layer")


def train_guest(
    host: Atoms,
    guest: str,
    functions: DescriptorSet,
    positions: np.ndarray,
    energies: np.ndarray,
    gradients: np.ndarray,
    settings: TrainingSettings | None = None,
    *,
    wall_A: float = 1.0,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> GuestNNP:
    """Train a committee and its correction.

    Parameters
    ----------
    host
        Frozen host, Å.
    guest
        Chemical symbol.
    functions
        Symmetry functions around the guest.
    positions, energies, gradients
        (n, 3) Å, (n,) eV and (n, 3) eV/Å, gradient = minus the force on the guest.
    wall_A
        Distance to a host atom (Å) below which the potential is infinite.
    checkpoint
        Path whose neighbours ``<name>.member0.npz``, ... let an interrupted training go on to the same last
        digit.
        One that belongs to other data, settings or another seed is not used but replaced.
    progress
        Called with (steps done, steps at most); members that stop early skip the rest of theirs.

    Raises
    ------
    TrainingError
        Too few labels, numbers that are not finite, or a training that did not stay finite.
    """
    settings = settings or TrainingSettings()
    positions, energies, gradients = (
        np.ascontiguousarray(a, dtype=float) for a in (positions, energies, gradients)
    )
    _check(guest, positions, energies, gradients)
    neighbours = HostNeighbours(host, functions.elements, functions.cutoff)
    G, dG = guest_descriptors(neighbours, functions, positions)
    centre, width = G.mean(axis=0), G.std(axis=0)
    # A function that never varies carries nothing; dividing by its width would only make noise of it.
    width = np.where(width > 1e-10, width, 1.0)
    shift, scale = float(energies.mean()), float(max(energies.std(), 1e-6))
    inputs, derivatives = (G - centre) / width, dG / width[None, :, None]
    targets = np.column_stack([energies - shift, gradients]) / scale
    layers = (len(functions), *settings.hidden, 1)
    alpha = settings.force_weight
    height = energies - energies.min()
    importance = (
        np.sqrt([1.0 - alpha, alpha, alpha, alpha])[None] / (1.0 + height / settings.height_scale)[:, None]
    )

    weights = []
    for member in range(settings.members):
        generator = np.random.default_rng([seed, member])
        order = generator.permutation(len(energies))
        n_held = max(1, round(settings.validation_fraction * len(energies)))
        held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
        problems = [
            _levenberg.Problem.of(inputs[i], derivatives[i], targets[i], importance[i]) for i in (kept, held)
        ]
        weights.append(_train_member(member, layers, problems, settings, generator, checkpoint, progress))
    potential = GuestNNP(
        guest, functions, centre, width, layers, np.array(weights), shift, scale, float(wall_A),
        summary={
            "settings": {**asdict(settings), "hidden": list(settings.hidden)}, "seed": seed,
            "host": host_fingerprint(host),
        },
    )  # fmt: skip
    if not settings.correction:
        return potential
    predicted, slopes = replace(potential, wall_A=0.0).landscape(host).energy_and_gradient(positions)
    correction, evidence = fit_correction(
        positions,
        np.column_stack([energies - predicted, gradients - slopes]),
        host.cell.array,
        host_fingerprint(host),
        settings.correction_support,
        settings.correction_amplitude,
        settings.energy_noise,
        settings.gradient_noise,
    )
    return replace(potential, correction=correction, summary={**potential.summary, "log_evidence": evidence})


def _check(guest: str, positions: np.ndarray, energies: np.ndarray, gradients: np.ndarray) -> None:
    if guest not in chemical_symbols[1:]:
        raise TrainingError(f"guest is {guest!r}; wanted a chemical symbol such as 'Cu'")
    n = len(energies)
    if energies.shape != (n,) or positions.shape != (n, 3) or gradients.shape != (n, 3):
        raise TrainingError(
            f"positions {positions.shape}, energies {energies.shape} and gradients {gradients.shape} "
            "do not match; "
            "wanted (n, 3), (n,) and (n, 3)"
        )
    if n < _MIN_LABELS:
        raise TrainingError(f"{n} labels to train on; wanted at least {_MIN_LABELS}")
    bad = ~np.isfinite(np.column_stack([positions, energies, gradients])).all(axis=1)
    if bad.any():
        raise TrainingError(
            f"label {int(np.flatnonzero(bad)[0])} holds a number that is not finite; remove or redo it"
        )


def _train_member(
    member: int,
    layers: tuple[int, ...],
    problems: list[_levenberg.Problem],
    settings: TrainingSettings,
    generator: np.random.Generator,
    checkpoint: str | Path | None,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    path = None if checkpoint is None else Path(f"{checkpoint}.member{member}.npz")
    start = _levenberg.initial_weights(layers, generator)
    state = _levenberg.State(start, 1.0, 0, start, np.inf, 0)
    task = _task_hash(start, layers, problems, settings)
    if path is not None and path.exists():
        state = _read_state(path, task, start.shape) or state
    limit = settings.max_iterations

    def each_iteration(state: _levenberg.State) -> None:
        if path is not None and state.iteration % 10 == 0:
            _write_state(path, state, task)
        if progress:
            progress(member * limit + state.iteration, settings.members * limit)

    with _levenberg.one_thread():
        state = _levenberg.minimise(
            state, layers, problems[0], problems[1], settings.decay, limit, settings.patience, each_iteration
        )
    if not (np.isfinite(state.best_loss) and np.isfinite(state.best_weights).all()):
        raise TrainingError(
            f"member {member} did not find a finite loss in {state.iteration} iterations; look for "
            "labels with very "
            "large energies or gradients, or raise [network] decay"
        )
    if path is not None:
        _write_state(path, state, task)
    if progress:
        progress((member + 1) * limit, settings.members * limit)
    return state.best_weights


def _task_hash(
    start: np.ndarray, layers: tuple[int, ...], problems: list[_levenberg.Problem], settings: TrainingSettings
) -> str:
    """What a checkpoint must have been made for: every number that decides where the optimisation ends."""
    digest = hashlib.sha256()
    numbers = (layers, settings.decay, settings.max_iterations, settings.patience)
    digest.update(json.dumps(numbers).encode())
    digest.update(start.tobytes())
    for problem in problems:
        for tensor in (problem.inputs, problem.derivatives, problem.targets, problem.importance):
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _write_state(path: Path, state: _levenberg.State, task: str) -> None:
    numbers = {k: v for k, v in asdict(state).items() if not isinstance(v, np.ndarray)}
    header = np.frombuffer(json.dumps({"task": task, "numbers": numbers}).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, weights=state.weights, best_weights=state.best_weights, header=header)
    write_atomically(path, buffer.getvalue())


def _read_state(path: Path, task: str, shape: tuple[int, ...]) -> _levenberg.State | None:
    """The state in a checkpoint, or None if it is damaged or of another training: then start again."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes().decode())
            if header["task"] != task:
                return None
            weights, best = (archive[name] for name in ("weights", "best_weights"))
        if not weights.shape == best.shape == shape or weights.dtype != best.dtype or best.dtype != float:
            return None
        return _levenberg.State(weights=weights, best_weights=best, **header["numbers"])
    except Exception:  # noqa: BLE001  a damaged archive fails in NumPy, zipfile, zlib, even in tokenize
        return None
