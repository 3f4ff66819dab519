"""Calculators by import path, and a lean door to one teacher.

A calculator is named ``"package.module:Name"`` and made with the keyword arguments given beside it, so any
ASE calculator serves without this project knowing it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from iondiff.errors import CalculatorError


def make_calculator(path: str, kwargs: Mapping[str, Any] | None = None) -> Calculator:
    """Import ``"package.module:Name"`` and call it with `kwargs`.

    Raises
    ------
    CalculatorError
        The path is not of that form, cannot be imported, or the call fails; the original message is kept.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name:
        raise CalculatorError(
            f"calculator is {path!r}; wanted an import path such as 'chgnet.model.dynamics:CHGNetCalculator'"
        )
    advice = (
        "install the package that has it, for the shipped teacher: pip install 'diffusion-network[teacher]'"
    )
    try:
        factory = getattr(importlib.import_module(module_name), name)
    except Exception as error:  # importing somebody's module can raise anything
        raise CalculatorError(
            f"calculator {path!r} cannot be imported ({type(error).__name__}: {error}); {advice}"
        ) from error
    try:
        calculator = factory(**dict(kwargs or {}))
    except ImportError as error:
        raise CalculatorError(f"calculator {path!r} could not be made ({error}); {advice}") from error
    except Exception as error:  # and so can making somebody's calculator
        raise CalculatorError(
            f"calculator {path!r} could not be made with {dict(kwargs or {})} "
            f"({type(error).__name__}: {error})"
        ) from error
    if not callable(getattr(calculator, "get_forces", None)):
        raise CalculatorError(
            f"calculator {path!r} gave a {type(calculator).__name__}; wanted an ASE calculator, which "
            "has get_forces"
        )
    return calculator


class CHGNetForces(Calculator):
    """CHGNet (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)), energy and forces only.

    The package's own ASE calculator also works out stress and magnetic moments at every call; a label needs
    neither, and leaving them out saves time.
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - declared so by ASE

    def __init__(self) -> None:
        super().__init__()
        import torch
        from chgnet.model import CHGNet

        torch.set_num_threads(1)
        self.model = CHGNet.load(use_device="cpu", verbose=False)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        """Fill ``results`` with energy (eV) and forces (n_atoms, 3), eV/Å."""
        from pymatgen.core import Structure

        super().calculate(atoms, properties, system_changes)
        structure = Structure(
            atoms.cell.array, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True
        )
        prediction: Any = self.model.predict_graph(self.model.graph_converter(structure), task="ef")
        self.results = {
            "energy": float(prediction["e"]) * len(atoms),
            "forces": np.asarray(prediction["f"], dtype=float),
        }
