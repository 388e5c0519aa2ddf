"""The how-to keeps its promise: its cells, copied as they stand, read networks that nobody here wrote."""

import sys
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from actlib import inputs

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))
from driver import percent  # noqa: E402

CELLS = [cell for cell in percent.read(ROOT / "nbs/19_own_network.py") if cell.kind == "code"]
# The cells to copy, by the name in their first line.
COPIED = {
    cell.source.splitlines()[0].removeprefix("# copy: "): cell for cell in CELLS if cell.source.startswith("# copy: ")
}
MAPS, EMBEDDINGS, PATTERNS, REGIONS, SQUARE, ALIASING = COPIED
(IMPORTS,) = [cell.source for cell in CELLS if "from actlib import" in cell.source]
(TOLD,) = [cell.source for cell in CELLS if cell.source.startswith("def told(")]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip() and not line.startswith("# copy")]


def test_each_tool_takes_at_most_ten_visible_lines_and_three_names():
    assert len(COPIED) == 6
    assert max(len(lines(cell)) for cell in COPIED.values()) <= 10
    assert not any(set(cell.tags) for cell in COPIED.values())


class Functions(nn.Module):
    """What repositories do: ReLU and pooling as functions, sums in place, two heads of which one is used."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1)
        self.head, self.other = nn.Linear(24, 5), nn.Linear(24, 2)

    def forward(self, x):
        x = F.max_pool2d(F.relu_(self.first(x)), 2)
        x += torch.relu(self.second(x))
        return self.head(F.adaptive_avg_pool2d(x, 2).flatten(1))


class Transformer(nn.Module):
    """A vision transformer in few lines: patches by a linear layer, GELU, softmax attention."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Linear(3 * 16, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        patches = x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return self.head(self.block(self.patch(patches)).mean(1))


def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(768, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 5))


ALL = [MAPS, EMBEDDINGS, PATTERNS, REGIONS, SQUARE, ALIASING]
NO_REGIONS = [MAPS, EMBEDDINGS, PATTERNS, ALIASING]
FOREIGN = {
    "resnet18": (torchvision.models.resnet18, ["relu", "layer1", "layer4", "avgpool"], ALL),
    "mobilenet": (torchvision.models.mobilenet_v3_small, ["features.0", "features.4", "avgpool"], NO_REGIONS),
    "dense": (dense, ["2", "4"], [MAPS, EMBEDDINGS, PATTERNS, REGIONS, SQUARE]),
    "functions": (Functions, ["first", "second"], ALL),
    "transformer": (Transformer, ["patch", "block"], [MAPS, EMBEDDINGS, PATTERNS]),
}
REFUSED = {
    ("mobilenet", REGIONS): r"network.features.0.2: Hardswish has no exact linear regions here; allowed are linear",
    ("transformer", REGIONS): r"network.block: TransformerEncoderLayer has no exact linear regions here; allowed are",
    ("dense", ALIASING): r"Sequential has no layer that down-samples: no nn.Conv2d, nn.MaxPool2d or nn.AvgPool2d of",
    ("transformer", ALIASING): r"Sequential has no layer that down-samples",
}


def reader(name):
    """Return the names that a reader sets, and those that the page's imports bring."""
    build, layers, _ = FOREIGN[name]
    torch.manual_seed(0)
    network = build() if name != "mobilenet" else build(num_classes=5)
    images = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
    places = {"perplexity": 5, "part": 0.02, "n_radius": 1}
    space = {"images": images, "labels": torch.arange(24) % 3, "layers": [f"network.{layer}" for layer in layers]}
    space["model"] = nn.Sequential()
    space["model"].add_module("normalize", inputs.Normalize(0.5, 0.25))
    space["model"].add_module("network", network)
    space["model"].eval()
    exec(IMPORTS, space)
    return space | places


@pytest.mark.parametrize("name", FOREIGN)
def test_the_cells_read_a_foreign_network_as_they_stand(name, capsys):
    space = reader(name)
    images = space["images"][:1]
    before = {key: value.clone() for key, value in space["model"].state_dict().items()}
    for cell in FOREIGN[name][2]:
        if cell == ALIASING:  # whose last layers make one pixel of 16
            space["images"] = space["images"].repeat(1, 1, 4, 4)
        exec(COPIED[cell].source, space)
    assert capsys.readouterr().out
    assert all(torch.equal(value, before[key]) for key, value in space["model"].state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in space["model"].modules())
    # What the cells say is the network's own: scores by a pass of its own, the map by these scores.
    with torch.no_grad():
        scores = space["model"](images / 255)
    torch.testing.assert_close(space["scores"], scores)
    assert set(space["clouds"]) == set(space["layers"]) == set(space["apart"])
    if REGIONS in FOREIGN[name][2]:
        torch.testing.assert_close(space["found"](space["x"][:1]).float(), scores, rtol=1e-4, atol=1e-4)
        assert space["residual"] < 1e-9
        assert (space["radius"] > 0).all()
        assert len(space["cut"]) > 1
    if ALIASING in FOREIGN[name][2]:
        assert all(abs(float(layer.shares.sum(1).mean()) - 1) < 1e-9 for layer in space["measured"].values())


@pytest.mark.parametrize(("name", "cell"), REFUSED, ids=lambda part: part)
def test_what_cannot_be_followed_is_refused_with_its_place(name, cell):
    with pytest.raises(ValueError, match=REFUSED[name, cell]):
        exec(COPIED[cell].source, reader(name))


def test_told_returns_the_error_of_a_call_and_fails_on_one_that_works():
    space = {}
    exec(f"import textwrap\n{TOLD}".split("\n\nprint(")[0].split("\nprint(")[0], space)
    assert space["told"](lambda: 1 / 0) == "ZeroDivisionError: division by zero"
    with pytest.raises(AssertionError, match="it did not refuse"):
        space["told"](lambda: 1)


SMALL = {"n_learn": 60, "n_look": 40, "epochs": 1, "perplexity": 3, "part": 0.05, "n_radius": 1, "n_photographs": 20}


def test_the_whole_page_runs_on_a_network_that_a_reader_puts_in_front_of_the_maps(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACTLIB_CACHE", str(tmp_path))
    monkeypatch.chdir(ROOT)
    theirs = reader("functions")
    theirs["images"] = torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8)
    space = {}
    for cell in CELLS:
        if cell is COPIED[MAPS]:
            space |= {name: theirs[name] for name in ("images", "labels", "model", "layers")} | {
                "classes": tuple("abc")
            }
        exec(cell.source, space)
        if "parameters" in cell.tags:
            space |= SMALL
    said = capsys.readouterr().out
    assert "the nearest names are" in said  # of our network, to which the cells with messages keep
    assert set(space["apart"]) == set(theirs["layers"])
    assert space["ours"] is not theirs["model"] is space["model"]
