"""Jobs for Kubernetes as profiles/kubernetes renders them; no cluster is asked."""

import json
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from kdbench.workflow import kubernetes
from kdbench.workflow.snakemake import Workflow

GOLDEN = Path(__file__).parents[1] / "golden/kubernetes_jobs.yaml"
FOLDER = Path("/kdbench/project")
OPTIONS = Namespace(
    image="registry.example.org/kdbench:latest",
    claim="kdbench",
    mount="/kdbench",
    gpu_resource="nvidia.com/gpu",
    gpu_type="nvidia.com/gpu.product=A100",
)


def script_of(tmp_path, phase):
    """A job script as Snakemake writes it, for the first run of a phase at scale paper."""
    (tmp_path / "params.yaml").touch()
    config = {"scale": "paper", "exhibits": ["distpro/table1"], "pairs": ["resnet56:resnet20"]}
    workflow = Workflow(config, tmp_path, lambda: False)
    run = next(run for run in workflow.graph.runs.values() if run.phase == phase)
    job = SimpleNamespace(digest=run.digest)
    resources = {
        "gpu": workflow.gpus(job),
        "runtime": workflow.minutes(job),
        "mem_mb": workflow.memory(job, 1),
    }
    properties = {"rule": phase, "threads": workflow.threads(job), "resources": resources}
    return f"#!/bin/sh\n# properties = {json.dumps(properties)}\ncd /kdbench/project && snakemake\n"


def rendered(script, **options):
    """The Job of a script."""
    given = Namespace(**{**vars(OPTIONS), **options})
    return kubernetes.render(script, given, name="kdbench-1", folder=FOLDER, owner=(1000, 100))


def test_jobs_of_three_phases_are_rendered_as_in_the_golden_file(tmp_path):
    """One asks for no GPU; deadline, memory and GPUs are those of the plan's requests."""
    phases = ("data", "search", "student")

    jobs = {phase: rendered(script_of(tmp_path, phase)) for phase in phases}

    assert jobs == yaml.safe_load(GOLDEN.read_text())


def test_a_gpu_is_asked_for_by_its_type_only_where_one_is_needed(tmp_path):
    """Nodes without a GPU stay open to the preparation of data."""
    data = rendered(script_of(tmp_path, "data"))["spec"]["template"]["spec"]
    any_gpu = rendered(script_of(tmp_path, "student"), gpu_type="")["spec"]["template"]["spec"]

    assert "nodeSelector" not in data
    assert "nodeSelector" not in any_gpu
    assert any_gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize(
    ("conditions", "state"),
    [
        ([], "running"),
        ([{"type": "Suspended", "status": "False"}], "running"),
        ([{"type": "Failed", "status": "False"}], "running"),
        ([{"type": "Complete", "status": "True"}], "success"),
        (
            [{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}],
            "failed",
        ),
    ],
)
def test_a_jobs_state_is_read_from_its_conditions(conditions, state):
    """In the three words that Snakemake knows."""
    assert kubernetes.state_of({"status": {"conditions": conditions}}) == state


def kubectl(folder, monkeypatch, answer, code=0):
    """A program of that name, which writes down its words and its input."""
    program = folder / "kubectl"
    asked = folder / "asked"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n[ "$1" = create ] && cat >> {asked}\n'
        f"printf '%s' '{answer}' >&{2 if code else 1}\nexit {code}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return asked


def test_a_submitted_job_is_created_and_named(tmp_path, monkeypatch, capsys):
    """What is printed is the name in what kubectl is given."""
    asked = kubectl(tmp_path, monkeypatch, "created")
    script = tmp_path / "job.sh"
    script.write_text(script_of(tmp_path, "student"))
    monkeypatch.chdir(tmp_path)
    words = [f"--{k.replace('_', '-')}={v}" for k, v in vars(OPTIONS).items() if k != "mount"]

    assert kubernetes.main(["submit", *words, f"--mount={tmp_path}", str(script)]) == 0

    first, _, job = asked.read_text().partition("\n")
    assert first == "create --filename=-"
    assert json.loads(job)["metadata"]["name"] == capsys.readouterr().out.strip()


def test_status_and_cancel_ask_for_the_job(tmp_path, monkeypatch, capsys):
    """Nothing else is printed, because Snakemake reads it."""
    asked = kubectl(tmp_path, monkeypatch, '{"status": {}}')

    assert kubernetes.main(["status", "kdbench-1"]) == 0
    assert kubernetes.main(["cancel", "kdbench-1", "kdbench-2"]) == 0

    assert capsys.readouterr().out == "running\n"
    assert asked.read_text().splitlines() == [
        "get job kdbench-1 --output=json",
        "delete job --wait=false kdbench-1 kdbench-2",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"text": "#!/bin/sh\n"}, "no line '# properties = {...}'"),
        ({"mount": "/elsewhere"}, "expected a folder in /elsewhere"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(tmp_path, monkeypatch, capsys, change, words):
    """Nothing is created."""
    asked = kubectl(tmp_path, monkeypatch, "")
    script = tmp_path / "job.sh"
    script.write_text(change.get("text") or script_of(tmp_path, "data"))
    monkeypatch.chdir(tmp_path)
    mount = change.get("mount", str(tmp_path))
    given = [f"--{k.replace('_', '-')}={v}" for k, v in vars(OPTIONS).items() if k != "mount"]

    assert kubernetes.main(["submit", *given, f"--mount={mount}", str(script)]) == 2

    assert words in capsys.readouterr().err
    assert not asked.exists()


def test_a_refusal_of_kubectl_is_passed_on_in_one_line(tmp_path, monkeypatch, capsys):
    """As it stands."""
    kubectl(tmp_path, monkeypatch, "no such job", code=1)

    assert kubernetes.main(["status", "kdbench-1"]) == 2
    assert capsys.readouterr().err == "kdbench: kubectl get: no such job\n"
