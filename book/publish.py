"""Write the executed chapters as notebooks for the branch that Colab opens, or answer what the workflows ask of Colab.

- ``python book/publish.py FOLDER --commit SHA``: ``FOLDER/nbs/*.ipynb`` of the profile ``quick``, executed before
- ``python book/publish.py --cell --commit SHA``: the code that such a notebook begins with
- ``python book/publish.py --colab LIST``: our requirements in the versions of Colab's list, for pip
"""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "book")]

from driver import BuildError, colab  # noqa: E402


def main() -> int:
    """Parse the command line, do what it asks, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--commit", default="HEAD", metavar="SHA", help="the version of the book to install")
    parser.add_argument("--profile", choices=("quick", "real", "paper"), default="quick")
    parser.add_argument("--cell", action="store_true")
    parser.add_argument("--source", metavar="URL", help="where --cell installs from; default: repository.url")
    parser.add_argument("--colab", type=Path, metavar="LIST")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if sum(map(bool, (options.folder, options.cell, options.colab))) != 1:
        parser.error("give one of FOLDER, --cell and --colab")
    try:
        if options.cell:
            print(colab.code(options.source or colab.address(options.root), options.commit))
        elif options.colab:
            print("\n".join(colab.versions(options.colab.read_text(encoding="utf-8"), options.root)))
        else:
            from driver import published_notebooks

            here = "/".join(os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY")).strip("/")
            published_notebooks.check_address(options.root, here)
            for path in published_notebooks.write(options.root, options.folder, options.profile, options.commit):
                print(path)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
