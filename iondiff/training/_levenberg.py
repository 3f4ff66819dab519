"""Levenberg-Marquardt for a small network on energies and gradients, in torch and float64.

A guest network has a few hundred weights and a few thousand residuals, so its normal equations cost less than
one epoch of a first-order optimiser: tens of iterations do what tens of thousands of Adam steps do.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.func import jacrev, vmap

_LARGEST_DAMPING = 1e12


@dataclass
class State:
    """Everything an interrupted optimisation needs to go on to the same last digit."""

    weights: np.ndarray
    damping: float
    iteration: int
    best_weights: np.ndarray
    best_loss: float
    best_iteration: int
    stalled: bool = False


@dataclass(frozen=True)
class Problem:
    """Standardised inputs (n, m), derivatives (n, m, 3), targets (n, 4), weights of the residuals (n, 4)."""

    inputs: torch.Tensor
    derivatives: torch.Tensor
    targets: torch.Tensor
    importance: torch.Tensor

    @classmethod
    def of(
        cls, inputs: np.ndarray, derivatives: np.ndarray, targets: np.ndarray, importance: np.ndarray
    ) -> Problem:
        """From arrays."""
        return cls(*(_tensor(a) for a in (inputs, derivatives, targets, importance)))


def _tensor(array: np.ndarray) -> torch.Tensor:
    """A copy in torch's own memory: numpy's alignment changes from run to run, and with it last digits."""
    return torch.tensor(array, dtype=torch.float64)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: the matrices are small, and the digits do not depend on the number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def predict(
    weights: torch.Tensor, x: torch.Tensor, dx: torch.Tensor, layers: tuple[int, ...]
) -> torch.Tensor:
    """Network value and its derivative along the three columns of `dx` (m, 3): (4,)."""
    offset = 0
    last = len(layers) - 2
    for layer, (n_in, n_out) in enumerate(itertools.pairwise(layers)):
        matrix = weights[offset : offset + n_in * n_out].reshape(n_out, n_in)
        bias = weights[offset + n_in * n_out : offset + n_out * (n_in + 1)]
        offset += n_out * (n_in + 1)
        x = matrix @ x + bias
        dx = matrix @ dx
        if layer < last:
            x = torch.tanh(x)
            dx = (1.0 - x * x)[:, None] * dx
    return torch.cat([x, dx[0]])


def initial_weights(layers: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Normal weights of variance 1/fan-in, biases of standard deviation 0.3."""
    parts = []
    for n_in, n_out in itertools.pairwise(layers):
        parts.append(generator.normal(size=n_in * n_out) / np.sqrt(n_in))
        parts.append(0.3 * generator.normal(size=n_out))
    return np.concatenate(parts)


def minimise(
    state: State,
    layers: tuple[int, ...],
    train: Problem,
    validation: Problem,
    decay: float,
    max_iterations: int,
    patience: int,
    each_iteration: Callable[[State], None],
) -> State:
    """Go on from `state` until `patience` iterations bring nothing on the validation set.

    Minimises Σ (importance · (prediction − target))² + decay · |weights|². When no damping lowers the cost
    any more, the state is marked as stalled.
    """
    batched = vmap(lambda w, x, dx: predict(w, x, dx, layers), in_dims=(None, 0, 0))
    jacobian = vmap(jacrev(lambda w, x, dx: predict(w, x, dx, layers)), in_dims=(None, 0, 0), chunk_size=512)

    def residuals(weights: torch.Tensor, problem: Problem) -> torch.Tensor:
        return (batched(weights, problem.inputs, problem.derivatives) - problem.targets) * problem.importance

    def cost(weights: torch.Tensor) -> float:
        return float((residuals(weights, train) ** 2).sum() + decay * (weights**2).sum())

    weights = _tensor(state.weights)
    current = cost(weights)
    if not np.isfinite(current):
        state.stalled = True
    identity = torch.eye(len(weights), dtype=weights.dtype)
    while (
        state.iteration < max_iterations
        and state.iteration - state.best_iteration < patience
        and not state.stalled
    ):
        rows = jacobian(weights, train.inputs, train.derivatives) * train.importance[:, :, None]
        rows = rows.reshape(-1, len(weights))
        curvature = rows.T @ rows + decay * identity
        slope = rows.T @ residuals(weights, train).reshape(-1) + decay * weights
        damping = state.damping
        while True:
            trial = weights - torch.linalg.solve(curvature + damping * identity, slope)
            reached = cost(trial)
            if reached < current or damping > _LARGEST_DAMPING:
                break
            damping *= 3.0
        state.iteration += 1
        if not reached < current:
            state.stalled = True
            each_iteration(state)
            break
        weights, current = trial, reached
        state.weights = weights.numpy().copy()
        state.damping = max(damping / 3.0, 1e-8)
        loss = float((residuals(weights, validation) ** 2).mean())
        if loss < state.best_loss:
            state.best_loss, state.best_iteration = loss, state.iteration
            state.best_weights = state.weights.copy()
        each_iteration(state)
    return state
