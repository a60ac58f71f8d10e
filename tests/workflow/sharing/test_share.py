"""`kdbench share` writes what `kdbench merge` takes, described as an RO-Crate."""

import json
import tarfile
from hashlib import sha256

import pytest

from kdbench.errors import BadValue, UserError
from kdbench.workflow.sharing.merge import merge
from kdbench.workflow.sharing.packed import unpacked
from kdbench.workflow.sharing.share import share

LICENCE = "https://spdx.org/licenses/CC0-1.0"


@pytest.fixture(name="sent")
def sent_fixture(study, tmp_path):
    """A finished study, and the folder that it was shared as."""
    source = study("source").finish()
    source.root.joinpath("params.yaml").write_text("scale: smoke\n")
    options = {"licence": LICENCE, "artifacts": True}
    shared = share(source.graph, source.paths, tmp_path / "sent", **options)
    assert shared == (len(source.graph.runs), 0)
    return source, tmp_path / "sent"


def crate_of(folder):
    """The entities of the crate by their ids."""
    content = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert content["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = {entity["@id"]: entity for entity in content["@graph"]}
    assert len(entities) == len(content["@graph"])
    return entities


def test_what_is_shared_can_be_merged(sent, study):
    """Records and artifacts arrive as they were."""
    source, folder = sent
    target = study("target")
    result = merge(folder, target.paths, print)

    assert len(result.taken) == len(source.graph.runs)
    assert target.files() == source.files()


def test_the_crate_has_what_the_specification_demands(sent):
    """A descriptor about the root, and a root with name, description, date and licence."""
    entities = crate_of(sent[1])
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]

    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert descriptor["about"] == {"@id": "./"} and root["@type"] == "Dataset"
    assert root["license"] == {"@id": LICENCE}
    assert root["datePublished"] == "2026-11-27"
    assert root["name"] and root["description"]


def test_the_crate_names_every_file_with_its_hash_and_no_other(sent):
    """Every file of the folder but the crate's own, each with its SHA-256 and size."""
    folder = sent[1]
    entities = crate_of(folder)
    parts = [part["@id"] for part in entities["./"]["hasPart"]]
    files = [f for f in folder.rglob("*") if f.is_file() and f.name != "ro-crate-metadata.json"]

    assert sorted(parts) == sorted(file.relative_to(folder).as_posix() for file in files)
    for file in files:
        entity = entities[file.relative_to(folder).as_posix()]
        assert entity["sha256"] == sha256(file.read_bytes()).hexdigest()
        assert entity["contentSize"] == str(file.stat().st_size)


def test_the_crate_says_what_every_run_read_and_by_which_program(sent):
    """Each reference leads to an entity of the crate."""
    source, folder = sent
    entities = crate_of(folder)
    student = source.run("student/resnet56_resnet20_kd_s0")
    action = entities[f"#run-{student.digest}"]
    objects = {reference["@id"] for reference in action["object"]}

    assert objects == {
        source.paths.record(run).relative_to(source.root).as_posix()
        for run in student.upstream.values()
    }
    assert entities[action["result"]["@id"]]["@type"] == "File"
    program = entities[action["instrument"]["@id"]]
    assert "torch 2.9.0" in program["softwareRequirements"]
    assert program["version"] == "0123456789abcdef"


def test_without_artifacts_records_alone_come_along(study, tmp_path):
    """They are small, and what a report needs."""
    source = study("source").finish()
    share(source.graph, source.paths, tmp_path / "sent", licence=LICENCE, artifacts=False)

    assert not list(tmp_path.glob("sent/results/*/artifacts"))


def test_a_folder_that_exists_is_refused(sent):
    """Nothing is written into it."""
    source, folder = sent
    with pytest.raises(BadValue, match="that does not exist yet"):
        share(source.graph, source.paths, folder, licence=LICENCE, artifacts=False)


def test_records_without_a_seal_are_left_out(study, tmp_path):
    """Merging would refuse them; where there is no other, so does sharing."""
    source = study("source").finish()
    files = [source.paths.record(run) for run in source.graph.runs.values()]

    def unseal(file):
        record = json.loads(file.read_text())
        del record["seal"]
        file.write_text(json.dumps({**record, "schema": 1}))

    unseal(files[0])
    options = {"licence": LICENCE, "artifacts": False}
    shared = share(source.graph, source.paths, tmp_path / "sent", **options)
    assert shared == (len(files) - 1, 1)
    assert not (tmp_path / "sent" / files[0].relative_to(source.root)).exists()
    for file in files[1:]:
        unseal(file)
    with pytest.raises(UserError, match="with a seal, which merge asks for"):
        share(source.graph, source.paths, tmp_path / "again", **options)


def test_a_plan_without_finished_runs_is_refused(study, tmp_path):
    """There would be nothing to share."""
    with pytest.raises(UserError, match="no run of the plan at scale smoke is finished"):
        empty = study("source")
        share(empty.graph, empty.paths, tmp_path / "sent", licence=LICENCE, artifacts=False)


def test_a_shared_file_can_be_merged(study, tmp_path):
    """The archive holds one folder of its name, and the same bytes for the same runs."""
    source = study("source").finish()
    source.root.joinpath("params.yaml").write_text("scale: smoke\n")
    for name in ("one", "two"):
        file = tmp_path / name / "sent.tar.xz"
        share(source.graph, source.paths, file, licence=LICENCE, artifacts=True)
    assert file.read_bytes() == (tmp_path / "one/sent.tar.xz").read_bytes()
    with tarfile.open(file) as archive:
        assert {name.partition("/")[0] for name in archive.getnames()} == {"sent"}

    target = study("target")
    with unpacked(file) as folder:
        assert len(merge(folder, target.paths, print).taken) == len(source.graph.runs)
    assert target.files() == source.files()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["sent.zip", "sent.tar.gz", "sent.tgz", "sent.tar"])
def test_an_archive_of_another_kind_is_refused(study, tmp_path, name):
    """A folder of that name would surprise."""
    source = study("source").finish()
    with pytest.raises(BadValue, match=r"a file that ends with \.tar\.xz"):
        share(source.graph, source.paths, tmp_path / name, licence=LICENCE, artifacts=False)
    assert not (tmp_path / name).exists()
