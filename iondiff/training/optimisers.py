"""Ways to lower the loss of a problem: Levenberg-Marquardt, Kalman filter, L-BFGS, AdamW.

Each is a small object whose :meth:`epoch` goes once through the training structures. All that it remembers is
in its attributes `state`, a dictionary of arrays, so that a checkpoint of it goes on to the same last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from scipy.linalg import blas, cho_factor, cho_solve, solve_triangular

from iondiff.training.problem import Importance, Problem

_LARGEST_DAMPING = 1e8  # relative to the largest curvature


class Optimiser(Protocol):
    """What the training loop knows of an optimiser."""

    state: dict[str, np.ndarray]

    def epoch(self, number: int) -> bool:
        """Go once through the training set; False when no further progress is possible."""
        ...


class LevenbergMarquardt:
    """Gauss-Newton on all forces, energies and virials at once, damped; for up to some four thousand weights.

    The slope is that of the whole set. The curvature needs the Jacobian, which is formed structure by structure
    in single precision and of which only the square is kept; it is formed of so many force components, drawn
    anew each time, as `oversampling` times the number of weights, and of all energies and virials. One epoch is
    one step.

    Lengths of steps are measured by what they do to the networks' first sums: the inputs are strongly
    correlated, and a plain length would forbid just the combinations that tell environments apart.
    """

    def __init__(
        self, problem: Problem, which: Sequence[int], importance: Importance, weights: np.ndarray, *,
        decay: float, oversampling: float, seed: int,
    ) -> None:  # fmt: skip
        self.problem, self.which, self.importance, self.decay = problem, which, importance, decay
        self.seed = seed
        rows = sum(int((importance.rows[k][:-7] > 0).sum()) for k in which)
        self.share = min(1.0, oversampling * len(weights) / max(rows, 1))
        self.metric = _metric(problem, which)
        self.state = {"weights": weights.astype(float), "damping": np.array(1e-4)}

    def _cost(self, weights: np.ndarray) -> float:
        data = self.problem.loss(weights.astype(np.float32), self.which, self.importance)
        return data + self.decay * float(weights @ weights)

    def _curvature(self, weights: np.ndarray, number: int) -> np.ndarray:
        """Squared Jacobian; rows are gathered so that BLAS has something to chew on."""
        generator = np.random.default_rng([self.seed, 3, number])
        n = len(weights)
        total = np.zeros((n, n))
        exact: list[np.ndarray] = []
        rows: list[np.ndarray] = []
        for count, k in enumerate(self.which):
            importance = self.importance.rows[k].astype(np.float32)
            forces = np.flatnonzero(
                (importance[:-7] > 0) & (generator.random(len(importance) - 7) < self.share)
            )
            others = np.flatnonzero(importance[-7:] > 0) + len(importance) - 7
            picked = np.concatenate([forces, others])
            jacobian = self.problem.jacobian(weights.astype(np.float32), k, picked)
            jacobian *= importance[picked][:, None]
            rows.append(jacobian[: len(forces)])
            # Energies weigh heavily and resemble each other: rounding in their squares would drown the forces.
            exact.append(jacobian[len(forces) :].astype(float))
            if sum(len(r) for r in rows) > 1024 or count == len(self.which) - 1:
                stacked = np.concatenate(rows)
                total += (stacked.T @ stacked) / np.float32(self.share)
                rows = []
        stacked = np.concatenate(exact)
        return total + stacked.T @ stacked

    def epoch(self, number: int) -> bool:
        """One step: the damping grows until the loss falls."""
        weights, damping = self.state["weights"], float(self.state["damping"])
        loss, gradient = self.problem.gradient(weights.astype(np.float32), self.which, self.importance)
        cost = loss + self.decay * float(weights @ weights)
        slope = 0.5 * gradient + self.decay * weights
        if not (np.isfinite(cost) and np.isfinite(slope).all()):
            return False
        curvature = self._curvature(weights, number)
        curvature[np.diag_indices_from(curvature)] += self.decay
        unit = float(curvature.diagonal().max())
        while True:
            try:
                factor = cho_factor(curvature + damping * unit * self.metric, lower=True, overwrite_a=True)
            except (np.linalg.LinAlgError, ValueError):
                step = None
            else:
                step = cho_solve(factor, slope)
                reached = self._cost(weights - step)
                if reached < cost:
                    break
            damping *= 4.0
            if damping > _LARGEST_DAMPING:
                return False
        gain = (cost - reached) / float(2.0 * slope @ step - step @ (curvature @ step))
        damping *= 0.2 if gain > 0.8 else 0.5 if gain > 0.5 else 1.0 if gain > 0.25 else 2.0
        self.state["weights"] = weights - step
        self.state["damping"] = np.array(max(damping, 1e-12))
        return True


def _metric(problem: Problem, which: Sequence[int], plain: float = 0.03) -> np.ndarray:
    """Unit matrix, but for the first layers covariance of the inputs + `plain`."""
    layout = problem.layout
    metric = np.eye(layout.size)
    for element, start in enumerate(layout.starts):
        n_in, n_out = layout.layers[element, :2]
        inputs = np.concatenate(
            [problem.described[k].values[problem.described[k].species == element] for k in which]
        )
        inputs = ((inputs - problem.shift[element]) * problem.factor[element])[:, :n_in]
        block = inputs.T @ inputs / max(len(inputs), 1) + plain * np.eye(n_in)
        for node in range(n_out):
            part = slice(start + node * n_in, start + (node + 1) * n_in)
            metric[part, part] = block
    return metric


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019) and a cosine schedule after a warm-up."""

    def __init__(
        self, problem: Problem, which: Sequence[int], importance: Importance, weights: np.ndarray, *,
        rate: float, decay: float, batch: int, epochs: int, seed: int,
    ) -> None:  # fmt: skip
        self.problem, self.which, self.importance = problem, list(which), importance
        self.rate, self.decay, self.batch, self.epochs, self.seed = rate, decay, batch, epochs, seed
        zero = np.zeros_like(weights, dtype=float)
        self.state = {
            "weights": weights.astype(float), "mean": zero, "square": zero.copy(), "steps": np.array(0)
        }  # fmt: skip

    def epoch(self, number: int) -> bool:
        """All batches once, in an order drawn from seed and epoch."""
        order = np.random.default_rng([self.seed, 1, number]).permutation(len(self.which))
        batches = [order[a : a + self.batch] for a in range(0, len(order), self.batch)]
        weights, mean, square = (self.state[name].copy() for name in ("weights", "mean", "square"))
        steps = int(self.state["steps"])
        for at, batch in enumerate(batches):
            chosen = [self.which[b] for b in batch]
            _, gradient = self.problem.gradient(weights.astype(np.float32), chosen, self.importance)
            gradient *= len(self.which) / len(chosen)
            steps += 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            done = (number + at / len(batches)) / self.epochs
            rate = self.rate * min(1.0, steps / 20.0) * (0.01 + 0.99 * 0.5 * (1.0 + np.cos(np.pi * done)))
            update = mean / (1.0 - 0.9**steps) / (np.sqrt(square / (1.0 - 0.999**steps)) + 1e-12)
            weights -= rate * (update + self.decay * weights)
        self.state = {"weights": weights, "mean": mean, "square": square, "steps": np.array(steps)}
        return bool(np.isfinite(weights).all())


