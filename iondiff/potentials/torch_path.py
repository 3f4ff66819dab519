"""HDNNPs in torch: batches of structures on any device, double or single precision, gradients by autograd.

The path for GPUs, and the independent reference of the compiled one. Energies are functions of the vectors
between neighbours alone, so one gradient by these gives forces and virial at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from ase.data import atomic_numbers

from iondiff.descriptors import ElementDescriptor
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.network import Network
from iondiff.potentials.structure import Surroundings
from iondiff.potentials.torch_functions import Edges, raw_functions

_ACTIVATIONS = {
    "l": lambda x: x,
    "t": torch.tanh,
    "s": torch.sigmoid,
    "p": lambda x: torch.nn.functional.softplus(x, threshold=35.0),
    "r": torch.relu,
    "g": lambda x: torch.exp(-0.5 * x * x),
    "c": torch.cos,
    "S": lambda x: 1 - torch.sigmoid(x),
    "e": lambda x: torch.exp(-x),
    "h": lambda x: x * x,
}
_BUDGET = 2_000_000  # pairs of neighbours times functions that are held at once, some 200 MB in double


class TorchNetwork(torch.nn.Module):
    """One element: scaling, network, constants; weights are parameters."""

    shift: torch.Tensor
    factor: torch.Tensor

    def __init__(self, element: ElementDescriptor, network: Network, scale: float, offset: float) -> None:
        super().__init__()
        self.functions = element.functions
        self.activations = network.activations
        self.weights = torch.nn.ParameterList(torch.tensor(w) for w in network.weights)
        self.biases = torch.nn.ParameterList(torch.tensor(b) for b in network.biases)
        self.register_buffer("shift", torch.tensor(element.scaling.shift))
        self.register_buffer("factor", torch.tensor(element.scaling.factor))
        self.scale, self.offset = scale, offset

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """(n, n_functions), not scaled -> (n,) eV."""
        x = (raw - self.shift) * self.factor
        for weights, biases, letter in zip(self.weights, self.biases, self.activations, strict=True):
            x = _ACTIVATIONS[letter](x @ weights + biases)
        return x[:, 0]


class TorchHDNNP(torch.nn.Module):
    """A potential as a torch module; its parameters are the weights of all elements.

    Parameters
    ----------
    potential
        The potential.
    device, dtype
        Of the arithmetic, for example ``"cuda"`` and ``torch.float64``.
    """

    def __init__(
        self, potential: HDNNP, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__()
        self.potential = potential
        self.networks = [
            TorchNetwork(element, network, potential.energy_scale, offset)
            for element, network, offset in zip(
                potential.descriptor.elements, potential.networks, potential.offsets(), strict=True
            )
        ]
        self.members = torch.nn.ModuleList(self.networks)
        self.to(device, dtype)
        self.device, self.dtype = torch.device(device), dtype

    def atomic_energies(self, species: int, edges: Edges) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies (n,), eV, and raw symmetry functions (n, n_functions) of the atoms of one element."""
        network = self.networks[species]
        raw = raw_functions(network.functions, edges)
        return network.scale * network(raw) + network.offset, raw

    def evaluate(
        self, structures: Sequence[Surroundings], *, forces: bool = True
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]]:
        """Energies (n,), forces (n, 3), virial (3, 3) and raw functions (one array an element) a structure.

        Without `forces` these and the virials are zero.
        """
        batch = _concatenated(structures)
        n = len(batch.species)
        energies = np.zeros(n)
        gradient = np.zeros((n, 3))
        virials = np.zeros((len(structures), 3, 3))
        of_structure = np.repeat(np.arange(len(structures)), [len(s.species) for s in structures])
        raw = [np.zeros((0, len(e))) for e in self.potential.descriptor.elements]
        for k, element in enumerate(self.potential.descriptor.elements):
            blocks = []
            for centres in _chunks(np.flatnonzero(batch.species == k), batch, element):
                edges, index = self._edges(batch, centres, forces)
                energy, functions = self.atomic_energies(k, edges)
                energies[centres] = energy.detach().cpu().numpy()
                blocks.append(functions.detach().cpu().numpy())
                if forces and len(index[0]):
                    (g,) = torch.autograd.grad(energy.sum(), edges.vectors)
                    _scatter(g.double().cpu().numpy(), edges, index, of_structure, gradient, virials)
            if blocks:
                raw[k] = np.concatenate(blocks)
        return _divided(structures, batch.species, energies, -gradient, virials, raw)

    def _edges(
        self, batch: _Batch, centres: np.ndarray, gradients: bool
    ) -> tuple[Edges, tuple[np.ndarray, np.ndarray]]:
        """Edges of some atoms, and the indices of their two ends."""
        counts = batch.first[centres + 1] - batch.first[centres]
        rows = np.repeat(np.arange(len(centres)), counts)
        at = np.repeat(batch.first[centres] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        vectors = torch.tensor(batch.vectors[at], dtype=self.dtype, device=self.device)
        numbers = np.array([atomic_numbers[s] for s in self.potential.species])
        neighbours = batch.index[at]
        edges = Edges(
            vectors.requires_grad_(gradients),
            torch.tensor(rows, device=self.device),
            torch.tensor(numbers[batch.species[neighbours]], device=self.device),
            len(centres),
        )
        return edges, (centres[rows], neighbours)


class _Batch:
    """Structures one after the other; neighbours within the batch, vectors to them, Å."""

    def __init__(self, structures: Sequence[Surroundings]) -> None:
        starts = np.cumsum([0, *(len(s.species) for s in structures)])
        self.species = np.concatenate([s.species for s in structures])
        self.index = np.concatenate([s.index + a for s, a in zip(structures, starts, strict=False)])
        counts = np.concatenate([np.diff(s.first) for s in structures])
        self.first = np.concatenate([[0], np.cumsum(counts)])
        self.vectors = np.concatenate([vectors(s) for s in structures])


def _concatenated(structures: Sequence[Surroundings]) -> _Batch:
    return _Batch(structures)


def vectors(s: Surroundings) -> np.ndarray:
    """(m, 3) Å, from each atom to its neighbours."""
    centres = np.repeat(np.arange(len(s.species)), np.diff(s.first))
    return s.positions[s.index] + s.image @ s.cell - s.positions[centres]


def _chunks(centres: np.ndarray, batch: _Batch, element: ElementDescriptor) -> Iterator[np.ndarray]:
    """Atoms of one element in portions that fit into memory."""
    n_angular = sum(not f.radial for f in element.functions)
    counts = (batch.first[centres + 1] - batch.first[centres]).astype(float)
    cost = counts * len(element) + 0.5 * counts**2 * n_angular
    portion = (np.cumsum(cost) // _BUDGET).astype(int)
    for chunk in np.unique(portion):
        yield centres[portion == chunk]


def _scatter(
    g: np.ndarray,
    edges: Edges,
    ends: tuple[np.ndarray, np.ndarray],
    of_structure: np.ndarray,
    gradient: np.ndarray,
    virials: np.ndarray,
) -> None:
    """Gradient by the vectors between neighbours onto atoms and strain."""
    centres, neighbours = ends
    n = len(gradient)
    for a in range(3):
        gradient[:, a] += np.bincount(neighbours, g[:, a], n) - np.bincount(centres, g[:, a], n)
    r = edges.vectors.detach().double().cpu().numpy()
    np.add.at(virials, of_structure[centres], r[:, :, None] * g[:, None, :])


def _divided(
    structures: Sequence[Surroundings],
    species: np.ndarray,
    energies: np.ndarray,
    forces: np.ndarray,
    virials: np.ndarray,
    raw: list[np.ndarray],
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]]:
    """Structure by structure again."""
    results = []
    start = 0
    for k, structure in enumerate(structures):
        end = start + len(structure.species)
        before = [int((species[:start] == e).sum()) for e in range(len(raw))]
        after = [int((species[:end] == e).sum()) for e in range(len(raw))]
        own = [G[a:b] for G, a, b in zip(raw, before, after, strict=True)]
        results.append((energies[start:end], forces[start:end], virials[k], own))
        start = end
    return results
