# make lab: everything set up, JupyterLab open. make test: everything set up, every test run.
# The environment lives in .venv and is remade only when pyproject.toml or constraints.txt change.
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, pip.conf ...) are honoured; ARGS goes to the program started.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: help setup lab app notebooks record test bench clean

help:
	@echo "make setup      the environment in $(VENV) (nothing to do when it is up to date)"
	@echo "make lab        JupyterLab on notebooks/           (ARGS=... is passed on)"
	@echo "make app        the learning-rate lab alone, for a projector (installs Voila)"
	@echo "make notebooks  rebuild and execute all notebooks  (ARGS=02 for one)"
	@echo "make record     remake the recorded runs in data/  (ARGS=pulses_lr1e-3 for one)"
	@echo "make test       every test                         (ARGS=... is passed to pytest)"
	@echo "make bench      the speed of the training loop, as ratios"

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.10 or newer is needed, and $(PYTHON) is not on the PATH."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet -c constraints.txt torch
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

lab: setup
	$(VENV)/bin/jupyter lab --notebook-dir=notebooks $(ARGS)

app: setup
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[app]'
	$(VENV)/bin/jupytext --quiet --to ipynb --set-kernel python3 --output $(VENV)/lab.ipynb notebooks/source/app.py
	$(VENV)/bin/voila $(VENV)/lab.ipynb $(ARGS)

notebooks: setup
	$(RUN) notebooks/build.py $(ARGS)

record: setup
	$(RUN) data/record.py $(ARGS)

test: setup
	$(RUN) -m pytest $(ARGS)

bench: setup
	$(RUN) tests/bench.py $(ARGS)

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache
