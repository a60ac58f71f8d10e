"""What profiles/slurm asks of the cluster that it is read on."""

import re
import subprocess


def status_command() -> str:
    """The command that shows the state of a job: `sacct`, or `squeue` where there is no accounting.

    `sacct` is installed everywhere; without accounting it knows no job, and who asks it waits for
    ever.
    """
    try:
        shown = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return "squeue"
    kept = re.search(
        r"^AccountingStorageType\s*=\s*accounting_storage/slurmdbd", shown.stdout, re.M
    )
    return "sacct" if kept else "squeue"
