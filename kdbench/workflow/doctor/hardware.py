"""Checks of the machine: Python and packages, cores and memory, devices, shared memory."""

from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from kdbench.plan.graph import Graph
from kdbench.plan.scales import PAPER
from kdbench.store.locks import SETTING
from kdbench.store.teacher_runs import ComputingRun
from kdbench.workflow.doctor.findings import Finding, care, fine, wrong
from kdbench.workflow.doctor.machine import Machine

OLDEST = Version("3.11")
GB = 1_000_000_000
LEAST_MEMORY = 4 * GB
LEAST_SHARED = 1 * GB  # for the processes that decode images
LARGE_IMAGES = "imagenet"


def check_python(machine: Machine) -> Iterator[Finding]:
    """Python and the packages that kdbench asks for."""
    if Version(machine.python) < OLDEST:
        yield wrong("python", machine.python, f"kdbench needs {OLDEST} or newer")
    problems = list(_unmet(machine))
    for text in problems:
        yield wrong("packages", text, "make setup, or pip install -c constraints.txt -e .")
    if not problems:
        yield fine("packages", f"Python {machine.python}, every package in its range")


def _unmet(machine: Machine) -> Iterator[str]:
    for text in machine.required:
        try:
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                continue
            version = machine.installed.get(canonicalize_name(requirement.name))
            if version is None:
                yield f"{requirement.name} is not installed"
            elif not requirement.specifier.contains(version, prereleases=True):
                yield f"{requirement.name} {version}, but {requirement.specifier} is needed"
        except (InvalidRequirement, InvalidVersion) as error:
            yield f"{text}: {error}"


def check_cores(machine: Machine, graph: Graph) -> Iterator[Finding]:
    """Threads per run against cores, and main memory."""
    threads = max(r.runtime.threads for r in graph.runs.values() if isinstance(r, ComputingRun))
    if threads > machine.cores:
        text = f"{threads} threads per run on {machine.cores} cores"
        advice = f"set scales.{graph.scale.name}.threads to {machine.cores} or less"
        yield care("cores", text, advice)
    else:
        yield fine("cores", f"{machine.cores}, {threads} per run")
    if machine.memory is not None and machine.memory < LEAST_MEMORY:
        advice = "snakemake --cores 1, so that one run works at a time"
        yield care("memory", f"{machine.memory / GB:.1f} GB", advice)


def check_devices(machine: Machine, graph: Graph) -> Iterator[Finding]:
    """GPUs, torch's CUDA, and the device that is asked for."""
    asked = machine.environment.get("KDBENCH_DEVICE", "")
    if asked.startswith("cuda") and not machine.gpus:
        yield wrong("device", f"KDBENCH_DEVICE is {asked}, and no GPU is visible", "unset it")
    if machine.gpus and machine.cuda is None:
        text = f"{machine.gpus} GPUs are visible, but torch was built without CUDA"
        yield wrong("device", text, "install the torch of your CUDA version (pytorch.org)")
    if not machine.gpus and graph.scale.name == PAPER.name:
        advice = "kdbench estimate says how long it takes"
        yield care("device", "scale paper without a GPU", advice)
    if machine.gpus and machine.cuda and asked != "cpu":
        yield fine("device", f"{machine.gpus} GPUs, torch with CUDA {machine.cuda}")
    if asked == "cpu" or not machine.gpus:
        yield fine("device", "the CPU")


def check_shared_memory(machine: Machine, graph: Graph) -> Iterator[Finding]:
    """Room for the batches that processes hand over which decode images."""
    if machine.shared_memory is None or machine.shared_memory >= LEAST_SHARED:
        return
    decodes = any(run.dataset == LARGE_IMAGES for run in graph.runs.values())
    text = f"/dev/shm has {machine.shared_memory / 1e6:.0f} MB"
    advice = "enlarge it (containers: --shm-size 4g), or set KDBENCH_WORKERS=0"
    if decodes:
        yield wrong("shared memory", text, advice)
    else:
        yield care("shared memory", text, f"{advice} before streaming encoded images")


def check_environment(machine: Machine) -> Iterator[Finding]:
    """Variables with values that kdbench refuses later."""
    kind = machine.environment.get(SETTING) or "kernel"
    if kind not in ("kernel", "files"):
        yield wrong("environment", f"{SETTING} is {kind!r}", "'kernel' or 'files'")
    for name, least in (("KDBENCH_GPUS", 0), ("KDBENCH_JOB_MINUTES", 1), ("KDBENCH_WORKERS", 0)):
        text = machine.environment.get(name, "")
        if text and not (text.isascii() and text.isdigit() and int(text) >= least):
            yield wrong("environment", f"{name} is {text!r}", f"a number of at least {least}")
