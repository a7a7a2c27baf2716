# make demo   trains the garbage sorter and shows how good it is     make test   runs the tests
# make check  looks for mistakes in the code                         make clean  removes .venv and what was built
# make notebooks  executes the notebooks, quick and in place
# make bench  measures speed (TORCH_PYTHON=a Python with PyTorch)    make sanitize  checks the C kernels' memory accesses
# make arm    checks the C kernels for aarch64, in an emulator
# make test-nets  runs the tests that make test leaves out: each net beside PyTorch's, and weights of other zoos
# make test-fast  runs the tests but those that take most of the time
# make docs   builds the documentation site into build/docs and checks it, in .venv-docs
# make mutants  changes the code in a hundred places, one at a time, and sees whether the tests notice
# make wheel  makes dist/mindclf-....whl, installs it elsewhere and uses it there
# Each sets up .venv first, with the first Python of 3.10 to 3.12 that answers (or PYTHON=...). `make demo` installs what runs
# mindclf, the others what tests it too. Without make: docs/how_to/install.md.

PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.10 python; do \
	$$python -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))" 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
comma := ,
RUN := $(VENV)/bin/python

# Where photos and ImageNet weights lie beside the clone, they are used.
ifneq ($(wildcard ../shared/data),)
export MINDCLF_DATA ?= ../shared
endif

.PHONY: demo test test-nets test-fast mutants notebooks docs check check_c sanitize arm check_arm bench wheel clean

demo: $(VENV)/installed
	$(RUN) recipes/garbage_mobilenet_v2.py train

# Most tests keep one core busy. A worker takes up to 4 GB of memory: with less, WORKERS=0 runs the tests one after another.
WORKERS ?= 2
PYTEST = $(RUN) -m pytest -n $(WORKERS) --dist worksteal
TESTS_OF_NETS := tests/nets tests/convert tests/test_export_zoo.py

test: $(VENV)/developer
	$(PYTEST) $(TESTS_OF_NETS:%=--ignore=%)
	@echo "make test-nets runs those of each net, which take two minutes more: $(TESTS_OF_NETS)"

test-nets: $(VENV)/developer
	$(PYTEST) $(TESTS_OF_NETS)

test-fast: $(VENV)/developer
	$(PYTEST) -m "not slow"

# The rows whose file or text fits, as in ONLY="train/*", or all, which writes the result.
ONLY ?= *
mutants: $(VENV)/developer
	$(RUN) tests/mutate.py --only "$(ONLY)" $(if $(filter *,$(ONLY)),--output benchmarks/results/tables/mutants.json)

# Those that are named, as in NOTEBOOKS="traps garbage_mobilenet_v2", or all.
notebooks: $(VENV)/developer
	$(RUN) notebooks/run.py $(NOTEBOOKS)

bench: $(VENV)/developer
	$(RUN) benchmarks/speed.py --bfloat16 --int8 $(if $(TORCH_PYTHON),--torch-python $(TORCH_PYTHON))

# The site's tools are not those of mindclf: they have an environment of their own, without MindSpore.
DOCS_VENV ?= .venv-docs
docs: $(DOCS_VENV)/installed
	$(DOCS_VENV)/bin/python docs/build_site.py

