"""One build from beginning to end: which chapters to execute, what to do with each result, and the site."""

import argparse
import sys
from typing import Any, NamedTuple

from actlib import store
from driver import BuildError, chapter, check, keys, pages, records, render, run
from driver.chapter import Book, Chapter
from driver.notebook import Event, Notebook, code_cells, compose, events, fill, number, text


class Build(NamedTuple):
    """What one build knows so far."""

    book: Book
    options: argparse.Namespace
    published: dict[str, Any]
    states: dict[str, str]
    failures: list[BuildError]
    notebooks: dict[str, Notebook]
    reported: dict[str, list[Event]]
    notes: dict[str, list[str]]


def book(where: Book, options: argparse.Namespace) -> list[BuildError]:
    """Build the book as ``options`` say; return what went wrong, nothing when all is well."""
    try:
        with store.lock(where.build / "build", timeout=0):
            return _book(where, options)
    except TimeoutError:
        return [BuildError("build", f"another build is running in {where.build}; wait for it or end it")]
    except BuildError as failure:
        _tell(failure)
        return [failure]


def _book(where: Book, options: argparse.Namespace) -> list[BuildError]:
    site = not (options.execute_only or options.smoke)
    if site:
        pages.check_toc(where)
    failures: list[BuildError] = []
    chapters = _load(where, options.slugs or list(where.sources), options, failures)
    if not chapters and not failures:
        raise BuildError("build", f"no chapters in {where.root / 'nbs'}")
    table = chapter.read_yaml(where.root / "book" / "published.yml") if site else {}
    states = keys.data_states(where, chapters) if site else {}
    build = Build(where, options, table, states, failures, {}, {}, {})
    reasons = {c.slug: reason for c in chapters if (reason := _reason(build, c))}
    for each in chapters:
        if each.slug not in reasons:
            _settle(build, each, None, "as before")
    _execute(build, [c for c in chapters if c.slug in reasons], reasons)
    if site and not failures:
        _site(build)
    return failures


def _load(where: Book, slugs: list[str], options: argparse.Namespace, failures: list[BuildError]) -> list[Chapter]:
    """Return the chapters that can be read; the others' failures do not keep these from being executed."""
    found = []
    for slug in dict.fromkeys(slugs):
        try:
            found.append(chapter.load(where, slug, options.profile, smoke=options.smoke))
        except BuildError as failure:
            failures.append(failure)
    return found


def _reason(build: Build, each: Chapter) -> str:
    """Return why a chapter has to be executed, or nothing when its stored outputs are those of the present code."""
    if build.options.execute_only or build.options.smoke or build.options.slugs:
        return "asked for"
    stored = _stored(build.book, each)
    if stored is None:
        return "new"
    then = stored["metadata"]["actlib"]["key"]
    now = keys.parts(build.book, each, build.states, build.published)
    changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    return "changed: " + ", ".join(changed[:3]) + ", ..." * (len(changed) > 3) if changed else ""


def _stored(where: Book, each: Chapter) -> Notebook | None:
    """Return a chapter's last good notebook, or None when there is none that can be used."""
    path = where.executed(each.profile, each.slug)
    try:
        stored = store.read_json(path)
        return stored if "key" in stored["metadata"]["actlib"] else None
    except (FileNotFoundError, KeyError, TypeError, ValueError):  # damaged: executed again
        return None


def _execute(build: Build, chapters: list[Chapter], reasons: dict[str, str]) -> None:
    """Execute ``chapters`` and take over each that passes; a failure is kept for the end, and told at once."""
    if not chapters:
        return
    options = run.Options(min(build.options.jobs, len(chapters)), build.options.timeout, build.options.execute_only)
    stale = {each.slug: keys.stale(build.book, each.slug, ("real", "paper")) for each in chapters}
    for each, done in run.execute(build.book, chapters, stale, options):
        try:
            if isinstance(done, BuildError):
                raise done
            _settle(build, each, done, reasons[each.slug])
        except BuildError as failure:
            _tell(failure)
            print(f"{each.slug:<20} failed", flush=True)
            build.failures.append(failure)


