# Everything a user runs by hand; each target installs first, into .venv.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
CHECKED := agents benchmarks configs data encoders envs evaluation experiments tests training worlds

.PHONY: install demo test test-all lint bench measure results clean

install: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	mkdir -p .dev && ln -sfn .. .dev/goalbridge  # where mypy and import-linter find the package under its name
	touch $@

# Safe to run twice: a finished run is not trained again.
demo: install
	$(BIN)/python train.py env=fork_maze run_dir=$(DEMO) resume=true
	$(BIN)/python evaluate.py run_dir=$(DEMO) 'estimators=[logsumexp,direct,limit]'
	@echo
	@echo "Losses, success and rollouts: $(BIN)/tensorboard --logdir runs   (then open the address that it prints)"
	@echo "A rollout as a file:          $(DEMO)/rollouts/logsumexp_0.gif   (any browser shows it)"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd .dev && ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache goalbridge/*.py $(CHECKED:%=goalbridge/%)
	PYTHONPATH=.dev $(BIN)/lint-imports

# OMP_NUM_THREADS: pytest runs one process a core, and each would otherwise take all of them.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4

test-all: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

bench: install
	$(BIN)/python -m benchmarks

# The measurements behind RESULTS.md, about eight hours on an idle machine; `make results` writes it and docs/results/ from results/*.json.
measure: install
	$(BIN)/python -m experiments.agent.timing
	$(BIN)/python -m experiments.agent.protocol
	$(BIN)/python -m experiments.agent.ablations
	$(BIN)/python -m experiments.agent.ambiguity_protocol
	$(BIN)/python -m experiments.agent.grid_protocol
	$(BIN)/python -m experiments.agent.online_protocol
	$(BIN)/python -m experiments.agent.own_protocol
	$(BIN)/python -m experiments.law
	$(BIN)/python -m experiments.pretrained digits
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.parallel

results: install
	$(BIN)/python -m experiments.report

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
