"""What the tether does to barriers: a handful of hops with softer and stiffer springs, and with none.

    python case_studies/cu_ta2o5/spring_study.py runs/cu_ta2o5

Sites and passes stay where the network with the default spring has them; the host is relaxed anew.
"""

import numpy as np
from _teacher import FOLDER, TEACHER, study

from iondiff.files import write_json

SPRINGS = (0.5, 1.0, 2.0, 0.0)  # eV/Å²; 0 is a free relaxation


def main() -> None:
    case, options = study(__doc__, ("hops", int, 5, "number of hops"))
    network = case.network
    hops = case.carrying_hops(options.hops)
    points = []
    for source, target, key, _ in hops:
        edge = network.edges[source, target, key]
        points += [
            network.nodes[source]["position"],
            edge["saddle_position"],
            network.nodes[target]["position"],
        ]
    studies = []
    for spring in SPRINGS:
        labels = case.label(np.array(points), f"spring{spring:g}", spring=spring, workers=options.workers)
        start, top, end = labels.energies.reshape(-1, 3).T
        moved = np.array([label.max_displacement_A for label in labels.labels])
        studies.append(
            {
                "spring_eV_A2": spring,
                "forward_eV": np.round(top - start, 4).tolist(),
                "backward_eV": np.round(top - end, 4).tolist(),
                "hops": np.round(top - start, 4).tolist(),
                "largest_displacement_A": round(float(moved.max()), 3),
            }
        )
        print(studies[-1], flush=True)
    record = {
        "teacher": TEACHER,
        "pairs": [[source, target] for source, target, _, _ in hops],
        "studies": studies,
    }
    write_json(FOLDER / "spring_study.json", record)


if __name__ == "__main__":
    main()
