"""Checkpoints made elsewhere: what is read, what is refused, how keys are renamed."""

import tarfile
import zipfile
from argparse import Namespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kdbench.errors import BadValue, DamagedData, UnknownName, UserError
from kdbench.models.checkpoints import Checkpoint, ForeignKeys, Nest, fit, read_checkpoint, rename

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


def fitted(file, content=None, **options):
    """The weights that fit, of a file that torch wrote or that is there."""
    checkpoint = read_checkpoint(file if content is None else saved(file, content))
    return fit(file, checkpoint, OURS, {"theirs": RULES}, network="net", **options)[1]


def holding(weights):
    """A checkpoint that holds these tensors at its top."""
    return Checkpoint([Nest("", dict(weights))])


BESIDE = {
    "epoch": np.int64(240),
    "opt": Namespace(lr=1),
    "rng_state": torch.ones(16, dtype=torch.uint8),
    "class_weights": torch.ones(9),
    "mean": torch.ones(3),
    "losses": {"train": torch.ones(240)},
    "history": np.arange(3.0),
    "optimizer": {"state": {0: {"momentum_buffer": torch.ones(4, 3)}}},
}


@pytest.mark.parametrize(
    "place", ["", "model", "state_dict", "net", "weights", "params", "ema_state_dict", "a.b.c"]
)
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "student.", "net.model."]
)
def test_weights_are_found_where_codes_put_them(tmp_path, place, prefix):
    """Wherever they lie, whatever lies beside them, and whatever all keys begin with."""
    content = {prefix + key: value for key, value in THEIRS.items()}
    for name in reversed(place.split(".") if place else []):
        content = {name: content}
    weights = fitted(tmp_path / "a.pth", {**content, **(BESIDE if place else {})})

    assert torch.equal(weights["trunk.stem.weight"], THEIRS["conv.weight"])
    assert torch.equal(weights["trunk.stem.bias"], THEIRS["conv.bias"])


def test_a_wrapper_within_keys_is_taken_out(tmp_path):
    """As where a part of a network was wrapped."""
    content = {key.replace("conv.", "conv.module."): value for key, value in THEIRS.items()}
    assert fitted(tmp_path / "a.pth", content).keys() == OURS.keys()


@pytest.mark.parametrize(
    "content",
    [
        {"model": THEIRS, "ema": {key: value + 1 for key, value in THEIRS.items()}},
        {
            f"{part}.{key}": value + (part == "ema")
            for part in ("model", "ema")
            for key, value in THEIRS.items()
        },
    ],
    ids=["two mappings", "two prefixes"],
)
def test_of_two_networks_one_must_be_named(tmp_path, content):
    """The line names both places; either can be taken; equal ones are one."""
    file = tmp_path / "a.pth"
    with pytest.raises(DamagedData, match=r"differ in ema and model.*--part"):
        fitted(file, content)
    assert torch.equal(fitted(file, part="ema")["trunk.stem.bias"], THEIRS["conv.bias"] + 1)
    assert torch.equal(fitted(file, part="model")["trunk.stem.bias"], THEIRS["conv.bias"])
    with pytest.raises(UnknownName, match="no part is called 'modle'; did you mean 'model'"):
        fitted(file, part="modle")
    clones = {key: value.clone() for key, value in THEIRS.items()}
    assert fitted(tmp_path / "b.pth", {"model": THEIRS, "ema": clones})


def test_safetensors_are_read(tmp_path):
    """They hold weights and nothing else."""
    save_file(THEIRS, tmp_path / "a.safetensors")

    assert fitted(tmp_path / "a.safetensors").keys() == OURS.keys()


