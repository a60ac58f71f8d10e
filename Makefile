# make reproduce: environment, every exhibit at scale smoke, the path of the report.
# make test: environment, checks, tests. Both do all their own set-up.
# make test-all: also the long tests, which catch what shorter ones of make test catch as a rule.
# make bench: some ten minutes of timing on an idle machine, then docs/performance.md.

PYTHON ?= python3
VENV ?= .venv
SCALE ?= smoke
FAULTS ?= 200
SEED ?= 1
FIELD ?= build/field
STAMP := $(VENV)/.installed
export PATH := $(abspath $(VENV))/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: reproduce test test-all coverage chaos bench check docs reference format golden setup clean

reproduce: $(STAMP)
	@kdbench verify --repair --scale $(SCALE)
	@snakemake --cores all reproduce_all --config scale=$(SCALE)
	@echo "The report for a browser: $(CURDIR)/reports/$(SCALE)/index.html"
	@echo "The report: $(CURDIR)/reports/$(SCALE)/README.md"

# Three processes on two cores: some tests wait for others' clocks.
test: $(STAMP) check
	@pytest -n 3

test-all: $(STAMP) check
	@pytest -n 2 -m "not cuda"

# The share of lines and branches that the tests run, by file; the page is htmlcov/index.html.
coverage: $(STAMP)
	@pytest -n 2 --cov --cov-report=term --cov-report=html

check: $(STAMP)
	@ruff check kdbench tests benchmarks docs examples
	@ruff format --check kdbench tests benchmarks docs examples
	@snakefmt --check Snakefile rules
	@mypy --num-workers 2
	@lint-imports --no-cache --no-logo
	@codespell

format: $(STAMP)
	@ruff check --fix kdbench tests benchmarks docs examples
	@ruff format kdbench tests benchmarks docs examples
	@snakefmt Snakefile rules

# Faults into a running smoke, of a small plan: kills, full disks, flipped bits, two commands at once.
# In pieces: make chaos MINUTES=30; the same again goes on where it stopped.
chaos: $(STAMP)
	@python tests/chaos/chaos.py --faults $(FAULTS) --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES))

# The documentation for a browser; a warning fails.
docs: $(STAMP)
	@python docs/reference.py --check
	@python -m sphinx --quiet --fail-on-warning --keep-going docs build/docs
	@echo "The documentation: $(CURDIR)/build/docs/index.html"

# The pages of commands and keys, from the command line and the schemas.
reference: $(STAMP)
	@python docs/reference.py

# Both sides of every comparison, timed in turn, and the page made from the results. The field's
# side needs a checkout of RepDistiller in FIELD, which is cloned where there is none; without one
# its rows are left out, and the page says so.
bench: $(STAMP)
	@test -d $(FIELD) || git clone --quiet --depth 1 https://github.com/HobbitLong/RepDistiller $(FIELD) || true
	@python benchmarks/kd_step.py --minutes 5 --field $(FIELD)
	@python benchmarks/search_steps.py --minutes 2 --only "dfa, first order"
	@python benchmarks/distpro_step.py --minutes 2
	@python benchmarks/frozen_teacher.py --minutes 3
	@python benchmarks/performance_page.py

# Golden numbers of components whose revision was raised, and of new ones.
golden: $(STAMP)
	@python tests/golden/make.py

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"kdbench needs Python 3.11 or newer, found {v[0]}.{v[1]}: make PYTHON=python3.12 ...")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (several minutes and GB the first time: torch)"
	@$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@$(VENV)/bin/python -m kdbench schema >/dev/null
	@touch $(STAMP)

clean:
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .snakemake build *.egg-info
