# The course in targets; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help lab test book epub classroom offline rehearsal matrix bench load ablation checkpoint atlas dreams maps pictures stills attribution data execute check clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Root needs --allow-root, and has no browser to open; nor has a machine without a screen.
NO_SCREEN := $(and $(filter Linux,$(shell uname)),$(if $(DISPLAY)$(WAYLAND_DISPLAY),,yes))
LAB_FLAGS := $(if $(filter 0,$(shell id -u)),--allow-root --no-browser,$(if $(NO_SCREEN),--no-browser))

# No question about news, and no request for a newer version.
QUIET := --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

# Neither times nor the state of widgets are kept: they would change with every run.
KEEP := --ExecutePreprocessor.record_timing=False --ExecutePreprocessor.store_widget_state=False

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lab: data ## set up what is missing, and open JupyterLab on the start page
	$(BIN)/jupyter lab $(LAB_FLAGS) $(QUIET) --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb

test: data ## set up what is missing, and run every notebook and all tests
	$(BIN)/pytest --numprocesses auto --dist loadfile # a notebook's cells stay on one worker

book: $(READY) ## make the course a book in HTML: book/_build/html/index.html
	@mkdir -p book/_build/source
	$(BIN)/sphinx-build -q -W --keep-going -d book/_build/doctrees -c book book/_build/source book/_build/html

epub: $(READY) ## the same as one EPUB file, in book/_build/epub
	@mkdir -p book/_build/epub_source
	$(BIN)/sphinx-build -q -W --keep-going -b epub -d book/_build/epub_doctrees -c book book/_build/epub_source book/_build/epub

classroom: $(READY) ## make editions, quizzes and a course for nbgrader: build/classroom; SEED=… varies hidden cases
	$(BIN)/python -m classroom.editions $(if $(SEED),--seed $(SEED))

offline: book classroom data ## pack what a room without a network needs: build/offline; PLATFORMS="linux-x86_64 …"
	$(BIN)/python -m classroom.offline $(if $(PLATFORMS),--platforms $(PLATFORMS)) $(if $(PYTHONS),--pythons $(PYTHONS))

rehearsal: $(READY) ## install from build/offline where there is no network, and run two lessons
	$(BIN)/python -m classroom.rehearsal

matrix: $(READY) ## run the suite, or TESTS="…", with the oldest and the newest packages and each PYTHONS="…"
	$(BIN)/python -m benchmarks.matrix $(if $(PYTHONS),--pythons $(PYTHONS)) $(if $(TESTS),--tests $(TESTS))

bench: data ## time the course's code beside what people would use instead (an hour on two cores)
	@$(BIN)/pip install --quiet -e ".[bench]"
	$(BIN)/python -m benchmarks

load: data ## let simulated students run a lesson on a JupyterHub here: USERS=20 LESSON=1 (up to 12 minutes)
	@$(BIN)/pip install --quiet -e ".[hub]"
	$(BIN)/python -m classroom.load --users $(or $(USERS),20) --lesson $(or $(LESSON),1) $(if $(RECORD),--record $(RECORD))

ablation: data ## repeat the experiment of lesson 4 (about 20 minutes)
	$(BIN)/python -m benchmarks.ablation

checkpoint: data ## train the network of lessons 5 to 7 again (a minute)
	$(BIN)/python data/checkpoints/train.py
	$(BIN)/python data/maps/draw.py # of what this network makes of the items

atlas: $(READY) ## make the image of each channel of four layers again (about 15 minutes; goes on after an interrupt)
	$(BIN)/python data/atlas/make.py

dreams: $(READY) ## record the dreams of lesson 8's explorer again (a minute)
	$(BIN)/python data/dreams/record.py

maps: data ## draw the maps that lesson 6 opens with again (a minute)
	$(BIN)/python data/maps/draw.py

pictures: $(READY) ## draw the style images, paint lesson 9's paintings, put together the README's images (5 minutes)
	$(BIN)/python data/images/draw.py
	$(BIN)/python data/images/paint.py
	PYTHONPATH=. $(BIN)/python data/images/readme.py

stills: data ## draw the images that stand in for the explorers where nothing runs (a minute)
	PYTHONPATH=. $(BIN)/python data/stills/draw.py

attribution: $(READY) ## record what the explorer of lesson 7 shows (about seven minutes)
	$(BIN)/python data/attribution/record.py

data: $(READY) ## get and verify Fashion-MNIST
	@$(BIN)/python -m helpers.data || echo "Lessons 1 and 2 run without Fashion-MNIST."

execute: $(READY) ## run the notebooks named in NB="…" (default: all) and keep their outputs
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace $(KEEP) $(or $(NB),notebooks/*.ipynb)

check: $(READY) ## lint and type-check
	@$(BIN)/pip install --quiet -e ".[dev]"
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean: ## remove the environment (data and notebooks stay)
	rm -rf .venv

$(READY): pyproject.toml
	@$(PYTHON) setup_course.py
