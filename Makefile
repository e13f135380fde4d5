# Every command of the project. `make help` lists them.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What pip and the AWS SDKs would otherwise take from outside, and SAM tell outside or write in the home folder.
export SAM_CLI_TELEMETRY := 0
export __SAM_CLI_APP_DIR := $(CURDIR)/.aws-sam/cli
export PYTHONDONTWRITEBYTECODE :=

PYTHON := .venv/bin/python
UV := .venv/bin/uv
SAM_BUILD := .aws-sam/build/.complete
RUNTIME := .devstack/runtime/.complete
SOURCES := template.yaml devstack/system/artifact.py $(shell find functions statemachine -type f -not -path '*/__pycache__/*' 2>/dev/null)

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: .venv/.complete $(RUNTIME) monitors browser ## Install everything that the other commands need

.venv/.complete: uv.lock pyproject.toml
	@.ci/step "Python 3.13 in .venv" .venv .ci/python
	@.ci/step "Python's packages" .venv $(UV) sync --frozen
	@touch $@

# What a function finds on Lambda: the runtime client and boto3, and nothing else.
$(RUNTIME): uv.lock .venv/.complete
	@UV_PROJECT_ENVIRONMENT=.devstack/runtime .ci/step "Lambda's runtime" .devstack/runtime $(UV) sync --frozen --only-group runtime --compile-bytecode
	@touch $@

# Prometheus, Alertmanager and the blackbox exporter, where they are not installed; the same for Chromium, which tests and pictures need.
monitors:
	@.ci/step "Prometheus and Alertmanager" .devstack/programs .ci/programs monitoring .devstack/programs

browser:
	@.ci/step "Chromium" .devstack/programs .ci/programs browser .devstack/programs

build: .venv/.complete $(SAM_BUILD) ## Build the functions for deployment

# Lambda's code folder is read-only, so what is not compiled here is compiled again at every cold start. A zip changes the times of files,
# so the bytecode may not depend on them. Every function has the same code: one folder is compiled.
$(SAM_BUILD): $(SOURCES)
	@mkdir -p .aws-sam
	@.ci/step "The functions" .aws-sam flock .aws-sam/lock $(PYTHON) -m devstack.system.build
	@cat .aws-sam/build/left-out.txt

up: .venv/.complete $(RUNTIME) monitors build ## Start the whole system on this machine (MONITORING=0: without Prometheus; STANDBY=1: with a standby; ROSTER=file.yaml: another roster; JOBS="url ec2 opensearch": watch more)
	@$(PYTHON) -m devstack up

demo: .venv/.complete $(RUNTIME) monitors build ## The same with the console in a browser; AUTO=1: play one incident and end
	@$(PYTHON) -m devstack demo

monitoring: .venv/.complete ## Write the monitoring for a deployed stack (STACK=on-call REGION=… JOBS="url ec2 opensearch elasticsearch" OUT=monitoring)
	@$(PYTHON) -m oncall_cli monitoring render $(or $(OUT),monitoring) --stack-name $(or $(STACK),on-call) $(if $(REGION),--region $(REGION)) --jobs "$(or $(JOBS),url)"

pictures: setup build ## Make the pictures of docs/pictures: play an incident in a browser, and look at it
	@$(PYTHON) -m devstack.system.pictures

# Temporary files have a folder of their own, which stays if a test fails: what it started has logged there.
define pytest
@export TMPDIR=$$(mktemp --directory --tmpdir on-call-tests.XXXXXX); \
trap 'test $$? = 1 && echo "Files of what failed: $$TMPDIR" || { chmod -R u+w "$$TMPDIR"; rm -r "$$TMPDIR"; }' EXIT; \
.venv/bin/pytest -q --numprocesses auto $(1)
endef

style: .venv/.complete
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet

types: .venv/.complete
	@.venv/bin/mypy --no-error-summary

lint: style types ## Check style, types and the template
	$(call pytest,tests/template/test_lint.py)

check: .venv/.complete ## The quick loop: lint, and the tests of the domain and of the state machine
	@$(MAKE) --jobs 3 --output-sync style types quick-tests

