"""Records of runs: what a chapter reported, committed with the book, and how a new run compares with it."""

import io
import json
import shutil
from typing import Any

from actlib import store
from driver import BuildError, keys
from driver.chapter import Book, Chapter
from driver.notebook import Event

# A value without a tolerance of its own may move by this share: the same code on the same machine gives it again.
_RELATIVE = 1e-6
_WIDTH = 1400  # pixels of a recorded picture
_BYTES = 170_000  # of a recorded picture, so that a chapter's six stay under 1 MB


def read(book: Book, profile: str, slug: str) -> dict[str, Any] | None:
    """Return a chapter's record in a profile, or None where there is none; BuildError if it is damaged."""
    path = book.record(profile, slug)
    try:
        return store.read_json(path) if path.is_file() else None
    except ValueError as error:
        where = path.relative_to(book.root)
        raise BuildError(slug, f"{where} is damaged; take it from git again, or run the chapter again") from error


def numbers(events: list[Event]) -> dict[str, dict[str, Any]]:
    """Return the payloads of the reported numbers by id."""
    return {event.payload["id"]: event.payload for event in events if event.kind == "number"}


def outside(record: dict[str, Any] | None, events: list[Event]) -> list[str]:
    """Return a phrase for each number that lies outside the tolerance stored in the record."""
    found, old = [], record["numbers"] if record else {}
    for id, payload in numbers(events).items():
        if id not in old:
            continue
        then, now = old[id]["value"], payload["value"]
        tolerance = old[id].get("tol")
        tolerance = abs(then) * _RELATIVE if tolerance is None else tolerance
        if abs(now - then) > tolerance:
            found.append(f"{id} is {now:.6g}, recorded {then:.6g}, tolerance {tolerance:.2g}")
    return found


def gaps(record: dict[str, Any] | None, events: list[Event]) -> list[str]:
    """Return a phrase for each number that only one of record and run has."""
    now = set(numbers(events))
    if record is None:
        return ["no record; run with --record"] if now else []
    then = set(record["numbers"])
    missing = [f"{id} is in the record but was not reported" for id in sorted(then - now)]
    return missing + [f"{id} is not in the record; run with --record" for id in sorted(now - then)]


def write(book: Book, chapter: Chapter, events: list[Event], seconds: float) -> None:
    """Write the record of a run: numbers as JSON and, for ``real`` and ``paper``, the figures beside it."""
    path = book.record(chapter.profile, chapter.slug)
    store.remove_leftovers(path.parent, path.name)
    figures = {} if chapter.profile == "quick" else _figures(book, chapter, events)
    made = [event.payload for event in events if event.kind == "provenance"]
    content = {
        "slug": chapter.slug,
        "profile": chapter.profile,
        "chapter_hash": chapter.hash,
        "package_hash": keys.package_hash(book, chapter),
        "provenance": made[-1] if made else {},
        "seconds": seconds,
        "numbers": numbers(events),
        "figures": figures,
    }
    try:
        store.write_json(path, content)
    except (TypeError, ValueError) as error:
        raise BuildError(chapter.slug, f"the record cannot be written as JSON: {error}") from error


def _figures(book: Book, chapter: Chapter, events: list[Event]) -> dict[str, dict[str, Any]]:
    """Write the figures into a fresh folder that takes the old one's place, pictures as WebP; return their payloads."""
    folder = book.record(chapter.profile, chapter.slug).with_suffix("")
    # One build at a time holds the lock, so these names are ours: what a killed one left under them goes.
    fresh, old = (folder.with_name(f".{folder.name}.{word}") for word in ("fresh", "old"))
    found = {}
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        for event in events:
            if event.kind == "figure" and event.content:
                file = f"{event.payload['name']}.{'json' if 'alts' in event.payload else 'webp'}"
                if "alts" in event.payload:  # a slider
                    store.write_json(fresh / file, json.loads(event.content))
                else:
                    store.write_bytes(fresh / file, webp(event.content))
                found[event.payload["name"]] = {**event.payload, "file": f"{folder.name}/{file}"}
        if folder.is_dir():
            folder.replace(old)
        if found:
            fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return found


def webp(png: bytes) -> bytes:
    """Return a PNG picture as WebP, at most 1400 pixels wide, as fine as fits into its share of a megabyte."""
    from PIL import Image  # matplotlib brings it

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > _WIDTH:
        picture = picture.resize((_WIDTH, round(picture.height * _WIDTH / picture.width)), Image.Resampling.LANCZOS)
    for quality in (90, 80, 70, 60, 45, 30):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= _BYTES:
            break
    return buffer.getvalue()
