"""A slider as one piece of HTML: a drawing, a range input, a legend; no library, and no other file.

The piece works in a notebook and in a page, several times in one. Without JavaScript it is the drawing of one
frame. It is a white card in light and in dark surroundings, as the book's other figures are: one set of colours then
has enough contrast, at least 3 to 1.
"""

import base64
import html as markup
import json
from typing import Any

from actlib.frames import HEIGHT, SIDE

# The first three are of Okabe and Ito (2008). The others were searched so that any two of the twelve differ by 12 or
# more (CIEDE2000), as they are and as readers with protanopia, deuteranopia or tritanopia see them (simulated by
# Machado et al. 2009), and that each has a contrast of 3 to 1 with white.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#aa3377", "#9977ff", "#664400",
    "#0000dd", "#998899", "#440044", "#556644", "#550000", "#333333",
)  # fmt: skip
# Curves differ in their dashes too.
_DASHES = ("", "260 110", "70 90", "260 90 70 90")
# Else JupyterLab takes the arrow keys for its own.
_OWN_KEYS = 'data-lm-suppress-shortcuts="true"'

_STYLE = """
.frames-card { color-scheme: light; color: #1a1a1a; background: #fff; border-radius: 4px; padding: .5rem;
  display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: flex-start; text-align: start; }
.frames-view { flex: 1 1 18rem; max-width: 28rem; min-width: 0; }
.frames-curves .frames-view { flex-basis: 28rem; max-width: 36rem; }
.frames-view > * { display: block; width: 100%; height: auto; }
.frames-view img { image-rendering: pixelated; }
.frames-view text { font: 150px sans-serif; fill: #1a1a1a; }
.frames-side { flex: 1 1 12rem; min-width: 0; overflow-wrap: anywhere; }
.frames-side p { margin: 0 0 .25rem; }
.frames-side label:not([hidden]) { display: flex; flex-wrap: wrap; gap: 0 .5rem; align-items: center; }
.frames-side input { flex: 1 1 9rem; min-width: 0; height: 2rem; margin: 0; accent-color: #0072b2; }
.frames-side output { display: block; font-size: .9em; }
.frames-legend { display: flex; flex-wrap: wrap; gap: .35rem; margin-top: .5rem; }
.frames-legend button { display: inline-flex; align-items: center; gap: .35rem; min-height: 2rem; min-width: 2rem;
  padding: 0 .5rem; font: inherit; font-size: .85em; color: inherit; background: #fff; border: 1px solid #767676;
  border-radius: 4px; cursor: pointer; overflow-wrap: anywhere; }
.frames-legend button[aria-pressed="true"] { background: #e3e9f1; box-shadow: 0 0 0 2px #000; }
.frames-legend svg { flex: none; width: 1.6rem; height: .8rem; }
.frames-points .frames-legend svg { width: .8rem; }
.frames-side :focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
@media (max-width: 30rem) { .frames-view text { font-size: 190px; } }
@media (forced-colors: active) { .frames-card { forced-color-adjust: none; } }
@media print { .frames-side label:not([hidden]) { display: none; } }
"""

# It reads places and makes paths as the functions below do.
_SCRIPT = """
(() => {
  const places = text => {
    const bytes = atob(text), found = [];
    for (let k = 0; k < bytes.length; k += 3) {
      const both = bytes.charCodeAt(k) << 16 | bytes.charCodeAt(k + 1) << 8 | bytes.charCodeAt(k + 2);
      found.push((both >> 12) + " " + (both & 4095));
    }
    return found;
  };
  const paths = (data, marks) => {
    if (data.kind === "curves") return marks.map(line => "M" + places(line).join(" "));
    const found = Array(data.names.length || 1).fill("");
    places(marks).forEach((place, k) => {
      found[data.groups ? parseInt(data.groups[k], 16) : 0] += "M" + place + "h0";
    });
    return found;
  };
  for (const root of document.querySelectorAll(".frames:not([data-ready])")) {
    const one = name => root.querySelector(name);
    const data = JSON.parse(one("script").textContent), input = one("input"), view = one(".frames-view > *");
    const lines = view.querySelectorAll("g path"), buttons = [...root.querySelectorAll("button")];
    const show = () => {
      const frame = data.frames[input.value];
      one("strong").textContent = frame.title;
      one("p span").textContent = +input.value + 1 + " of " + data.frames.length;
      one("output").textContent = frame.note;
      input.setAttribute("aria-valuetext", frame.title);
      if (data.kind === "picture") {
        view.src = frame.marks;
        view.alt = frame.alt;
      } else {
        view.setAttribute("aria-label", frame.alt);
        paths(data, frame.marks).forEach((path, k) => lines[k].setAttribute("d", path));
      }
    };
    let chosen = -1;
    input.addEventListener("input", show);
    buttons.forEach((button, k) => button.addEventListener("click", () => {
      chosen = chosen === k ? -1 : k;
      buttons.forEach((other, j) => other.setAttribute("aria-pressed", j === chosen));
      lines.forEach((line, j) => { line.style.opacity = chosen < 0 || chosen === j ? "" : 0.1; });
    }));
    input.parentElement.hidden = false;
    root.dataset.ready = "";
  }
})();
"""


