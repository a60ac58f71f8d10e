"""Note that today's code gives the same numbers as an older commit's.

    python tests/golden/same_code.py COMMIT

A record says by which code it was made. After files were moved or renamed, or code was reworded,
with golden numbers and revisions as they were, this pairs the fingerprint that COMMIT's code has
for each planned run with today's, in kdbench/store/same_code.json: finished records then go on
counting as made by today's code. Run `make test` first: it holds the golden numbers. The next edit
that could change a number makes another fingerprint, which these pairs do not name. Pairs that no
record in results/ needs are left out.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Older commits kept these two modules elsewhere, and had other names in them.
PROGRAM = """
import json
try:
    from kdbench.papers import catalogue
    from kdbench.store.fingerprint import run_fingerprint
except ImportError:
    from kdbench.plan.fingerprint import run_fingerprint
    from kdbench.plan.graph import catalogue
from kdbench.plan.graph import make_graph
from kdbench.plan.params import Params
ids = [exhibit.id for exhibit in catalogue()]
codes = {}
for scale in ("smoke", "lite", "paper"):
    runs = make_graph(Params(scale=scale, exhibits=ids)).runs
    codes |= {digest: run_fingerprint(run) for digest, run in runs.items()}
print(json.dumps(codes))
"""


def fingerprints(root):
    """Fingerprint of the code of every planned run, by the run's digest."""
    command = [sys.executable, "-c", PROGRAM]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout)


def paired(known, before, now):
    """All pairs: those known, led on to today's code, and the new ones.

    Args:
        known: older fingerprint -> fingerprints of equal code.
        before: older fingerprints by run.
        now: today's fingerprints by run.
    """
    pairs, today = {}, set(now.values())
    for digest in before.keys() & now.keys():
        pairs.setdefault(before[digest], set()).add(now[digest])
    for code, equals in known.items():
        led = (pairs.get(equal, {equal} & today) for equal in equals)
        pairs.setdefault(code, set()).update(*led)
    proper = {code: sorted(equals - {code}) for code, equals in sorted(pairs.items())}
    return {code: equals for code, equals in proper.items() if equals}


def named():
    """Fingerprints of the code that made the records in results/."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from golden.committed import committed_records

    return {record["provenance"]["code"] for record in committed_records()}


def main(commit):
    """Write the pairs; returns the exit code."""
    sys.path.insert(0, str(ROOT))
    from kdbench.store.fingerprint import SAME_CODE

    known = json.loads(SAME_CODE.read_text()) if SAME_CODE.is_file() else {}
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "kdbench"], cwd=ROOT, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        every = paired(known, fingerprints(folder), fingerprints(ROOT))
    codes = named()
    pairs = {code: equals for code, equals in every.items() if code in codes}
    SAME_CODE.write_text(json.dumps(pairs, indent=1) + "\n", encoding="utf-8")
    print(f"{len(pairs)} fingerprints of older code count as today's")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
