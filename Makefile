# `make demo` shows what fmkit does, `make test` checks all of it, `make docs` builds the book. Each makes the environment
# first.

# The first Python that is new enough and can make environments; `make PYTHON=/path/to/python demo` chooses another.
FIT := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(FIT)' 2>/dev/null && echo $$p && break; done)

# pip, mypy and numba keep caches in the home; without one that can be written, they get one here.
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/build/home
endif

# Where Python is told to keep no compiled modules, each of the commands that tests start would compile all of them anew.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv/bin/python
ENVIRONMENT := .venv/installed

OLDER_PANDAS := 'pandas<3' pytz tzdata
TABLES := tests/test_table_encoder.py tests/test_recommend_input.py tests/test_asking.py

# An environment holds absolute paths: one that came along with a copied or renamed folder is of no use.
ifneq ($(shell cat $(ENVIRONMENT) 2>/dev/null),$(shell pwd -P))
.PHONY: $(ENVIRONMENT)
endif

.PHONY: demo test docs docs-open screenshots clean

demo: $(ENVIRONMENT)
	@mkdir -p demo
	.venv/bin/fmkit recommend datasets/movielens_small/ratings.csv.gz --user 73 --top 10 \
		--items datasets/movielens_small/movies.csv.gz
	.venv/bin/fmkit damage datasets/harvesters/harvesters.jpg --colour '#e8e0cc' \
		--out demo/damaged.png --mask demo/mask.png --overwrite
	.venv/bin/fmkit restore demo/damaged.png --mask demo/mask.png --out demo/restored.png \
		--compare demo/before_after.png --overwrite

test: $(ENVIRONMENT)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	rm -rf build/lib build/bdist.* build/typed
	$(RUN) -m pip install --quiet --no-deps --no-build-isolation --target build/typed .
	$(RUN) -m mypy build/typed/fmkit
	find fmkit -name '*.nb[ci]' -delete # numba compiles anew when a kernel's own file changed, not one that it calls
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(RUN) -m pytest -n 2 --dist loadfile --durations 25 # a core each: theirs would wait
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target build/pandas2 $(OLDER_PANDAS)
	PYTHONPATH=build/pandas2 $(RUN) -m pytest -q $(TABLES) # the tables of the older pandas, too
	$(MAKE) docs

docs: $(ENVIRONMENT)
	$(RUN) -m sphinx -W --keep-going -q -j 2 -b html docs docs/_build/html

docs-open: docs
	$(RUN) -m webbrowser -t docs/_build/html/index.html

screenshots: $(ENVIRONMENT)
	$(RUN) -m docs.screenshots

$(ENVIRONMENT): pyproject.toml
	@'$(PYTHON)' -c '$(FIT)' 2>/dev/null || { \
		echo 'fmkit needs Python 3.11 or newer with its venv module (Debian, Ubuntu: apt install python3-venv);' \
			'name one with: make PYTHON=/path/to/python' >&2; exit 1; }
	@test "$$(cat $@ 2>/dev/null)" = "$$(pwd -P)" || '$(PYTHON)' -m venv --clear .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@pwd -P > $@

clean:
	rm -rf .venv build dist demo docs/_build docs/_run docs/reference/generated *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -exec rm -rf {} +
