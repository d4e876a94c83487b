# The only commands people need. Each can be the first one run on a fresh clone: what is missing is installed first.
#   make demo               everything, ending in cited answers
#   make up PYTHON=python3.12 STATE_DIR=/var/lib/ragline

# The state folder: the environment's STATE_DIR, else the one in .env, else .ragline (as pipelines/settings.py reads it).
ifeq ($(origin STATE_DIR),undefined)
STATE_DIR := $(shell sed -n 's/^STATE_DIR=//p' .env 2>/dev/null)
endif
STATE_DIR := $(or $(STATE_DIR),.ragline)
export STATE_DIR

PYTHON ?= $(shell for python in python3 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' 2>/dev/null && echo $$python && break; done)

UV := $(STATE_DIR)/env/uv/bin/uv
ENV := $(STATE_DIR)/env/pipelines
RAGLINE := $(ENV)/bin/ragline
INSTALL := $(UV) pip install --quiet --python $(ENV)/bin/python --no-deps

IMAGE ?= ragline/pipelines:$(VERSION)
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' pipelines/__init__.py)
COMMA := ,
# pip's and uv's own variables name the files that tell of a company's index; a build is given them as secrets
IMAGE_OPTIONS = --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git describe --always --abbrev=40 --dirty --exclude '*' 2>/dev/null) \
	$(if $(PLATFORMS),--platform $(PLATFORMS)) $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE)) \
	$(if $(PIP_CONFIG_FILE),--secret id=pip$(COMMA)src=$(PIP_CONFIG_FILE)) \
	$(if $(UV_CONFIG_FILE),--secret id=uv$(COMMA)src=$(UV_CONFIG_FILE)) $(BUILD_OPTIONS)

# `down` and the like must not install a stack only to say that none runs.
IF_INSTALLED = @test -x $(RAGLINE) || { echo "Nothing is installed here yet, so nothing is running."; exit 0; };

.DEFAULT_GOAL := help
.PHONY: help env up down status logs demo test test-compose image pin-images lint fix bench bench-ingest bench-retrieval bench-router bench-compose lock clean python

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-15s %s\n", $$1, $$2 }'

env: ## write what must be set into .env, each secret a fresh one; what is there stays
	@sh compose/make-env.sh $(if $(filter env,$(MAKECMDGOALS)),,--native)

up: env $(ENV)/.native ## install what is missing, start everything, print the address and the login
	@$(RAGLINE) up

down: ## stop everything that `make up` started; documents, chats and workflows stay
	$(IF_INSTALLED) $(RAGLINE) down

status: ## what runs, since when, and how much memory it takes
	$(IF_INSTALLED) $(RAGLINE) status

logs: ## follow the logs; one part: make logs PART=n8n
	$(IF_INSTALLED) $(RAGLINE) logs $(PART)

demo: env $(ENV)/.native ## bring the stack up, add sample documents, ask, and print cited answers
	@$(RAGLINE) demo

test: lint ## every check and every test, on the real parts
	@$(ENV)/bin/python -m pytest tests/unit tests/contract tests/models tests/fakes tests/workflows tests/deploy tests/documents tests/access
	@$(ENV)/bin/python -m pytest tests/hostile tests/crash
	@$(ENV)/bin/python -m pytest tests/e2e
	@$(ENV)/bin/python -m pytest tests/embedding tests/evals tests/scale

test-compose: $(ENV)/.dev ## the real docker-compose.yml in containers; with the vendors' images: make test-compose IMAGES=real
	@$(ENV)/bin/python -m pytest tests/compose --images $(or $(IMAGES),stand-in)

image: ## build the image of pipelines; for both platforms: make image PLATFORMS=linux/amd64,linux/arm64 PUSH=1 IMAGE=...
	$(if $(findstring $(COMMA),$(PLATFORMS)),$(if $(PUSH),,@echo "An image for several platforms goes into a registry: add PUSH=1 and IMAGE=<registry>/<name>:<tag>."; exit 1))
	@docker buildx version >/dev/null 2>&1 || { echo "Images are built by Docker with its buildx plugin: install both."; exit 1; }
	@docker buildx build --file pipelines/Dockerfile --tag $(IMAGE) $(if $(PUSH),--push,--load) $(IMAGE_OPTIONS) .

pin-images: ## ask the registries for the digest of each version, and write it into the compose files and the Dockerfile
	@compose/pin-images.sh

