"""Potentials written as directories of n2p2; LAMMPS's pair_style hdnnp runs them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from iondiff.descriptors import ElementDescriptor, SymmetryFunction
from iondiff.errors import PotentialError
from iondiff.files import write_atomically
from iondiff.potentials._n2p2_functions import function_line
from iondiff.potentials._n2p2_networks import weights_text
from iondiff.potentials._n2p2_text import unit_factors
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.n2p2 import weights_name
from iondiff.potentials.network import Network

_MODES = {
    "none": (),
    "scale": ("scale_symmetry_functions",),
    "centre": ("center_symmetry_functions",),
    "scale-centre": ("scale_symmetry_functions", "center_symmetry_functions"),
    "sigma": ("scale_symmetry_functions_sigma",),
}


def write_directory(
    potential: HDNNP, directory: str | Path, units: tuple[str, str] = ("Angstrom", "eV")
) -> None:
    """Write ``input.nn``, ``scaling.data`` and ``weights.*.data``.

    Parameters
    ----------
    directory
        Made where absent; files of these names in it are replaced.
    units
        Of the files. LAMMPS converts with ``cflength`` and ``cfenergy``; with the default and LAMMPS's
        ``units metal`` both are 1.

    Raises
    ------
    PotentialError
        Something that n2p2's files cannot hold: a G3 function, cutoff functions of several kinds.
    """
    length, energy = unit_factors(units)
    ordered = [
        _ordered(element, network)
        for element, network in zip(potential.descriptor.elements, potential.networks, strict=True)
    ]
    elements, networks = [e for e, _ in ordered], [n for _, n in ordered]
    texts = {
        "input.nn": _settings(potential, elements, networks, length, energy, units),
        "scaling.data": _scaling(elements),
        **{weights_name(e.centre): weights_text(n) for e, n in zip(elements, networks, strict=True)},
    }
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(directory / name, text)


def _ordered(element: ElementDescriptor, network: Network) -> tuple[ElementDescriptor, Network]:
    """Functions in n2p2's order, and the network's inputs with them; G1 is a G2 without a Gaussian."""
    functions = [replace(f, kind="G2") if f.kind == "G1" else f for f in element.functions]
    order = sorted(range(len(functions)), key=lambda k: functions[k].order())
    scaling = replace(
        element.scaling,
        **{n: getattr(element.scaling, n)[order] for n in ("minimum", "maximum", "mean", "sigma")},
    )
    weights = (network.weights[0][order], *network.weights[1:])
    return (
        ElementDescriptor(element.centre, tuple(functions[k] for k in order), scaling),
        Network(weights, network.biases, network.activations),
    )


def _settings(
    potential: HDNNP,
    elements: list[ElementDescriptor],
    networks: list[Network],
    length: float,
    energy: float,
    units: tuple[str, str],
) -> str:
    scalings = {(e.scaling.mode, e.scaling.low, e.scaling.high) for e in elements}
    if len(scalings) > 1:
        raise PotentialError(
            f"elements are scaled in different ways ({sorted(scalings)}); n2p2's files hold one way for all"
        )
    ((mode, low, high),) = scalings
    lines = [
        f"# Units: {units[0]}, {units[1]}",
        f"number_of_elements {len(elements)}",
        f"elements {' '.join(potential.species)}",
    ]
    if potential.energy_scale != energy or potential.energy_shift != 0.0:
        lines += [
            f"mean_energy {potential.energy_shift / energy!r}",
            f"conv_energy {energy / potential.energy_scale!r}",
            "conv_length 1.0",
        ]
    for symbol, value in zip(potential.species, potential.atom_energies, strict=True):
        lines.append(f"atom_energy {symbol} {float(value) / energy!r}")
    lines += [_cutoff_line([f for e in elements for f in e.functions]), *_MODES[mode]]
    lines += [f"scale_min_short {low!r}", f"scale_max_short {high!r}", *_architecture(elements, networks)]
    lines += [function_line(f, length) for e in elements for f in e.functions]
    return "\n".join(lines) + "\n"


def _cutoff_line(functions: list[SymmetryFunction]) -> str:
    kinds = {(f.cutoff_kind, f.inner) for f in functions if not f.polynomial} or {(6, 0.0)}
    if len(kinds) > 1:
        raise PotentialError(
            f"symmetry functions have cutoffs of several kinds ({sorted(kinds)}); n2p2's files hold one"
        )
    ((kind, inner),) = kinds
    return f"cutoff_type {kind} {inner!r}"


def _architecture(elements: list[ElementDescriptor], networks: list[Network]) -> list[str]:
    shapes = {(n.layers[1:-1], n.activations) for n in networks}
    if len(shapes) == 1:
        return _keywords("global", "", networks[0])
    # No global keywords then: n2p2 completes an element's layers from them without a word.
    lines = []
    for element, network in zip(elements, networks, strict=True):
        lines += _keywords("element", element.centre + " ", network)
    return lines


def _keywords(scope: str, prefix: str, network: Network) -> list[str]:
    hidden = network.layers[1:-1]
    return [
        f"{scope}_hidden_layers_short {prefix}{len(hidden)}",
        f"{scope}_nodes_short {prefix}{' '.join(map(str, hidden))}",
        f"{scope}_activation_short {prefix}{' '.join(network.activations)}",
    ]


def _scaling(elements: list[ElementDescriptor]) -> str:
    lines = ["# element, function, minimum, maximum, mean, sigma"]
    for e, element in enumerate(elements, start=1):
        s = element.scaling
        rows = np.column_stack([s.minimum, s.maximum, s.mean, s.sigma])
        lines += [
            f"{e:10d} {k:10d} " + " ".join(f"{value:24.16E}" for value in row)
            for k, row in enumerate(rows, start=1)
        ]
    return "\n".join(lines) + "\n"
