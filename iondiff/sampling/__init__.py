"""Labelling: where to ask the teacher, and how to write down what it says."""

from iondiff.sampling.label_files import Label, LabelSet, read_labels, write_labels
from iondiff.sampling.labeller import label_points
from iondiff.sampling.points import draw_points
from iondiff.sampling.tethered import RelaxedLabel, host_hessian, relax_host

__all__ = [
    "Label",
    "LabelSet",
    "RelaxedLabel",
    "draw_points",
    "host_hessian",
    "label_points",
    "read_labels",
    "relax_host",
    "write_labels",
]
