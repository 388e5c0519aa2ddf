"""The recorded figure of a larger run, shown below the present one and labelled with its own data."""

import html
import os
from pathlib import Path
from typing import Any

from actlib import published, slider, store
from actlib.ledger import run, show


def stale() -> set[str]:
    """Return the profiles whose record was made by an earlier version of the chapter, as the book's driver says."""
    return set(os.environ.get("ACTLIB_STALE", "").split(",")) - {""}


def figure(name: str) -> None:
    """Show the figure of this name from the largest recorded run of the chapter, if there is one on other data."""
    for profile in ("paper", "real"):
        record = published.record(profile, run["slug"]) if profile != run["profile"] else None
        entry = record["figures"].get(name) if record else None
        if entry and entry["data"] != run["data"]:
            words = _plain(entry["caption"]) + " Made by an earlier version of this chapter." * (profile in stale())
            words = f"<figcaption><strong>Recorded, profile {profile}.</strong> {words}</figcaption>"
            picture = _picture(profile, f"{run['slug']}/{name}", entry)
            show({"text/html": f'<figure class="recorded">{picture}{words}</figure>', "text/plain": entry["alt"]}, {})
            return


def _picture(profile: str, path: str, entry: dict[str, Any]) -> str:
    """Return a picture, or the slider where the record holds its frames."""
    before = f"Recorded run, {entry['data']}. "
    if "alts" not in entry:
        alt = slider.escape(before + entry["alt"])
        return f'<img src="../results/{profile}/{path}.webp" alt="{alt}" loading="lazy">'
    content = store.read_json(published.book_root() / "results" / profile / f"{path}.json")
    frames = [{**frame, "alt": before + frame["alt"]} for frame in content["frames"]]
    return slider.html({**content, "frames": frames}, name=f"{Path(path).name}, recorded run")


def _plain(caption: str) -> str:
    """Return a caption for raw HTML: without emphasis marks."""
    return html.escape(caption.replace("*", "").replace("`", ""))
