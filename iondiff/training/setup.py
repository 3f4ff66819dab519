"""What the members of a training share: functions, their values on all structures, networks' layout, targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from iondiff import __version__
from iondiff.descriptors import Descriptor, ElementDescriptor, Scaling
from iondiff.descriptors.derivatives import Described, FlatFunctions
from iondiff.files import file_hash
from iondiff.potentials import HDNNP, Committee, Network
from iondiff.training import checks, dataset, results
from iondiff.training.cells import Cell, smallest_cell
from iondiff.training.choice import choose_functions, values_of
from iondiff.training.functions import build_functions
from iondiff.training.gather import Data
from iondiff.training.problem import Importance, Layout, Problem
from iondiff.training.settings import TrainingConfig

_LETTERS = {"tanh": "t", "softplus": "p", "logistic": "s", "gaussian": "g", "cosine": "c"}
Report = Callable[[str, int, int], None]
"""Called with (what, done, in all)."""


@dataclass(frozen=True)
class Setup:
    """Everything members share: functions, their values on all structures, networks' layout, targets."""

    data: Data
    cells: list[Cell]
    flat: FlatFunctions
    described: list[Described]
    scalings: list[Scaling]
    reference: np.ndarray
    problem: Problem

    @classmethod
    def of(cls, config: TrainingConfig, data: Data, say: Report) -> Setup:
        """Describe the structures, fit what members share."""
        species = sorted(
            {symbol for s in data.structures for symbol in s.atoms.get_chemical_symbols()},
            key=atomic_numbers.__getitem__,
        )
        train = [data.structures[k] for k in data.train]
        reference = dataset.fit_reference_energies(train, species, config.data.reference_energies)
        cells = [smallest_cell(s) for s in data.structures]
        targets = []
        for s in (c.structure for c in cells):
            target = s.targets.copy()
            target[-7] -= sum(reference[species.index(symbol)] for symbol in s.atoms.symbols)
            targets.append(target)
        flat, described = choose_functions(
            build_functions(config.descriptors, species), [c.structure.atoms for c in cells], targets, data.train,
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
        energies = np.array([targets[k][-7] / len(cells[k].structure.atoms) for k in data.train])
        spread = float(forces.std()) if forces.size else float(np.nanstd(energies))
        layout = Layout(
            np.array([[size, *config.network.hidden, 1] for size in flat.sizes]),
            (_LETTERS[config.network.activation],) * len(config.network.hidden),
        )
        scale = spread if spread > 1e-6 else 1.0
        problem = Problem(described, flat, shift, factor, layout, targets, scale, [c.copies for c in cells])
        return cls(data, cells, flat, described, scalings, reference, problem)

    def odd_energies(self) -> list[str]:
        """Training energies that do not fit what the atoms see, as sentences."""
        features = []
        for k in self.data.train:
            d = self.described[k]
            one = np.eye(len(self.flat.species))[d.species]
            features.append(np.concatenate([one.mean(axis=0), (one.T @ d.values).ravel() / len(d.species)]))
        return checks.energies_of_structures(
            [self.data.structures[k] for k in self.data.train], np.array(features)
        )

    def importance(self, which: Sequence[int], config: TrainingConfig) -> Importance:
        """Weights of the loss over these structures."""
        structures = [c.structure for c in self.cells]
        return Importance(
            self.problem, which, config.loss.force_weight, config.loss.stress_weight,
            np.array([s.weight for s in structures]), [s.atom_weights for s in structures],
        )  # fmt: skip

    def potential(
        self, weights: Sequence[np.ndarray], config: TrainingConfig, errors: dict[str, Any] | None = None
    ) -> HDNNP | Committee:
        """The potential of these members; it carries its settings, the names of its data, and the error table."""
        descriptor = Descriptor(
            tuple(
                ElementDescriptor(symbol, self.flat.functions[symbol], scaling)
                for symbol, scaling in zip(self.flat.species, self.scalings, strict=True)
            )
        )
        layout = self.problem.layout
        training = config.model_dump(mode="json", exclude={"workers", "memory_budget_GB", "data"})
        training["version"] = __version__
        training["data"] = [
            {"file": path.name, "split": split, "sha256": file_hash(path) if path.is_file() else ""}
            for split in ("train", "validation", "test")
            for path in getattr(config.data, split)
        ]
        kept = ("structures", "energy_meV_atom", "force_eV_A", "stress_GPa")
        training["errors"] = {name: {k: table[k] for k in kept} for name, table in (errors or {}).items()}
        summary = {"training": training}
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

    def outputs(self, weights: np.ndarray) -> list[np.ndarray]:
        """Forces, energy (without reference energies), virial of every structure by one member: eV, Å."""
        return [
            cell.whole(self.problem.predict(weights, k) * self.problem.scale)
            for k, cell in enumerate(self.cells)
        ]

    def mean(self, outputs: Sequence[list[np.ndarray]], k: int) -> results.Prediction:
        """Mean prediction for structure k of the members with these outputs."""
        mean = np.mean([member[k] for member in outputs], axis=0)
        energy = float(mean[-7] + self.reference[self.flat.codes(self.data.structures[k].atoms)].sum())
        return results.Prediction(energy, mean[:-7].reshape(-1, 3), mean[-6:])
