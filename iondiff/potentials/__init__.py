"""Potentials: from symmetry functions to energies and gradients, and the files that hold them."""

from iondiff.potentials.files import load, save
from iondiff.potentials.guest import GuestLandscape, GuestNNP, KernelCorrection

__all__ = ["GuestLandscape", "GuestNNP", "KernelCorrection", "load", "save"]