# They wait for nothing: one worker a core, and one for what the state machine waits for.
quick-tests:
	$(call pytest,--numprocesses $$(($$(nproc) + 1)) tests/template/test_lint.py tests/unit tests/functional tests/statemachine)

# What lints the template is among the tests.
test: setup ## Everything that CI checks
	@$(MAKE) --jobs 3 --output-sync build style types
	$(call pytest,--durations 20 --durations-min 1)

fresh: ## Run the demonstration in a fresh clone on a fresh Debian (COMMAND="make test"; WHO=root: not as an ordinary user)
	@.ci/fresh "$(or $(COMMAND),make demo AUTO=1)"

# Not part of `make test`: what a suite holds changes.
newest: setup build ## Test the monitoring with the programs of another suite of Debian's (SUITE=sid)
	@.ci/programs monitoring $(CURDIR)/.devstack/programs-$(or $(SUITE),sid) $(or $(SUITE),sid)
	@PATH=$(CURDIR)/.devstack/programs-$(or $(SUITE),sid)/usr/bin:$$PATH .venv/bin/pytest -q tests/monitoring tests/devstack/test_monitoring.py tests/e2e/test_outages.py

soak: setup build ## Play a random night for an hour (SOAK_SECONDS, SOAK_SEED) and hold it to the promises
	@SOAK_SECONDS=$${SOAK_SECONDS:-3600} .venv/bin/pytest -q tests/soak

fuzz: .venv/.complete ## Send 10,000 random requests to every door (FUZZ, FUZZ_SEED)
	@export FUZZ=$${FUZZ:-10000} FUZZ_SEED=$${FUZZ_SEED:-$$RANDOM$$RANDOM}; \
	echo "FUZZ=$$FUZZ FUZZ_SEED=$$FUZZ_SEED"; .venv/bin/pytest -q --numprocesses auto tests/functional/test_fuzz.py

bench: setup build ## Measure webhook to ring, storms, and how long an alert is said (BASE=folder: compare with a run's files)
	@for what in ring cold slack policies storm sizes thousand large; do \
		base=$$(ls $(BASE)/*-$$what.json 2> /dev/null | tail -1); \
		$(PYTHON) -m tests.benchmarks $$what $${base:+--base $$base}; \
	done
	@PYTHONPATH=functions $(PYTHON) -m tests.benchmarks.speech
	@FLOOD_RATE=2000 FLOOD_SECONDS=60 FLOOD_MOST_LATER=60 .venv/bin/pytest -q -s tests/e2e/test_flood.py

requirements: .venv/.complete ## Write functions/requirements.txt, with hashes, from the lock file
	@$(UV) export --quiet --frozen --only-group functions --no-header --no-annotate --output-file functions/requirements.txt

# With a hundred packages of its own it is no part of the environment; uv keeps it in its cache.
checkov: .venv/.complete ## Hold the translated template to checkov's rules; .checkov.yaml has the exceptions and why
	@$(PYTHON) -m tests.template.translated .aws-sam/translated/template.json
	@$(UV) tool run --quiet --python $(PYTHON) checkov==3.3.30 --config-file .checkov.yaml --file .aws-sam/translated/template.json

# CycloneDX. What devstack/system/artifact.py leaves out of the artifact is in it all the same.
sbom: .venv/.complete ## Write what the functions ship with, and its hashes (OUT=.aws-sam/sbom.cdx.json)
	@mkdir -p .aws-sam
	@$(UV) export --quiet --frozen --only-group functions --format cyclonedx1.5 --output-file $(or $(OUT),.aws-sam/sbom.cdx.json)
	@echo $(or $(OUT),.aws-sam/sbom.cdx.json)

# Of all that is in the lock file, tools too. It asks osv.dev.
audit: .venv/.complete ## Look for known vulnerabilities in what we use
	@$(UV) audit --frozen --preview-features audit

clean: ## Remove what was built and what the devstack left
	@rm -rf .aws-sam .devstack .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help setup monitors browser build up demo monitoring pictures style types lint check quick-tests test fresh newest soak fuzz bench \
	requirements checkov sbom audit clean
