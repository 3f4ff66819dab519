"""Test error against number of training labels, for the network alone and with the kernel correction.

python case_studies/cu_ta2o5/learning_curve.py runs/cu_ta2o5
"""

from _teacher import FOLDER, study

from iondiff.assessment import split, training_report
from iondiff.descriptors import default_guest_set
from iondiff.files import write_json
from iondiff.sampling import LabelSet, read_labels
from iondiff.stages import host_elements
from iondiff.training import train_guest

COUNTS = (200, 500, 1000, 1800)


def main() -> None:
    case, _ = study(__doc__)
    config, host = case.config, case.host
    training, test = split(
        read_labels(FOLDER / "labels.jsonl.gz", host, config.guest), config.labels.test_count, config.seed
    )
    # The grid part alone and in the order it was drawn: the first n are a random draw of n.
    grid = sorted((label for label in training.labels if label.part == "grid"), key=lambda label: label.index)
    functions = default_guest_set(host_elements(host), config.network.cutoff, config.network.angular_cutoff)
    # Heights are counted from the lowest label of all, as in a run, however few are trained on.
    lowest = float(min(training.energies.min(), test.energies.min()))
    curve = []
    for count in COUNTS:
        part = LabelSet(grid[:count], training.provenance)
        potential = train_guest(
            host, config.guest, functions, part.positions, part.energies, part.gradients,
            config.network.settings(symmetric=False), seed=config.seed,
        )  # fmt: skip
        report = training_report(potential, host, part, test, lowest)
        row = {
            "labels": len(part),
            "rmse_meV": report["test_rmse_meV"],
            "rmse_low_meV": report["test_rmse_low_meV"],
        }
        row["variants"] = {
            name: {k: errors[k] for k in ("rmse_meV", "rmse_low_meV", "median_meV")}
            for name, errors in report["variants"].items()
        }
        curve.append(row)
        print(row, flush=True)
    write_json(
        FOLDER / "learning_curve.json",
        {"test_count": len(test), "low_count": report["low_count"], "curve": curve},
    )


if __name__ == "__main__":
    main()
