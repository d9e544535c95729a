# The course in targets; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help lab test book epub classroom bench ablation checkpoint pictures data execute check clean

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
	@$(BIN)/pip install --quiet -e ".[book]"
	@mkdir -p book/_build/source
	$(BIN)/sphinx-build -q -W --keep-going -d book/_build/doctrees -c book book/_build/source book/_build/html

epub: $(READY) ## the same as one EPUB file, in book/_build/epub
	@$(BIN)/pip install --quiet -e ".[book]"
	@mkdir -p book/_build/epub_source
	$(BIN)/sphinx-build -q -W --keep-going -b epub -d book/_build/epub_doctrees -c book book/_build/epub_source book/_build/epub

classroom: $(READY) ## make the editions for a class, and a course for nbgrader: build/classroom
	$(BIN)/python -m classroom.editions

bench: data ## time the course's code beside what people would use instead (about 25 minutes)
	@$(BIN)/pip install --quiet -e ".[bench]"
	$(BIN)/python -m benchmarks

ablation: data ## repeat the experiment of lesson 4 (about 20 minutes)
	$(BIN)/python -m benchmarks.ablation

checkpoint: data ## train the network of lessons 5 to 7 again (a minute)
	$(BIN)/python data/checkpoints/train.py

pictures: $(READY) ## draw the course's own style pictures again
	$(BIN)/python data/images/draw.py

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
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; python3 is " + sys.version)'
	python3 -m venv .venv || { rm -rf .venv; exit 1; }
	@echo "Installing. On Linux PyTorch brings its CUDA libraries: 3.5 GB to fetch, 7 GB of disk, and"
	@echo "a minute or two without a word after the download, while they are unpacked."
	$(BIN)/pip install --quiet --progress-bar on -e ".[test,book]"
	@touch $@
