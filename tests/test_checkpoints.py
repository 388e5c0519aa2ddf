import functools
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.testing import assert_close

from actlib import checkpoints, forecasters, models, train

PACKAGE = Path(checkpoints.__file__).parents[1]
OPTIONS = {"epochs": 2, "learning_rate": 0.1, "progress": False}


def planted(n=32):
    labels = torch.arange(n) % 2
    return (labels[:, None, None, None] * 200).expand(n, 1, 4, 4).to(torch.uint8).contiguous(), labels


def build(generator):
    return models.mlp([6], 2, input_shape=(1, 4, 4), generator=generator)


def wide(generator, width=7):
    return models.mlp([width], 2, input_shape=(1, 4, 4), generator=generator)


def scaled(generator, scale=1.0):
    model = wide(generator)
    model.fc1.weight.data *= scale
    return model


ACTIVATION = "relu"


def chosen_elsewhere(generator):
    return models.mlp([6], 2, input_shape=(1, 4, 4), activation=ACTIVATION, generator=generator)


def fitted(root, *, name="net", made=build, data=None, seed=0, **options):
    return checkpoints.load_or_fit(name, made, *(data or planted()), seed=seed, root=root, **OPTIONS | options)


def test_the_second_call_loads_what_the_first_fitted(tmp_path):
    first, second = fitted(tmp_path), fitted(tmp_path)
    assert (first.fresh, second.fresh) == (True, False)
    assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    assert second.history == first.history
    assert second.path == first.path
    assert not first.model.training
    assert not second.model.training
    assert first.path.parent == tmp_path / "checkpoints"


def test_a_fitted_network_is_the_one_that_fit_makes(tmp_path):
    generator = torch.Generator().manual_seed(5)
    model = build(generator)
    history = train.fit(model, *planted(), generator=generator, **OPTIONS)
    ours = fitted(tmp_path, seed=5)
    assert_close(ours.model.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert_close(ours.history.loss, history.loss)


def test_the_header_tells_what_the_file_is(tmp_path):
    path = fitted(tmp_path, seed=3).path
    with safetensors.safe_open(path, framework="np") as file:
        about = json.loads(file.metadata()["about"])
    assert (about["name"], about["seed"], about["options"]["epochs"]) == ("net", 3, 2)
    assert len(about["history"]["accuracy"]) == 2
    assert path.stem == f"net-{about['key'][:16]}"


images, labels = planted()
VARIANTS = {
    "name": {"name": "other"},
    "seed": {"seed": 1},
    "option": {"batch_size": 8},
    "images": {"data": (images.clone().index_fill_(0, torch.tensor([31]), 1), labels)},
    "labels": {"data": (images, labels.flip(0))},
    "build": {"made": wide},
    "argument": {"made": functools.partial(wide, width=8)},
    "shape": {"data": (images.float() / 255, labels)},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_whatever_decides_the_result_is_part_of_the_key(tmp_path, variant):
    base = fitted(tmp_path)
    other = fitted(tmp_path, **VARIANTS[variant])
    assert other.fresh
    assert other.path != base.path
    assert not fitted(tmp_path, **VARIANTS[variant]).fresh
    assert not fitted(tmp_path).fresh


def test_an_argument_that_only_changes_the_first_weights_is_part_of_the_key(tmp_path):
    fitted(tmp_path, made=functools.partial(scaled, scale=1.0))
    assert fitted(tmp_path, made=functools.partial(scaled, scale=2.0)).fresh
    assert not fitted(tmp_path, made=functools.partial(scaled, scale=2.0)).fresh


def test_a_choice_that_build_reads_from_elsewhere_is_seen_in_the_network(tmp_path, monkeypatch):
    fitted(tmp_path, made=chosen_elsewhere)
    monkeypatch.setitem(globals(), "ACTIVATION", "selu")
    assert fitted(tmp_path, made=chosen_elsewhere).fresh


def test_the_progress_bar_is_not_part_of_the_key(tmp_path):
    fitted(tmp_path)
    assert not fitted(tmp_path, progress=True).fresh


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("def build", "# a comment\ndef build"), True),
        (('"""Old."""', '"""New."""'), True),
        (("[6]", "[ 6 ]"), True),
        (("[6]", "[5 + 1]"), False),
        (("size = 3", "size = 4"), False),
    ],
)
def test_the_code_counts_and_comments_do_not(tmp_path, monkeypatch, change, same):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    source = (
        '"""Old."""\nfrom actlib import models\nsize = 3\n\n\ndef build(generator):\n    """Old."""\n'
        "    return models.mlp([6], 2, input_shape=(1, 4, 4), generator=generator)\n"
    )
    file = tmp_path / "chapter_build.py"
    fresh = []
    for text in (source, source.replace(*change)):
        file.write_text(text)
        monkeypatch.delitem(sys.modules, "chapter_build", raising=False)
        importlib.invalidate_caches()
        checkpoints.inspect.linecache.clearcache()
        fresh.append(fitted(tmp_path, made=importlib.import_module("chapter_build").build).fresh)
    monkeypatch.delitem(sys.modules, "chapter_build")
    assert fresh == [True, not same]


