"""The small project of the workflow's tests, for those that are no tests of pytest's."""

import importlib.util
from pathlib import Path

_FILE = Path(__file__).parent / "workflow" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("workflow_conftest", _FILE)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)
Project, TINY, new_project = _MODULE.Project, _MODULE.TINY, _MODULE.new_project
