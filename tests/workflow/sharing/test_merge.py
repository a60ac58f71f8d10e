"""What `kdbench merge` takes in, what it refuses, and that it overwrites nothing."""

import json
import shutil
import tarfile

import pytest

from kdbench.errors import DamagedData, UserError
from kdbench.store.artifacts import seal
from kdbench.store.record import write_record
from kdbench.workflow.report import write_report
from kdbench.workflow.sharing.merge import merge
from kdbench.workflow.sharing.packed import unpacked

KD = "student/resnet56_resnet20_kd_s0"
TEACHER = "teacher/resnet56"


def merged(source, target, **options):
    """The outcome, and every line that was printed as one text."""
    lines = []
    result = merge(source.root, target.paths, lines.append, **options)
    return result, "\n".join(lines)


def report_of(study):
    """Every page that the report writes, by path."""
    (page,) = write_report(study.graph, study.paths)
    files = (file for file in page.parent.rglob("*") if file.suffix in (".md", ".csv", ".tex"))
    return {str(file.relative_to(page.parent)): file.read_bytes() for file in files}


def test_two_halves_of_a_study_become_the_whole_report(study):
    """Shared runs lie in both halves; the report of the merged records is that of one machine."""
    whole = study("whole").finish()
    students = [run for run in whole.graph.runs.values() if run.phase == "student"]
    halves = [study("first"), study("second")]
    for place, half in enumerate(halves):
        half.finish(
            run
            for target in [
                e for e in half.graph.runs.values() if e.phase in ("evaluation", "student")
            ][place::2]
            for run in target.with_upstream()
        )
    assert all(half.files() != whole.files() for half in halves)
    target = study("target")
    results = [merged(half, target)[0] for half in halves]

    assert target.files() == whole.files()
    assert report_of(target) == report_of(whole)
    assert len(students) > 4
    assert results[1].same and not any(r.conflicts or r.refused for r in results)


def test_a_second_merge_changes_nothing(study):
    """What is here already counts as the same."""
    source, target = study("source").finish(), study("target")
    merged(source, target)
    before = target.files()
    result, _ = merged(source, target)

    assert (len(result.same), result.taken) == (len(source.graph.runs), [])
    assert target.files() == before


def test_a_dry_run_takes_nothing(study):
    """It only says what would be taken."""
    source, target = study("source").finish(), study("target")
    result, _ = merged(source, target, dry=True)

    assert len(result.taken) == len(source.graph.runs)
    assert target.files() == {}


def test_a_tampered_artifact_is_refused(study):
    """With its record, and nothing of either is written."""
    source, target = study("source").finish(), study("target")
    run = source.run(TEACHER)
    (source.paths.artifacts(run) / "last.safetensors").write_text("other weights")
    result, said = merged(source, target)

    assert result.refused == [str(source.paths.record(run))]
    assert "refused: " in said and "last.safetensors: found sha256" in said
    assert not target.paths.record(run).exists() and not target.paths.artifacts(run).exists()


def test_artifacts_sealed_anew_are_not_those_of_the_record(study):
    """A manifest that fits the tampered file does not fit the record."""
    source, target = study("source").finish(), study("target")
    run = source.run(TEACHER)
    (source.paths.artifacts(run) / "last.safetensors").write_text("other weights")
    seal(source.paths.artifacts(run))
    result, said = merged(source, target)

    assert len(result.refused) == 1 and "other artifacts, expected those of the record" in said


def test_a_changed_number_is_refused(study):
    """The record's seal says so."""
    source, target = study("source").finish(), study("target")
    run = source.run("evaluation/resnet56_resnet20_kd")
    source.tamper(run, "70.0", "79.0")
    result, said = merged(source, target)

    assert result.refused == [str(source.paths.record(run))]
    assert "found a record that does not match its seal" in said


def resealed(study, run, change):
    """Change a record and seal it again, as a forger would."""
    file = study.paths.record(run)
    record = json.loads(file.read_text())
    del record["seal"]
    change(record)
    write_record(file, record)
    return file


def test_a_foreign_digest_is_refused(study):
    """A run of other parameters under this run's digest, sealed or not."""
    source, target = study("source").finish(), study("target")

    def more_epochs(record):
        record["spec"]["params"]["recipe"]["epochs"] = 400

    resealed(source, source.run(KD), more_epochs)
    result, said = merged(source, target)

    assert len(result.refused) == 1
    assert f"found digest {source.run(KD).digest}, expected digest" in said


@pytest.mark.parametrize("cell", ["../../../../outside", "/tmp/outside", ".hidden", ""])
def test_a_path_out_of_the_project_is_refused(study, cell):
    """The record's own words never choose a folder elsewhere."""
    source, target = study("source").finish(), study("target")

    def elsewhere(record):
        record["spec"]["cell"] = cell

    resealed(source, source.run(KD), elsewhere)
    result, said = merged(source, target)

    assert len(result.refused) == 1 and "spec.cell" in said