def html(content: dict[str, Any], *, name: str = "Slider") -> str:
    """Return the slider over what ``frames.compact`` made, as HTML for a notebook or a page.

    Every word is escaped. The content stands in it once, as JSON, from which the script draws what the slider chooses;
    the frame at ``start`` is drawn already. By ``name`` those who do not see it tell the sliders of a page apart.
    """
    frame, n = content["frames"][content["start"]], len(content["frames"])
    words = {key: escape(frame[key]) for key in ("title", "alt", "note")}
    if content["kind"] == "picture":
        view = f'<img src="{frame["marks"]}" alt="{words["alt"]}">'
    else:
        view = _drawing(content, frame["marks"], words["alt"])
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<div class="frames frames-{content["kind"]}" role="group" aria-label="{escape(name)}">
<style>{_STYLE}</style>
<div class="frames-card">
<div class="frames-view">{view}</div>
<div class="frames-side">
<p><strong>{words["title"]}</strong> (<span>{content["start"] + 1} of {n}</span>)</p>
<label hidden>{escape(content["label"])} <input type="range" min="0" max="{n - 1}" step="1" value="{content["start"]}"
 autocomplete="off" {_OWN_KEYS} aria-valuetext="{words["title"]}"></label>
<output>{words["note"]}</output>
{_legend(content)}
{_told(content)}
</div>
</div>
<script type="application/json">{data}</script>
<script>{_SCRIPT}</script>
</div>"""


def escape(text: str) -> str:
    """Return plain text as HTML, in an attribute or between tags."""
    return markup.escape(text, quote=True)


def places(letters: str) -> list[tuple[int, int]]:
    """Return the places on the grid, x and y, that ``frames`` wrote as four letters each."""
    data = base64.b64decode(letters)
    both = (int.from_bytes(data[k : k + 3]) for k in range(0, len(data), 3))
    return [(pair >> 12, pair & SIDE) for pair in both]


def _paths(content: dict[str, Any], marks: Any) -> list[str]:
    """Return one path for each class or curve; a point is a line without length, drawn with round ends."""
    if content["kind"] == "curves":
        return ["M" + " ".join(f"{x} {y}" for x, y in places(line)) for line in marks]
    found = [""] * max(1, len(content["names"]))
    for k, (x, y) in enumerate(places(marks)):
        found[int(content["groups"][k], 16) if content["groups"] else 0] += f"M{x} {y}h0"
    return found


def _drawing(content: dict[str, Any], marks: Any, alt: str) -> str:
    """Return one frame as SVG; its group of lines has one path for each class or curve."""
    if content["kind"] == "curves":
        left = 330 + 105 * max(len(text) for _, text in [*content["yticks"], (0, "")])
        box, axes, width = f"{-left} -100 {SIDE + left + 180} {HEIGHT + 620}", _axes(content, left), 34
    else:
        box, axes = f"-80 -80 {SIDE + 160} {SIDE + 160}", ""
        width = min(110, max(35, round(1800 / len(places(marks)) ** 0.5)))
    lines = "".join(
        f'<path stroke="{COLOURS[k]}"{_dash(content, k)} d="{path}"/>' for k, path in enumerate(_paths(content, marks))
    )
    group = f'<g fill="none" stroke-width="{width}" stroke-linecap="round">{lines}</g>'
    return f'<svg role="img" aria-label="{alt}" viewBox="{box}">{axes}{group}</svg>'


def _dash(content: dict[str, Any], k: int) -> str:
    pattern = _DASHES[k % len(_DASHES)] if content["kind"] == "curves" else ""
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _axes(content: dict[str, Any], left: int) -> str:
    """Return two axes with round values, pale lines across and labels."""
    across = [f"M{x} 0v{HEIGHT}" for x, _ in content["xticks"]] + [f"M0 {y}h{SIDE}" for y, _ in content["yticks"]]
    found = [
        f'<path fill="none" stroke="#e2e2e2" stroke-width="10" d="{"".join(across)}"/>',
        f'<path fill="none" stroke="#1a1a1a" stroke-width="14" d="M0 0V{HEIGHT}H{SIDE}"/>',
    ]
    found += [_text(x, HEIGHT + 200, "middle", text) for x, text in content["xticks"]]
    found += [_text(-70, y + 55, "end", text) for y, text in content["yticks"]]
    found.append(_text(SIDE // 2, HEIGHT + 450, "middle", content["xlabel"]))
    turned = f' transform="rotate(-90 {150 - left} {HEIGHT // 2})"'
    found.append(_text(150 - left, HEIGHT // 2, "middle", content["ylabel"], turned))
    return "".join(found)


def _text(x: int, y: int, anchor: str, words: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _legend(content: dict[str, Any]) -> str:
    """Return a button for each class or curve, which makes the others fade; nothing where there are no names."""
    long = content["kind"] == "curves"
    width, line = (640, "M40 160h560") if long else (320, "M160 160h0")
    buttons = "".join(
        f'<button type="button" aria-pressed="false" {_OWN_KEYS}><svg aria-hidden="true" viewBox="0 0 {width} 320">'
        f'<path fill="none" stroke="{COLOURS[k]}" stroke-width="{60 if long else 240}" stroke-linecap="round"'
        f'{_dash(content, k)} d="{line}"/></svg>{escape(name)}</button>'
        for k, name in enumerate(content["names"])
    )
    return f'<div class="frames-legend" role="group" aria-label="Highlight">{buttons}</div>' if buttons else ""


def _told(content: dict[str, Any]) -> str:
    """Return the titles and notes of all frames, for readers whose browser runs no script and shows but one."""
    lines = "".join(f"<li>{escape(': '.join(filter(None, (f['title'], f['note']))))}</li>" for f in content["frames"])
    return f"<noscript><ul>{lines}</ul></noscript>"
