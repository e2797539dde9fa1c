# The commands of this repository. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch's CPU build; named first, since a plain "torch" pulls gigabytes of CUDA
TORCH := torch==2.13.0
WORKERS ?= 2

.PHONY: help demo test coverage lint format docs bench clean

help:  ## show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 20

$(VENV)/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	@touch $@

$(VENV)/plain: $(VENV)/made pyproject.toml
	$(BIN)/pip install --quiet -e .
	@touch $@

$(VENV)/dev: $(VENV)/plain pyproject.toml
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet -e ".[sources,train-test,dev]"
	@touch $@

demo: $(VENV)/plain  ## compile ocr_textocr from a miniature of TextOCR and load it
	@rm -rf demo/raw
	$(BIN)/vflan miniature textocr --out demo/raw --n 200
	cd demo && ../$(BIN)/vflan-compile --task ocr_textocr --raw raw --out vision-flan
	@cd demo && HF_HUB_OFFLINE=1 ../$(BIN)/python -c "$$SHOW_ONE"
	@echo "The compiled folder is $(CURDIR)/demo/vision-flan"

define SHOW_ONE
from datasets import load_dataset
from rich import print
print(load_dataset("vision-flan", "ocr_textocr", split="train")[0])
endef
export SHOW_ONE

test: $(VENV)/dev  ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS)

coverage: $(VENV)/dev  ## run all tests and report branch coverage (at least 90 %)
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term --cov-fail-under=90

lint: $(VENV)/dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev  ## let ruff put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/dev  ## make docs/tasks.md and docs/cli.md anew
	$(BIN)/python -m tests.docs.generate

bench: $(VENV)/dev  ## measure the compile and the record pass, as ratios
	$(BIN)/python -m tests.benchmarks.compile
	$(BIN)/python -m tests.benchmarks.records

clean:  ## remove what the commands above made
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
