"""The suite: potentials, training, sampling, dynamics, analysis and the road that joins them."""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

# Rooms are imported when first named, so that `import iondiff` costs nothing and `iondiff.analysis.diffusivity` works.
_ROOMS = (
    "analysis",
    "config",
    "descriptors",
    "dynamics",
    "errors",
    "plot",
    "potentials",
    "report",
    "sampling",
    "testing",
    "training",
    "workflow",
)


def __getattr__(name: str) -> ModuleType:
    if name in _ROOMS:
        return import_module(f"iondiff.{name}")
    raise AttributeError(f"module 'iondiff' has no attribute {name!r}; its rooms are {', '.join(_ROOMS)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
