"""The files of the repository, as git knows them."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tracked():
    """Return the text of every file that git knows or would add, by its path."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git checkout: which files belong to the book is not known")
    paths = [ROOT / name for name in listing.split("\0") if name]
    return {p.relative_to(ROOT).as_posix(): p.read_bytes().decode(errors="ignore") for p in paths if p.is_file()}
