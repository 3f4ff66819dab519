"""The page as a whole: complete, self-contained, deterministic, safe, and plain about what is missing."""

import json
import re
import time

import plotly.graph_objects as go
import pytest

from iondiff.errors import RunError
from iondiff.report import write_report

SECTIONS = (
    "headline", "network", "transport", "training", "teacher", "certificate", "checks", "tables", "provenance",
)  # fmt: skip
OPTIONAL = {
    "training.json": "this run trained no network",
    "teacher_check.json": "Not run: no bands in <code>teacher_check.json</code>",
    "certificate.json": "Not run: no <code>certificate.json</code>",
    "checks.json": "Not run: no <code>checks.json</code>",
    "evidence.json": "Label noise: not measured",
    "current_hops.csv": "which hops carry the current is not known",
    "sites.csv": "No <code>sites.csv</code>",
    "hops.csv": "No <code>hops.csv</code>",
    "summary.json": "No wall times",
    "provenance.json": "versions and seeds are not known",
}


def body_of(page):
    """The page without the plotting library."""
    library = page.index("<script>/**\n* plotly.js")
    return page[:library] + page[page.index("</script>", library) :]


def figures_of(page):
    return json.loads(
        re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.S)[1]
    )


def test_everything_is_there(run_folder):
    output = write_report(run_folder)
    assert output == run_folder / "report.html"
    page = output.read_text(encoding="utf-8")
    for name in SECTIONS:
        assert f'<section id="{name}">' in page
    body = body_of(page)
    for text in (
        "0.831 ± 0.021 eV",
        "0.840 eV",
        "31.4 meV",
        "label noise 1.3 meV",
        "0.041 eV",
        "Cu in Ta₈O₂₀",
    ):
        assert text in body
    assert "2 cells of 1,331 stay undecided." in body
    assert "not shown to be complete" in body
    assert "grid = [50, 50, 50]" in body
    assert "walk at 500 K: short" in body
    assert re.findall(r'class="([^"]*)"', body).count("missing") == 1  # the note


def test_figures_are_valid_and_have_their_places(run_folder):
    page = write_report(run_folder).read_text(encoding="utf-8")
    figures = figures_of(page)
    expected = {"network-3d", "arrhenius", "barriers", "parity", "learning", "by-distance", "by-energy"}
    expected |= {"over-hops", "over-labels"}
    assert expected | {f"band-{n}" for n in range(5)} == set(figures)
    for name, figure in figures.items():
        assert page.count(f'id="{name}"') == 1
        go.Figure(figure)  # plotly's own validation of every key


def test_every_flat_axis_has_a_title(run_folder):
    figures = figures_of(write_report(run_folder).read_text(encoding="utf-8"))
    for name, figure in figures.items():
        if name != "network-3d":
            axes = [value for key, value in figure["layout"].items() if re.match(r"[xy]axis", key)]
            assert len(axes) >= 2
            assert all(axis["title"]["text"] for axis in axes)


def test_same_files_same_bytes(run_folder, tmp_path):
    first = write_report(run_folder, tmp_path / "a.html").read_bytes()
    assert write_report(run_folder, tmp_path / "b.html").read_bytes() == first


def test_nothing_is_fetched(run_folder):
    body = body_of(write_report(run_folder).read_text(encoding="utf-8"))
    assert "default-src 'none'" in body
    assert not re.search(r"<(link|img|iframe|object|embed|base|form)\b", body)
    assert not re.search(r"\b(src|href)=", body)
    assert "http://" not in body
    assert "https://" not in body


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_part_is_said_plainly(run_folder, name):
    (run_folder / name).unlink()
    assert OPTIONAL[name] in write_report(run_folder).read_text(encoding="utf-8")


def test_bare_run_still_makes_a_page(run_folder):
    for name in OPTIONAL:
        (run_folder / name).unlink()
    page = write_report(run_folder).read_text(encoding="utf-8")
    assert set(figures_of(page)) == {"network-3d", "arrhenius", "barriers"}


def test_run_that_found_next_to_nothing(empty_run_folder):
    body = body_of(write_report(empty_run_folder).read_text(encoding="utf-8"))
    assert "the network spans only 0 directions" in body
    assert "nan" not in re.sub(r"<[^>]*>", " ", body[: body.index('id="figures"')]).lower().split()


