"""Teachers trained elsewhere are refused whole, in one line that says what to do."""

from hashlib import sha256

import pytest
from imports import KEY, NETWORK, command, copied_checkpoint, small_project, take

from kdbench.errors import DamagedData, UnknownName, UserError


@pytest.fixture
def project(tmp_path):
    """See `small_project`."""
    return small_project(tmp_path)


@pytest.fixture
def checkpoint(project, trained_once):
    """See `trained_checkpoint`."""
    return copied_checkpoint(trained_once, project)


def test_a_checkpoint_below_its_claimed_accuracy_is_not_imported(project, checkpoint):
    """The line says what was measured and what may be wrong."""
    file, top1 = checkpoint
    with pytest.raises(DamagedData, match=rf"top-1 {top1:.2f} %.*{top1 - 5:.2f} % within 0\.1"):
        take(project, file, top1 - 5)

    assert not (project.root / "data/teachers").exists()


def test_a_misspelt_file_is_said_before_any_data_set_is_fetched(project):
    """One line is all that happens."""
    done = command(project, "nothing.pth", "--network", NETWORK, "--dataset", "cinic10")

    assert done.returncode == 2 and not done.stdout
    assert done.stderr.strip().startswith("kdbench: teacher import: nothing.pth: no such file")
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_absent_checkpoint_is_one_line(project):
    """The line gives the command that imports it."""
    project.edit(teachers={KEY: "0" * 64})
    with pytest.raises(
        UserError, match=r"wants the checkpoint 000000000000.*kdbench teacher import"
    ):
        project.run(f"teacher/{NETWORK}")


@pytest.mark.parametrize("harm", ["weights", "description", "another network"])
def test_what_was_imported_is_checked_before_use(project, checkpoint, harm):
    """Changed weights, a broken description and another network's checkpoint are refused."""
    imported_teacher = take(project, *checkpoint)
    file = project.paths.checkpoint(imported_teacher.sha256)
    if harm == "weights":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif harm == "description":
        file.with_suffix(".json").write_text("{")
    key = "cifar100/resnet110" if harm == "another network" else KEY
    if harm == "another network":
        project.edit(pairs=["resnet110:resnet32"])
    project.edit(teachers={key: imported_teacher.sha256})
    with pytest.raises(DamagedData, match="kdbench teacher import"):
        project.run("teacher/" + key.partition("/")[2])


@pytest.mark.parametrize("key", ["cifar100/resnet57", "cifar1000/resnet56", "resnet56"])
def test_a_teacher_of_an_unknown_network_is_refused(project, key):
    """The plan names the nearest network."""
    project.edit(teachers={key: "0" * 64})
    with pytest.raises(UnknownName, match=r"params.yaml, teachers: no \w+ is called"):
        project.spec(f"teacher/{NETWORK}")


def test_a_malformed_hash_is_refused(project):
    """The line names the key of params.yaml."""
    project.edit(teachers={KEY: "abc"})
    with pytest.raises(UserError, match=rf"params.yaml, teachers\.{KEY}: found 'abc'"):
        project.spec(f"teacher/{NETWORK}")


def test_import_prints_what_params_yaml_needs(project, checkpoint):
    """Its last line can be pasted."""
    file, top1 = checkpoint
    done = command(project, file, "--network", NETWORK, "--claim", top1)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == (
        f"teachers: {{{KEY}: {sha256(file.read_bytes()).hexdigest()}}}"
    )


def test_weights_of_another_network_are_one_line(project, checkpoint):
    """For one of another depth: counts, five keys, exit code 3."""
    done = command(project, checkpoint[0], "--network", "resnet110", "--claim", "70")

    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "not the weights of resnet110" in done.stderr and "missing (trunk." in done.stderr


def test_a_share_is_taken_as_one(project, checkpoint):
    """And said to be."""
    file, top1 = checkpoint
    done = command(project, file, "--network", NETWORK, "--claim", top1 / 100)

    assert done.returncode == 0, done.stderr
    assert f"is taken as a share: {top1:.2f} %" in done.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mean", "0.5,0.5,0.5"], "found --mean, expected --constants, or --mean and --std"),
        (["--mean", "0.5,x", "--std", "1,1"], "--mean: found '0.5,x', expected numbers in 0..1"),
        (["--mean", "0.5", "--std", "0.5"], "one per channel"),
        (["--interpolation", "bilinaer"], "did you mean 'bilinear'"),
        (["--crop", "9"], "--crop: found 9, expected at most 8"),
        (["--class-order", "absent.txt"], "absent.txt: found FileNotFoundError"),
        (["--part", "modle"], "no part is called 'modle'; did you mean 'model'"),
    ],
)
def test_a_wrong_option_is_one_line(project, checkpoint, options, words):
    """Nothing is kept."""
    done = command(project, checkpoint[0], "--network", NETWORK, "--claim", "70", *options)

    assert done.returncode == 2 or "absent" in words
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (project.root / "data/teachers").exists()


def test_a_file_is_looked_at_before_its_data_set_is_downloaded(project, checkpoint):
    """Its keys are wrong for the network, and nothing was fetched."""
    words = ("--network", "resnet110", "--dataset", "cifar10", "--claim", "70")
    done = command(project, checkpoint[0], *words)

    assert "not the weights of resnet110" in done.stderr and done.stderr.count("\n") == 1
    assert not (project.root / "data/cifar10").exists()


def test_an_import_without_a_claimed_accuracy_is_refused(project, checkpoint):
    """Nothing is taken on trust."""
    done = command(project, checkpoint[0], "--network", NETWORK)

    assert done.returncode == 2
    assert "give --claim" in done.stderr and done.stderr.count("\n") == 1
