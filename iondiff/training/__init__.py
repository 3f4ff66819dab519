"""Training: labels in, a potential and an honest error table out."""

from iondiff.training.correction import fit_correction
from iondiff.training.dataset import TrainingWarning, read_structures
from iondiff.training.errors_table import error_table, parity
from iondiff.training.full import Training, train
from iondiff.training.guest import TrainingSettings, train_guest
from iondiff.training.settings import TrainingConfig, read_training_config

__all__ = [
    "Training",
    "TrainingConfig",
    "TrainingSettings",
    "TrainingWarning",
    "error_table",
    "fit_correction",
    "parity",
    "read_structures",
    "read_training_config",
    "train",
    "train_guest",
]
