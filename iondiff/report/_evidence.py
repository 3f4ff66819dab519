"""The sections that say how far to believe it: training, teacher, certificate."""

from __future__ import annotations

from html import escape

from iondiff.report import _charts, _transport_charts
from iondiff.report._files import Run
from iondiff.report._html import Part, mapping_table, missing, plot, section, table
from iondiff.report._models import BandCheck, TeacherCheck, Training
from iondiff.report._numbers import count, rounded
from iondiff.report._style import Figure

MAX_BANDS = 12


def training_section(run: Run) -> Part:
    """Parity, errors by distance and energy, learning curve."""
    data = run.training
    if data is None:
        body = missing("No <code>training.json</code>: this run trained no network.")
        return section("training", "The guest network", body), {}
    noise = data.label_noise_meV
    line = f" Dotted: label noise, {rounded(noise, 2)} meV." if noise is not None and noise > 0 else ""
    figures: dict[str, Figure] = {}
    if data.parity:
        figures["parity"] = _charts.parity(data.parity)
    if data.learning_curve:
        figures["learning"] = _charts.learning_curve(data.learning_curve, noise)
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
    lead = _training_lead(data)
    return section("training", "The guest network", f'<div class="two">{body}</div>', lead), figures


def teacher_section(run: Run) -> Part:
    """Bands recomputed by the teacher."""
    heading = "Against the teacher"
    check = run.teacher_check
    if check is None:
        return section("teacher", heading, missing("Not run: no <code>teacher_check.json</code>.")), {}
    shown = check.hops[:MAX_BANDS]
    figures = {f"band-{number}": _transport_charts.band(hop) for number, hop in enumerate(shown)}
    bands = "".join(plot(f"band-{number}", _band_note(hop), "small") for number, hop in enumerate(shown))
    teacher = escape(check.teacher or "the teacher")
    lead = f"Lines: guest network. Circles: {teacher}, the host relaxed the way the labels were. "
    lead += f"Largest difference {rounded(check.max_error_eV, 2)} eV along {count(len(check.hops), 'band')}"
    lead += f" (the first {MAX_BANDS} are drawn)." if len(check.hops) > MAX_BANDS else "."
    return section("teacher", heading, f'<div class="three">{bands}</div>{_springs(check)}', lead), figures


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
    verdict, kind = ("complete", "good") if certificate.complete else ("not shown to be complete", "bad")
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
    noise = data.label_noise_meV
    return f"{lead}; label noise {f'{rounded(noise, 2)} meV' if noise is not None else 'not measured'}."


def _springs(check: TeacherCheck) -> str:
    """Barriers of the same hops under different tethers."""
    if not check.spring_study:
        return ""
    width = max(len(row.hops) for row in check.spring_study)
    rows = [
        [
            f"{row.spring_eV_A2:g} eV/Å²" if row.spring_eV_A2 else "free",
            *(rounded(barrier) for barrier in row.hops),
        ]
        for row in check.spring_study
    ]
    head = ["Tether", *(f"hop {number + 1}" for number in range(width))]
    return f"<h3>Barriers under different tethers, eV</h3>{table(rows, head=head, kind='numbers')}"
