"""A feed-forward network of one element: from its scaled symmetry functions to the energy of its atom."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from iondiff.errors import PotentialError

ACTIVATIONS = {
    "l": "linear", "t": "tanh", "s": "logistic", "p": "softplus", "r": "relu", "g": "exp(-x²/2)",
    "c": "cos", "S": "1 - logistic", "e": "exp(-x)", "h": "x²",
}  # fmt: skip
"""n2p2's letters."""


@dataclass(frozen=True)
class Network:
    """Layers of y = a(x W + b), any number of them.

    Attributes
    ----------
    weights
        One (n_in, n_out) array a layer, the input's first.
    biases
        One (n_out,) array a layer.
    activations
        One letter of :data:`ACTIVATIONS` a layer; the last is of the output.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    activations: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("weights", "biases"):
            arrays = tuple(np.ascontiguousarray(a, dtype=float) for a in getattr(self, name))
            object.__setattr__(self, name, arrays)
            if not all(np.isfinite(a).all() for a in arrays):
                raise PotentialError(f"{name} hold numbers that are not finite; train again")
        object.__setattr__(self, "activations", tuple(self.activations))
        if not len(self.weights) == len(self.biases) == len(self.activations) > 0:
            raise PotentialError(
                f"a network has {len(self.weights)} weight matrices, {len(self.biases)} biases and "
                f"{len(self.activations)} activations; wanted as many of each, at least one"
            )
        if any(w.ndim != 2 or b.ndim != 1 for w, b in zip(self.weights, self.biases, strict=True)):
            raise PotentialError("a network has arrays that are not matrices of weights and rows of biases")
        unknown = sorted(set(self.activations) - set(ACTIVATIONS))
        if unknown:
            raise PotentialError(
                f"activation {unknown[0]!r} is not known; wanted letters of {', '.join(ACTIVATIONS)}"
            )
        sizes = self.layers
        for k, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            if w.shape != (sizes[k], sizes[k + 1]) or b.shape != (sizes[k + 1],) or 0 in w.shape:
                raise PotentialError(
                    f"layer {k + 1} of a network has weights {w.shape} and biases {b.shape}; wanted "
                    f"({sizes[k]}, n) and (n,)"
                )
        if sizes[-1] != 1:
            raise PotentialError(f"a network has {sizes[-1]} outputs; wanted one, the energy")

    @property
    def layers(self) -> tuple[int, ...]:
        """Numbers of nodes, input to output."""
        return (self.weights[0].shape[0], *(w.shape[1] for w in self.weights))

    def flat(self) -> np.ndarray:
        """W row by row, then b, of every layer in turn; n2p2's order in a weights file."""
        parts = [part.ravel() for pair in zip(self.weights, self.biases, strict=True) for part in pair]
        return np.concatenate(parts)

    @classmethod
    def from_flat(cls, numbers: np.ndarray, layers: tuple[int, ...], activations: tuple[str, ...]) -> Network:
        """Inverse of :meth:`flat`."""
        wanted = count_weights(layers)
        if len(numbers) != wanted:
            raise PotentialError(f"{len(numbers)} weights and biases; layers {layers} want {wanted}")
        weights, biases, at = [], [], 0
        for a, b in itertools.pairwise(layers):
            weights.append(np.reshape(numbers[at : at + a * b], (a, b)))
            biases.append(np.asarray(numbers[at + a * b : at + a * b + b]))
            at += (a + 1) * b
        return cls(tuple(weights), tuple(biases), tuple(activations))


def count_weights(layers: tuple[int, ...]) -> int:
    """Number of weights and biases of a network."""
    return sum((a + 1) * b for a, b in itertools.pairwise(layers))
