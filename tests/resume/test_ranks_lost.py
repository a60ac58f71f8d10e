"""Ranks of a run that are killed, hang or run out of memory, and what the run goes on to.

Every test here starts processes several times: one is left to the quick suite.
"""

import json

import pytest
from forked import COMMAND
from rank_processes import ended, start_ranks
from tiny_project import SCALE, TEACHER, TinyProject, without_times

STOPPED = 75
DISTURBED = """
import os, signal, time
from kdbench.engine import fit
taken, plain = [], fit._take_step
def disturbed(*arguments):
    taken.append(1)
    if len(taken) == 8:
        {disturbance}
    return plain(*arguments)
fit._take_step = disturbed
"""
DISTURBANCES = {
    "is gone": "os.kill(os.getpid(), signal.SIGKILL)",
    "hangs": "time.sleep(600)",
    "ran out of memory": "raise MemoryError('no room')",
}


def project(folder, **scale):
    """A tiny project whose trainings have two ranks."""
    several = {"ranks": 2, "synchronise_norms": True, **scale}
    others = ["none", "kd", "distpro"]  # the table has L2T-ww too, which several ranks refuse
    return TinyProject(folder, scales={"smoke": {**SCALE, **several}}, methods_only=others)


def start(project, size=2, disturbance=None, name=TEACHER, **settings):
    """All ranks of a run; the last one may be disturbed in its 8th step."""
    disturbed = DISTURBED.format(disturbance=disturbance) + COMMAND
    codes = {size - 1: disturbed} if disturbance else {}
    return start_ranks(project, size, name, codes=codes, **settings)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A teacher that two ranks trained from beginning to end."""
    made = project(tmp_path_factory.mktemp("undisturbed"))
    codes, printed = ended(start(made))
    assert codes == [0, 0], printed
    return made


@pytest.mark.slow
@pytest.mark.parametrize("said", DISTURBANCES)
def test_a_lost_rank_ends_all_in_one_line_and_the_restart_has_the_same_bits(
    tmp_path, undisturbed, said
):
    """The line names the rank; the same number of ranks goes on from the last checkpoint."""
    made = project(tmp_path / "project")
    patience = {"KDBENCH_RANK_TIMEOUT": 10} if said == "hangs" else {}
    codes, printed = ended(start(made, disturbance=DISTURBANCES[said], **patience))

    lines = [line for text in printed for line in text.splitlines() if "kdbench: " in line]
    assert any(said in line and "rank 1" in line for line in lines), printed
    assert codes[0] != 0 and "Traceback" not in printed[0]
    assert not made.record_file(TEACHER).exists()

    codes, printed = ended(start(made))
    assert codes == [0, 0], printed
    assert made.files() == undisturbed.files()
    ours, theirs = (json.loads(p.record_file(TEACHER).read_text()) for p in (made, undisturbed))
    ours["cost"].pop("scaling_efficiency")
    theirs["cost"].pop("scaling_efficiency")
    assert without_times(ours) == without_times(theirs)
    assert ours["provenance"]["ranks"] == 2


@pytest.mark.slow
def test_the_efficiency_of_a_record_leaves_out_the_time_that_the_first_rank_waits(tmp_path):
    """The other rank sleeps 3 seconds in one step: the first one's record lacks as much."""
    made = project(tmp_path / "project")
    codes, printed = ended(start(made, disturbance="time.sleep(3)"))
    assert codes == [0, 0], printed

    cost = json.loads(made.record_file(TEACHER).read_text())["cost"]
    waited = (1 - cost["scaling_efficiency"]) * cost["seconds"]
    assert 2 < waited < cost["seconds"]


@pytest.mark.slow
def test_a_run_that_another_number_of_ranks_goes_on_with_says_so(tmp_path):
    """SIGTERM to one rank stops both with a checkpoint; a process alone goes on to the end."""
    made = project(tmp_path / "project")
    stop = "os.kill(os.getpid(), signal.SIGTERM)"
    codes, printed = ended(start(made, disturbance=stop))
    assert codes == [STOPPED, STOPPED], printed
    assert sum("stopped" in text for text in printed) == 1

    code, printed = made.command(TEACHER)
    assert code == 0, printed
    record = json.loads(made.record_file(TEACHER).read_text())
    assert any("planned for 2 ranks, made by 1" in note for note in record["notes"])
    assert any("numbers of ranks in turn (2, 1)" in note for note in record["notes"])
    assert [origin["ranks"] for origin in record["provenance"]["origins"]] == [2, 1]
