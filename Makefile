# make demo    install into .venv and show the main job on real pictures
# make test    install into .venv and run the tests
# make lint    ruff and mypy
# make bench   detection speed on the pictures in IMAGES

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
IMAGES ?= ../shared/images/photos

.PHONY: demo test lint bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(BIN)/python setup.py requirements.txt
	$(BIN)/python -m pip install --quiet -e ".[demo]"
	touch $@

# mediapipe would bring opencv-contrib-python beside opencv-python: it comes without its
# dependencies, and those that its face detector imports are named.
$(VENV)/.test: $(BIN)/python setup.py requirements.txt
	$(BIN)/python -m pip install --quiet -e ".[all,test]" absl-py flatbuffers
	$(BIN)/python -m pip install --quiet --no-deps "mediapipe>=1.0"
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks detect --detector mtcnn --images $(IMAGES) --batch 1,8,32

clean:
	rm -rf $(VENV) demo build *.egg-info
