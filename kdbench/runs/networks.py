"""The networks of a run: built by name, or out of what a search found."""

from kdbench.data.stored.open import Stored
from kdbench.engine.seeds import seeded
from kdbench.models.pruning.build import build_pruned
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import StagedNetwork
from kdbench.runs import assemble
from kdbench.runs.job import Job
from kdbench.store.spec import RunSpec


def trained_network(job: Job, spec: RunSpec, data: Stored, seed: int) -> StagedNetwork:
    """The network that a teacher's or student's run trains, with fresh weights.

    Args:
        job: the run in progress: `spec` itself, or the evaluation of it. Where the student was
            found, the search stands among the job's upstream runs as "structure".
        spec: whose network.
        data: gives classes and image.
        seed: of the weights.
    """
    entry = spec.params["student" if spec.phase == "student" else "network"]
    if "found_by" not in entry:
        return assemble.make_network(entry, data, seed, job.precision)
    structure = Structure.load(job.upstream("structure"))
    with seeded(seed, "network", entry["name"]):
        network = build_pruned(structure, len(data.classes), data.image)
    placed: StagedNetwork = job.precision.place(network)  # type: ignore[assignment]
    return placed
