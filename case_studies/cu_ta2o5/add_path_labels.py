"""Label the sites and passes that a run has found, and add them to the case study's labels.

    python case_studies/cu_ta2o5/add_path_labels.py runs/cu_ta2o5 --height 1.5

Random points rarely fall on a site or a pass, where the accuracy is needed. The added labels are of part
"path": they are trained on and never tested on.
"""

import numpy as np
from _teacher import FOLDER, study

from iondiff.sampling import LabelSet, read_labels, write_labels
from iondiff.sampling.points import nearest_distance


def main() -> None:
    case, options = study(
        __doc__,
        ("height", float, 1.5, "eV above the lowest site, below which sites and passes are labelled"),
        ("spacing", float, 0.15, "Å to the nearest label, below which a point is left out"),
    )
    network = case.network
    lowest = min(energy for _, energy in network.nodes(data="energy"))
    points = [
        data["position"] for _, data in network.nodes(data=True) if data["energy"] < lowest + options.height
    ]
    points += [
        data["saddle_position"]
        for source, target, data in network.edges(data=True)
        if data["saddle_energy"] < lowest + options.height and source <= target
    ]
    shipped = read_labels(FOLDER / "labels.jsonl.gz", case.host, case.config.guest)
    known = case.host[:1].repeat(1)
    known = known[[0] * len(shipped)] if len(shipped) else known
    known.positions = shipped.positions
    fresh = []
    for point in np.asarray(points):
        if nearest_distance(known, point[None])[0] > options.spacing:
            fresh.append(point)
            known += known[:1]
            known.positions[-1] = point
    offset = sum(label.part == "path" for label in shipped.labels)
    added = case.label(np.array(fresh), f"path{offset}", workers=options.workers)
    renamed = [
        type(label)(**{**vars(label), "part": "path", "index": offset + label.index})
        for label in added.labels
    ]
    write_labels(FOLDER / "labels.jsonl.gz", LabelSet(shipped.labels + renamed, shipped.provenance))
    print(f"{len(renamed)} labels added to {len(shipped)}: {FOLDER / 'labels.jsonl.gz'}")


if __name__ == "__main__":
    main()