def test_a_change_of_the_training_loop_is_a_change_of_the_key(tmp_path, monkeypatch):
    fitted(tmp_path)
    original = checkpoints.inspect.getsource
    monkeypatch.setattr(checkpoints.inspect, "getsource", lambda m: original(m) + ("\nx = 1" if m is train else ""))
    assert fitted(tmp_path).fresh


def forecaster(generator):
    return forecasters.network(width=2, n_blocks=1, kernel=3, channels=1, size=6, generator=generator)


def pictures(n=8):
    inputs = torch.rand(n, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    return inputs, inputs.roll(1, 2)


def forecasting(root, fit=forecasters.fit, *, data=None, **options):
    options = {"epochs": 2, "learning_rate": 0.01, "progress": False} | options
    return checkpoints.load_or_fit("net", forecaster, *(data or pictures()), seed=4, root=root, fit=fit, **options)


def test_another_trainer_is_loaded_with_its_own_history(tmp_path):
    first, second = forecasting(tmp_path), forecasting(tmp_path)
    assert (first.fresh, second.fresh) == (True, False)
    assert type(first.history) is type(second.history) is forecasters.History
    assert second.history == first.history
    assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    assert not any(m.training for part in (first, second) for m in part.model.modules())
    generator = torch.Generator().manual_seed(4)
    model = forecaster(generator)
    history = forecasters.fit(model, *pictures(), epochs=2, learning_rate=0.01, generator=generator, progress=False)
    assert_close(second.model.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert second.history.loss == history.loss


def test_whatever_decides_another_trainer_s_result_is_part_of_the_key(tmp_path):
    inputs, targets = pictures()
    changes = [
        {}, {"epochs": 3}, {"mirror": False}, {"data": (inputs, targets.flip(0))},
        {"fit": functools.partial(forecasters.fit, mirror=False)},
    ]  # fmt: skip
    found = [forecasting(tmp_path, **change) for change in changes]
    assert all(one.fresh for one in found)
    assert len({one.path for one in found}) == 5
    assert not any(forecasting(tmp_path, **change).fresh for change in changes)


def test_what_is_bound_to_the_trainer_counts(tmp_path):
    long, short = (functools.partial(forecasters.fit, batch_size=size) for size in (8, 2))
    assert type(forecasting(tmp_path, short).history) is forecasters.History
    assert not forecasting(tmp_path, functools.partial(forecasters.fit, batch_size=2)).fresh
    assert forecasting(tmp_path, long).fresh
    again, other = forecasting(tmp_path, short), forecasting(tmp_path, functools.partial(long, batch_size=4))
    assert (again.fresh, other.fresh) == (False, True)
    assert [len(one.history.loss) for one in (again, other)] == [8, 4]


TRAINER = '''"""Old."""
from typing import NamedTuple


class History(NamedTuple):
    """Old."""

    loss: list[float]


rate = 3


def fit(model, images, labels, *, generator) -> "History":
    """Old."""
    return History([1.5])


def other(model, images, labels, *, generator) -> "History":
    return History([1.5])
'''


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("", ""), True),
        (("def fit", "# a comment\ndef fit"), True),
        (('"""Old."""', '"""New."""'), True),
        (("[1.5]", "[3 / 2]"), False),
        (("rate = 3", "rate = 4"), False),
    ],
)
def test_the_code_of_the_trainer_s_module_counts_and_comments_do_not(tmp_path, monkeypatch, change, same):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    fresh = []
    for text in (TRAINER, TRAINER.replace(*change) if change[0] else TRAINER):
        (tmp_path / "chapter_fit.py").write_text(text)
        monkeypatch.delitem(sys.modules, "chapter_fit", raising=False)
        importlib.invalidate_caches()
        checkpoints.inspect.linecache.clearcache()
        module = importlib.import_module("chapter_fit")
        done = checkpoints.load_or_fit("net", build, *planted(), seed=0, root=tmp_path, fit=module.fit)
        assert type(done.history) is module.History
        assert done.history.loss == [1.5]
        fresh.append(done.fresh)
    assert fresh == [True, not same]
    assert checkpoints.load_or_fit("net", build, *planted(), seed=0, root=tmp_path, fit=module.other).fresh
    monkeypatch.delitem(sys.modules, "chapter_fit")


