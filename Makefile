# The commands of this repository. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2

# Exact versions with their hashes, and nothing that a resolver or a build would look up besides. jsonpath-rw is
# published as source only; lock/build.txt has what builds it.
LOCKED := install --quiet --no-deps --require-hashes --no-build-isolation --only-binary :all: --no-binary jsonpath-rw
EDITABLE := install --quiet --no-deps --no-build-isolation -e .

.PHONY: help demo dev test test-publish test-s3 test-suite-kills test-trainers coverage lint format docs site fuzz bench \
	lock test-newest test-lowest clean

help:  ## show this
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# The pip that comes with the Python is new enough, so none is looked up.
$(VENV)/made: lock/build.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip $(LOCKED) -r lock/build.txt
	@touch $@

$(VENV)/plain: $(VENV)/made lock/plain.txt pyproject.toml
	$(BIN)/pip $(LOCKED) -r lock/plain.txt
	$(BIN)/pip $(EDITABLE)
	@touch $@

$(VENV)/dev: $(VENV)/plain lock/dev.txt
	$(BIN)/pip $(LOCKED) -r lock/dev.txt
	@touch $@

# torch comes last and by version alone: which build fits is the machine's matter. What it needs is there by then,
# in the lock's versions.
$(VENV)/test: $(VENV)/dev lock/test.txt lock/torch.txt
	$(BIN)/pip $(LOCKED) -r lock/test.txt
	$(BIN)/pip install --quiet -r lock/torch.txt
	$(BIN)/pip check
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

dev: $(VENV)/dev  ## set up .venv for work on all but the trainer: no torch

test-publish: $(VENV)/test  ## publish every task from miniatures to the test Hub and search what it received: a minute
	VFLAN_WHOLE_SUITE=1 $(BIN)/python -m pytest tests/hub/test_whole_suite.py

$(VENV)-s3/made: lock/build.txt lock/s3.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)-s3
	$(VENV)-s3/bin/pip $(LOCKED) -r lock/build.txt
	$(VENV)-s3/bin/pip $(LOCKED) -r lock/s3.txt
	$(VENV)-s3/bin/pip $(EDITABLE)
	$(VENV)-s3/bin/pip check
	@touch $@

test-s3: $(VENV)-s3/made  ## compile to a server of S3 and load from it: in an environment of its own, minutes
	$(VENV)-s3/bin/python -m pytest tests/build/test_s3.py

test: $(VENV)/test  ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS)

coverage: $(VENV)/test  ## run all tests and report branch coverage (at least 90 %)
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term --cov-fail-under=90

lint: $(VENV)/dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev  ## format with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/dev  ## regenerate what docs/ makes from code and specs; TASKS=name: the lines of that task alone
	$(BIN)/python -m tests.docs.generate $(TASKS)

site: $(VENV)/dev  ## build the docs as a site in build/docs/site, with a catalog of all tasks: two minutes
	$(BIN)/python -m tests.docs.site build/docs $(TASKS)

fuzz: $(VENV)/dev  ## feed readers with damaged input, FUZZ_SECONDS=20 each; TARGETS="zip sql" for some
	$(BIN)/python -m tests.fuzz.run $(TARGETS)

bench: $(VENV)/dev  ## measure the compile and the record pass, as ratios, and what many configs cost at a load
	$(BIN)/python -m tests.benchmarks.compile
	$(BIN)/python -m tests.benchmarks.records
	$(BIN)/python -m tests.benchmarks.card_cost

test-suite-kills: $(VENV)/test  ## build a whole suite in every way, killed and resumed: the same bytes? Minutes
	$(BIN)/python -m tests.benchmarks.same_bytes

# uv resolves for all platforms at once, which pip cannot; it lives in an environment of its own
UV := uv==0.13.9

$(VENV)-lock/made: Makefile
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet "$(UV)"
	@touch $@

test-trainers: $(VENV)/test $(VENV)-lock/made  ## read the exports with TRL, LLaMA-Factory, ms-swift and axolotl; TRAINERS=trl for one
	$(BIN)/python -m tests.trainers.run --uv $(VENV)-lock/bin/uv $(TRAINERS)

lock: $(VENV)-lock/made  ## renew the lock; with ONLY=name, that package alone
	$(VENV)-lock/bin/python lock/renew.py $(if $(ONLY),--only $(ONLY))

test-newest: RESOLUTION := highest
test-newest:  ## run all tests with the newest versions that pyproject.toml allows
test-lowest: RESOLUTION := lowest-direct
test-lowest:  ## run all tests with the lowest
test-newest test-lowest: test-%: $(VENV)-lock/made
	rm -rf $(VENV)-$*
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-lock/bin/python lock/renew.py --resolve $(RESOLUTION) $(VENV)-$*/versions.txt
	$(VENV)-$*/bin/pip $(LOCKED) -r lock/build.txt
	$(VENV)-$*/bin/pip $(LOCKED) -r $(VENV)-$*/versions.txt
	$(VENV)-$*/bin/pip install --quiet -r lock/torch.txt
	$(VENV)-$*/bin/pip $(EDITABLE)
	$(VENV)-$*/bin/pip check
	$(VENV)-$*/bin/python -m pytest -n $(WORKERS)

clean:  ## remove what the commands above made
	rm -rf $(VENV) $(VENV)-lock $(VENV)-newest $(VENV)-lowest $(VENV)-s3 demo build/docs .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
