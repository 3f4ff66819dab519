"""The sections that say how far to believe it: training, teacher, certificate."""

from __future__ import annotations

from html import escape

from iondiff.report import _charts, _transport_charts
from iondiff.report._files import Run
from iondiff.report._html import Part, mapping_table, missing, plot, section, table
from iondiff.report._models import BandCheck, SpringStudy, Training
from iondiff.report._numbers import count, rounded
from iondiff.report._style import Figure

MAX_BANDS = 12
_VERDICTS = {
    True: ("complete", "good"),
    False: ("not shown to be complete", "bad"),
    None: ("not run", "open"),
}


def training_section(run: Run) -> Part:
    """Parity, errors by distance and energy, learning curve."""
    data = run.training
    if data is None:
        body = missing("No <code>training.json</code>: this run trained no network.")
        return section("training", "The guest network", body), {}
    noise = run.label_noise
    line = f" Dotted: label noise, {rounded(noise, 2)} meV." if noise is not None and noise > 0 else ""
    figures: dict[str, Figure] = {}
    if data.parity:
        figures["parity"] = _charts.parity(data.parity)
    if run.learning_curve:
        figures["learning"] = _charts.learning_curve(run.learning_curve, noise)
    if data.by_distance:
        figures["by-distance"] = _charts.error_by_distance(data.by_distance, noise)
    if data.by_energy:
        figures["by-energy"] = _charts.error_by_energy(data.by_energy, noise)
    captions = {
        "parity": "Energies of the labels, network against teacher.",
        "learning": f"Error against the number of labels.{line}",
        "by-distance": f"Where the error sits, by distance.{line}",
        "by-energy": f"Where the error sits, by energy.{line}",
    }
    absent = {
        name: missing(f"{caption.split('.')[0]}: not in this run.") for name, caption in captions.items()
    }
    body = "".join(plot(name, captions[name]) if name in figures else absent[name] for name in captions)
    body = f'<div class="two">{body}</div>{_variants(data)}'
    return section("training", "The guest network", body, f"{_training_lead(data)} {_noise(run)}"), figures


def teacher_section(run: Run) -> Part:
    """Bands recomputed by the teacher."""
    heading = "Against the teacher"
    check = run.teacher_check
    if check is None or not check.hops:
        absent = missing("Not run: no bands in <code>teacher_check.json</code>.")
        return section("teacher", heading, absent + _springs(run.springs)), {}
    shown = check.hops[:MAX_BANDS]
    figures = {f"band-{number}": _transport_charts.band(hop) for number, hop in enumerate(shown)}
    bands = "".join(plot(f"band-{number}", _band_note(hop), "small") for number, hop in enumerate(shown))
    teacher = escape(check.teacher or "the teacher")
    lead = f"Lines: guest network. Circles: {teacher}, the host relaxed the way the labels were. "
    lead += f"Largest difference {rounded(check.max_error_eV, 2)} eV along {count(len(check.hops), 'band')}"
    lead += f" (the first {MAX_BANDS} are drawn)." if len(check.hops) > MAX_BANDS else "."
    return section(
        "teacher", heading, f'<div class="three">{bands}</div>{_springs(run.springs)}', lead
    ), figures


def _band_note(hop: BandCheck) -> str:
    difference = f"largest difference {1000 * _transport_charts.band_error(hop):.0f} meV"
    if hop.barrier_network_eV is None or hop.barrier_teacher_eV is None:
        return difference
    return (
        f"barrier {hop.barrier_network_eV:.3f} eV, teacher {hop.barrier_teacher_eV:.3f} eV;<br>{difference}"
    )


def certificate_section(run: Run) -> Part:
    """The certificate of completeness, and what the search recorded of itself."""
    heading = "Is the network complete?"
    search = run.network.graph.get("search")
    recorded = ""
    if isinstance(search, dict) and search:
        recorded = f"<details><summary>Record of the search</summary>{mapping_table(search)}</details>"
    certificate = run.certificate
    if certificate is None:
        absent = missing("Not run: no <code>certificate.json</code>.")
        return section("certificate", heading, absent + recorded), {}
    verdict, kind = _VERDICTS[certificate.complete]
    body = f'<p><span class="badge {kind}">{verdict}</span> {escape(certificate.text)}</p>'
    if certificate.model_extra:
        body += mapping_table(certificate.model_extra)
    return section("certificate", heading, body + recorded), {}


def _training_lead(data: Training) -> str:
    layers = "–".join(str(width) for width in data.layers)
    lead = f"{data.label_count:,} labels: {data.train_count:,} to train, {data.test_count:,} to test"
    lead += f"; layers {layers}. " if layers else ". "
    lead += f"Test RMSE {rounded(data.test_rmse_meV)} meV"
    if data.test_rmse_low_meV is not None:
        number = f" ({count(data.low_count, 'label')})" if data.low_count is not None else ""
        lead += f", {rounded(data.test_rmse_low_meV)} meV within 1 eV of the lowest label{number}"
    if data.gradient_rmse_eV_A is not None:
        lead += f", {rounded(data.gradient_rmse_eV_A, 2)} eV/Å in the gradient"
    return f"{lead}."


def _noise(run: Run) -> str:
    """How well the labels agree with themselves; no network can be better."""
    if run.label_noise is None:
        return "Label noise: not measured."
    text = f"Label noise {rounded(run.label_noise, 2)} meV"
    detail = run.evidence.label_noise if run.evidence else None
    if detail and detail.count and detail.median_meV is not None and detail.largest_meV is not None:
        text += f" over {count(detail.count, 'point')}, each reached in two ways (median "
        text += f"{rounded(detail.median_meV, 2)} meV, largest {rounded(detail.largest_meV, 2)} meV)"
    return f"{text}."


def _variants(data: Training) -> str:
    """Test errors of the parts of the potential, where the training kept them."""
    if not data.variants:
        return ""
    head = ["Test errors", "RMSE, meV", "within 1 eV, meV", "median, meV", "gradient, eV/Å"]
    rows = [
        [
            escape(name),
            *(rounded(number) for number in (row.rmse_meV, row.rmse_low_meV, row.median_meV)),
            rounded(row.gradient_rmse_eV_A, 2),
        ]
        for name, row in data.variants.items()
    ]
    return f"<h3>What each part of the potential adds</h3>{table(rows, head=head, kind='numbers')}"


def _springs(study: SpringStudy | None) -> str:
    """Barriers of the same hops under different tethers."""
    if study is None or not study.studies:
        return ""
    width = max(len(row.hops) for row in study.studies)
    names = [f"{escape(str(source))} → {escape(str(target))}" for source, target in study.pairs[:width]]
    names += [f"hop {number + 1}" for number in range(len(names), width)]
    rows = []
    for row in study.studies:
        tether = f"{row.spring_eV_A2:g} eV/Å²" if row.spring_eV_A2 else "free"
        padding = [None] * (width - len(row.hops))
        barriers = (rounded(barrier) for barrier in [*row.hops, *padding])
        rows.append([tether, *barriers, rounded(row.largest_displacement_A, 2)])
    head = ["Tether", *names, "host moved at most, Å"]
    return f"<h3>Barriers under different tethers, eV</h3>{table(rows, head=head, kind='numbers')}"
