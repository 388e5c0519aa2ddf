"""A browser for the tests of the site, and a server: pages are opened as a reader opens them.

The browser is the system's Chromium, driven by Playwright, which is installed with the extra `test`. Nothing is
fetched, and the browser finds no address but the test's own server.
"""

import functools
import os
import shutil
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Alone in its container, without a graphics card, and without a word to anybody outside.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
VIEWS = [(390, "light"), (1280, "dark")]  # a phone by day, a desk by night; the rules switch between day and night
PATIENCE = 30_000  # ms that a loaded machine may take for one step; a step that is done goes on at once


def find():
    """Return the path of the browser: `$CHROMIUM`, which then must be there, else a known name; None where none is."""
    if named := os.environ.get("CHROMIUM"):
        found = shutil.which(named)
        assert found, f"CHROMIUM = {named!r} is no program; unset it to skip the tests that need a browser"
        return found
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched():
    """Yield a running browser; without one, the test that asks is skipped, with the reason."""
    program = find()
    if not program:
        pytest.skip(f"no browser: install Chromium, or name one in CHROMIUM (looked for {', '.join(NAMES)})")
    if not os.environ.get("CHROMIUM"):
        pytest.importorskip("playwright", reason="Playwright is not installed: pip install .[test]")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=FLAGS, timeout=4 * PATIENCE)
        yield browser
        browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """Yield the address under which a server on this machine shows ``folder``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()  # s between two looks for the end
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def window(browser, width, scheme):
    """Yield a fresh browser window; all its pages know `rules`, what tests/rules.js defines."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    context.add_init_script(path=HERE / "rules.js")
    try:
        yield context
    finally:
        context.close()


class Log(NamedTuple):
    """What happened while a page was open: addresses that were asked for, and complaints."""

    requests: list[str]
    complaints: list[str]


@contextmanager
def opened(context, url):
    """Yield a page, ready with its pictures, fonts and mathematics and unfolded, and the log of its loading."""
    page, log = context.new_page(), Log([], [])
    page.on("request", lambda request: log.requests.append(request.url))
    page.on("pageerror", lambda error: log.complaints.append(f"error: {error.message}"))
    page.on("console", lambda message: _note(message, log))
    try:
        page.goto(url, wait_until="load")
        page.evaluate("rules.unfold()")
        failed = settled(page, "rules.ready")
        log.complaints.extend(f"a picture cannot be shown: {source[:100]}" for source in failed)
        yield page, log
    finally:
        page.close()


def settled(page, call, argument=None):
    """Return what a promise in the page comes to; `page.evaluate` would wait for one without end."""
    start = f"argument => {{ window.outcome = null; ({call})(argument).then(value => ({{ value }}), String)"
    page.evaluate(start + ".then(outcome => window.outcome = outcome); }", argument)
    outcome = page.wait_for_function("window.outcome", timeout=PATIENCE).json_value()
    assert isinstance(outcome, dict), f"{call}: {outcome}"
    return outcome.get("value")


def _note(message, log):
    if message.type in ("error", "warning"):
        place = (message.location or {}).get("url", "")
        log.complaints.append(f"{message.type}: {message.text} {place}".strip())
