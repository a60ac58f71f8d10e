# %% [markdown]
# # A reviewer checks a claim
#
# DistPro says that a searched process beats equal weights. This takes one column of the evidence
# through search, students and report, then asks for the claim's state and what would decide it.
# Everything runs at scale `smoke`, on digits, where no claim is ever decided: that is the point.
#
# Run it as a script, `python examples/check_a_claim.py FOLDER`, or cell by cell in an editor that
# knows `# %%`.

# %%
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt

from kdbench.plan.graph import load_graph
from kdbench.store.paths import Paths

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "check-a-claim")
folder.mkdir(parents=True, exist_ok=True)


def kdbench(*words: str) -> None:
    """Call the command line in the project's folder."""
    subprocess.run([sys.executable, "-m", "kdbench", *words], cwd=folder, check=True)


# %% [markdown]
# ## The evidence
#
# Two rows of Table 1 in one column. At scale `paper` leave out `pairs`: the claim is about all six
# columns.

# %%
PARAMS = """scale: smoke
exhibits: [distpro/table1]
pairs: ["resnet56:resnet20"]
methods_only: [equal, distpro]
seeds: 3
"""
(folder / "params.yaml").write_text(PARAMS)
kdbench("run", "--all")
kdbench("report")

# %% [markdown]
# ## What the report says
#
# `kdbench why` takes the id of a claim, which the report prints. It gives the state, and the
# evidence in words: the lead, half of its interval, and the smallest lead that the seeds at hand
# could decide.

# %%
kdbench("why", "distpro/advantage")

# %% [markdown]
# ## What was searched
#
# A claim about a search is worth a look at what the search did: the weights of the pathways, step
# by step, as its record holds them.

# %%
(search,) = [run for run in load_graph(folder).runs.values() if run.phase == "search"]
record = json.loads(Paths(folder).record(search).read_text(encoding="utf-8"))
print(
    "searched in", round(record["cost"]["wall_seconds"]), "s; curves:", ", ".join(record["curves"])
)
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for name, values in record["curves"].items():
    if name != "epoch":
        axes.plot(record["curves"]["epoch"], values, marker="o", label=name)
axes.set_xlabel("search epoch")
axes.legend()
figure.savefig(folder / "check_a_claim.png", dpi=120)
print(f"picture: {folder / 'check_a_claim.png'}")
