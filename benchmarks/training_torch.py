"""What would the networks cost in torch? The gradient of the loss, compiled and by automatic differentiation.

python -m benchmarks.training_torch [--data ../shared/data/n2p2/h2o_rpbe-d3]

Energies and forces of n2p2's water example from the same stored symmetry functions in single precision, and their
derivatives by the 2827 weights: once by the kernels that train, once by torch (one thread; forces by autograd, then
the derivative through them). First the gradient of the loss over all structures (what AdamW and L-BFGS need), then
the Jacobian of 64 force components of one structure (Levenberg-Marquardt, Kalman filter). What comes out is
compared, too. Last, one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time

import numpy as np
import torch

from benchmarks.training import find_data, water_config
from iondiff.training import read_training_config
from iondiff.training.gather import gather
from iondiff.training.problem import Importance
from iondiff.training.setup import Setup

ROWS = 64


class InTorch:
    """The same loss, written with tensors."""

    def __init__(self, setup: Setup, importance: Importance, which: list[int]) -> None:
        problem = setup.problem
        self.layers = problem.layout.layers.tolist()
        self.starts = problem.layout.starts.tolist()
        self.structures = []
        for k in which:
            d = problem.described[k]
            centre = np.repeat(np.arange(len(d.species)), np.diff(d.first))
            sizes = problem.flat.class_size[d.pair_class]
            # One entry for every stored derivative: whose function, which, by which neighbour.
            pair = np.repeat(np.arange(len(d.index)), 3 * sizes)
            within = np.arange(len(pair)) - np.repeat(d.offset, 3 * sizes)
            size = sizes[pair]
            column = problem.flat.class_columns[d.pair_class[pair], within % size]
            axis = within // size
            factor = problem.factor[d.species[centre[pair]], column]
            width = problem.factor.shape[1]
            inputs = (d.values[:, :width] - problem.shift[d.species]) * problem.factor[d.species]
            self.structures.append(
                (
                    torch.tensor(inputs, dtype=torch.float32),
                    [torch.tensor(np.flatnonzero(d.species == e)) for e in range(len(self.layers))],
                    torch.tensor(centre[pair] * width + column),
                    torch.tensor(3 * d.index[pair] + axis),
                    torch.tensor(3 * centre[pair] + axis),
                    torch.tensor(d.derivatives * factor, dtype=torch.float32),
                    torch.tensor(problem.targets[k][:-6], dtype=torch.float32),
                    torch.tensor(importance.rows[k][:-6], dtype=torch.float32),
                )
            )

    def energy(
        self, weights: torch.Tensor, inputs: torch.Tensor, members: list[torch.Tensor]
    ) -> torch.Tensor:
        total = torch.zeros(())
        for sizes, start, mine in zip(self.layers, self.starts, members, strict=True):
            x, at = inputs[mine][:, : sizes[0]], start
            for layer, (a, b) in enumerate(itertools.pairwise(sizes)):
                x = x @ weights[at : at + a * b].reshape(b, a).T + weights[at + a * b : at + a * b + b]
                x = torch.tanh(x) if layer < len(sizes) - 2 else x
                at += (a + 1) * b
            total = total + x.sum()
        return total

    def rows(self, w: torch.Tensor, k: int) -> torch.Tensor:
        """Forces, then energy of structure k."""
        inputs, members, function, neighbour, centre, derivative, target, _ = self.structures[k]
        x = inputs.clone().requires_grad_()
        energy = self.energy(w, x, members)
        (slope,) = torch.autograd.grad(energy, x, create_graph=True)
        moved = slope.reshape(-1)[function] * derivative
        forces = torch.zeros(len(target) - 1).index_add(0, neighbour, -moved).index_add(0, centre, moved)
        return torch.cat([forces, energy[None]])

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        w = torch.tensor(weights, requires_grad=True)
        total = np.zeros(len(weights))
        for k, (*_, target, importance) in enumerate(self.structures):
            loss = ((self.rows(w, k) - target) * importance).square().sum()
            total += torch.autograd.grad(loss, w)[0].numpy()
        return total

    def jacobian(self, weights: np.ndarray, k: int, picked: np.ndarray) -> np.ndarray:
        w = torch.tensor(weights, requires_grad=True)
        chosen = self.rows(w, k)[torch.tensor(picked)]
        return torch.autograd.grad(chosen, w, torch.eye(len(picked)), is_grads_batched=True)[0].numpy()


def best(function, repeats: int) -> float:
    """CPU seconds of the fastest of some calls."""
    seconds = []
    for _ in range(repeats):
        started = time.process_time()
        function()
        seconds.append(time.process_time() - started)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    data = find_data(arguments.data)
    if data is None:
        print("the water set of n2p2 is not here (../shared/data/n2p2/h2o_rpbe-d3); nothing measured")
        print(json.dumps({"skipped": True}))
        return
    torch.set_num_threads(1)
    config = read_training_config(water_config(data, "adamw", {}, 1))
    gathered, _ = gather(config, None, None)
    setup = Setup.of(config, gathered, lambda *_: None)
    importance = setup.importance(gathered.train, config)
    weights = setup.problem.layout.initial(np.random.default_rng(0)).astype(np.float32)
    written = InTorch(setup, importance, gathered.train)
    picked = np.random.default_rng(0).permutation(len(setup.problem.targets[0]) - 7)[:ROWS]
    pairs = {
        "gradient": (
            lambda: setup.problem.gradient(weights, gathered.train, importance)[1],
            lambda: written.gradient(weights),
        ),
        "jacobian": (
            lambda: setup.problem.jacobian(weights, 0, picked),
            lambda: written.jacobian(weights, 0, picked),
        ),
    }
    result = {}
    for name, (compiled, automatic) in pairs.items():
        a, b = compiled(), automatic()
        row = {
            "difference": float(np.linalg.norm(a - b) / np.linalg.norm(a)),
            "compiled_s": best(compiled, arguments.repeats),
            "torch_s": best(automatic, arguments.repeats),
        }
        result[name] = row
        print(
            f"{name}: they differ by {row['difference']:.1e} of their length; CPU-ms: compiled "
            f"{1e3 * row['compiled_s']:.1f}, torch {1e3 * row['torch_s']:.1f}"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
