"""What every test may count on."""

import pytest

pytest_plugins = ("plan_fixtures", "run_fixtures")

# Files whose tests share something that is long to make.
TOGETHER = (
    "workflow/test_snakemake_and_dvc.py",
    "workflow/test_parity.py",
    "workflow/test_dvc_keeps_everything.py",
    "workflow/test_finished_records.py",
    "workflow/test_server.py",
    "workflow/test_tune.py",
    "report/test_whole_report.py",
    "runs/test_export.py",
    "resume/test_kill.py",
    "resume/test_ranks_lost.py",
    "runs/test_pruned_students.py",
    "runs/test_whole_trainings_on_ranks.py",
    "cli/test_networks_page.py",
)


@pytest.fixture
def float64():
    """Make float64 the default for tests that compare arithmetic, and put float32 back."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def one_thread():
    """Run on one thread: bits depend on their number, and test workers share the cores."""
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Deal tests out one by one, but those files each to one process, before all others.

    The mark `xdist_group` would say the same, but has no effect under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Dealer(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if file.endswith(TOGETHER) else nodeid

    return Dealer(config, log)
