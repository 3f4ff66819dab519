"""The page in headless Chromium, driven over its debugging pipe: drawn whole, quiet, offline."""

import base64
import json
import os
import select
import shutil
import subprocess

import pytest

from iondiff.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1280,1000",
    "--remote-debugging-pipe",
)  # fmt: skip
# Fulfilled when the last figure is drawn.
DRAWN = """new Promise((done) => {
  const look = () => (document.documentElement.dataset.drawn ? done() : setTimeout(look, 20));
  look();
})"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page cannot be looked at"),
]


class Browser:
    """One page of a headless Chromium; every message of the debugging protocol is kept in `events`."""

    def __init__(self, profile):
        read_here, write_there = os.pipe()
        read_there, write_here = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on descriptor 4.
        command = f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}'
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", command, CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        self.incoming, self.outgoing = read_here, write_here
        self.buffer, self.events, self.number, self.session = b"", [], 0, None
        pages = [
            target for target in self.ask("Target.getTargets")["targetInfos"] if target["type"] == "page"
        ]
        attached = self.ask("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.incoming)
        os.close(self.outgoing)

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.outgoing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path):
        self.events.clear()
        self.ask("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())
        self.run(DRAWN)

    def run(self, script):
        result = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self):
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def complaints(self):
        """Console errors, refused or failed loads, uncaught exceptions."""
        found = [e for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        found += [
            e
            for e in self.events
            if e.get("method") == "Log.entryAdded" and e["params"]["entry"]["level"] == "error"
        ]
        found += [
            e
            for e in self.events
            if e.get("method") == "Runtime.consoleAPICalled" and e["params"]["type"] == "error"
        ]
        return found

    def requests(self):
        sent = (
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        )
        return [url for url in sent if not url.startswith(("data:", "blob:"))]

    def _receive(self, patience=300.0):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.incoming], [], [], patience)
            assert ready, "the browser is silent"
            piece = os.read(self.incoming, 1 << 20)
            assert piece, "the browser has gone"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)


@pytest.fixture
def browser(tmp_path):
    chromium = Browser(tmp_path / "profile")
    yield chromium
    chromium.close()


def test_page_is_drawn_without_complaint_or_request(run_folder, browser):
    page = write_report(run_folder)
    browser.open(page)
    places = browser.run("document.querySelectorAll('.canvas').length")
    assert browser.run("document.querySelectorAll('.canvas .main-svg').length") >= places
    assert browser.run("document.querySelectorAll('#network-3d canvas').length") >= 1
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def test_page_of_an_empty_network_is_quiet(empty_run_folder, browser):
    browser.open(write_report(empty_run_folder))
    browser.run("document.getElementById('temperature').dispatchEvent(new Event('input')); null")
    assert browser.complaints() == []


def test_temperature_slider_changes_the_picture(run_folder, browser):
    browser.open(write_report(run_folder))
    before = browser.screenshot()
    rates = "document.getElementById('network-3d').data.find((t) => t.name === 'passes').text[0]"
    first = browser.run(rates)
    browser.run(
        "const slider = document.getElementById('temperature'); slider.value = 300;"
        "slider.dispatchEvent(new Event('input')); slider.dispatchEvent(new Event('change'));"
        "new Promise((done) => setTimeout(done, 1500))"
    )
    assert browser.run("document.getElementById('temperature-value').textContent") == "300 K"
    assert "at 300 K" in browser.run(rates)
    assert browser.run(rates) != first
    assert browser.screenshot() != before
    assert browser.complaints() == []


def test_page_of_a_large_network_opens_quickly(make_run, tmp_path, browser):
    """Processor time, not wall time: other work on the machine and the missing graphics card do not count."""
    page = write_report(make_run(tmp_path / "large", n_sites=500, neighbours=5))
    browser.ask("Performance.enable", timeDomain="threadTicks")
    browser.open(page)
    metrics = {entry["name"]: entry["value"] for entry in browser.ask("Performance.getMetrics")["metrics"]}
    print(f"500 sites, 3000 hops: {metrics['TaskDuration']:.2f} s of processor time until all is drawn")
    assert metrics["TaskDuration"] < 4.0
    assert browser.complaints() == []


def test_page_prints(run_folder, browser):
    browser.open(write_report(run_folder))
    printed = base64.b64decode(browser.ask("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert printed.startswith(b"%PDF")
    picture = browser.run("document.querySelector('#network-3d .printed').src")
    assert picture.startswith("data:image/png;base64,")
    assert len(picture) > 20_000  # an empty canvas is far smaller
    assert browser.complaints() == []
