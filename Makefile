# Two commands do everything on a fresh machine:  make quickstart   and   make test
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

UV := .uv/bin/uv
RUN := .venv/bin
export MUJOCO_GL ?= egl
export LP_NUM_THREADS ?= 0
export HF_HUB_OFFLINE ?= 1
export PYTHONWARNINGS ?= ignore::DeprecationWarning

help:  ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.uv/bin/uv:
	@python3 -c 'import sys; assert sys.version_info[:2] == (3, 12), f"Vantage needs Python 3.12 as python3, found {sys.version.split()[0]}; install it (Debian, Ubuntu: python3.12 and python3.12-venv; or pyenv install 3.12)"'
	python3 -m venv .uv
	.uv/bin/pip install -q --disable-pip-version-check 'uv==0.9.30'

.venv/.synced: requirements.lock pyproject.toml | .uv/bin/uv
	[ -x $(RUN)/python ] || $(UV) venv -q --python "$$(python3 -c 'import sys; print(sys.executable)')" .venv
	$(UV) pip sync -q requirements.lock
	$(UV) pip install -q --no-deps -e . -e plugins/lerobot_policy_vantage
	touch .venv/.synced

setup: .venv/.synced  ## make the environment in .venv
	@bash tools/check_system.sh

lock: | .uv/bin/uv  ## solve the dependencies again
	$(UV) pip compile -q --all-extras --generate-hashes --no-header pyproject.toml -o requirements.lock

quickstart: setup  ## ten minutes: demonstrations, two HABC rounds with rescues, evaluation, report
	$(RUN)/vantage quickstart --out runs/quickstart

test: setup check  ## everything that must hold, ten minutes
	$(RUN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup  ## style, types and layers
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/lint-imports --no-cache
	$(RUN)/pyright --pythonpath $(RUN)/python

mutants: setup  ## known mistakes, one at a time: the tests must notice each
	$(RUN)/python tests/mutants/run_mutants.py --out runs/mutants.jsonl

faults: setup  ## kills, races, damage, bad input: an hour, goes on where it was; what was held and lost
	$(RUN)/python tests/faults/run_faults.py

bench: setup  ## speeds, each beside a peer in the same run
	$(RUN)/python -m benchmarks.run

.PHONY: help setup lock quickstart test check mutants faults bench
