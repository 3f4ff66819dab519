"""What can go wrong for a user, each with one clear sentence.

The command line prints the sentence and exits with code 2; nothing half-written is left behind.
"""


class IondiffError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(IondiffError):
    """A configuration file says something that cannot be carried out."""


class HostError(IondiffError):
    """A host structure cannot serve: no cell, no atoms, atoms on top of each other."""


class LabelError(IondiffError):
    """A label file is missing, corrupt, or does not belong to this host."""


class CalculatorError(IondiffError):
    """A calculator could not be imported, made or run."""


class PotentialError(IondiffError):
    """A potential file is unreadable, or asked about something it was not made for."""


class TrainingError(IondiffError):
    """A training cannot start or did not stay finite."""


class RunError(IondiffError):
    """A run folder is locked, damaged, or belongs to another configuration."""


class FileError(IondiffError):
    """A file cannot be written: a full disk, a folder that is read-only."""


class PlotError(IondiffError):
    """Data that cannot be drawn: a column is missing, or nothing is left to show."""