def unsaid(model, images, labels, *, generator):
    pytest.fail("it trained")


def no_record(model, images, labels, *, generator) -> list[float]:
    pytest.fail("it trained")


def unknown(model, images, labels, *, generator) -> "Nowhere":
    pytest.fail("it trained")


class Trainer:
    def fit(self, model, images, labels, *, generator) -> train.History:
        pytest.fail("it trained")


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (unsaid, r"fit = <function unsaid.* does not say which NamedTuple it returns; give a function annotated as"),
        (functools.partial(unsaid, generator=None), "does not say which NamedTuple"),
        (no_record, "does not say which NamedTuple"),
        (lambda *_a, **_k: pytest.fail("it trained"), "does not say which NamedTuple"),
        (Trainer().fit, "does not say which NamedTuple"),  # what the object holds would be no part of the key
        (Trainer, "does not say which NamedTuple"),
        (unknown, r"cannot read the annotations of fit = <function unknown.*: name 'Nowhere' is not defined; mend"),
    ],
)
def test_a_trainer_whose_history_could_not_be_loaded_is_refused_before_training(tmp_path, fit, message):
    with pytest.raises(ValueError, match=message):
        checkpoints.load_or_fit("net", build, *planted(), seed=0, root=tmp_path, fit=fit)
    assert list(tmp_path.iterdir()) == []


def test_a_trainer_without_source_is_refused(tmp_path):
    scope = {"History": train.History, "__name__": "__main__"}
    exec("def fit(model, images, labels, *, generator) -> History: raise AssertionError", scope)
    with pytest.raises(ValueError, match=r"cannot read the source of fit = .*; define it in a file or a notebook"):
        checkpoints.load_or_fit("net", build, *planted(), seed=0, root=tmp_path, fit=scope["fit"])


def test_a_lambda_in_a_call_can_build(tmp_path):
    made = fitted(tmp_path, made=lambda generator: wide(generator, width=3))
    assert made.model.fc1.out_features == 3


def test_code_that_is_no_statement_counts_as_it_stands():
    # What a notebook knows of a lambda that stands on its own line inside a call.
    line = "    build=lambda generator: wide(generator, width=3))\n"
    assert checkpoints.code(line) == line


def test_a_build_without_source_is_refused(tmp_path):
    scope = {"wide": wide, "__name__": "__main__"}
    exec("def build(generator): return wide(generator)", scope)
    with pytest.raises(ValueError, match=r"cannot read the source of build = .*; define it in a file or a notebook"):
        fitted(tmp_path, made=scope["build"])


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"is to begin a file's name; use letters"):
        fitted(tmp_path, name=name)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)


def foreign(path):
    safetensors.torch.save_file({"x": torch.zeros(3)}, path)


def another_run(path):
    other = fitted(path.parent / "elsewhere", seed=9).path
    shutil.copy(other, path)


def another_network(path):
    about = {"key": json.loads(safetensors.safe_open(path, framework="np").metadata()["about"])["key"]}
    checkpoints.weights.save(path, {"x": torch.zeros(3)}, about)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "is damaged or foreign"),
        (empty, "is damaged or foreign"),
        (flip, "is damaged: its content is not what was written"),
        (foreign, "is damaged or foreign"),
        (another_run, "belongs to another run"),
        (another_network, "does not fit Sequential: normalize.mean is missing"),
    ],
)
def test_a_file_of_no_use_is_named_and_made_again(tmp_path, damage, message):
    first = fitted(tmp_path)
    damage(first.path)
    with pytest.warns(UserWarning, match=rf"{first.path.name} {message}.*: fitting again") as caught:
        again = fitted(tmp_path)
    assert len(caught) == 1
    assert again.fresh
    assert_close(again.model.state_dict(), first.model.state_dict(), rtol=0, atol=0)
    assert not fitted(tmp_path).fresh


