"""Symmetry functions: what an atom sees of its surroundings."""

from iondiff.descriptors.default_set import default_set
from iondiff.descriptors.definitions import SymmetryFunction, sort_functions
from iondiff.descriptors.descriptor import Descriptor, ElementDescriptor, Scaling
from iondiff.descriptors.guest import HostNeighbours, check_host, guest_descriptors
from iondiff.descriptors.symmetry_functions import Angular, DescriptorSet, Radial, default_guest_set

__all__ = [
    "Angular",
    "Descriptor",
    "DescriptorSet",
    "ElementDescriptor",
    "HostNeighbours",
    "Radial",
    "Scaling",
    "SymmetryFunction",
    "check_host",
    "default_guest_set",
    "default_set",
    "guest_descriptors",
    "sort_functions",
]
