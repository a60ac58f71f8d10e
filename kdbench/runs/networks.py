"""The network that a run trains: built by name, or of what a search left of one."""

from kdbench.data.stored.open import Stored
from kdbench.engine.precision import Precision
from kdbench.engine.seeds import seeded
from kdbench.models.pruning.build import build_pruned
from kdbench.models.pruning.structure import Structure
from kdbench.models.stages import StagedNetwork
from kdbench.runs import assemble
from kdbench.runs.job import Inputs
from kdbench.store.student_runs import MeasuredRun


def trained_network(
    run: MeasuredRun, data: Stored, seed: int, inputs: Inputs, precision: Precision
) -> StagedNetwork:
    """The network that a teacher's or student's run trains, with fresh weights.

    Args:
        run: whose network.
        data: gives classes and image.
        seed: of the weights.
        inputs: gives the structure of a pruned student.
        precision: number format and device.
    """
    if run.structure is None:
        return assemble.make_network(run.trained, data, seed, precision)
    structure = Structure.load(inputs.folder(run.structure))
    with seeded(seed, "network", run.trained.name):
        network = build_pruned(structure, len(data.classes), data.image)
    return precision.place(network)
