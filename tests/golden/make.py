"""Measure the golden numbers anew: `make golden`, or `python tests/golden/make.py`.

Adds new components, renews those whose revision was raised, drops those that are gone. Refuses to
hide a change: where numbers moved and the revision did not, nothing is written for that component.
To measure something else from now on, delete its entry in revisions.json first.
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.measure import components, defaults, numbers
from golden.stored import FILE, as_text, stored
from test_revisions import differences


def main():
    """Write revisions.json; returns the exit code."""
    torch.set_num_threads(1)
    before, after, refused = stored(), {}, []
    for key, entry in components().items():
        old = before.get(key)
        if old and old["revision"] == entry.revision:
            wrong = differences(old["numbers"], numbers(entry, old["parameters"]))
            if wrong:
                refused.append(f"{key}: {wrong[0]}; raise `{entry.raised}` in {entry.file}")
                after[key] = old
                continue
        parameters = defaults(entry)
        if old and (old["revision"], old["parameters"]) == (entry.revision, parameters):
            after[key] = old
            continue
        measured = numbers(entry, parameters)
        after[key] = {"revision": entry.revision, "parameters": parameters, "numbers": measured}
        print(f"{key}: {len(measured)} numbers of revision {entry.revision}")
    FILE.write_text(as_text(after), encoding="utf-8")
    print(*refused, sep="\n", file=sys.stderr, end="\n" if refused else "")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
