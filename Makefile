# Every target sets itself up: all it needs is Python 3.11 or newer with its venv module, make, and a package
# registry that pip can reach. A second run finds everything in place; setup.cfg changing brings it up to date.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
environment := .venv
python := $(environment)/bin/python
installed := $(environment)/.installed

# Every process that a test or a benchmark starts would compile all of p2pchat anew, where that is set.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test coverage check manual bench soak mutants clean
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

demo: $(installed) ## a server and two peers on this machine; you are one of them
	@$(python) docs/examples/demo.py

test: $(installed) ## ruff, mypy, all tests
	@$(python) -m tests.gate

coverage: $(installed) ## all tests once more, and which lines of p2pchat ran in them
	@$(python) -m tests.gate coverage

check: $(installed) ## ruff and mypy only
	@$(python) -m tests.gate check

manual: $(installed) ## write the manual pages and completions in share/, when options or commands have changed
	@$(python) -m tests.make_manual

bench: $(installed) ## speed and memory beside bare programs, docs/performance.md
	@$(python) -m benchmarks

SEEDS ?= 10000
ROUNDS ?= 1000
soak: $(installed) ## all tests with full counts (SEEDS=10000 ROUNDS=1000), and those that are slow or need the registry
	@P2PCHAT_SOAK=1 P2PCHAT_SEEDS=$(SEEDS) P2PCHAT_ROUNDS=$(ROUNDS) $(python) -m tests.gate trial

mutants: $(installed) ## put mistakes into a copy of the source: the tests must notice each
	@$(python) -m tests.mutants

clean: ## remove what the other targets left, but for .venv
	@rm -rf build dist *.egg-info _trial_temp* .coverage .coverage.* .mypy_cache .ruff_cache .hypothesis demo-state
	@rm -f twisted/plugins/dropin.cache
	@find . -name .venv -prune -o -name __pycache__ -prune -exec rm -rf {} +

# An environment without pip was left half made, or made without ensurepip; --clear makes it anew.
$(installed): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "p2pchat needs Python 3.11 or newer: apt install python3 python3-venv" >&2; exit 1; }
	@$(python) -c 'import pip' 2>/dev/null || $(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    test "$$(id -u)" = 0 && apt-get -qq update && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends python3-venv; } || { \
	    echo "this Python cannot make a virtual environment: apt install python3-venv" >&2; exit 1; }
	@$(python) -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(environment)
	@echo "installing p2pchat and its tools into $(environment)"
	@$(python) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
