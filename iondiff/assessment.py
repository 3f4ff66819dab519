"""How good a trained potential is: which labels it never saw, and its errors on them, part by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms

from iondiff.errors import LabelError, TrainingError
from iondiff.potentials import GuestNNP
from iondiff.sampling import LabelSet
from iondiff.training import error_table, parity


def split(found: LabelSet, test_count: int, seed: int) -> tuple[LabelSet, LabelSet]:
    """Training and test labels: the test is drawn from the converged grid part alone."""
    grid = found.select("grid")
    if len(grid) <= test_count:
        raise LabelError(
            f"{len(grid)} converged grid labels, {test_count} of them wanted for the test; make more labels"
        )
    order = np.random.default_rng([seed, 7]).permutation(len(grid))
    test = {grid.labels[i].index for i in order[:test_count]}
    training = [x for x in found.select().labels if x.part != "grid" or x.index not in test]
    return LabelSet(training, found.provenance), LabelSet(
        [x for x in grid.labels if x.index in test], found.provenance
    )


def training_report(
    potential: GuestNNP, host_atoms: Atoms, training: LabelSet, test: LabelSet, lowest: float | None = None
) -> dict[str, Any]:
    """Errors on both sets as plain data, with and without the kernel correction, and of a single network.

    `lowest` is the energy, eV, from which heights are counted; by default the lowest of the labels given.
    """
    if lowest is None:
        lowest = float(min(training.energies.min(), test.energies.min()))
    distances = np.array([label.min_distance_A for label in test.labels])
    open_potential = replace(potential, wall_A=0.0)
    variants = {
        "one network": replace(open_potential, correction=None, weights=potential.weights[:1]),
        "committee": replace(open_potential, correction=None),
        "committee and correction": open_potential,
    }
    if potential.correction is None:
        del variants["committee and correction"]
    table = {}
    for name, variant in variants.items():
        predicted, slopes = variant.landscape(host_atoms).energy_and_gradient(test.positions)
        if not np.isfinite(predicted).all():
            raise TrainingError(f"the trained potential ({name}) is not finite on the test labels")
        table[name] = error_table(test.energies, test.gradients, predicted, slopes, distances, lowest)
    on_training = open_potential.landscape(host_atoms).energy_and_gradient(training.positions)[0]
    best = table[list(variants)[-1]]
    return {
        "label_count": len(training) + len(test),
        "train_count": len(training),
        "test_count": len(test),
        "layers": list(potential.layers),
        "members": len(potential.weights),
        "test_rmse_meV": best["rmse_meV"],
        "test_rmse_low_meV": best["rmse_low_meV"],
        "test_median_meV": best["median_meV"],
        "low_count": best["low_count"],
        "gradient_rmse_eV_A": best["gradient_rmse_eV_A"],
        "lowest_eV": lowest,
        "by_distance": best["by_distance"],
        "by_energy": best["by_energy"],
        "variants": table,
        "parity": parity({"train": (training.energies, on_training), "test": (test.energies, predicted)}),
    }
