"""Checkpoints made elsewhere: what is read, what is refused, how keys are renamed."""

from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.models.checkpoints import ForeignKeys, fit, read_checkpoint, rename

OURS = {
    "trunk.stem.weight": torch.zeros(4, 3),
    "trunk.stem.bias": torch.zeros(4),
    "norm.num_batches_tracked": torch.tensor(0),
}
THEIRS = {"conv.weight": torch.ones(4, 3), "conv.bias": torch.full((4,), 2.0)}
RULES = [[r"conv\.(.*)", r"trunk.stem.\1"], [r"fc\..*", ""]]


class Planted:
    """An object that would run a command when it is unpickled."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        """What pickle would call."""
        return (open, (self.file, "w"))


def saved(file, content):
    """A file that torch wrote."""
    torch.save(content, file)
    return file


@pytest.mark.parametrize("nested", [None, "model", "state_dict", "net"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_are_found_where_codes_put_them(tmp_path, nested, prefix):
    """At the top or under a usual name, with or without the prefix of DataParallel."""
    weights = {prefix + key: value for key, value in THEIRS.items()}
    content = weights if nested is None else {"epoch": 240, nested: weights, "opt": Namespace(lr=1)}
    checkpoint = read_checkpoint(saved(tmp_path / "a.pth", content))

    assert checkpoint.weights.keys() == THEIRS.keys()
    assert all(torch.equal(checkpoint.weights[key], value) for key, value in THEIRS.items())


def test_safetensors_are_read(tmp_path):
    """They hold weights and nothing else."""
    save_file(THEIRS, tmp_path / "a.safetensors")

    assert read_checkpoint(tmp_path / "a.safetensors").weights.keys() == THEIRS.keys()


@pytest.mark.parametrize(
    ("stated", "claim"),
    [
        ({"best_acc": torch.tensor(75.5)}, 75.5),
        ({"accuracy": 0.755}, 75.5),
        ({"epoch": 3}, None),
        ({"acc": np.float64(75.5)}, 75.5),
        ({"acc": np.float32(0.5)}, 50.0),
        ({"acc": 1.0}, 1.0),
    ],
)
def test_what_a_file_claims_is_read(tmp_path, stated, claim):
    """In percent, whether it was saved so or as a share."""
    checkpoint = read_checkpoint(saved(tmp_path / "a.pth", {"model": THEIRS, **stated}))

    assert checkpoint.claim == (None if claim is None else pytest.approx(claim))


def test_nothing_in_a_file_is_run(tmp_path):
    """An object that is no plain data is named and refused, and was not built."""
    file = saved(tmp_path / "a.pth", {"model": THEIRS, "trap": Planted(tmp_path / "sprung")})

    with pytest.raises(DamagedData, match=r"a.pth: found an object of \w*\.open, not loaded"):
        read_checkpoint(file)
    assert not (tmp_path / "sprung").exists()


def test_a_whole_network_is_refused(tmp_path):
    """Pickled modules need code; the line says what to save instead."""
    file = saved(tmp_path / "a.pth", torch.nn.Linear(2, 2))

    with pytest.raises(DamagedData, match=r"Linear, not loaded.*save the plain state_dict"):
        read_checkpoint(file)


@pytest.mark.parametrize("kind", ["text", "truncated", "empty", "safetensors", "nothing in it"])
def test_what_is_no_checkpoint_is_one_line(tmp_path, kind):
    """Whatever the bytes are."""
    file = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    if kind == "nothing in it":
        saved(file, {"epoch": 3, "model": {"step": torch.tensor(1)}})
    elif kind == "truncated":
        saved(file, THEIRS)
        file.write_bytes(file.read_bytes()[:-200])
    else:
        file.write_bytes(b"" if kind == "empty" else b"some text " * 9)

    with pytest.raises(DamagedData, match=r"^\S*a\.\w+: found [^\n]*$"):
        read_checkpoint(file)


def test_a_missing_file_is_one_line(tmp_path):
    """With its name."""
    with pytest.raises(UserError, match=r"none\.pth: no such file"):
        read_checkpoint(tmp_path / "none.pth")


def test_keys_are_renamed_by_the_first_rule_that_fits():
    """An empty replacement drops a key; an absent counter of batches is filled in."""
    renamed, differences = rename({**THEIRS, "fc.weight": torch.ones(9)}, OURS, RULES)

    assert len(differences) == 0
    assert renamed.keys() == OURS.keys()
    assert torch.equal(renamed["trunk.stem.weight"], THEIRS["conv.weight"])


def test_differences_are_listed_by_kind():
    """Missing, unexpected and misshapen keys, each once, under the names that a reader knows."""
    theirs = {"conv.weight": torch.ones(3, 4), "head.weight": torch.ones(1)}
    _, differences = rename(theirs, OURS, RULES)

    assert differences.lines() == [
        "missing: trunk.stem.bias",
        "unexpected: head.weight",
        "another shape: conv.weight (3, 4), expected (4, 3) of trunk.stem.weight",
    ]


def test_two_keys_for_one_place_are_a_difference():
    """The second would silently win otherwise."""
    _, differences = rename(
        {**THEIRS, "again": torch.ones(4)}, OURS, [*RULES, ["again", "trunk.stem.bias"]]
    )

    assert differences.unexpected == ["again"]


def test_the_naming_that_fits_is_found(tmp_path):
    """Our own is tried too; weights come back in float32."""
    half = {key: value.half() for key, value in THEIRS.items()}
    names = {"other": [["x", "y"]], "theirs": RULES}
    fitted = fit(tmp_path, half, OURS, names, network="net")
    own = fit(tmp_path, OURS, OURS, names, network="net")

    assert (fitted[0], own[0]) == ("theirs", "kdbench")
    assert {v.dtype for k, v in fitted[1].items() if "tracked" not in k} == {torch.float32}
    assert fitted[1]["norm.num_batches_tracked"].dtype == torch.int64


def test_keys_that_fit_nowhere_are_one_line_with_the_best_naming(tmp_path):
    """The line counts and names; the error carries the whole list."""
    weights = {**THEIRS, "more": torch.ones(1)}
    with pytest.raises(
        ForeignKeys, match=r"as theirs \(tried kdbench, theirs\): 1 unexpected"
    ) as e:
        fit(tmp_path / "a.pth", weights, OURS, {"theirs": RULES}, network="net")

    assert e.value.differences.unexpected == ["more"]
    assert "\n" not in str(e.value)


def test_a_naming_that_does_not_exist_is_refused(tmp_path):
    """With the nearest."""
    with pytest.raises(UnknownName, match="did you mean 'theirs'"):
        fit(tmp_path, THEIRS, OURS, {"theirs": RULES}, network="net", naming="their")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    """A teacher of NaN would teach nothing, quietly."""
    broken = {**THEIRS, "conv.bias": torch.tensor([1.0, float("nan"), 1.0, 1.0])}
    with pytest.raises(BadValue, match=r"trunk\.stem\.bias.*not finite"):
        fit(tmp_path / "a.pth", broken, OURS, {"theirs": RULES}, network="net")
