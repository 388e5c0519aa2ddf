"""Execute the chapters that changed, check and record them, and render the book.

- ``python book/build.py``: the whole book, on the embedded data
- ``python book/build.py 01_maps``: one chapter, in any case executed, the others as they were
- ``python book/build.py --profile real --jobs 2``: on the documents' own data
- ``python book/build.py 01_maps --slides``: slides of a chapter whose page is there; executes nothing
- ``python book/build.py --pdf``: the site that is there as one PDF, by Chromium (``$CHROMIUM``); executes nothing
- ``python book/build.py --execute-only``: runs, checks and records without the book's packages; no site
"""

import argparse
import os
import sys
import traceback
from pathlib import Path

# This checkout's package and driver, also where neither is installed (a borrowed machine with a GPU).
sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from driver import BuildError, make  # noqa: E402
from driver.chapter import PROFILES, Book  # noqa: E402


def main() -> int:
    """Parse the command line, build, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slugs", nargs="*", metavar="slug", help="chapters to execute, such as 01_maps; default: all")
    parser.add_argument("--profile", choices=PROFILES, default="quick")
    parser.add_argument("--jobs", "-j", type=int, default=1, metavar="N", help="chapters at once")
    parser.add_argument("--timeout", type=int, default=3600, metavar="S", help="seconds that one cell may take")
    parser.add_argument("--strict", action="store_true", help="a number off its record is an error")
    parser.add_argument("--record", action="store_true", help="write the records of quick, to be committed")
    parser.add_argument(
        "--execute-only", action="store_true", help="run as plain Python; needs none of the book's packages"
    )
    parser.add_argument(
        "--smoke", action="store_true", help="real and paper at a hundredth of their size; no records, no site"
    )
    parser.add_argument("--slides", action="store_true", help="make slides of the named chapters from their pages")
    parser.add_argument("--pdf", action="store_true", help="print the site that is there into one PDF")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.smoke and options.profile == "quick":
        parser.error("--smoke makes the profiles real and paper small; quick is small already")
    if options.slides and not options.slugs:
        parser.error("--slides needs the names of chapters, such as 01_maps")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs} must be 1 or more")
    try:
        work = slides if options.slides else paper if options.pdf else make.book
        failures = work(Book(options.root.resolve()), options)
    except KeyboardInterrupt:
        failures = [BuildError("build", "interrupted; the last good chapters are as they were")]
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


def paper(book: Book, options: argparse.Namespace) -> list[BuildError]:
    """Print the site into one PDF and print its path; return what went wrong."""
    from driver import pdf

    try:
        print(pdf.write(book, named=os.environ.get("CHROMIUM"), jobs=options.jobs))
    except BuildError as failure:
        return [failure]
    return []


def slides(book: Book, options: argparse.Namespace) -> list[BuildError]:
    """Make the slides of the named chapters and print their paths; return what went wrong."""
    from driver import slides as decks  # needs Beautiful Soup, which a machine that only executes may not have

    failures = []
    for slug in options.slugs:
        try:
            print(decks.write(book, slug))
        except BuildError as failure:
            failures.append(failure)
    return failures


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except OSError as error:
        traceback.print_exc()
        raise SystemExit(f"error: build: {error}") from error
