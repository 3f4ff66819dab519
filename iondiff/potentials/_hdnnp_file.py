"""What a ``.nnp`` file holds of a potential for all atoms, or of a committee: arrays and plain data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from iondiff.descriptors import Descriptor, ElementDescriptor, Scaling, SymmetryFunction
from iondiff.errors import PotentialError
from iondiff.potentials.committee import Committee
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.network import Network

SCHEMA = "hdnnp/1"
_STATISTICS = ("minimum", "maximum", "mean", "sigma")


def pack(potential: HDNNP | Committee) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays; the header carries a checksum of both."""
    members = (potential,) if isinstance(potential, HDNNP) else potential.members
    lead = members[0]
    header: dict[str, Any] = {
        "schema": SCHEMA,
        "units": {"length": "Angstrom", "energy": "eV"},
        "committee": isinstance(potential, Committee),
        "elements": [_element(e) for e in lead.descriptor.elements],
        "members": [
            {
                "energy_scale": m.energy_scale,
                "energy_shift": m.energy_shift,
                "assumed_units": list(m.units),
                "summary": m.summary,
                "networks": [
                    {"layers": list(n.layers), "activations": "".join(n.activations)} for n in m.networks
                ],
            }
            for m in members
        ],
    }
    arrays = {"atom_energies": np.array([m.atom_energies for m in members])}
    for k, element in enumerate(lead.descriptor.elements):
        arrays |= {f"{name}_{k}": getattr(element.scaling, name) for name in _STATISTICS}
        arrays |= {f"weights_{m}_{k}": member.networks[k].flat() for m, member in enumerate(members)}
    header["checksum"] = checksum(header, arrays)
    return header, arrays


def _element(element: ElementDescriptor) -> dict[str, Any]:
    return {
        "centre": element.centre,
        "scaling": {"mode": element.scaling.mode, "low": element.scaling.low, "high": element.scaling.high},
        "functions": [dataclasses.asdict(f) for f in element.functions],
    }


def checksum(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of the header without its checksum, and of the arrays by name."""
    plain = {key: value for key, value in header.items() if key != "checksum"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def unpack(
    header: dict[str, Any], arrays: dict[str, np.ndarray], numbers: Callable[[str], np.ndarray]
) -> HDNNP | Committee:
    """Inverse of :func:`pack`; `numbers` gives an array by name as floats."""
    found = checksum(header, {name: a for name, a in arrays.items() if name != "header"})
    if header["checksum"] != found:
        raise PotentialError("its checksum does not fit its content; the file was changed or damaged")
    elements = tuple(
        ElementDescriptor(
            str(entry["centre"]),
            tuple(
                SymmetryFunction(**{**f, "neighbours": tuple(f["neighbours"])}) for f in entry["functions"]
            ),
            Scaling(
                mode=str(entry["scaling"]["mode"]),
                low=float(entry["scaling"]["low"]),
                high=float(entry["scaling"]["high"]),
                **{name: numbers(f"{name}_{k}") for name in _STATISTICS},
            ),
        )
        for k, entry in enumerate(header["elements"])
    )
    descriptor = Descriptor(elements)
    if descriptor.elements != elements:
        raise PotentialError("its elements are not sorted by atomic number")
    energies = numbers("atom_energies")
    members = tuple(
        HDNNP(
            descriptor,
            tuple(
                Network.from_flat(
                    numbers(f"weights_{m}_{k}"), tuple(int(n) for n in n_["layers"]), tuple(n_["activations"])
                )
                for k, n_ in enumerate(entry["networks"])
            ),
            energies[m],
            float(entry["energy_scale"]),
            float(entry["energy_shift"]),
            (str(entry["assumed_units"][0]), str(entry["assumed_units"][1])),
            dict(entry["summary"]),
        )
        for m, entry in enumerate(header["members"])
    )
    return Committee(members) if header["committee"] else members[0]