@pytest.mark.parametrize(
    ("stated", "claim"),
    [
        ({"best_acc": torch.tensor(75.5)}, 75.5),
        ({"accuracy": 0.755}, 75.5),
        ({"epoch": 3}, None),
        ({"acc": np.float64(75.5)}, 75.5),
        ({"acc": np.float32(0.5)}, 50.0),
        ({"acc": 1.0}, 1.0),
        ({"best_prec1": 93.4}, 93.4),
        ({"best_acc1": torch.tensor(76.5)}, 76.5),
        ({"best_acc": np.float64(76), "acc": 75.5}, 75.5),
        ({"best_acc": -100}, None),
        ({"best_acc": float("nan"), "acc": float("inf")}, None),
        ({"acc": True}, None),
        ({"acc": torch.empty((), device="meta")}, None),
        ({"acc": [75.5]}, None),
    ],
)
def test_what_a_file_claims_is_read(tmp_path, stated, claim):
    """In percent, whether it was saved so or as a share."""
    checkpoint = read_checkpoint(saved(tmp_path / "a.pth", {"model": THEIRS, **stated}))

    first = next(iter(checkpoint.claims.values()), None)
    assert first == (None if claim is None else pytest.approx(claim))


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
        file.write_bytes(b"" if kind == "empty" else b"hello text " * 9)

    with pytest.raises(DamagedData, match=r"^\S*a\.\w+: found [^\n]*$") as error:
        read_checkpoint(file)
    assert "(101)" not in f"{error.value}"  # all that a KeyError says of this text


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
    fitted = fit(tmp_path, holding(half), OURS, names, network="net")
    own = fit(tmp_path, holding(OURS), OURS, names, network="net")

    assert (fitted[0], own[0]) == ("theirs", "kdbench")
    assert {v.dtype for k, v in fitted[1].items() if "tracked" not in k} == {torch.float32}
    assert fitted[1]["norm.num_batches_tracked"].dtype == torch.int64


def test_keys_that_fit_nowhere_are_one_line_with_the_best_naming(tmp_path):
    """The line counts and names; the error carries the whole list."""
    weights = {**THEIRS, "more": torch.ones(1)}
    with pytest.raises(
        ForeignKeys, match=r"as theirs \(tried kdbench, theirs\): 1 unexpected"
    ) as e:
        fit(tmp_path / "a.pth", holding(weights), OURS, {"theirs": RULES}, network="net")

    assert e.value.differences.unexpected == ["more"]
    assert "\n" not in str(e.value)


def test_a_naming_that_does_not_exist_is_refused(tmp_path):
    """With the nearest."""
    with pytest.raises(UnknownName, match="did you mean 'theirs'"):
        fit(tmp_path, holding(THEIRS), OURS, {"theirs": RULES}, network="net", naming="their")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    """A teacher of NaN would teach nothing, quietly."""
    broken = {**THEIRS, "conv.bias": torch.tensor([1.0, float("nan"), 1.0, 1.0])}
    with pytest.raises(BadValue, match=r"trunk\.stem\.bias.*not finite"):
        fit(tmp_path / "a.pth", holding(broken), OURS, {"theirs": RULES}, network="net")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (lambda t: t.to_sparse(), "a sparse tensor"),
        (lambda t: t.to("meta"), "a tensor without data"),
        (lambda t: t.to(torch.complex64), "complex numbers"),
    ],
)
def test_tensors_that_are_no_weights_are_one_line(tmp_path, kind, words):
    """They can be read, but no layer could use them."""
    with pytest.raises(BadValue, match=rf"trunk\.stem\.weight: found '{words}"):
        fitted(tmp_path / "a.pth", {**THEIRS, "conv.weight": kind(THEIRS["conv.weight"])})


def test_at_most_five_keys_are_named(tmp_path):
    """Of hundreds that differ."""
    content = {f"layer{number}.weight": torch.ones(2) for number in range(300)}
    with pytest.raises(ForeignKeys) as caught:
        fitted(tmp_path / "a.pth", content)
    line = str(caught.value)
    assert "\n" not in line and "300 unexpected" in line
    assert line.count("layer") + line.count("trunk.") <= 5


def packed(file, kind):
    """Something that is commonly taken for a checkpoint."""
    if kind == "pointer":
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    elif kind == "page":
        file.write_text("\n<!DOCTYPE html><html><body>Sign in</body></html>")
    elif kind == "folder":
        file.mkdir()
    else:
        saved(file.with_name("inside.pth"), THEIRS)
        opened = tarfile.open if kind == "tar" else zipfile.ZipFile
        with opened(file, "w") as archive:
            add = archive.add if kind == "tar" else archive.write
            add(file.with_name("inside.pth"), "inside.pth")
    return file


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pointer", "a pointer of Git LFS.*git lfs pull"),
        ("page", "an HTML page.*download the file itself"),
        ("folder", "a folder.*give the file in it"),
        ("tar", r"an archive \(inside.pth\).*unpack it"),
        ("zip", r"an archive \(inside.pth\).*unpack it"),
    ],
)
def test_what_is_taken_for_a_checkpoint_is_called_what_it_is(tmp_path, kind, words):
    """With what to do."""
    with pytest.raises(DamagedData, match=words):
        read_checkpoint(packed(tmp_path / "a.pth", kind))
