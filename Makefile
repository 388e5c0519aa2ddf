# The commands of the book. Each sets up .venv by itself; `make help` lists them.
# Kept to what GNU make 3.81 knows, the version that macOS ships. Paths are relative, so that the folder may have any name.

PYTHON ?=
PROFILE ?= quick
JOBS ?= 2
STRICT ?=
RECORD ?=
ARGS ?=
# Not from the environment: on some systems NAME is set there to the name of the machine.
NAME =

RUN = .venv/bin/python
# Written last: a failed or interrupted installation leaves .venv/.installing instead.
READY = .venv/.installed

# A .venv whose Python is gone, or is not the one asked for, is no longer of use.
ifeq ($(PYTHON),)
STALE := $(shell $(RUN) -c '' >/dev/null 2>&1 || echo stale)
else
STALE := $(shell [ "$$($(RUN) -V 2>&1)" = "$$("$(PYTHON)" -V 2>&1)" ] || echo stale)
endif

.DEFAULT_GOAL := help
.PHONY: help book pdf test check chapter slides lab bench lint smoke clean stale

help: ## this list
	@echo "make <command>   (everything is installed into .venv first, once)"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-9s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "The Python is found by itself (3.11, 3.12 or 3.13); to choose one: make book PYTHON=python3.12"
	@echo "To install everything afresh: delete .venv"

book: $(READY) ## the whole book as a site; PROFILE=quick|real|paper JOBS=2 STRICT=1 RECORD=1
	@echo "make book: profile $(PROFILE), $(JOBS) chapters at a time"
	@$(RUN) book/build.py --profile $(PROFILE) --jobs $(JOBS) $(if $(STRICT),--strict) $(if $(RECORD),--record)

pdf: book ## the site, built as above, as one PDF: book/_build/book.pdf; takes Chromium
	@echo "make pdf: the pages of book/_build/html, printed"
	@$(RUN) book/build.py --pdf --jobs $(JOBS)

test: $(READY) ## the whole test suite, in JOBS=2 processes; ARGS="-k maps" goes to pytest
	@echo "make test: the whole suite"
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: book ## the site, built as above, then every page of it in a browser, where there is one
	@echo "make check: the pages of book/_build/html, on a phone and on a desk, light and dark"
	@ACTLIB_SITE=book/_build/html $(RUN) -m pytest tests/test_site.py $(ARGS)

chapter: $(READY) ## one chapter, executed and rendered: make chapter NAME=01_maps
	@if [ -z "$(NAME)" ]; then \
	  echo "make chapter: NAME is missing, for example: make chapter NAME=01_maps"; \
	  echo "there are:" $$(cd nbs && ls *.py | sed 's/\.py$$//'); exit 2; fi
	@echo "make chapter: $(NAME), profile $(PROFILE)"
	@$(RUN) book/build.py "$(NAME)" --profile $(PROFILE) $(if $(STRICT),--strict) $(if $(RECORD),--record)

slides: $(READY) ## a chapter whose page is built as slides, one file: make slides NAME=01_maps
	@if [ -z "$(NAME)" ]; then echo "make slides: NAME is missing, for example: make slides NAME=01_maps"; exit 2; fi
	@$(RUN) book/build.py "$(NAME)" --slides

# The settings stay inside .venv: nothing is written into the home folder, and JupyterLab asks no server for news.
lab: $(READY) ## JupyterLab, where the chapters open as notebooks; ARGS="--no-browser --port=8889"
	@mkdir -p .venv/share/jupyter/lab/settings
	@printf '%s\n' \
	  '{"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}},' \
	  ' "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' \
	  > .venv/share/jupyter/lab/settings/overrides.json
	@echo "make lab: JupyterLab opens in the browser; Ctrl-C here ends it"
	@MATPLOTLIBRC="$(CURDIR)/book/matplotlibrc" $(RUN) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/nbs \
	  --LabApp.extension_manager=readonly $(ARGS)

bench: $(READY) ## our timings beside other libraries, into results/bench
	@echo "make bench: ours beside its peers"
	@$(RUN) -m benchmarks $(ARGS)

lint: $(READY) ## style of the code
	@echo "make lint: ruff check, ruff format"
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

smoke: $(READY) ## the profiles real and paper at a hundredth of their size, executed only
	@echo "make smoke: profile real, then profile paper"
	@$(RUN) book/build.py --profile real --smoke --execute-only --jobs $(JOBS)
	@$(RUN) book/build.py --profile paper --smoke --execute-only --jobs $(JOBS)

clean: ## delete what was built; .venv, results and your caches stay
	@echo "make clean: book/_build and the caches of the tools"
	@rm -rf book/_build build dist actlib.egg-info .pytest_cache .ruff_cache .hypothesis
	@find actlib benchmarks book nbs tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Three cases: .venv is whole and only a version changed (pip goes over it); it is missing, was never finished or is
# stale (made afresh, once a fitting Python is found); it is somebody's own and has no pip (left alone, with a message).
$(READY): pyproject.toml constraints.txt $(STALE)
	@if [ ! -d .venv ] || [ -e .venv/.installing ] || [ -n "$(STALE)" ]; then \
	  python="$(PYTHON)"; check='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; \
	  for candidate in python3 python3.13 python3.12 python3.11; do \
	    if [ -z "$$python" ] && "$$candidate" -c "$$check" 2>/dev/null; then python="$$candidate"; fi; done; \
	  python="$${python:-python3}"; \
	  if ! "$$python" -c "$$check" 2>/dev/null; then \
	    found=$$("$$python" -V 2>&1) || found="not there"; \
	    echo "make: the book needs Python 3.11, 3.12 or 3.13; $$python is $$found"; \
	    echo "make: install one of them and choose it, for example: make book PYTHON=python3.12"; exit 1; fi; \
	  if [ -d .venv ]; then echo "make: .venv is not finished or not of this Python: it is made afresh"; rm -rf .venv; fi; \
	  echo "make: setting up .venv with $$("$$python" -V)"; \
	  mkdir .venv && : > .venv/.installing && "$$python" -m venv .venv; fi
	@if ! $(RUN) -m pip --version >/dev/null 2>&1; then \
	  echo "make: .venv has no working pip; delete .venv and run this again"; exit 1; fi
	@echo "make: installing what the book needs into .venv (some minutes and up to 6 GB, once)"
	@rm -f $(READY); : > .venv/.installing
	@$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e ".[book,test]"
	@mv .venv/.installing $(READY)
	@echo "make: .venv is ready"
