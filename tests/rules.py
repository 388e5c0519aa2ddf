"""What the pages of the site must keep to. Each rule returns what breaks it, as sentences; none, when all is well.

Some are judged by axe-core, which is installed with the extra `test`; what a page tells about itself is in rules.js.
"""

import ast
import io
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
from browser import settled
from PIL import Image

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCHEMES = ("light", "dark")
COLOURS = ["color-contrast", "link-in-text-block"]
# Of the theme, on every page: the logo of the menu lies in no landmark, and two buttons have a name beside their text.
KNOWN = {
    "region": re.compile(r'class="sidebar-primary-item"'),
    "label-content-name-mismatch": re.compile(r'class="[^"]*(?:search-button-field|theme-switch-button)'),
}


def elsewhere(log, loads, base):
    """Return what a page loads from another address: what it asked for, and what it names for later."""
    named = [f"{tag}{f' {rel}' if rel else ''} {address}" for tag, rel, address in loads if _away(address, base)]
    return [f"asks for {url}" for url in log.requests if _away(url, base)] + [f"names {line}" for line in named]


def _away(url, base):
    return bool(url) and not url.startswith((base, "data:", "blob:"))


def overflow(page):
    """Return what lies beyond the sides of the window."""
    return page.evaluate("rules.cut()")


def alternatives(images):
    """Return the images without a real text alternative: a sentence for a figure, never a file's name."""
    found = []
    for image in images:
        alt = (image["alt"] or "").strip()
        name = Path(urlsplit(image["source"]).path).stem
        if not alt:
            found.append(f"{image['tag']} {image['source'][-80:]} has no text alternative")
        elif re.search(r"\.(png|svg|jpe?g|webp|gif)\b", alt, re.IGNORECASE) or alt in (name, "image", "figure"):
            found.append(f"{image['tag']}: {alt!r} is a name, no text alternative")
        elif image["inside"] and len(alt) < 40:
            found.append(
                f"{image['tag']}: {alt!r} has {len(alt)} characters; a figure's text alternative has 40 or more"
            )
    return found


def links(facts, site, base):
    """Return the links within the site that lead nowhere, and the ids that a page has twice; ``facts`` by page."""
    found = []
    for name, fact in facts.items():
        found += [f"{name}: the id {id!r} is there {n} times" for id, n in Counter(fact["ids"]).items() if n > 1]
        for url in sorted(set(fact["links"])):
            if not url.startswith(base):
                continue
            parts = urlsplit(url.removeprefix(base).lstrip("/"))
            path, anchor = unquote(parts.path) or "index.html", unquote(parts.fragment)
            if not (site / path).is_file():
                found.append(f"{name}: {path} is not there")
            elif anchor and path in facts and anchor not in facts[path]["ids"]:
                found.append(f"{name}: {path} has no {anchor!r}")
    return found


def accessibility(page):
    """Return what axe finds but for colours and the theme's two known rules."""
    off = {rule: {"enabled": False} for rule in COLOURS} | {"label-content-name-mismatch": {"enabled": True}}
    return _axe(page, {"runOnly": {"type": "tag", "values": TAGS}, "rules": off})


def colours(page):
    """Return what axe finds in the colours of texts, light and dark. The page is thinned for it: it comes last."""
    for scheme in SCHEMES:
        show(page, scheme)
        page.evaluate("rules.note()")
    page.evaluate("rules.thin()")
    found = []
    for scheme in reversed(SCHEMES):
        show(page, scheme)
        found += [f"{scheme}: {line}" for line in _axe(page, {"runOnly": {"type": "rule", "values": COLOURS}})]
    return found


def _axe(page, options):
    from axe_playwright_python.base import AXE_SCRIPT

    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    # preload would fetch style sheets once more, some from a wrong folder.
    result = settled(page, "axe.run", options | {"preload": False, "resultTypes": ["violations"]})
    found = []
    for rule in result["violations"]:
        for node in rule["nodes"]:
            if not (rule["id"] in KNOWN and KNOWN[rule["id"]].search(node["html"])):
                reason = next((check["message"] for check in node["any"] + node["all"] + node["none"]), rule["help"])
                found.append(f"{rule['id']}: {' '.join(node['html'].split())[:120]} ({reason})")
    return found


