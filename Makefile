# Gantry: everything starts here. Needs Python 3.11 or newer (with venv) and make, nothing else.

VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .data/clients/venv
FUZZ := .data/fuzz/venv
NEWEST := for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done
PYTHON ?= $(shell $(NEWEST))
PIP := -m pip --disable-pip-version-check --quiet --quiet install

.DEFAULT_GOAL := help
.PHONY: help setup up test matrix mutations check fuzz clients openstack e2e lab libvirt postgresql soak attack procrastinate screenshots browser client-venv fuzz-venv openstack-services bench audit docs checksums constraints clean

help: ## Show this help
	@echo "Gantry: move, save and mend virtual machines."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=8774 and DATA_DIR=data choose the port and the data folder: make up PORT=9000"

setup: ## Make the virtual environment in .venv, unless it is there already
	@cmp -s constraints.txt $(VENV)/installed.txt || { \
		test -n "$(PYTHON)" || { echo "Gantry needs Python 3.11 or newer with venv. Say where it is: make $(MAKECMDGOALS) PYTHON=…"; exit 1; }; \
		echo "Installing into $(VENV) (once; about a minute) …"; \
		$(PYTHON) -m venv $(VENV) && $(BIN)/python $(PIP) -r constraints.txt && cp constraints.txt $(VENV)/installed.txt; }

up: setup $(if $(filter postgres%,$(DATABASE_URL)),procrastinate) $(if $(filter lab,$(FLEET)),libvirt) ## Start everything: database, fleet, web server and worker; Ctrl-C stops it (FLEET=lab: on real guests, as root)
	@$(if $(filter lab,$(FLEET)),,GANTRY_PARENT=$$PPID )exec $(BIN)/python $(if $(filter lab,$(FLEET)),-m tests.lab.up,manage.py up)

test: setup ## Run the tests
	@DATA_DIR=.data/test $(BIN)/python -m pytest -n auto

MATRIX ?= all
RESULTS := .data/matrix.jsonl

matrix: setup ## Strike each action at each point, and see that it comes to a right end (MATRIX=0/6: a sixth of it)
	@mkdir -p .data && rm -f $(RESULTS)
	@MATRIX=$(MATRIX) MATRIX_RESULTS=$(abspath $(RESULTS)) DATA_DIR=.data/test \
		$(BIN)/python -m pytest -n auto --nomigrations --show-capture=no tests/matrix; outcome=$$?; \
		DATA_DIR=.data/test DJANGO_SETTINGS_MODULE=project.settings $(BIN)/python -m tests.matrix.table \
		$(RESULTS) $(if $(filter all,$(MATRIX)),docs/crash-matrix.md) && exit $$outcome

mutations: setup ## Break the engine in one place after the other, and see that a test notices it
	@$(BIN)/python -m tests.matrix.mutations

fuzz: fuzz-venv ## Send what schemathesis makes of the OpenAPI document: each boundary, and 2,000 more (FUZZ_EXAMPLES)
	@DATA_DIR=.data/test $(FUZZ)/bin/python -m pytest -n auto tests/fuzz/test_document.py --show-capture=no

fuzz-venv: setup  # schemathesis needs an older Hypothesis than the other tests have
	@mkdir -p $(FUZZ) && sed '/^hypothesis==/d' constraints.txt | cat - tests/fuzz/constraints.txt > $(FUZZ)/wanted.txt
	@cmp -s $(FUZZ)/wanted.txt $(FUZZ)/installed.txt || { \
		$(PYTHON) -m venv $(FUZZ) && $(FUZZ)/bin/python $(PIP) -r $(FUZZ)/wanted.txt && \
		cp $(FUZZ)/wanted.txt $(FUZZ)/installed.txt; }

check: setup ## Run ruff, mypy, import-linter and the check for missing migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@DATA_DIR=.data/test $(BIN)/python manage.py makemigrations --check --dry-run

clients: client-venv ## Run OpenStack's own clients against Gantry, at four microversions
	@CLIENTS=1 $(CLIENTS)/bin/python -m pytest tests/clients --confcutdir=tests/clients -o addopts=-q \
		-p no:cacheprovider -W ignore -n 2 --dist loadgroup

client-venv: setup
	@cmp -s tests/clients/constraints.txt $(CLIENTS)/installed.txt || { \
		$(PYTHON) -m venv $(CLIENTS) && $(CLIENTS)/bin/python $(PIP) -r tests/clients/constraints.txt && \
		cp tests/clients/constraints.txt $(CLIENTS)/installed.txt; }

e2e: browser ## Run the tests of the console in Chromium (apt-get install chromium)
	@E2E=1 DATA_DIR=.data/e2e $(BIN)/python -m pytest tests/e2e -o addopts=