class LBFGS:
    """Limited-memory BFGS on the whole set, with a backtracking line search (Nocedal and Wright, ch. 7)."""

    def __init__(
        self, problem: Problem, which: Sequence[int], importance: Importance, weights: np.ndarray, *,
        decay: float, memory: int = 30,
    ) -> None:  # fmt: skip
        self.problem, self.which, self.importance, self.decay = problem, which, importance, decay
        self.memory = memory
        n = len(weights)
        self.state = {
            "weights": weights.astype(float), "gradient": np.zeros(n), "loss": np.array(np.nan),
            "steps": np.zeros((0, n)), "changes": np.zeros((0, n)),
        }  # fmt: skip

    def _evaluate(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = self.problem.gradient(weights, self.which, self.importance)
        return loss + self.decay * float(weights @ weights), gradient + 2.0 * self.decay * weights

    def _direction(self, gradient: np.ndarray) -> np.ndarray:
        steps, changes = self.state["steps"], self.state["changes"]
        q = gradient.copy()
        along = []
        for s, y in zip(steps[::-1], changes[::-1], strict=True):
            a = (s @ q) / (s @ y)
            along.append(a)
            q -= a * y
        if len(steps):
            q *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
        else:
            q /= max(1.0, 10.0 * float(np.linalg.norm(q)))
        for s, y, a in zip(steps, changes, along[::-1], strict=True):
            q += (a - (y @ q) / (s @ y)) * s
        return -q

    def epoch(self, number: int) -> bool:  # noqa: ARG002 - every step is alike
        """One step of the whole set."""
        weights, loss, gradient = self.state["weights"], float(self.state["loss"]), self.state["gradient"]
        if np.isnan(loss):
            loss, gradient = self._evaluate(weights)
        if not np.isfinite(loss):
            return False
        direction = self._direction(gradient)
        slope = float(direction @ gradient)
        if slope >= 0:
            direction, slope = -gradient, -float(gradient @ gradient)
        length = 1.0
        for _ in range(30):
            trial = weights + length * direction
            reached, new = self._evaluate(trial)
            if np.isfinite(reached) and reached <= loss + 1e-4 * length * slope:
                break
            length *= 0.3
        else:
            return False
        step, change = trial - weights, new - gradient
        if step @ change > 1e-12 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.state["steps"] = np.vstack([self.state["steps"], step])[-self.memory :]
            self.state["changes"] = np.vstack([self.state["changes"], change])[-self.memory :]
        self.state.update(weights=trial, gradient=new, loss=np.array(reached))
        return True


class KalmanFilter:
    """Multi-stream extended Kalman filter with forgetting (Singraber et al., J. Chem. Theory Comput. 15, 3075 (2019)).

    Every update takes the energies, then some force components, of `streams` structures. The covariance is
    kept as one triangle in double precision and updated in place, which is what an update costs.

    Notes
    -----
    With error ξ, H its derivatives (n_weights, m), R the noise: A = (R + HᵀPH)⁻¹, K = PHA, w += Kξ,
    P −= K HᵀP, then P /= λ and λ → 1 (λ ← λ₀λ + 1 − λ₀).
    """

    def __init__(
        self, problem: Problem, which: Sequence[int], importance: Importance, weights: np.ndarray, *,
        streams: int, forces: int, force_updates: float, epsilon: float, seed: int,
        forgetting: tuple[float, float] = (0.98, 0.9987),
    ) -> None:  # fmt: skip
        self.problem, self.which, self.importance = problem, list(which), importance
        self.streams, self.forces, self.force_updates, self.seed = streams, forces, force_updates, seed
        self.lambda0 = forgetting[1]
        # Rows are weighted such that a force component of the whole set has weight 1 on average.
        rows = np.concatenate([importance.rows[k][:-7] for k in which])
        rows = rows if (rows > 0).any() else np.array([importance.rows[k][-7] for k in which])
        self.unit = 1.0 / float(np.sqrt((rows[rows > 0] ** 2).mean()))
        self.state = {
            "weights": weights.astype(float),
            "covariance": np.asfortranarray(np.eye(len(weights)) / epsilon),
            "lambda": np.array(forgetting[0]),
        }

    def update(self, errors: np.ndarray, columns: np.ndarray) -> None:
        """One update with m errors (target minus prediction) and their derivatives, columns (n_weights, m)."""
        covariance = self.state["covariance"]
        columns = np.asfortranarray(columns)
        forgetting = float(self.state["lambda"])
        if columns.shape[1] == 1:
            spread = blas.dsymv(1.0, covariance, columns[:, 0], lower=1)[:, None]
        else:
            spread = blas.dsymm(1.0, covariance, columns, lower=1)
        inner = columns.T @ spread
        inner[np.diag_indices_from(inner)] += forgetting
        if columns.shape[1] == 1:
            # One pass over the triangle: P − (PH)(PH)ᵀ/A.
            step = spread[:, 0] * (errors[0] / inner[0, 0])
            covariance = blas.dsyr(
                -1.0 / float(inner[0, 0]), spread[:, 0], lower=1, a=covariance, overwrite_a=1
            )
        else:
            factor = np.linalg.cholesky(0.5 * (inner + inner.T))
            step = spread @ cho_solve((factor, True), errors)
            narrow = np.asfortranarray(solve_triangular(factor, spread.T, lower=True))
            covariance = blas.dsyrk(-1.0, narrow, beta=1.0, c=covariance, trans=1, lower=1, overwrite_c=1)
        self.state["weights"] = self.state["weights"] + step
        if forgetting < 1.0 - 1e-10:
            covariance /= forgetting
        self.state["covariance"] = covariance
        self.state["lambda"] = np.array(self.lambda0 * forgetting + 1.0 - self.lambda0)

    def epoch(self, number: int) -> bool:
        """Every structure's energy once, and as many force updates as `force_updates` asks for each."""
        generator = np.random.default_rng([self.seed, 2, number])
        order = generator.permutation(len(self.which))
        for a in range(0, len(order), self.streams):
            chosen = [self.which[b] for b in order[a : a + self.streams]]
            for kind in range(1 + _times(self.force_updates, generator)):
                self._stream(chosen, kind == 0, generator)
                if not np.isfinite(self.state["weights"]).all():
                    return False
        return True

    def _stream(self, chosen: list[int], energies: bool, generator: np.random.Generator) -> None:
        weights = self.state["weights"].astype(np.float32)
        errors, columns = [], []
        for k in chosen:
            importance = self.importance.rows[k]
            n_forces = len(importance) - 7
            if energies:
                picked = np.flatnonzero(importance[n_forces : n_forces + 1] > 0) + n_forces
            else:
                able = np.flatnonzero(importance[:n_forces] > 0)
                picked = generator.choice(able, min(self.forces, len(able)), replace=False)
            jacobian = self.problem.jacobian(weights, k, picked)
            predicted = self.problem.predict(weights, k)
            scale = importance[picked] * self.unit
            errors.append((self.problem.targets[k] - predicted)[picked] * scale)
            columns.append(jacobian.T * scale)
        if errors and sum(len(e) for e in errors):
            self.update(np.concatenate(errors), np.concatenate(columns, axis=1).astype(float))


def _times(rate: float, generator: np.random.Generator) -> int:
    """A whole number whose mean is `rate`."""
    return int(rate) + int(generator.random() < rate - int(rate))


def restore(optimiser: Any, state: dict[str, np.ndarray]) -> None:
    """Give an optimiser the state of a checkpoint."""
    optimiser.state = {
        name: np.asfortranarray(array) if name == "covariance" else array for name, array in state.items()
    }