def show(page, scheme):
    """Switch a page to a colour scheme, as the reader's system does in the evening."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("s => [undefined, s].includes(document.documentElement.dataset.theme)", arg=scheme)


def darkness(page):
    """Return the figures that dark mode makes hard to read: pictures it recolours, drawings it swallows."""
    found = []
    for light, dark in zip(*(_figures(page, scheme) for scheme in SCHEMES), strict=True):
        faults = _recoloured(light.pixels, dark.pixels) if light.pixels is not None else _swallowed(light, dark)
        found += [f"{light.name} {fault} in dark mode" for fault in faults]
    return found


class Figure(NamedTuple):
    """What a figure looks like: a picture by its pixels, a drawing by the contrast of its parts and its filters."""

    name: str
    pixels: np.ndarray | None
    parts: list[dict]
    filters: list[str]


def _figures(page, scheme):
    """Return the figures of a page under a colour scheme."""
    show(page, scheme)
    found = []
    for each in page.locator("article img, article svg[role=img]").all():
        if not each.is_visible():
            continue
        pixels, name = None, each.evaluate("rules.name")
        if each.evaluate("each => each.tagName") == "IMG":
            shot = Image.open(io.BytesIO(each.screenshot(animations="disabled"))).convert("RGB")
            # A picture shares the pixels of its edge and its round corners with the page.
            pixels = np.asarray(shot, dtype=float)[3:-3, 3:-3]
        parts = [] if pixels is not None else each.evaluate("rules.parts")
        found.append(Figure(name, pixels, parts, each.evaluate("rules.filters")))
    return found


def _recoloured(light, dark):
    """Return how the colours of a picture differ; one of the two may be a pixel smaller."""
    h, w = (min(sizes) for sizes in zip(light.shape[:2], dark.shape[:2], strict=True))
    change, ink, before = np.abs(light[:h, :w] - dark[:h, :w]).mean(), contrast(dark), contrast(light)
    found = [f"changes its colours by {change:.0f} of 255"] if change > 2 else []
    # Where there is no ink there is nothing to read, as in a picture of one colour. Pale colours side by side are
    # nobody's fault but the picture's; dark mode must not make them fainter.
    fainter = 1.05 < ink < min(4.5, before - 0.1)
    return found + [f"has a contrast of {ink:.1f} between ink and ground"] * fainter


def _swallowed(light, dark):
    """Return which parts of a drawing lose their contrast, and the filters that would change it."""
    found = [f"is changed by the filter {name}" for name in dark.filters]
    for before, after in zip(light.parts, dark.parts, strict=True):
        # Faint marks are nobody's fault but the drawing's; dark mode must not make them fainter.
        least = 4.5 if after["text"] else min(3, before["contrast"])
        if after["contrast"] < least - 0.01:
            found.append(f"has {after['name']} with a contrast of {after['contrast']:.1f}, below {least:.1f},")
    return found


def contrast(pixels):
    """Return the contrast of a picture's commonest colour with its ink: the thousandth of pixels farthest from it."""
    codes = pixels.reshape(-1, 3).round().astype(int) @ [1 << 16, 1 << 8, 1]
    kinds, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    share = np.stack([kinds >> 16, kinds >> 8 & 255, kinds & 255], axis=1) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)  # WCAG 2.2
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    ground = luminance[counts.argmax()]
    ratios = (np.maximum(luminance, ground) + 0.05) / (np.minimum(luminance, ground) + 0.05)
    return float(np.quantile(ratios[places], 0.999))