def test_strings_from_files_cannot_become_markup(run_folder):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    network = json.loads((run_folder / "network.json").read_text())
    network["graph"]["guest"] = evil
    network["graph"]["search"] = {evil: evil}
    (run_folder / "network.json").write_text(json.dumps(network))
    (run_folder / "config.toml").write_text(f'name = "{evil}"')
    for name, keys in (
        ("certificate", ["text", evil]),
        ("teacher_check", ["teacher"]),
        ("provenance", ["seed", evil]),
    ):
        data = json.loads((run_folder / f"{name}.json").read_text())
        (run_folder / f"{name}.json").write_text(json.dumps(data | dict.fromkeys(keys, evil)))
    check = json.loads((run_folder / "teacher_check.json").read_text())
    check["hops"][0]["source"] = evil
    (run_folder / "teacher_check.json").write_text(json.dumps(check))
    (run_folder / "sites.csv").write_text(f'{evil},b\n"{evil}",1\n')
    (run_folder / "diffusivity.csv").write_text(f"temperature,D,D_error,method\n500,1e-9,1e-10,{evil}\n")
    page = write_report(run_folder).read_text(encoding="utf-8")
    body = body_of(page)
    assert len(re.findall("<script", body)) == 2  # the figures and the page's own
    assert "<img" not in body
    texts = json.dumps(figures_of(page))
    assert "<img" not in texts
    assert "&lt;img" in texts


def test_evidence_is_shown(run_folder):
    body = body_of(write_report(run_folder).read_text(encoding="utf-8"))
    for text in ("over 20 points", "0 → 3", "What each part of the potential adds", "free"):
        assert text in body


def test_doubts_are_shown(run_folder):
    body = body_of(write_report(run_folder).read_text(encoding="utf-8"))
    assert "1 outside" in body
    assert "pass 0 → 3" in body
    data = json.loads((run_folder / "checks.json").read_text())
    data["extrapolation"] |= {"outside": 0, "places": []}
    data["labels"] = []
    (run_folder / "checks.json").write_text(json.dumps(data))
    body = body_of(write_report(run_folder).read_text(encoding="utf-8"))
    assert "are within the range of the training labels" in body
    assert "D against the number of labels: not in this run" in body


def test_points_of_others_are_drawn_and_named(run_folder, tmp_path):
    def names():
        figure = figures_of(write_report(run_folder, **asked).read_text(encoding="utf-8"))["arrhenius"]
        return {trace["name"]: trace["x"] for trace in figure["data"] if trace.get("name")}

    asked = {}
    assert names()["Someone 1999"] == [1000 / 650, 1000 / 750]
    asked = {"literature": tmp_path / "mine.csv"}
    asked["literature"].write_text("temperature,D\n1000,1e-7\n")
    assert names()["literature"] == [1.0]
    for text, complaint in (
        ("T,D\n1,2\n", "no column 'temperature'"),
        ("temperature,D\n300,none\n", "D in row 1 is 'none'"),
        ("temperature,D\n-5,1e-9\n", "temperature in row 1"),
    ):
        asked["literature"].write_text(text)
        with pytest.raises(RunError, match=complaint):
            names()
    asked["literature"].unlink()
    with pytest.raises(RunError, match="does not exist"):
        names()


def test_what_was_not_asked_for_is_not_called_a_failure(run_folder):
    (run_folder / "certificate.json").write_text('{"complete": null, "text": "not asked for"}')
    (run_folder / "teacher_check.json").write_text('{"max_error_eV": null, "hops": [], "teacher": "not run"}')
    body = body_of(write_report(run_folder).read_text(encoding="utf-8"))
    assert '<span class="badge open">not run</span> not asked for' in body
    assert OPTIONAL["teacher_check.json"] in body


def test_page_is_written_in_one_step(run_folder, tmp_path):
    output = tmp_path / "report.html"
    output.write_text("before")
    (run_folder / "transport.json").write_text("{")
    with pytest.raises(RunError):
        write_report(run_folder, output)
    assert output.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_unwritable_output_is_one_sentence(run_folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(run_folder, tmp_path / "file" / "report.html")


def test_large_network_is_few_traces(make_run, tmp_path):
    folder = make_run(tmp_path / "large", n_sites=500, neighbours=5)
    started = time.perf_counter()
    page = write_report(folder).read_text(encoding="utf-8")
    assert time.perf_counter() - started < 10
    assert len(figures_of(page)["network-3d"]["data"]) < 25
    assert len(body_of(page)) < 2_000_000
