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


class DynamicsError(IondiffError):
    """Molecular dynamics was asked for what cannot be done, or its files are damaged or another run's."""


class MDUnstable(DynamicsError):  # noqa: N818 - the name says what happened
    """A run left its bounds and stopped; what it wrote is kept.

    Attributes
    ----------
    reason
        What happened, one sentence.
    step
        The step at which it did.
    last_good
        ASE atoms before it happened, with velocities.
    offending
        ASE atoms as they were when it happened; the configuration to label.
    result
        The run until then (:class:`iondiff.dynamics.Run`).
    """

    def __init__(
        self,
        reason: str,
        step: int = 0,
        last_good: object = None,
        offending: object = None,
        result: object = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.step = step
        self.last_good = last_good
        self.offending = offending
        self.result = result


class TrajectoryError(IondiffError, ValueError):
    """A trajectory cannot be read, or does not hold what was asked of it."""