LAB ?= all

lab: libvirt ## Run the tests between two libvirt hosts in namespaces of this machine (root; LAB=0, 1 or 2: the core and a third; LAB=0/6: and a sixth)
	@LAB=$(LAB) DATA_DIR=.data/lab $(BIN)/python -m pytest tests/lab tests/drivers/guest_network -o addopts= --strict-markers

bench: libvirt ## Measure hot paths, and a live migration beside virsh's (root; about eight minutes)
	@$(BIN)/python -m bench.server_list
	@$(BIN)/python -m bench.audit_reading
	@$(BIN)/python -m bench.throughput
	@$(BIN)/python -m bench.queue_delay
	@$(BIN)/python -m bench.audit_trail
	@$(BIN)/python -m bench.web_server
	@$(BIN)/python -m bench.live_migration

libvirt: setup
	@tests/lab/install.sh
	@cmp -s tests/lab/constraints.txt $(VENV)/lab.txt || { \
		$(BIN)/python $(PIP) -r tests/lab/constraints.txt && cp tests/lab/constraints.txt $(VENV)/lab.txt; }
	@tests/lab/guest/build.sh .data/lab/guest

screenshots: browser ## Take pictures of every page: .data/screenshots, four for the README in docs/screenshots
	@DATA_DIR=.data/e2e $(BIN)/python -m tests.e2e.screenshots

browser: setup
	@cmp -s tests/e2e/constraints.txt $(VENV)/browser.txt || { \
		$(BIN)/python $(PIP) -r tests/e2e/constraints.txt && cp tests/e2e/constraints.txt $(VENV)/browser.txt; }

openstack: openstack-services ## Run the tests with a real Keystone and a real Glance, installed into .data/openstack
	@OPENSTACK=1 DATA_DIR=.data/test $(BIN)/python -m pytest tests/openstack -o addopts=

openstack-services: setup
	@$(BIN)/python -m tests.openstack.installing

POSTGRESQL ?= all

postgresql: procrastinate ## Run tests on a PostgreSQL of their own (apt-get install postgresql-15; POSTGRESQL=0/6: a sixth of those that SQLite plays too)
	@DATA_DIR=.data/postgresql $(BIN)/python -m tests.postgresql.cluster sh -c '\
		$(BIN)/python -m pytest tests/postgresql && SHARE=$(POSTGRESQL) \
		$(BIN)/python -m pytest -n 2 tests/audit tests/fleet tests/engine tests/inventory tests/supervisor tests/contracts tests/api'

soak: procrastinate ## Ask for many actions while workers, a machine and the database are broken (SOAK_S=180 seconds; SOAK_ACTIONS=10000 ends it)
	@DATA_DIR=.data/postgresql $(BIN)/python -m tests.postgresql.cluster $(BIN)/python -m tests.soak

attack: setup ## Attack a running Gantry in every way that a review has found, and measure what others feel (ATTACK_S=60 seconds)
	@DATA_DIR=.data/test $(BIN)/python -m tests.attack

procrastinate: setup
	@cmp -s constraints-postgresql.txt $(VENV)/procrastinate.txt || { \
		$(BIN)/python $(PIP) -r constraints-postgresql.txt && \
		cp constraints-postgresql.txt $(VENV)/procrastinate.txt; }

AUDIT := .data/audit/venv
PINNED := constraints.txt constraints-postgresql.txt tests/lab/constraints.txt tests/openstack/constraints.txt

audit: setup ## Ask pip-audit whether a weakness is known of a pinned library (needs the internet)
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python $(PIP) pip-audit; }
	@for file in $(PINNED); do $(AUDIT)/bin/pip-audit --strict --disable-pip --no-deps -r $$file || failed=1; done; test -z "$$failed"

docs: setup ## Draw the state machines again (docs/states.dot, docs/states.md)
	@DATA_DIR=.data/test $(BIN)/python manage.py draw_states

checksums: ## Write down the checksum of a new database migration: from then on it is never edited
	@cd servers/migrations && for file in 0*.py; do \
		grep -q " $$file$$" checksums.txt || sha256sum "$$file" >> checksums.txt; done

constraints: ## Resolve the dependencies of pyproject.toml afresh into constraints.txt
	@dir=$$(mktemp -d) && $(PYTHON) -m venv $$dir && $$dir/bin/python $(PIP) '.[dev]' && \
		{ head -1 constraints.txt; $$dir/bin/pip freeze --exclude gantry; } > $$dir/new && \
		mv $$dir/new constraints.txt && rm -rf $$dir build *.egg-info

clean: ## Remove the virtual environment and what tools have left; data stays
	@rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
