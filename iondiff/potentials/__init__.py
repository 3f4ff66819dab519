"""Potentials: from symmetry functions to energies and gradients, and the files that hold them."""

from iondiff.potentials.calculator import PotentialCalculator
from iondiff.potentials.classical import ZBL, LennardJones, StillingerWeber, SumPotential
from iondiff.potentials.committee import Committee
from iondiff.potentials.evaluation import Evaluation, Extrapolation
from iondiff.potentials.evaluator import ExtrapolationWarning
from iondiff.potentials.files import load, save
from iondiff.potentials.guest import GuestLandscape, GuestNNP, KernelCorrection
from iondiff.potentials.hdnnp import HDNNP
from iondiff.potentials.hybrid import Hybrid
from iondiff.potentials.network import Network
from iondiff.potentials.tersoff import Tersoff

__all__ = [
    "HDNNP",
    "ZBL",
    "Committee",
    "Evaluation",
    "Extrapolation",
    "ExtrapolationWarning",
    "GuestLandscape",
    "GuestNNP",
    "Hybrid",
    "KernelCorrection",
    "LennardJones",
    "Network",
    "PotentialCalculator",
    "StillingerWeber",
    "SumPotential",
    "Tersoff",
    "load",
    "save",
]
