"""Break actlib in 100 random places and count how often its tests notice: `python tests/mutants.py`, with cosmic-ray.

The files are changed in place and put back, so run it in a copy of the checkout; CONTRIBUTING.md has the commands.
"""

import argparse
import ast
import difflib
import itertools
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import openTSNE  # noqa: F401  imported once, before the processes that judge begin
import pytest
import seaborn  # noqa: F401
import sklearn.manifold  # noqa: F401
import torchvision  # noqa: F401
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_item import MutationSpec

ROOT = Path(__file__).parents[1]
MODULES = {path.stem: path for path in sorted((ROOT / "actlib").glob("[a-z]*.py"))}
# An arithmetic operator that becomes one for bits fails on the first float, and `is` in place of `==` likewise: such
# mutants would only flatter the tests.
BITS = re.compile(r"_(RShift|LShift|BitOr|BitAnd|BitXor|Is|IsNot)$")
SECONDS = {"own": 120, "callers": 600}  # of the processor; a loop that does not end counts as caught


def code_lines(path):
    """Return how many lines of a module hold statements, docstrings aside."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.stmt))
    return len({node.lineno for node in nodes if not isinstance(getattr(node, "value", None), ast.Constant)})


def annotations(path):
    """Return the (first, last) places of all type annotations: what stands there does not run."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if hint is not None:
                found.append(((hint.lineno, hint.col_offset), (hint.end_lineno, hint.end_col_offset)))
    return found


def mutants(path):
    """Return {place: [mutant, ...]} of a module, each mutant as cosmic-ray describes it."""
    hints, nodes, found = annotations(path), list(ast_nodes(get_ast_from_path(path))), {}
    for name in plugins.operator_names():
        operator = plugins.get_operator(name)
        if BITS.search(name) or operator.arguments():
            continue
        places = [place for node in nodes for place in operator().mutation_positions(node)]
        for index, (start, end) in enumerate(places):
            if not any(first <= start < last for first, last in hints):
                found.setdefault((start, end), []).append(MutationSpec(path, name, index, start, end))
    return found


def changed(mutant):
    """Return the text of a module before and after a change."""
    text = mutant.module_path.read_text(encoding="utf-8")
    return text, mutate_code(text, plugins.get_operator(mutant.operator_name)(), mutant.occurrence)


def is_python(mutant):
    """Return whether the changed module can be compiled; the `*` between parameters is no product, for example."""
    try:
        compile(changed(mutant)[1], mutant.module_path, "exec")
    except SyntaxError:
        return False
    return True


def draw(n, seed):
    """Return ``n`` mutants: modules by a systematic sample of their lines, in each first a place and then a change."""
    rng = random.Random(seed)
    lines = [name for name, path in MODULES.items() for _ in range(code_lines(path))]
    step = len(lines) / n
    chosen = [lines[int(step * (i + rng.random()))] for i in range(n)]
    sample = []
    for name in sorted(set(chosen)):
        places = mutants(MODULES[name])
        shuffled = iter(rng.sample(sorted(places), len(places)))
        found = (mutant for place in shuffled if is_python(mutant := rng.choice(places[place])))
        sample += itertools.islice(found, chosen.count(name))
    return sample


def imported(path):
    """Return the modules of the package that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "actlib":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actlib."):
            names.add(node.module.removeprefix("actlib."))
    return names


def judges(name):
    """Return the test files of a module, and those of the modules that call it."""
    callers = {other for other, path in MODULES.items() if name in imported(path)}
    own = ROOT / f"tests/test_{name}.py"
    files = sorted((ROOT / "tests").glob("test_*.py"))
    others = [f for f in files if f != own and (name in imported(f) or f.stem.removeprefix("test_") in callers)]
    return {"own": [own] if own.exists() else [], "callers": others}


def test(files, seconds, said):
    """Return how pytest ended on some files, in a process of its own: its status, or minus the signal that ended it.

    ``said`` is the file that takes what it prints.
    """
    child = os.fork()
    if not child:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        sys.modules["__main__"].__spec__ = find_spec("pytest.__main__")  # as in python -m pytest, for what it spawns
        with open(said, "w") as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
        os._exit(pytest.main(["-x", "-v", "-p", "no:cacheprovider", *map(str, files)]))
    end = time.monotonic() + 10 * seconds  # for a process that sleeps; other work on the machine is no endless loop
    while time.monotonic() < end:
        if (done := os.waitpid(child, os.WNOHANG))[0]:
            return os.waitstatus_to_exitcode(done[1])
        time.sleep(0.1)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGKILL


@cache
def require_green(files, seconds):
    """Stop if the tests in some files do not pass without a mutant in half of the time that they have.

    Otherwise each mutant would count as caught.
    """
    with tempfile.NamedTemporaryFile("r") as said:
        status = test(files, seconds // 2, said.name)
        if status == pytest.ExitCode.OK:
            return
        lines = said.read().splitlines()
    ended = f"signal {-status}, perhaps for time: {seconds // 2} s" if status < 0 else f"status {status}"
    names = ", ".join(file.name for file in files)
    # The last test that pytest named failed, or was running when the time was over.
    last = [line for line in lines if "::" in line][-1:]
    sys.exit("\n".join([f"without a mutant the tests do not pass ({ended}): {names}", *last, "mend them first"]))


def judge(mutant):
    """Return who caught a mutant ("own", "callers" or "nobody") and the change, as a diff."""
    before, after = changed(mutant)
    change = "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))
    for who, files in judges(mutant.module_path.stem).items():
        if not files:
            continue
        require_green(tuple(files), SECONDS[who])
        mutant.module_path.write_text(after, encoding="utf-8")
        try:
            status = test(files, SECONDS[who], os.devnull)
        finally:
            mutant.module_path.write_text(before, encoding="utf-8")
        if status in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED):
            raise RuntimeError(f"pytest ran nothing of {files}")
        if status != 0:
            return f"{who}, signal {-status}" if status < 0 else who, change
    return "nobody", change


def main():
    """Draw and judge, one line for each mutant, then the share that was caught."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the mutants to judge, else all")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = str(ROOT)  # also the processes that a test begins take the package of this copy
    # A change within the second, to the same length, would leave the old byte code in use.
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    found, begun = [], time.monotonic()
    for number, mutant in enumerate(draw(options.n, options.seed), 1):
        if options.only and number not in options.only:
            continue
        who, diff = judge(mutant)
        found.append(who)
        change = [line for line in diff.splitlines() if re.match(r"[-+](?![-+])", line)]
        where = f"{time.monotonic() - begun:.0f} s {mutant.module_path.stem}:{mutant.start_pos[0]}"
        print(f"{number:3} {who:8} {where}", *change, sep="\n    " if who == "nobody" else "  ", flush=True)
    caught = [who for who in found if who != "nobody"]
    signals = sum("signal" in who for who in caught)
    print(
        f"{len(caught)} of {len(found)} mutants caught, {signals} of them by a signal: too long, too large or a crash"
    )


if __name__ == "__main__":
    main()
