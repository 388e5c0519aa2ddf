"""Every public function of the package keeps the laws that do not depend on what it computes; see laws.py.

A new function needs a case in one of the tables ``cases_*.py``, or stands in ``cases_reasons.py`` with the reason why
it has none: it works on files or in a session, and other tests hold it, which must then call it; or it is a step inside
of another function, whose case must then reach it.
"""

import ast
import importlib
import inspect
import itertools
import re
import sys
from pathlib import Path

import pytest
import torch
from cases_reasons import FILES, INSIDE, SESSION
from draws import Draw
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from laws import CASES, Case, call, keep_laws

ROOT = Path(__file__).parents[1]
for table in sorted(Path(__file__).parent.glob("cases_*.py")):
    importlib.import_module(table.stem)
# A failing example is small as it is: to look for a smaller one would take minutes.
OPTIONS = {
    "deadline": None,
    "database": None,
    "verbosity": Verbosity.quiet,
    "report_multiple_bugs": False,
    "phases": [Phase.generate],
    "suppress_health_check": list(HealthCheck),
}


def public():
    """Return the names of all functions of the package whose modules show them."""
    found = []
    for path in sorted((ROOT / "actlib").glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        found += [f"{path.stem}.{n.name}" for n in body if isinstance(n, ast.FunctionDef) and n.name[0] != "_"]
    return found


def test_every_public_function_has_a_case_or_a_reason():
    reasons = {**FILES, **SESSION, **INSIDE}
    left = [name for name in public() if name not in CASES and name not in reasons]
    assert left == [], (
        f"{', '.join(left)}: say in a table tests/cases_*.py how to call each, as its neighbours there do; what works "
        "on files, in a session or inside of another function gets its reason in tests/cases_reasons.py"
    )


def test_no_case_and_no_reason_outlives_its_function():
    known, reasons = set(public()), [*FILES, *SESSION, *INSIDE]
    assert [name for name in [*CASES, *reasons] if name not in known] == []
    assert len(reasons) == len({*FILES, *SESSION, *INSIDE}), "a function has two reasons"
    assert [name for name in reasons if name in CASES] == []


def calls(source, name):
    """Return whether a source calls ``module.function`` by this name, or by the second half after an import of it."""
    module, function = name.split(".")
    by_import = re.search(rf"from actlib\.{module} import [^)\n]*\b{function}\b", source)
    return bool(re.search(rf"\b{module}\.{function}\(" + rf"|(?<![\w.]){function}\(" * bool(by_import), source))


def unkept(name, reason):
    """Return what is untrue of a reason, as a sentence, or None."""
    file, _, through = reason.partition(": ")
    path, called = ROOT / "tests" / f"{file}.py", through or name
    if not path.is_file() or not calls(path.read_text(encoding="utf-8"), called):
        return f"tests/{file}.py does not call {called}"
    if through:
        module, function = through.split(".")
        home = getattr(importlib.import_module(f"actlib.{module}"), function).__module__
        if not re.search(rf"\b{name.split('.')[1]}\b", inspect.getsource(sys.modules[home])):
            return f"{home}, where {through} stands, does not use {name}"
    return None


@pytest.mark.parametrize("name", sorted({**FILES, **SESSION}))
def test_the_tests_that_a_reason_names_are_there(name):
    assert unkept(name, {**FILES, **SESSION}[name]) is None


def test_a_reason_that_is_not_true_is_seen():
    assert unkept("maps.signed", "test_nowhere") == "tests/test_nowhere.py does not call maps.signed"
    assert unkept("published.value", "test_published") == "tests/test_published.py does not call published.value"
    assert unkept("weights.load", "test_cosines: weights.load") == "tests/test_cosines.py does not call weights.load"
    assert "does not use maps.signed" in unkept("maps.signed", "test_data: data.load")
    assert unkept("archives.mnist", "test_data: data.load") is None
    assert calls("from actlib.maps import signed\nsigned(x)", "maps.signed")
    assert not calls("from other import signed\nsigned(x)\nmaps.signed_too(x)", "maps.signed")


def obeys(name, n_examples, **options):
    """Check the laws of one function on so many examples; on the first and simplest not in all ways, to save time."""
    count = itertools.count()

    @settings(max_examples=n_examples, **OPTIONS, **options)
    @given(data=st.data())
    def run(data):
        keep_laws(CASES[name], data, several=next(count) > 0)

    run()


@pytest.mark.parametrize("name", sorted(name for name in CASES if not CASES[name].heavy))
def test_a_function_keeps_the_laws(name):
    obeys(name, 2, derandomize=True)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_function_keeps_the_laws_over_many_shapes_and_dtypes(name):
    obeys(name, 60)


def called(name, n_examples):
    """Return the functions of the package that the case of a function reaches, as ``module.function``."""
    found, folder = set(), str(ROOT / "actlib")

    def note(frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(folder):
            found.add(f"{Path(code.co_filename).stem}.{code.co_name}")

    @settings(max_examples=n_examples, derandomize=True, **OPTIONS)
    @given(data=st.data())
    def run(data):
        case = CASES[name]
        made = case.draw(Draw(data, case.dtypes))
        sys.setprofile(note)
        try:
            made.make(case.function)
        finally:
            sys.setprofile(None)

    run()
    return found


@pytest.mark.parametrize("outer", sorted(set(INSIDE.values())))
def test_a_step_without_a_case_is_reached_by_the_case_that_stands_for_it(outer):
    steps = {name for name, other in INSIDE.items() if other == outer}
    assert steps - called(outer, 16) == set()


# ------------------------------------------------------------------------------------------- a law that is broken

CALLS = []


def overwrites(model, x):
    return x.mul_(2)


def draws(model, x):
    return x + torch.rand(1).to(x)


def divides(model, x):
    return x / 0


def remembers(model, x):
    CALLS.append(x)
    return x + len(CALLS)


def reads_memory(model, x):
    return torch.as_strided(x.detach(), x.shape, (x.shape[1], 1)).clone()


def takes_no_gradients(model, x):
    return torch.from_numpy(x.numpy().copy())


def needs_gradients(model, x):
    y = x.detach().requires_grad_()
    return torch.autograd.grad((y**2).sum(), y)[0]


def leaves_a_gradient(model, x):
    y = model.fc1.weight
    with torch.enable_grad():
        y.sum().backward()
    return x


def changes_modes(model, x):
    model.train()
    return x


def leaves_a_hook(model, x):
    model.relu1.register_forward_hook(lambda *_: None)
    return x


def changes_the_default(model, x):
    torch.set_default_dtype({torch.float32: torch.float64}.get(torch.get_default_dtype(), torch.float32))
    return x


BROKEN = {
    overwrites: "an argument changed", draws: "the surroundings changed", divides: "not finite",
    remembers: "called again", reads_memory: "called in another layout", takes_no_gradients: "called asking",
    needs_gradients: "called without gradients", leaves_a_gradient: "an argument changed",
    changes_modes: "an argument changed", leaves_a_hook: "an argument changed",
    changes_the_default: "the surroundings changed",
}  # fmt: skip


@pytest.mark.parametrize("function", BROKEN, ids=lambda function: function.__name__)
def test_a_broken_law_is_seen(function):
    broken = Case(function, lambda d: call(d.mlp(), d.values(d.size(2, 3), d.size(2, 3)) + 1))

    @settings(max_examples=3, derandomize=True, **OPTIONS)
    @given(data=st.data())
    def run(data):
        keep_laws(broken, data)

    try:
        with pytest.raises((AssertionError, RuntimeError)) as caught:
            run()
    finally:
        torch.set_default_dtype(torch.float32)
    assert BROKEN[function] in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_a_function_without_a_case_is_seen(monkeypatch):
    monkeypatch.delitem(CASES, "maps.signed")
    with pytest.raises(AssertionError, match=r"maps\.signed"):
        test_every_public_function_has_a_case_or_a_reason()
    monkeypatch.setitem(CASES, "maps.gone", None)
    with pytest.raises(AssertionError, match=r"maps\.gone"):
        test_no_case_and_no_reason_outlives_its_function()