def _settle(build: Build, each: Chapter, done: run.Done | None, reason: str) -> None:
    """Check a chapter's outputs, of this run or the stored ones; then record them and make them the last good ones."""
    if done is None:
        stored = _stored(build.book, each)
        made, seconds = fill(each, stored), stored["metadata"]["actlib"]["seconds"]
        found = events(made)
    else:
        made, found, seconds = done
    if made:
        check.notebook(each, made)
    check.reports(each, found)
    check.across(each.slug, found, build.reported)
    if not build.options.smoke:
        build.notes[each.slug] = _compare(build, each, found)
        if build.options.record if each.profile == "quick" else done is not None:
            records.write(build.book, each, found, seconds)
    if made and not build.options.smoke:
        _keep(build, each, made, seconds, fresh=done is not None)
        build.notebooks[each.slug] = made
    build.reported[each.slug] = found
    _report(each, made, found, seconds, reason)


def _keep(build: Build, each: Chapter, made: Notebook, seconds: float, *, fresh: bool) -> None:
    """Write a chapter's notebook with its key, in one move."""
    path = build.book.executed(each.profile, each.slug)
    parts = keys.parts(build.book, each, build.states, build.published)  # after its own record was written
    made["metadata"]["actlib"] = {"key": parts, "seconds": seconds}
    if fresh or store.read_json(path) != made:
        store.remove_leftovers(path.parent, path.name)
        store.write_json(path, made)


def _compare(build: Build, each: Chapter, found: list[Event]) -> list[str]:
    """Compare a run with its record; return what the page has to say about it."""
    record = records.read(build.book, each.profile, each.slug)
    if each.profile == "quick" and build.options.record:
        return []
    outside, gaps = records.outside(record, found), records.gaps(record, found)
    if each.profile != "quick":
        gaps = []
    elif build.options.strict and (outside or gaps):
        more = f" (and {len(outside + gaps) - 1} more)" if len(outside + gaps) > 1 else ""
        raise BuildError(each.slug, f"off its record: {(outside + gaps)[0]}{more}")
    for note in outside + gaps:
        print(f"warning: {each.slug}: {note}", flush=True)
    return [f"Outside the tolerance of the committed record: {note}." for note in outside if each.profile == "quick"]


def _report(each: Chapter, made: Notebook | None, found: list[Event], seconds: float, reason: str) -> None:
    """Print a line for a finished chapter, and one for each cell that wrote to stderr."""
    figures, numbers = (sum(event.kind == kind for event in found) for kind in ("figure", "number"))
    how = "cached" if reason == "as before" else f"executed ({reason})"
    print(f"{each.slug:<20} {seconds:7.1f} s  {figures:3d} figures  {numbers:3d} numbers  {how}", flush=True)
    names = {cell.number: cell.name for cell in each.cells}
    for cell in code_cells(made) if made and how != "cached" else []:
        for output in cell["outputs"]:
            if output.get("name") == "stderr":
                first = (text(output["text"]).strip().splitlines() or [""])[0]
                print(f"note: {each.slug}: {names.get(number(cell))} wrote to stderr: {first}", flush=True)


def _site(build: Build) -> None:
    """Stage and render every chapter: those of this build, and the last good outputs of the others."""
    missing = []
    for slug in build.book.sources:
        if slug not in build.notebooks:
            other = chapter.load(build.book, slug, build.options.profile)
            stored = _stored(build.book, other)
            if stored is None:
                missing.append(slug)
                build.notes[slug] = ["This chapter has not been executed yet: it is shown without results."]
                stored = compose(other)
            elif stored["metadata"]["actlib"]["key"]["code"] == other.code_hash:
                stored = fill(other, stored)
            build.notebooks[slug] = stored
    ordered = {slug: build.notebooks[slug] for slug in build.book.sources}
    pages.stage(build.book, ordered, build.notes, build.options.profile, build.published)
    if missing:
        print(f"not executed yet, shown without results: {', '.join(missing)}; warnings are no errors", flush=True)
    print(render.site(build.book, warnings_are_errors=not missing), flush=True)


def _tell(failure: BuildError) -> None:
    if failure.traceback:
        print(failure.traceback.rstrip(), file=sys.stderr, flush=True)
