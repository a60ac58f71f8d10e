"""Snakemake's jobs as Kubernetes Jobs over one shared volume; profiles/kubernetes calls this.

`python -m kdbench.workflow.kubernetes submit|status|cancel` calls `kubectl`, in the namespace that
it is set to. A job runs in the folder that Snakemake runs in, which must lie in the volume, mounted
at the same path everywhere.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdbench.console import fail, say
from kdbench.errors import BadValue, UserError

PROPERTIES = re.compile(r"^# properties = (\{.*\})$", re.MULTILINE)
GRACE = 120  # seconds from SIGTERM to SIGKILL, in which a checkpoint is written
SHARED_MEMORY = "4Gi"  # of /dev/shm; the usual 64 MiB are too few for processes that decode images
KEPT = 7 * 86400  # seconds that an ended Job stays to be looked at


def main(words: Sequence[str] | None = None) -> int:
    """Do one command; returns the exit code."""
    given = _parser().parse_args(words)
    try:
        given.run(given)
    except UserError as error:
        return fail(error)
    return 0


def render(
    script: str, options: argparse.Namespace, *, name: str, folder: Path, owner: tuple[int, int]
) -> dict[str, Any]:
    """The Job that runs one of Snakemake's job scripts.

    Args:
        script: its text, with the properties that Snakemake writes into it.
        options: `image`, `claim`, `mount`, `gpu_resource`, `gpu_type`.
        name: of the Job.
        folder: that Snakemake runs in.
        owner: numbers of the user and the group that own the project.

    Raises:
        UserError: the script has no properties, or the folder is not in the volume.
    """
    match = PROPERTIES.search(script)
    if match is None:
        raise UserError("the job script: no line '# properties = {...}', which Snakemake writes")
    if not folder.is_relative_to(options.mount):
        raise BadValue("the project's folder", str(folder), f"a folder in {options.mount}")
    properties = json.loads(match[1])
    resources = properties["resources"]
    labels = {"app": "kdbench", "rule": properties["rule"]}
    volumes = {
        "project": {"persistentVolumeClaim": {"claimName": options.claim}},
        "shared-memory": {"emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}},
    }
    mounts = {"project": options.mount, "shared-memory": "/dev/shm"}
    container = {
        "name": "kdbench",
        "image": options.image,
        "command": ["/bin/sh", "-c", script],
        "workingDir": str(folder),
        "resources": _limits(properties["threads"], resources, options.gpu_resource),
        "volumeMounts": [{"name": key, "mountPath": path} for key, path in mounts.items()],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {"runAsUser": owner[0], "runAsGroup": owner[1]},
        "containers": [container],
        "volumes": [{"name": key, **volume} for key, volume in volumes.items()],
        **_selector(options.gpu_type if resources.get("gpu") else ""),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0,  # Snakemake counts the attempts
            "activeDeadlineSeconds": 60 * resources["runtime"],
            "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def state_of(job: Mapping[str, Any]) -> str:
    """What Snakemake calls a Job's state: "success", "failed" or "running"."""
    held = {
        condition["type"]
        for condition in job.get("status", {}).get("conditions", [])
        if condition["status"] == "True"
    }
    return "success" if "Complete" in held else "failed" if "Failed" in held else "running"


def _limits(threads: int, resources: Mapping[str, Any], gpu: str) -> dict[str, Any]:
    """Requests equal limits, as Kubernetes demands of GPUs; a core may be taken beyond."""
    memory = {"memory": f"{resources['mem_mb']}M"}
    gpus = {gpu: str(resources["gpu"])} if resources.get("gpu") else {}
    return {"requests": {"cpu": str(threads), **memory, **gpus}, "limits": {**memory, **gpus}}


def _selector(label: str) -> dict[str, Any]:
    key, _, value = label.partition("=")
    return {"nodeSelector": {key: value}} if label else {}


def _submit(given: argparse.Namespace) -> None:
    script = Path(given.script).read_text(encoding="utf-8")
    name = f"kdbench-{uuid.uuid4().hex[:16]}"
    owner = (os.getuid(), os.getgid())
    job = render(script, given, name=name, folder=Path.cwd(), owner=owner)
    _kubectl(["create", "--filename=-"], json.dumps(job))
    say(name)


def _status(given: argparse.Namespace) -> None:
    say(state_of(json.loads(_kubectl(["get", "job", given.job, "--output=json"]))))


def _cancel(given: argparse.Namespace) -> None:
    _kubectl(["delete", "job", "--wait=false", *given.jobs])


def _kubectl(words: Sequence[str], text: str = "") -> str:
    try:
        done = subprocess.run(["kubectl", *words], input=text, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("kubectl: no such program; install it where Snakemake runs") from None
    if done.returncode:
        raise UserError(f"kubectl {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kdbench.workflow.kubernetes")
    commands = parser.add_subparsers(required=True)
    submit = commands.add_parser("submit", help="create the Job of a job script; print its name")
    for option in ("image", "claim", "mount", "gpu-resource"):
        submit.add_argument(f"--{option}", required=True)
    submit.add_argument("--gpu-type", default="")
    submit.add_argument("script")
    status = commands.add_parser("status", help="print success, failed or running")
    status.add_argument("job")
    cancel = commands.add_parser("cancel", help="delete Jobs")
    cancel.add_argument("jobs", nargs="+")
    for command, run in ((submit, _submit), (status, _status), (cancel, _cancel)):
        command.set_defaults(run=run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
