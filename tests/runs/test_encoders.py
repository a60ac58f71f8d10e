"""Encoders start from torchvision's weights where the user has the file, and say so if not."""

import json
from dataclasses import replace

import pytest
import torch
from torchvision import models

from kdbench.engine.precision import Precision
from kdbench.errors import BadValue, DamagedData, UserError
from kdbench.models.checkpoints import ForeignKeys
from kdbench.models.view import Shape
from kdbench.plan.components import find_components
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.runs.assemble import make_network
from kdbench.runs.encoders import start_encoder
from kdbench.runs.importing_encoders import import_encoder
from kdbench.store.parts import Network
from kdbench.store.paths import Paths
from kdbench.workflow.status import absent_encoders

COMPONENTS = find_components()
FLOAT32 = Precision("float32", False, torch.device("cpu"))
SOURCES = {"pspnet-resnet18": "resnet18", "pspnet-mobilenet-v2": "mobilenet_v2"}
SOURCES |= {"pspnet-resnet101": "resnet101", "pspnet-resnet18-deep": "resnet18"}
HEADS = ("fc.", "classifier.", "features.18.")  # of torchvision's classifiers
TABLE5 = {"exhibits": ["distpro/table5"], "datasets": ["cityscapes"]}


def component(name):
    """A network's declaration."""
    return COMPONENTS.get("network", name, where="test")


def downloaded(folder, name):
    """Torchvision's file of random weights, and the weights."""
    network = getattr(models, SOURCES[name])(weights=None)
    state = {k: torch.randn_like(v) if v.dim() else v for k, v in network.state_dict().items()}
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth", state


def taken(folder, name):
    """The file, imported; the weights, and what is known of them."""
    file, state = downloaded(folder, name)
    return state, import_encoder(file, component(name), COMPONENTS, Paths(folder))


def described(name, sha256):
    """A network as a run has it."""
    one = component(name)
    code = {"name": name, "module": one.module, "class_name": one.class_name}
    return Network(**code, parameters=one.arguments, label=one.label, encoder=sha256)


def built(run_network):
    """It with fresh weights."""
    return make_network(run_network, Shape(("a", "b"), (3, 32, 32)), 0, FLOAT32)


@pytest.mark.parametrize(
    "name", [*list(SOURCES)[:2], *(pytest.param(n, marks=pytest.mark.slow) for n in [*SOURCES][2:])]
)
def test_every_weight_of_the_encoder_is_torchvision_s(tmp_path, name):
    """In torchvision's order; pyramid and heads stay as they were drawn."""
    state, encoder = taken(tmp_path, name)
    network, fresh = (built(described(name, encoder.sha256)) for _ in range(2))
    start_encoder(network, described(name, encoder.sha256), Paths(tmp_path).encoder(encoder.sha256))

    theirs = [v for k, v in state.items() if not k.startswith(HEADS)]
    ours = [v for k, v in network.state_dict().items() if k.startswith("trunk.stage")]
    same = sum(any(torch.equal(a, b) for b in theirs) for a in ours if a.dim())
    encoders = network.encoder_state()
    if not name.endswith("deep"):
        assert len(encoders) == len(theirs)
        assert all(torch.equal(a, b) for a, b in zip(encoders.values(), theirs, strict=True))
    assert same == sum(v.dim() > 0 for k, v in encoders.items() if k.startswith("trunk.stage"))
    for key, value in fresh.state_dict().items():
        assert key in encoders or torch.equal(network.state_dict()[key], value), key


def test_weights_of_another_network_are_one_clear_line(tmp_path):
    """When they are imported; nothing is kept."""
    file, _ = downloaded(tmp_path, "pspnet-mobilenet-v2")
    with pytest.raises(ForeignKeys, match=r"weights.pth: not the weights of resnet18; as torchv"):
        import_encoder(file, component("pspnet-resnet18"), COMPONENTS, Paths(tmp_path))
    assert not (tmp_path / "data").exists()
    with pytest.raises(BadValue, match="a network with an encoder"):
        import_encoder(file, component("resnet20"), COMPONENTS, Paths(tmp_path))


def test_absent_damaged_and_swapped_files_are_one_clear_line(tmp_path):
    """When a run wants them; the line says how to import."""
    _, encoder = taken(tmp_path, "pspnet-mobilenet-v2")
    file = Paths(tmp_path).encoder(encoder.sha256)
    run = described("pspnet-mobilenet-v2", encoder.sha256)
    network = built(run)

    with pytest.raises(UserError, match=r"which is not here; kdbench encoder import FILE"):
        start_encoder(network, run, Paths(tmp_path).encoder("0" * 64))
    other = replace(run, name="pspnet-resnet18", parameters={"encoder": "resnet18"})
    with pytest.raises(DamagedData, match="weights of mobilenet-v2"):
        start_encoder(network, other, file)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedData, match="other bytes"):
        start_encoder(network, run, file)
    file.with_suffix(".json").write_text(json.dumps({"sha256": 3}))
    with pytest.raises(DamagedData, match="unreadable"):
        start_encoder(network, run, file)


def planned(**params):
    """Digests of the runs that compute with networks, by phase and cell."""
    runs = make_graph(Params(**TABLE5, **params)).runs.values()
    return {(run.phase, run.cell): run.digest for run in runs if run.phase != "data"}


def test_an_encoder_makes_another_run_of_all_that_starts_from_it():
    """Students, searches and evaluations too; stand-ins ignore it."""
    own = {"encoders": {"pspnet-mobilenet-v2": "0" * 64}}
    plain, started = planned(scale="paper"), planned(scale="paper", **own)

    assert plain.keys() == started.keys()
    differing = {key for key in plain if plain[key] != started[key]}
    assert {key for key in plain if "mobilenet" in key[1]} == differing
    assert planned(scale="smoke") == planned(scale="smoke", **own)


def test_weights_that_are_not_here_are_said_before_anything_runs(tmp_path):
    """By `kdbench check` and `kdbench status`, a line per network."""
    params = Params(**TABLE5, scale="paper", encoders={"pspnet-mobilenet-v2": "0" * 64})
    (line,) = absent_encoders(make_graph(params), Paths(tmp_path))
    assert line.startswith("encoders, pspnet-mobilenet-v2: no file ")
    assert line.endswith("kdbench encoder import makes it")

    assert absent_encoders(make_graph(Params(**TABLE5, scale="paper")), Paths(tmp_path)) == []


def test_networks_without_an_encoder_are_refused_when_the_plan_is_made():
    """Also where no exhibit asks for them today."""
    with pytest.raises(BadValue, match=r"encoders: found 'resnet20', expected a network with an"):
        planned(encoders={"resnet20": "0" * 64})