def test_a_full_disk_is_told_before_training_and_the_old_file_is_kept(tmp_path, monkeypatch):
    first = fitted(tmp_path)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 0))
        patch.setattr(train, "_check_labels", lambda *_a: pytest.fail("it trained"))
        with pytest.raises(OSError, match=r"net-.*safetensors needs .* MiB free; make room"):
            fitted(tmp_path, seed=1)
        assert not fitted(tmp_path).fresh
    names = [path.name for path in first.path.parent.iterdir() if path.suffix != ".lock"]
    assert names == [first.path.name]


def test_a_disk_that_fills_while_training_leaves_no_part_of_a_file(tmp_path, monkeypatch):
    free = iter([1 << 40, 0])
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, next(free)))
        with pytest.raises(OSError, match="make room"):
            fitted(tmp_path)
    assert [p.suffix for p in (tmp_path / "checkpoints").iterdir()] == [".lock"]
    assert fitted(tmp_path).fresh


def test_a_run_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(FloatingPointError, match="diverged"):
        fitted(tmp_path, learning_rate=1e30, epochs=9)
    assert [p.suffix for p in (tmp_path / "checkpoints").iterdir()] == [".lock"]


def test_the_rest_of_a_killed_write_is_removed(tmp_path):
    first = fitted(tmp_path)
    rest = first.path.with_name(f".{first.path.stem}.0123456789ab.safetensors")
    other = first.path.with_name(".net-ffffffffffffffff.0123456789ab.safetensors")
    rest.touch()
    other.touch()
    fitted(tmp_path)
    assert not rest.exists()
    assert other.exists()  # its run may be alive


WORKER = """
import sys, time, torch
torch.set_num_threads(1)
from actlib import checkpoints
import worker_build
sys.stdin.readline()
done = checkpoints.load_or_fit("net", worker_build.build, *worker_build.planted(), seed=0, root=sys.argv[1],
                               epochs=2, learning_rate=.1, progress=False)
print("fresh" if done.fresh else "loaded", flush=True)
"""
BUILD = """
import os, sys, time, torch
from torch import nn
from actlib import models

class Slow(nn.Identity):
    def forward(self, x):
        if self.training and "SLOW" in os.environ:
            print("training", flush=True)
            time.sleep(float(os.environ["SLOW"]))
        return x

def build(generator):
    model = models.mlp([6], 2, input_shape=(1, 4, 4), generator=generator)
    model.append(Slow())
    return model

def planted():
    labels = torch.arange(32) % 2
    return (labels[:, None, None, None] * 200).expand(32, 1, 4, 4).to(torch.uint8).contiguous(), labels
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts the worker in a process of its own; all are ended at the end."""
    (tmp_path / "worker_build.py").write_text(BUILD)
    processes = []

    def run(**more):
        path = os.pathsep.join([str(tmp_path), str(PACKAGE)])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"} | more
        command = [sys.executable, "-c", WORKER, str(tmp_path)]
        processes.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def test_two_processes_train_once_and_a_killed_one_leaves_nothing(tmp_path, start, monkeypatch):
    killed, other = start(SLOW="600"), start()
    monkeypatch.syspath_prepend(tmp_path)
    worker_build = importlib.import_module("worker_build")
    print(file=killed.stdin, flush=True)
    assert killed.stdout.readline() == "training\n"
    print(file=other.stdin, flush=True)
    with ThreadPoolExecutor(1) as pool:
        ours = pool.submit(fitted, tmp_path, made=worker_build.build, data=worker_build.planted())
        with pytest.raises(TimeoutError):  # both wait for the one that trains
            ours.result(timeout=0.5)
        assert other.poll() is None
        killed.kill()
        theirs = other.communicate(timeout=600)[0]
        assert theirs == ("loaded\n" if ours.result().fresh else "fresh\n")
    assert sorted(path.suffix for path in (tmp_path / "checkpoints").iterdir()) == [".lock", ".safetensors"]
    monkeypatch.delitem(sys.modules, "worker_build")