def menu(page):
    """Return why the menu does not open and close by its one button."""
    buttons = [each for each in page.locator(".primary-toggle").all() if each.is_visible()]
    if len(buttons) != 1:
        return [f"{len(buttons)} buttons for the menu can be seen"]
    before = page.evaluate("rules.menu()")
    for act in ("open or close", "go back"):
        if act == "go back" and page.locator("dialog[open]").count():
            page.keyboard.press("Escape")
        else:
            buttons[0].click()
        if not _until(page, f"() => rules.menu() === {'true' if before is (act == 'go back') else 'false'}"):
            return [f"the button of the menu does not {act}"]
    return []


def _until(page, condition):
    """Say whether a condition holds within the patience of the page."""
    from playwright.sync_api import TimeoutError

    try:
        page.wait_for_function(condition)
        return True
    except TimeoutError:
        return False


def search(page, word, target):
    """Return why a reader who types ``word`` into the search of this page does not get to the page ``target``."""
    from playwright.sync_api import TimeoutError

    try:
        page.locator(".search-button__button:visible").first.click()
        field = page.locator("input[type=search]:visible").first
        field.fill(word)
        field.press("Enter")
        page.locator(f"#search-results a[href*='{target}']").first.click()
        page.wait_for_url(f"**/{target}*")
        return []
    except TimeoutError as error:
        return [f"searching for {word!r} does not lead to {target}: {error.message.splitlines()[0]}"]


def sliders(page):
    """Return the sliders that keys or their legend do not move, or that draw otherwise than they were written."""
    found, roots = [], page.locator(".frames").all()
    written = settled(page, "rules.written") if roots else []
    for k, (root, words) in enumerate(zip(roots, written, strict=True)):
        found += [f"slider {k}: {line}" for line in (*_moves(page, root, words), *_fades(root))]
    return found


def _moves(page, root, written):
    """Return what the keys of a slider do not change, and what they change for good."""
    handle, states, found = root.locator("input[type=range]"), {}, []
    handle.focus()
    for key in ("Home", "ArrowRight", "End", "Home again", *["ArrowRight to the start"] * int(written["value"])):
        page.keyboard.press(key.split()[0])
        page.evaluate("new Promise(requestAnimationFrame)")
        states[key] = root.evaluate("rules.slider")
    first, second, last, again, *_, start = (*states.values(), states[key])
    for what in first:
        if first[what] == second[what]:
            found.append(f"the right arrow does not change its {what}")
        if first[what] in (last[what], "", None):
            found.append(f"the key End does not change its {what}, or it has none")
        # Python wrote the page, the script draws from the content: two readings of the same letters.
        if start[what] != written[what]:
            found.append(f"back where the page began, its {what} is not as written")
    return found + (["the key Home does not lead back to its first frame"] if again != first else [])


def _fades(root):
    """Return why a click on a name of the legend does not make all others fade, or a second one not release them."""
    buttons, legend = root.locator("button"), root.evaluate("rules.legend")
    n_names, n_lines = len(legend["pressed"]), len(legend["faded"])
    if n_names != n_lines and (n_names, n_lines) != (0, 1):
        return [f"its legend has {n_names} names for {n_lines} lines"]
    if not n_names:
        return []
    none = {"pressed": [False] * n_names, "faded": [False] * n_names}
    last = {"pressed": [False] * (n_names - 1) + [True], "faded": [True] * (n_names - 1) + [False]}
    if legend != none:
        return [f"its legend begins with {legend}"]
    for click, expected in (("a click on the legend's last name", last), ("a second one", none)):
        buttons.last.click()
        if (legend := root.evaluate("rules.legend")) != expected:
            return [f"{click} gives {legend}"]
    return []


def lost(page, chapter):
    """Return what tells that a page has fewer sliders than its chapter calls for; recorded ones do not count."""
    calls = [node.func for node in ast.walk(ast.parse(chapter)) if isinstance(node, ast.Call)]
    n_calls = [ast.unparse(call) for call in calls].count("report.frames")
    n_shown = len(re.findall(r'(?<!<figure class="recorded">)<div class="frames ', page))
    return [f"{n_shown} sliders for {n_calls} calls of report.frames"] if n_shown < n_calls else []
