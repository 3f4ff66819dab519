"""Training: labels in, a potential and an honest error table out."""

from iondiff.training.correction import fit_correction
from iondiff.training.errors_table import error_table, parity
from iondiff.training.guest import TrainingSettings, train_guest

__all__ = ["TrainingSettings", "error_table", "fit_correction", "parity", "train_guest"]
