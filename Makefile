# make demo   trains the garbage sorter and shows how good it is     make test   runs the tests
# make check  looks for mistakes in the code                         make clean  removes what these made
# Each sets up .venv first, with the first Python of 3.10 to 3.12 that answers (or PYTHON=...).

PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.10 python; do \
	$$python -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))" 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
RUN := $(VENV)/bin/python

# The founders' machines have real photos and ImageNet weights beside the clone.
ifneq ($(wildcard ../shared/data),)
export MINDCLF_DATA ?= ../shared
endif

.PHONY: demo test check clean

demo: $(VENV)/installed
	$(RUN) recipes/garbage_mobilenet_v2.py train

test: $(VENV)/installed
	$(RUN) -m pytest

check: $(VENV)/installed
	$(VENV)/bin/ruff check .

$(VENV)/installed: setup.py pyproject.toml
	@test -n "$(PYTHON)" || { echo "mindclf needs Python 3.10, 3.11 or 3.12: install one, or name it with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -e '.[dev,onnx]'
	touch $@

clean:
	rm -rf $(VENV) outputs mindclf.egg-info build