lint: $(ENV)/.dev ## style, format and types
	@$(ENV)/bin/ruff check --quiet .
	@$(ENV)/bin/ruff format --quiet --check .
	@$(ENV)/bin/mypy --no-error-summary

fix: $(ENV)/.dev ## put style and format right
	@$(ENV)/bin/ruff check --quiet --fix .
	@$(ENV)/bin/ruff format --quiet .

bench: $(ENV)/.dev ## first token and answers per second: the model alone, through n8n, through Open WebUI
	@$(ENV)/bin/python -m tests.bench

bench-ingest: $(ENV)/.dev ## ingestion stage by stage beside its limits, and whether it keeps what is promised
	@$(ENV)/bin/python -m tests.bench.ingest --state-dir $(STATE_DIR)

bench-retrieval: $(ENV)/.dev ## how fast passages are found, in how much memory, and beside Open WebUI's own retrieval
	@$(ENV)/bin/python -m tests.bench.retrieval --state-dir $(STATE_DIR)

bench-router: $(ENV)/.dev $(STATE_DIR)/env/litellm/.ready ## what the model router adds to a model, beside LiteLLM's proxy
	@$(ENV)/bin/python -m tests.bench.router --state-dir $(STATE_DIR)

bench-compose: $(ENV)/.dev ## memory, processor and disk of the stack in containers, and the time to its first answer
	@$(ENV)/bin/python -m tests.bench.compose_sizes --state-dir $(STATE_DIR)

clean: down ## remove what was installed; documents, chats and workflows stay
	@rm -rf $(STATE_DIR)/env $(STATE_DIR)/models .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- locked requirements ----------------------------------------------------------------------------------------------

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --annotation-style line --custom-compile-command "make lock" \
	--no-emit-index-url --no-emit-find-links --no-emit-package torch --constraints requirements/torch.txt \
	$(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--torch-backend cpu) $(UPGRADE)

lock: $(STATE_DIR)/env/uv/.ready ## resolve the locked requirements anew; newest versions: make lock UPGRADE=--upgrade
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt
	@$(COMPILE) requirements/open-webui.in -o requirements/open-webui.txt
	@$(COMPILE) requirements/litellm.in -o requirements/litellm.txt
	@$(COMPILE) pyproject.toml --all-extras -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra native --extra models --extra build -c requirements/dev.txt -o requirements/native.txt
	@$(COMPILE) pyproject.toml --extra qdrant --extra cache -c requirements/dev.txt -o requirements/image.txt
	@$(COMPILE) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	@$(COMPILE) requirements/export.in -c requirements/dev.txt -o requirements/export.txt

# --- environments: a stamp is written last, so that an interrupted installation is done again ----------------------------

python:
	@test -n "$(PYTHON)" || { echo "Ragline needs Python 3.11 or 3.12: install one and run make again, or name it: make up PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])' 2>/dev/null \
		|| { echo "$(PYTHON) is not Python 3.11 or 3.12: name one that is, as in make up PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make environments: install its venv module (Debian and Ubuntu: apt install python3-venv)"; exit 1; }

$(STATE_DIR)/env/uv/.ready: requirements/uv.txt | python
	@echo "Preparing the installer"
	@umask 022 && mkdir -p $(@D) && $(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r $<
	@touch $@

$(ENV)/.native: requirements/native.txt pyproject.toml $(STATE_DIR)/env/uv/.ready
	@echo "Installing the pipelines"
	@umask 022 && $(UV) venv --quiet --allow-existing --python $(STATE_DIR)/env/uv/bin/python $(ENV)
	@umask 022 && $(INSTALL) --require-hashes -r $<
	@umask 022 && $(INSTALL) --no-build-isolation --editable .
	@touch $@

$(STATE_DIR)/env/litellm/.ready: requirements/litellm.txt $(STATE_DIR)/env/uv/.ready
	@echo "Installing LiteLLM, to measure beside"
	@umask 022 && $(UV) venv --quiet --allow-existing --python $(STATE_DIR)/env/uv/bin/python $(@D)
	@umask 022 && $(UV) pip install --quiet --python $(@D)/bin/python --no-deps --require-hashes -r $<
	@touch $@

$(ENV)/.dev: requirements/dev.txt $(ENV)/.native
	@echo "Installing the development tools"
	@umask 022 && $(INSTALL) --require-hashes -r $<
	@touch $@
