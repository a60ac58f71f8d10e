# %% [markdown]
# # An engineer chooses a method for a student
#
# Given a teacher and a student, which loss is worth its price? A table of its own sets five methods
# beside the student alone, with what each costs. Everything runs at scale `smoke`, on digits: the
# costs are real, the accuracies say nothing.
#
# Run it as a script, `python examples/choose_a_method.py FOLDER`, or cell by cell in an editor that
# knows `# %%`.

# %%
import json
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "choose-a-method")
folder.mkdir(parents=True, exist_ok=True)


def kdbench(*words: str) -> None:
    """Call the command line in the project's folder."""
    subprocess.run([sys.executable, "-m", "kdbench", *words], cwd=folder, check=True)


# %% [markdown]
# ## The question as a table
#
# `teacher` is a row, so that the report shows how far a student is from it. `comparisons` asks
# whether the seeds decide one row against another.

# %%
PARAMS = """scale: smoke
exhibits: [own]
tables:
  - id: choice
    title: "Which method for ResNet20?"
    pairs: ["resnet56:resnet20"]
    methods: [teacher, none, kd, dkd, sp, reviewkd]
    comparisons: [[kd, none], [reviewkd, kd]]
    sizes: true
    seeds: 2
"""
(folder / "params.yaml").write_text(PARAMS)
kdbench("run", "--all")
kdbench("report")

# %% [markdown]
# ## Accuracy against cost
#
# Accuracies are in `cells.csv`; what a training cost is in the students' records.

# %%
cells = pd.read_csv(folder / "reports/smoke/own/cells.csv")
accuracy = cells[(cells["n"] > 0) & (cells["row"] != "Teacher")].set_index("row")["ours_mean"]
students = [
    json.loads(file.read_text(encoding="utf-8"))
    for file in sorted((folder / "results/smoke/records/student").rglob("*.json"))
]
costs = pd.DataFrame(
    {
        "method": record["spec"]["params"]["method"]["name"],
        "ms per step": 1000 * record["cost"]["seconds"] / record["cost"]["steps"],
        "peak memory, MiB": record["cost"]["peak_memory_bytes"] / 2**20,
    }
    for record in students
)
print(accuracy.to_string(), "\n")
print(costs.groupby("method").mean().round(1).to_string())

# %%
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
means = costs.groupby("method")["ms per step"].mean().sort_values()
axes.barh(means.index, means, color="#4c78a8")
axes.invert_yaxis()
axes.set_xlabel("ms per training step, one thread")
figure.savefig(folder / "choose_a_method.png", dpi=120)
print(f"picture: {folder / 'choose_a_method.png'}")

# %% [markdown]
# ## Take the student along
#
# The folder holds weights, architecture and a model card; `kdbench.load` gives the network back.

# %%
kdbench("export", "student/resnet56_resnet20_kd_s0", "--out", "resnet20-kd")
print("exported:", ", ".join(sorted(file.name for file in (folder / "resnet20-kd").iterdir())))