def test_a_manifest_of_files_elsewhere_is_refused(study):
    """No name of an artifact leads out of the run's folder."""
    source, target = study("source").finish(), study("target")
    run = source.run(KD)
    folder = source.paths.artifacts(run)
    outside = folder.parent / "outside.bin"
    shutil.copy(folder / "last.safetensors", outside)
    manifest = json.loads((folder / "artifacts.json").read_text())
    manifest = {"../outside.bin": manifest["last.safetensors"]}
    (folder / "artifacts.json").write_text(json.dumps(manifest))

    def listed(record):
        record["artifacts"] = manifest

    resealed(source, run, listed)
    result, said = merged(source, target)

    assert len(result.refused) == 1 and "files inside the run's folder" in said
    assert not target.paths.artifacts(run).exists()


def test_a_record_of_another_outcome_is_a_conflict_and_what_reads_it_stays_out(study):
    """Both teachers are whole; ours stays, and no student of theirs gets in beside ours."""
    theirs, ours = study("source").finish(weights="other weights"), study("target")
    teacher = ours.run(TEACHER)
    ours.finish(teacher.with_upstream())
    before = ours.files()
    theirs_data = theirs.run("data/cifar100")
    result, said = merged(theirs, ours)

    assert {name: ours.files()[name] for name in before} == before
    assert f"conflict: {teacher.title}: bytes of last.safetensors" in said
    assert "student cifar100 resnet56_resnet20_kd_s0" in result.conflicts
    assert theirs_data.title in result.conflicts  # its bytes differ as well
    assert result.taken == []


def test_a_record_that_read_other_artifacts_than_ours_is_a_conflict(study):
    """Also where its own teacher did not come along."""
    theirs, ours = study("source").finish(weights="other weights"), study("target")
    ours.finish(ours.run(TEACHER).with_upstream())
    for run in theirs.run(TEACHER).with_upstream():
        theirs.paths.record(run).unlink()
    result, said = merged(theirs, ours)

    assert "it read other artifacts of run" in said
    assert "student cifar100 resnet56_resnet20_kd_s0" in result.conflicts


def test_artifacts_come_to_a_record_that_lacks_them(study):
    """A record here and its artifacts there: they fit, so they are taken."""
    source, target = study("source").finish(), study("target").finish()
    folder = target.paths.artifacts(target.run(TEACHER))
    shutil.rmtree(folder)
    result, _ = merged(source, target)

    assert result.completed == [target.run(TEACHER).title]
    assert target.files() == source.files()


def test_a_call_that_breaks_leaves_no_record_without_its_artifacts(study, monkeypatch):
    """The record comes last: the same call later takes the rest."""
    source, target = study("source").finish(), study("target")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("kdbench.workflow.sharing.merge.write_bytes", full)
        with pytest.raises(UserError, match="no room left"):
            merged(source, target)
    assert not list(target.root.glob("results/*/records/**/*.json"))
    merged(source, target)

    assert target.files() == source.files()


def test_only_the_records_of_a_scale_are_taken(study):
    """Where one is given; a scale without records is refused, and the line names its folder."""
    source, target = study("source").finish(), study("target")
    scale = source.graph.params.scale
    other = "lite" if scale != "lite" else "smoke"
    with pytest.raises(UserError, match=f"no record below .*results/{other};"):
        merged(source, target, scale=other)

    assert len(merged(source, target, scale=scale)[0].taken) == len(source.graph.runs)


def test_a_folder_without_records_is_refused(study, tmp_path):
    """One line says what to give."""
    with pytest.raises(UserError, match="give a project folder"):
        merge(tmp_path, study("target").paths, print)


@pytest.mark.parametrize("name", ["/tmp/evil", "../evil", "sent/../../evil"])
def test_an_archive_that_leads_out_is_refused(tmp_path, name):
    """Nothing is written outside, and the line names the archive."""
    file = tmp_path / "bad.tar.xz"
    with tarfile.open(file, "w:xz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(DamagedData, match="leads out of the archive") as error, unpacked(file):
        pass
    assert str(file) in str(error.value)


def test_an_archive_without_records_is_named(study, tmp_path):
    """Not the folder that it is unpacked to for a while."""
    file = tmp_path / "empty.tar.xz"
    with tarfile.open(file, "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("sent/README.md"))
    target = study("target")
    with pytest.raises(UserError, match="no record below") as error, unpacked(file) as folder:
        merge(folder, target.paths, print)
    assert f"{error.value}".startswith(f"{file}: ") and "kdbench-" not in f"{error.value}"


def test_an_archive_that_is_not_there_is_said_to_be_absent(tmp_path):
    """Not to hold no record."""
    with pytest.raises(UserError, match="no such file or folder"), unpacked(tmp_path / "no.tar.xz"):
        pass
