"""Symmetry functions: what an atom sees of its surroundings."""

from iondiff.descriptors.guest import HostNeighbours, check_host, guest_descriptors
from iondiff.descriptors.symmetry_functions import Angular, DescriptorSet, Radial, default_guest_set

__all__ = [
    "Angular",
    "DescriptorSet",
    "HostNeighbours",
    "Radial",
    "check_host",
    "default_guest_set",
    "guest_descriptors",
]
