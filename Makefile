# make lab: everything set up, JupyterLab open. make test: everything set up, every test run.
# The environment lives in .venv; what is missing is installed when pyproject.toml or constraints.txt change.
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, pip.conf ...) are honoured; ARGS goes to the program started.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Which Python this is: where it lives and what it can load. The same for a Python and for a virtual environment of it.
WHICH := -c 'import sys, sysconfig; print(sys.base_prefix, sys.implementation.cache_tag, sysconfig.get_platform())'

.PHONY: help setup venv lab app notebooks site record test bench slides lab-page engine clean
.NOTPARALLEL:  # setup looks for .installed after venv may have removed it

help:
	@echo "make setup      the environment in $(VENV) (up to date: nothing; PYTHON=python3.12 for another one)"
	@echo "make lab        JupyterLab on notebooks/           (ARGS=... is passed on)"
	@echo "make app        the learning-rate lab alone, for a projector (installs Voila)"
	@echo "make notebooks  rebuild and execute the notebooks that are older than their code or data (ARGS=02 for one)"
	@echo "make site       the notebooks as a website, site/_build, from what is built and without a network"
	@echo "make record     remake the recorded runs in data/  (ARGS=pulses_lr1e-3 for one)"
	@echo "make test       every test                         (ARGS=... is passed to pytest)"
	@echo "make bench      the speed of the training loop, as ratios"
	@echo "make slides     the deck for 90 minutes, teaching/slides/_build/index.html"
	@echo "make lab-page   the lab as one HTML file, site/lab/index.html (open it with a double click)"
	@echo "make engine     compile the page's engine again, to the same bytes (the one command that needs Node)"
	@echo "make clean      remove $(VENV) and what the tools left behind"

setup: venv $(VENV)/.installed

# A virtual environment works only in the folder, and with the Python, that it was made for. Where one of them has changed, or
# PYTHON is given and is another one, it is made again from nothing; .python keeps what it was made for.
venv:
	@found="$$(pwd -P) $$($(RUN) $(WHICH) 2>/dev/null)"; asked="$$found"; \
	if [ "$(origin PYTHON)" != file ]; then asked="$$(pwd -P) $$($(PYTHON) $(WHICH) 2>/dev/null)"; fi; \
	if [ "$$(cat $(VENV)/.python 2>/dev/null)" = "$$found" ] && [ "$$asked" = "$$found" ]; then exit 0; fi; \
	command -v $(PYTHON) >/dev/null || { echo "Python 3.10 or newer is needed, and $(PYTHON) is not on the PATH."; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }; \
	if [ -d $(VENV) ]; then echo "$(VENV) is unfinished, or was made for another folder or another Python: it is made again."; fi; \
	$(PYTHON) -m venv --clear $(VENV) && echo "$$(pwd -P) $$($(RUN) $(WHICH))" > $(VENV)/.python

$(VENV)/.installed: pyproject.toml constraints.txt
	$(RUN) -m pip install --quiet -c constraints.txt torch
	$(RUN) -m pip install --quiet -c constraints.txt -e '.[test]'
	@touch $@

lab: setup
	$(VENV)/bin/jupyter lab --notebook-dir=notebooks $(ARGS)

app: setup  # pip asks for its build tools at each call, so a second one would need a network
	@test -x $(VENV)/bin/voila || $(RUN) -m pip install --quiet -c constraints.txt -e '.[app]'
	$(VENV)/bin/jupytext --quiet --to ipynb --set-kernel python3 --output $(VENV)/lab.ipynb notebooks/source/app.py
	$(VENV)/bin/voila $(VENV)/lab.ipynb --MappingKernelManager.cull_idle_timeout=300 --MappingKernelManager.cull_interval=30 $(ARGS)

notebooks: setup
	$(RUN) notebooks/build.py $(ARGS)
	$(RUN) teaching/minutes.py

site: setup  # which installs '.[test]'; for this alone '.[site]' is enough
	$(RUN) site/build.py $(ARGS)

record: setup
	$(RUN) data/record.py $(ARGS)

test: setup
	$(RUN) -m pytest $(ARGS)

bench: setup
	$(RUN) tests/bench.py $(ARGS)

slides: setup  # which installs '.[test]'; for this alone '.[slides]' is enough
	$(RUN) -m sphinx -q -W -b revealjs teaching/slides teaching/slides/_build

lab-page: setup
	$(RUN) site/lab/build.py

engine: setup
	@command -v npm >/dev/null || { echo "The engine is compiled with Node 20 or newer, and npm is not on the PATH. Its bytes are committed: nobody needs this."; exit 1; }
	$(RUN) site/lab/build.py --engine

clean:
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache
