# %% [markdown]
# # A researcher adds her loss to a paper's table
#
# The loss matches where the student's and the teacher's last maps look. It becomes one more row of
# DistPro's Table 1, beside the student alone, KD and ReviewKD. Everything runs at scale `smoke`,
# on digits: it shows the way, not how good the loss is.
#
# Run it as a script, `python examples/add_a_loss.py FOLDER`, or cell by cell in an editor that
# knows `# %%`.

# %%
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "add-a-loss")
folder.mkdir(parents=True, exist_ok=True)


def kdbench(*words: str) -> None:
    """Call the command line in the project's folder."""
    subprocess.run([sys.executable, "-m", "kdbench", *words], cwd=folder, check=True)


# %% [markdown]
# ## Two files
#
# `kdbench method new attention_gap` writes them, documented and ready to run. Here they are written
# by hand: the loss, and the declaration with its defaults and ranges.

# %%
LOSS = '''"""The attention of the last stage: where its map is large."""

import torch.nn.functional as F
from torch import Tensor

from kdbench.distill.full_precision import full_precision
from kdbench.distill.loss import DistillationLoss
from kdbench.distill.matching import at_smaller_size


@full_precision
def attention_gap(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of two attention maps of length one, from maps (B, C, H, W)."""
    ours, theirs = (
        F.normalize(maps.square().mean(1).flatten(1)) for maps in at_smaller_size(student, teacher)
    )
    return (ours - theirs).square().sum(1).mean()


class AttentionGap(DistillationLoss):
    """Weighs `attention_gap` of the last stage."""

    def __init__(self, student, teacher, *, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, student, teacher, batch, position) -> dict[str, Tensor]:
        """One term."""
        return {"gap": self.weight * attention_gap(student.out[-1], teacher.out[-1])}
'''
DECLARATION = """kind = "method"
class = "AttentionGap"
label = "Attention gap"
citation = "this example"
revision = 1

[defaults]
weight = 10.0
task_weight = 1.0

[ranges]
weight = [0.0, 1e9]
"""
(folder / "methods").mkdir(exist_ok=True)
(folder / "methods/attention_gap.py").write_text(LOSS)
(folder / "methods/attention_gap.toml").write_text(DECLARATION)

# %% [markdown]
# ## What runs
#
# One column of Table 1 and four of its rows, two seeds.

# %%
PARAMS = """scale: smoke
exhibits: [distpro/table1]
pairs: ["resnet56:resnet20"]
methods_only: [none, kd, reviewkd, attention_gap]
seeds: 2
plugins: [methods]
"""
(folder / "params.yaml").write_text(PARAMS)
kdbench("check", "attention_gap")
kdbench("run", "--all")
kdbench("report")

# %% [markdown]
# ## The table
#
# The page is `reports/smoke/tables/distpro-table1.md`; `cells.csv` holds the same as data.

# %%
cells = pd.read_csv(folder / "reports/smoke/cells.csv")
rows = cells[cells["n"] > 0][["row", "ours_mean", "ours_std", "n", "published"]]
print(rows.to_string(index=False))

# %%
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.barh(rows["row"], rows["ours_mean"], xerr=rows["ours_std"].fillna(0), color="#4c78a8")
axes.invert_yaxis()
axes.set_xlabel("top-1 on digits, %")
axes.set_title("ResNet56 → ResNet20, scale smoke")
figure.savefig(folder / "add_a_loss.png", dpi=120)
print(f"picture: {folder / 'add_a_loss.png'}")

# %% [markdown]
# ## On real images
#
# `kdbench data prepare cifar100`, then `scale: lite` or `scale: paper` in params.yaml, and
# `kdbench estimate distpro/table1` says what that takes. Leave out `methods_only` to have all rows.
