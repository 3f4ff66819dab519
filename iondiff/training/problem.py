"""The least-squares problem of a training: predictions of a weight vector, what they should be, what counts.

    L = α · MSE(F) + (1 − α) · MSE(E) + β · MSE(virial)

over force components (eV/Å), energies an atom (eV) and virials an atom (eV; stress times volume).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iondiff.descriptors.derivatives import Described, FlatFunctions
from iondiff.training import _kernels_network as kernels

ACTIVATION_LETTERS = "tpsgcl"
"""tanh, softplus, logistic, Gaussian, cosine, linear: n2p2's letters, at the places the kernels know."""


@dataclass(frozen=True)
class Layout:
    """Networks of all elements in one flat vector.

    Attributes
    ----------
    layers
        (n_elements, depth + 1) nodes, inputs first.
    letters
        Activation of each hidden layer.
    """

    layers: np.ndarray
    letters: tuple[str, ...]

    @property
    def starts(self) -> np.ndarray:
        """(n_elements,) where each element's weights begin."""
        return np.concatenate([[0], np.cumsum(self._sizes())[:-1]]).astype(np.int64)

    @property
    def size(self) -> int:
        """Number of weights and biases of all elements."""
        return int(sum(self._sizes()))

    def _sizes(self) -> list[int]:
        return [sum((a + 1) * b for a, b in itertools.pairwise(row)) for row in self.layers.tolist()]

    @property
    def kinds(self) -> np.ndarray:
        """(depth,) codes of the activations; the output is linear."""
        return np.array([ACTIVATION_LETTERS.index(a) for a in (*self.letters, "l")], dtype=np.int64)

    def initial(self, generator: np.random.Generator) -> np.ndarray:
        """Normal weights of variance 1/fan-in, biases of standard deviation 0.3, none at the output."""
        parts = []
        for row in self.layers.tolist():
            for layer, (a, b) in enumerate(itertools.pairwise(row)):
                parts.append(generator.normal(size=a * b) / np.sqrt(a))
                parts.append(generator.normal(size=b) * (0.3 if layer < len(row) - 2 else 0.0))
        return np.concatenate(parts)

    def unpack(self, weights: np.ndarray, element: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """(n_in, n_out) matrix and (n_out,) biases of every layer of one element."""
        at = self.starts[element]
        layers = []
        for a, b in itertools.pairwise(self.layers[element].tolist()):
            layers.append((weights[at : at + a * b].reshape(b, a).T.copy(), weights[at + a * b :][:b].copy()))
            at += (a + 1) * b
        return layers


class Problem:
    """Predictions and targets of structures in units of `scale`, for one set of functions and one layout.

    Parameters
    ----------
    described
        Functions and derivatives of each structure.
    flat
        The functions.
    shift, factor
        (n_elements, widest): a network's inputs are (G − shift) · factor.
    layout
        The networks.
    targets
        Per structure (3n + 7,): forces, energy less the reference energies of its atoms, virial; eV and Å,
        NaN where unknown.
    scale
        eV; the networks' unit of energy.
    copies
        How often each structure stands for itself, by default once (:mod:`iondiff.training.cells`).
    """

    def __init__(
        self,
        described: Sequence[Described],
        flat: FlatFunctions,
        shift: np.ndarray,
        factor: np.ndarray,
        layout: Layout,
        targets: Sequence[np.ndarray],
        scale: float,
        copies: Sequence[int] | None = None,
    ) -> None:
        self.described, self.flat, self.layout = described, flat, layout
        self.shift, self.factor = shift, factor
        self.scale = scale
        self.copies = [1] * len(self.described) if copies is None else list(copies)
        self.known = [np.isfinite(t) for t in targets]
        self.targets = [np.where(k, t, 0.0) / scale for k, t in zip(self.known, targets, strict=True)]

    def _call(self, weights: np.ndarray, k: int, adjoint: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        d, flat, layout = self.described[k], self.flat, self.layout
        out = np.empty(3 * len(d.species) + 7, dtype=weights.dtype)
        kernels.rows(
            weights, layout.layers, layout.starts, layout.kinds,
            self.shift.astype(weights.dtype), self.factor.astype(weights.dtype),
            d.species, d.values, d.first, d.index, d.vectors, d.pair_class, flat.class_columns,
            flat.class_size, d.offset, d.derivatives, out, adjoint, gradient,
        )  # fmt: skip
        return out

    def predict(self, weights: np.ndarray, k: int) -> np.ndarray:
        """Forces, energy, virial of structure k in units of `scale`."""
        nothing = np.empty(0, weights.dtype)
        return self._call(weights, k, nothing, nothing)

    def jacobian(self, weights: np.ndarray, k: int, picked: np.ndarray | None = None) -> np.ndarray:
        """Derivatives of the picked rows, by default all, (rows, n_weights)."""
        d, layout, dtype = self.described[k], self.layout, weights.dtype
        n = len(d.species)
        picked = np.arange(3 * n + 7) if picked is None else picked
        wanted = np.full(3 * n + 7, -1)
        wanted[picked] = np.arange(len(picked))
        jacobian = np.zeros((len(picked), len(weights)), dtype=dtype)
        # Matrix products raise floating-point flags in lanes that nobody reads; overflow shows in the loss.
        with np.errstate(all="ignore"):
            for element in np.unique(d.species):
                self._element_jacobian(weights, d, int(element), wanted, layout.starts[element], jacobian)
        return jacobian

    def _element_jacobian(
        self,
        weights: np.ndarray,
        d: Described,
        element: int,
        wanted: np.ndarray,
        start: int,
        jacobian: np.ndarray,
    ) -> None:
        """The columns of one element's weights; see the head of the kernels for the names."""
        flat, dtype = self.flat, weights.dtype
        sizes = self.layout.layers[element].tolist()
        kinds = self.layout.kinds
        matrices, starts = [], []
        for a, b in itertools.pairwise(sizes):
            matrices.append((weights[start : start + a * b].reshape(b, a), weights[start + a * b :][:b]))
            starts.append(start)
            start += (a + 1) * b
        mine = np.flatnonzero(d.species == element)
        factor = self.factor[element, : sizes[0]]
        h = [((d.values[mine, : sizes[0]] - self.shift[element, : sizes[0]]) * factor).astype(dtype)]
        s, q = [], []
        for (matrix, bias), kind in zip(matrices, kinds, strict=True):
            z = h[-1] @ matrix.T + bias
            parts = [np.empty_like(z) for _ in range(3)]
            kernels.activate(kind, z, *parts)
            h.append(parts[0])
            s.append(parts[1])
            q.append(parts[2])
        tbar = [np.ones((len(mine), 1), dtype)]
        ubar: list[np.ndarray] = []
        for (matrix, _), slope in zip(matrices[::-1], s[::-1], strict=True):
            ubar.insert(0, tbar[0] * slope)
            tbar.insert(0, ubar[0] @ matrix)
        energy = wanted[3 * len(d.species)]
        if energy >= 0:
            for at, u, below in zip(starts, ubar, h, strict=False):
                block = u.T @ below
                jacobian[energy, at : at + block.size] = block.ravel()
                jacobian[energy, at + block.size : at + block.size + u.shape[1]] = u.sum(axis=0)
        counts = np.zeros(len(jacobian), dtype=np.int64)
        kernels.count_directions(element, wanted, d.species, d.first, d.index, counts)
        begin = np.concatenate([[0], np.cumsum(counts)])
        local = np.zeros(len(d.species), dtype=np.int64)
        local[mine] = np.arange(len(mine))
        centre = np.empty(begin[-1], dtype=np.int64)
        t = [np.empty((begin[-1], sizes[0]), dtype)]
        kernels.collect_directions(
            element, local, wanted, d.species, d.first, d.index, d.vectors, d.pair_class, flat.class_columns,
            flat.class_size, d.offset, d.derivatives, factor.astype(dtype), begin, centre, t[0],
        )  # fmt: skip
        u_of = []
        for (matrix, _), slope in zip(matrices, s, strict=True):
            u_of.append(t[-1] @ matrix.T)
            t.append(slope[centre] * u_of[-1])
        zbar = np.zeros((len(centre), 1), dtype)
        for layer in range(len(matrices) - 1, -1, -1):
            if layer < len(matrices) - 1:
                hbar = zbar @ matrices[layer + 1][0]
                zbar = hbar * s[layer][centre] + (tbar[layer + 1] * q[layer])[centre] * u_of[layer]
            kernels.accumulate(begin, centre, ubar[layer], zbar, t[layer], h[layer], starts[layer], jacobian)

    def residual(self, weights: np.ndarray, k: int) -> np.ndarray:
        """Prediction minus target, 0 where there is none; units of `scale`."""
        return np.where(self.known[k], self.predict(weights, k) - self.targets[k], 0.0)

    def loss(self, weights: np.ndarray, which: Sequence[int], importance: Importance) -> float:
        """Σ (importance · residual)², (eV)² and the like."""
        total = 0.0
        for k in which:
            total += float(((self.residual(weights, k) * importance.rows[k]) ** 2).sum(dtype=np.float64))
        return total

    def gradient(
        self, weights: np.ndarray, which: Sequence[int], importance: Importance
    ) -> tuple[float, np.ndarray]:
        """Loss and its gradient."""
        slope = np.zeros(len(weights))
        total = 0.0
        for k in which:
            weighted = self.residual(weights, k) * importance.rows[k]
            total += float((weighted**2).sum(dtype=np.float64))
            adjoint = (2.0 * weighted * importance.rows[k]).astype(weights.dtype)
            into = np.zeros(len(weights), dtype=weights.dtype)
            self._call(weights, k, adjoint, into)
            slope += into
        return total, slope


class Importance:
    """Square roots of the weights of all rows in the loss.

    Attributes
    ----------
    rows
        Per structure (3n + 7,); structures outside `which` have zeros.
    """

    def __init__(
        self,
        problem: Problem,
        which: Sequence[int],
        alpha: float,
        beta: float,
        structure_weights: np.ndarray,
        atom_weights: Sequence[np.ndarray],
    ) -> None:
        known = problem.known
        n_forces = sum(int(known[k][:-7].sum()) * problem.copies[k] for k in which)
        n_energies = sum(int(known[k][-7]) for k in which)
        n_virials = sum(int(known[k][-6:].sum()) for k in which)
        self.rows: list[np.ndarray] = [np.zeros(len(row)) for row in known]
        for k in which:
            atoms = len(known[k]) // 3 - 2
            row = self.rows[k]
            if n_forces:
                row[:-7] = alpha / n_forces * problem.copies[k] * np.repeat(atom_weights[k], 3)
            if n_energies:
                row[-7] = (1.0 - alpha) / n_energies / atoms**2
            if n_virials:
                row[-6:] = beta / n_virials / atoms**2
            row *= structure_weights[k] * known[k]
            self.rows[k] = np.sqrt(row)
