"""The two files of a new method, to start from."""

import keyword
import re
from pathlib import Path

from kdbench.errors import BadValue, UserError
from kdbench.plan.components import find_components

CODE = '''"""{title}: the student's pooled vector, through a linear layer, nears the teacher's."""

import torch.nn.functional as F
from torch import Tensor, nn

from kdbench.data.loaders.batch import Batch
from kdbench.distill.full_precision import full_precision
from kdbench.engine.position import TrainingPosition
from kdbench.models.stages import Features, StagedNetwork


@full_precision
def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two (B, D) matrices: put your formula here.

    Source: your paper, its equation.
    """
    return F.mse_loss(student, teacher)


class {cls}(nn.Module):
    """Weighs `distance` of the pooled vectors.

    Args:
        student: gives the shapes of its stages (`student.stages[i].channels`, `.size`) and the
            length of its pooled vector. Keep no reference to it.
        teacher: the same.
        weight: factor of the term; every keyword here stands in the declaration's [defaults].
    """

    def __init__(
        self, student: StagedNetwork, teacher: StagedNetwork, *, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.weight = weight
        self.connector = nn.Linear(student.pooled_width, teacher.pooled_width)

    def forward(
        self, student: Features, teacher: Features, batch: Batch, position: TrainingPosition
    ) -> dict[str, Tensor]:
        """Named scalars, already weighted; the task's cross-entropy is added elsewhere.

        Features hold `logits`, `pooled`, and by stage (0 is the stem) `pre`, `post`, `out` and
        `blocks`; `position.fraction` says how much of the training is done.
        """
        seen = self.connector(student.pooled)
        return {{"{name}": self.weight * distance(seen, teacher.pooled)}}
'''
DECLARATION = """kind = "method"
class = "{cls}"
label = "{title}"
citation = "where it is described"
revision = 1 # raise it when the arithmetic changes: digests then change, and runs are made anew
teacher_bn = "eval" # or "batch": the teacher normalises with each batch's statistics
fidelity = "what your reader should know"

[defaults]
weight = 1.0
task_weight = 1.0 # of the cross-entropy

[ranges]
weight = [0.0, 1e9]
task_weight = [0.0, 1e9]

# [pairs."wrn-40-2:wrn-16-2"]
# weight = 2.0
"""


def write_skeleton(name: str, folder: Path) -> tuple[Path, Path]:
    """Write `<name>.py` and `<name>.toml`; nothing is overwritten.

    Args:
        name: of the method: small letters, digits and underscores, a letter first.
        folder: made if need be; params.yaml then lists it under `plugins`.

    Returns:
        The two files.

    Raises:
        BadValue: no name for a module, or one that a method of the package has.
        UserError: a file of that name is there.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        expected = "small letters, digits and underscores, a letter first"
        raise BadValue("method new, NAME", name, expected)
    if name in find_components().names("method"):
        raise BadValue("method new, NAME", name, "a name that no method has", "choose another")
    words = name.split("_")
    values = {
        "name": name,
        "cls": "".join(word.capitalize() for word in words),
        "title": " ".join(words).capitalize(),
    }
    code, declaration = folder / f"{name}.py", folder / f"{name}.toml"
    for file in (code, declaration):
        if file.exists():
            raise UserError(f"{file}: is there already; choose another name or folder")
    folder.mkdir(parents=True, exist_ok=True)
    code.write_text(CODE.format(**values), encoding="utf-8")
    declaration.write_text(DECLARATION.format(**values), encoding="utf-8")
    return code, declaration
