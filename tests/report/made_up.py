"""Records made up through the real plan, so that reports can be tested without any training."""

from math import exp

from finished import TRANSFORMS

from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
from kdbench.store.paths import Paths
from kdbench.store.record import write_record

WITHOUT_LIBRARIES = "kdbench.report.site.assets._version"  # tests have it find none
FIRST = {"exhibits": ["distpro/table1", "distpro/figure6"], "datasets": ["cifar100"]}


def provenance(spec, **more):
    """Where a made-up record comes from."""
    return {
        "commit": "0123456789abcdef",
        "dirty": False,
        "versions": {"python": "3.11.7", "torch": "2.9.0"},
        "device": "test device",
        "threads": 1,
        "precision": "float32",
        "seed": getattr(spec, "seed", None),
        **more,
    }


class Project:
    """A project folder with a plan whose runs can be declared finished."""

    def __init__(self, root, **params):
        self.graph = make_graph(Params(**{**FIRST, **params}))
        self.paths = Paths(root)
        self.table = next(iter(self.graph.tables()), None)

    def cell(self, row, pair=0):
        """The cell of table 1 in the row of that label and the column of that number."""
        teacher_and_student = self.table.pairs[pair]
        cells = self.graph.cells[self.table.id]
        return next(c for c in cells if c.row.label == row and c.column.pair == teacher_and_student)

    def write(self, spec, metrics=None, **more):
        """Write a finished run's record and return its path."""
        record = {
            "spec": spec.as_dict(),
            "metrics": metrics or {},
            "curves": {},
            "cost": {"seconds": 1800.0, "steps": 20},
            "provenance": provenance(spec),
            "artifacts": {},
            "notes": [],
            **more,
        }
        path = self.paths.record(spec)
        write_record(path, record)
        return path

    def evaluate(self, row, best, last=None, pair=0):
        """Finish one cell, with the top-1 of each of its runs."""
        runs = [
            {
                "cell": f"{row}_s{seed}",
                "digest": "0" * 12,
                "seed": seed,
                "last": {"top1": b - 1.0 if last is None else last[seed], "top5": 99.0},
                "best": {"top1": b, "top5": 99.0, "epoch": 2},
                "selected": None,
            }
            for seed, b in enumerate(best)
        ]
        return self.write(self.cell(row, pair).evaluation, {"reported": "best", "runs": runs})

    def search(self, listed=5, **process):
        """Finish the search of figure 6, with weight that moves to the highest teacher map."""
        maps = (1, 2, 3)
        names = [f"t{t}-s{s}-{k}" for t in maps for s in maps for k in TRANSFORMS]
        slopes = [(t - 2) * (s + k) for t in maps for s in maps for k in range(3)]
        rows = [softmax([slope * i / listed / 20 for slope in slopes]) for i in range(listed)]
        content = {
            "pathways": names,
            "steps": [10 * i for i in range(listed)],
            "weights": rows,
            "alphas": rows,
            "total_steps": 10 * listed,
            **process,
        }
        return self.write(self.graph.drawn["distpro/figure6"]["search"], process=content)


def softmax(free):
    """The biased softmax of a list."""
    powers = [exp(a) for a in free]
    return [p / (sum(powers) + exp(1)) for p in powers]