$(DOCS_VENV)/installed: docs/requirements.txt
	@test -n "$(PYTHON)" || { echo "make docs needs Python 3.10, 3.11 or 3.12: install one, or name it with PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $@

check: $(VENV)/developer check_c
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

VARIANTS := mindclf/kernels/variants.py
CSRC := mindclf/kernels/csrc

# Each variant by each compiler that is here, without a warning.
COMPILERS ?= $(CC) clang
check_c:
	@variants=$$($(PYTHON) $(VARIANTS) compilable) || exit 1; \
	for compiler in $(COMPILERS); do \
		command -v $$compiler > /dev/null || { echo "check: there is no $$compiler here to compile the C kernels"; continue; }; \
		for variant in $$variants; do \
			$$compiler $$($(PYTHON) $(VARIANTS) compile $$variant) -Wall -Wextra -Werror -fsyntax-only $(CSRC)/*.c || exit 1; \
		done; \
	done

# Each variant that this processor runs, checked for addresses out of bounds and for undefined behaviour.
sanitize:
	@mkdir -p build; echo 'int main(void) { return 0; }' > build/probe.c; \
	flags=$$($(PYTHON) $(VARIANTS) sanitize portable) || exit 1; \
	if ! $(CC) $$flags build/probe.c -o build/probe 2>/dev/null; then \
		echo "sanitize: skipped, for $(CC) cannot link with -fsanitize=address,undefined"; exit 0; \
	fi; \
	variants=$$($(PYTHON) $(VARIANTS) runnable) || exit 1; \
	for variant in $$variants; do $(MAKE) --no-print-directory build/check_$$variant && ./build/check_$$variant || exit 1; done

build/check_%: tests/kernels/check_kernels.c $(wildcard $(CSRC)/*.[ch]) $(VARIANTS)
	$(CC) $$($(PYTHON) $(VARIANTS) sanitize $*) tests/kernels/check_kernels.c $(CSRC)/*.c -o $@ -lm

# The kernels for aarch64, cross-compiled, in an emulator: over every shape of `make sanitize`, and against float64.
ARM_CC ?= aarch64-linux-gnu-gcc
QEMU ?= qemu-aarch64 -L /usr/aarch64-linux-gnu
ARM_FLAGS = $$($(PYTHON) $(VARIANTS) compile neon) -Wall -Wextra -Werror
ARM_TESTS := $(addprefix tests/kernels/test_,add batch_norm concat convolution empty global_average pool separable small_maps winograd)

arm:
	@for tool in $(firstword $(ARM_CC)) $(firstword $(QEMU)); do \
		command -v $$tool > /dev/null || { echo "arm: skipped, for there is no $$tool here"; exit 0; }; done; \
	$(MAKE) --no-print-directory check_arm

check_arm: build/arm/check_kernels build/arm/serve_kernels build/arm/neon.so $(VENV)/developer
	$(QEMU) build/arm/check_kernels
	KERNELS_IN_EMULATOR="$(QEMU) build/arm/serve_kernels build/arm/neon.so" $(RUN) -m pytest -q $(ARM_TESTS:=.py)

build/arm/neon.so: $(wildcard $(CSRC)/*.[ch]) $(VARIANTS)
	@mkdir -p build/arm
	$(ARM_CC) $(ARM_FLAGS) -fPIC -shared $(CSRC)/*.c -o $@ -lm

build/arm/check_kernels: tests/kernels/check_kernels.c $(wildcard $(CSRC)/*.[ch]) $(VARIANTS)
	@mkdir -p build/arm
	$(ARM_CC) $(ARM_FLAGS) tests/kernels/check_kernels.c $(CSRC)/*.c -o $@ -lm

build/arm/serve_kernels: tests/kernels/serve_kernels.c
	@mkdir -p build/arm
	$(ARM_CC) $(ARM_FLAGS) $< -o $@ -ldl

wheel: $(VENV)/developer
	rm -rf build/lib* build/bdist.* dist/mindclf-*.whl
	$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	$(RUN) tests/check_wheel.py dist/mindclf-*.whl

INSTALLED := setup.py pyproject.toml $(wildcard $(CSRC)/*.[ch]) $(VARIANTS)
define install
	@test -n "$(PYTHON)" || { echo "mindclf needs Python 3.10, 3.11 or 3.12: install one, or name it with PYTHON=..." >&2; exit 2; }
	@echo "Installing MindSpore and what mindclf needs into $(VENV): about 1 GB to download, two minutes at 10 MB/s."
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check -e '.[$(1)]'
	@touch $@
endef

$(VENV)/installed: $(INSTALLED)
	$(call install,demo$(comma)onnx)

$(VENV)/developer: $(INSTALLED)
	$(call install,demo$(comma)dev$(comma)onnx)
	@touch $(VENV)/installed

clean:
	rm -rf $(VENV) $(DOCS_VENV) mindclf.egg-info build dist
