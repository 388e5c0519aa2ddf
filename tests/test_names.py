"""Names: which layers there are, and what is said of a name that is none."""

import pytest
import torch
from torch import nn

from actlib import models, names


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return torch.relu(self.fc(x))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.ReLU()
        self.second = self.first

    def forward(self, x):
        return self.second(self.first(x) - 1)


def test_names_come_in_the_order_of_definition_with_containers():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.ReLU())
    assert names.layer_names(model) == ["0", "0.0", "0.1", "1"]


def test_kinds_select_names():
    model = models.lenet5(generator=torch.Generator().manual_seed(0))
    assert names.layer_names(model, nn.ReLU) == ["relu1", "relu2", "relu3", "relu4"]
    assert names.layer_names(model, (nn.Conv2d, nn.Linear)) == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    assert names.layer_names(model, nn.LSTM) == []


def test_every_listed_name_is_a_module():
    model = models.lenet5(generator=torch.Generator().manual_seed(0))
    for name, module in names.find(model, names.layer_names(model)).items():
        assert model.get_submodule(name) is module


def test_a_functional_relu_gives_a_warning():
    with pytest.warns(UserWarning, match="Functional has no nn.ReLU; one called as a function cannot be seen"):
        assert names.layer_names(Functional(), nn.ReLU) == []
    assert names.layer_names(Functional(), nn.Conv2d) == []  # and no warning, which would be an error here


def test_an_unknown_layer_names_the_nearest():
    model = models.lenet5(generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"unknown layer 'rellu2'; the nearest names are \['relu2', .*lists all 13"):
        names.find(model, ["conv1", "rellu2"])
    with pytest.raises(ValueError, match="unknown layer 'x'; Linear has no modules inside"):
        names.find(nn.Linear(2, 2), ["x"])


def test_a_module_itself_or_the_whole_model_is_no_name():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises((ValueError, TypeError), match=r"unknown layer Linear\(|Type-check"):
        names.find(model, [model[0]])
    with pytest.raises(ValueError, match="unknown layer ''"):
        names.find(model, [""])


def test_a_module_of_two_names_is_listed_once_and_found_by_either():
    model = Tied()
    assert names.layer_names(model) == ["first"]
    assert names.find(model, ["second"]) == {"second": model.first}
    assert (names.first_name(model, "second"), names.first_name(model, "first")) == ("first", "first")
    with pytest.raises(ValueError, match=r"some are the same module; give one of its names: \['first', 'second'\]"):
        names.find(model, ["first", "second"])


def test_an_empty_selection_and_a_string_are_refused():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"no layers are selected; layer_names\(model\)"):
        names.find(model, [])
    with pytest.raises(ValueError, match=r"layers = '0' is one name; give a list: \['0'\]"):
        names.find(model, "0")


def test_a_name_given_twice_counts_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert list(names.find(model, ["1", "0", "1"])) == ["1", "0"]


def test_compiled_models_and_layers_inside_them_are_refused():
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(ValueError, match=r"OptimizedModule is compiled, .*_orig_mod"):
        names.layer_names(torch.compile(plain))
    mixed = nn.Sequential(torch.compile(plain), nn.ReLU())
    with pytest.raises(ValueError, match="OptimizedModule is compiled"):
        names.find(mixed, ["0._orig_mod.1"])
    assert names.find(mixed, ["1"]) == {"1": mixed[1]}
    plain.compile()
    with pytest.raises(ValueError, match="Sequential is compiled"):
        names.find(plain, ["0"])


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_data_parallel_and_torchscript_are_refused():
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with pytest.raises(ValueError, match=r"DataParallel runs copies .*use the model in it, model.module"):
        names.layer_names(nn.DataParallel(plain))
    scripted = torch.jit.script(plain)
    with pytest.raises(ValueError, match="RecursiveScriptModule is TorchScript, which runs no hooks"):
        names.find(scripted, ["0"])
