# Encore. `make` alone lists the targets.

PYTHON ?= $(shell command -v python3 || command -v python3.11 || command -v python3.12 || \
	command -v python3.13 || command -v python || echo python3)
VENV_PYTHON := .venv/bin/python
MANAGE := $(VENV_PYTHON) manage.py
# Tests wait for processes, browsers and clocks a third of their time, so there are two workers more than cores. Long ones come first
# (tests/conftest.py), and not the classes with the most tests.
PYTEST := $(VENV_PYTHON) -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) + 2)) --dist loadscope --no-loadscope-reorder
SOURCES := apps concert_project dev tests manage.py

# Checks read the settings without any server, so they get values that lead nowhere.
NOWHERE := env DJANGO_SETTINGS_MODULE=concert_project.settings.test \
	DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing \
	QUEUE_URL=redis://127.0.0.1:1/0 CACHE_URL=redis://127.0.0.1:1/0 BROKER_URL=redis://127.0.0.1:1/0 \
	SECRET_KEY=only-for-checks-q8Zr3mXw1vN7cK5tB9yD2hF6jL0pS4gA8eUoViTn \
	QUEUE_TOKEN_KEYS=k1:bm90LWEtc2VjcmV0LW9ubHktZm9yLWNoZWNrcy0wMDA \
	WEBHOOK_SECRETS=whsec_bm90LWEtc2VjcmV0LW9ubHktZm9yLWNoZWNrcy0wMDA= \
	ALLOWED_HOSTS=encore.example BASE_URL=https://encore.example

# Tests start some hundred processes, each of which would compile all modules anew where a shell or an image says so.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | \
		while IFS='|' read -r target purpose; do printf '  make %-18s%s\n' "$$target" "$$purpose"; done

.PHONY: run
run: embedded  ## install and start everything; PORT (8000) and DATA_DIR (.data) move it
	@exec $(VENV_PYTHON) -m dev.stack

.PHONY: logs
logs:  ## follow what the processes of `make run` write, every request and task; DATA_DIR (.data) names it
	@tail -n 20 -F $(or $(DATA_DIR),.data)/logs/*.log

.PHONY: test
test: development  ## run every test against servers of its own; ARGS="-k seats" narrows it
	@if $(VENV_PYTHON) -m dev.browser --install > /dev/null; then \
		exec $(PYTEST) $(ARGS); \
	elif [ -n "$$CI" ]; then \
		echo 'There is no browser, and CI runs the browser tests, too.' >&2; exit 1; \
	else \
		$(PYTEST) -m 'not browser' $(ARGS) && \
		echo 'Without the browser tests: no Chromium was found, and none could be installed.'; \
	fi

.PHONY: check
check: lint  ## run lint and the tests that take little time, before each commit; ARGS="-k seats" narrows it
	@$(PYTEST) -m 'not slow and not browser' $(ARGS)
	@echo 'Left out: tests of processes, of long histories, of all pages of staff, and in a browser. `make test` runs them.'

LINT_TARGETS := lint-code lint-format lint-types lint-imports lint-dependencies lint-templates \
	lint-migrations lint-deployment lint-openapi lint-messages

.PHONY: lint $(LINT_TARGETS)
lint: $(LINT_TARGETS)  ## run every static check, the same here and in CI

lint-code: development
	@$(VENV_PYTHON) -m ruff check $(SOURCES)

lint-format: development
	@$(VENV_PYTHON) -m ruff format --check $(SOURCES)

lint-types: development
	@$(NOWHERE) $(VENV_PYTHON) -m mypy $(SOURCES)

lint-imports: development
	@$(NOWHERE) PYTHONPATH=. .venv/bin/lint-imports

# All of it may import what any set declares; what is deployed, no more than a deployment installs.
DEPTRY := $(VENV_PYTHON) -W 'ignore:Unused option -c' -m deptry
lint-dependencies: development
	@$(DEPTRY) .
	@$(DEPTRY) apps concert_project --optional-dependencies-dev-groups development

lint-templates: development
	@find templates -name '*.html' -exec .venv/bin/djade --check --target-version 5.2 {} +

lint-migrations: development
	@$(NOWHERE) $(VENV_PYTHON) -W 'ignore:Got an error checking a consistent migration history' \
		manage.py makemigrations --check --dry-run

lint-deployment: development
	@$(NOWHERE) DJANGO_SETTINGS_MODULE=concert_project.settings.production \
		$(MANAGE) check --deploy --fail-level WARNING

lint-openapi: development
	@mkdir -p .mypy_cache
	@$(NOWHERE) $(MANAGE) spectacular --validate --fail-on-warn --file .mypy_cache/openapi.yaml
	@diff -u docs/openapi.yaml .mypy_cache/openapi.yaml || { echo 'Run: make openapi'; exit 1; }

lint-messages: development
	@$(VENV_PYTHON) -m dev.messages --check

.PHONY: format
format: development  ## rewrite the code in the common format
	@$(VENV_PYTHON) -m ruff check --fix $(SOURCES)
	@$(VENV_PYTHON) -m ruff format $(SOURCES)
	@find templates -name '*.html' -exec .venv/bin/djade --target-version 5.2 {} +

.PHONY: openapi
openapi: development  ## write docs/openapi.yaml from the code
	@$(NOWHERE) $(MANAGE) spectacular --validate --fail-on-warn --file docs/openapi.yaml

.PHONY: messages
messages: development  ## collect and compile the Korean messages
	@$(VENV_PYTHON) -m dev.messages

.PHONY: screenshots
screenshots: development  ## take pictures of every page into docs/screenshots; ARGS="--only home-phone" narrows it
	@exec $(VENV_PYTHON) -m dev.screenshots $(ARGS)

.PHONY: bench
bench: development  ## measure beside the floors, write docs/performance.md; ARGS=--help tells more
	@exec $(VENV_PYTHON) -m dev.bench $(ARGS)

.PHONY: bench-invariants
bench-invariants: embedded  ## check all invariants on a million made-up reservations; ARGS="--reservations 200000"
	@$(VENV_PYTHON) -m dev.bench.history --invariants $(ARGS)

.PHONY: bench-history
bench-history: embedded  ## compare the same work with and without years of history; ARGS="--reservations 1000000"
	@$(VENV_PYTHON) -m dev.bench.history $(ARGS)

.PHONY: bench-seat-map
bench-seat-map: development  ## open halls of up to 50,000 seats in a browser; ARGS="--repeats 3"
	@$(VENV_PYTHON) -m dev.bench.seat_map $(ARGS)

.PHONY: drill
drill: development  ## break a stack of its own in every way, compare answers with the database; ARGS="--seed 7"
	@exec $(VENV_PYTHON) -m dev.drill $(ARGS)

.PHONY: mutants
mutants: development  ## plant mistakes, one at a time, and name those that no test notices; ARGS="--sample 200 --jobs 2"
	@exec $(VENV_PYTHON) -m dev.mutants $(ARGS)

.PHONY: bench-staff
bench-staff: development  ## measure every list and search of staff beside a million reservations; ARGS="--keep FOLDER"
	@$(VENV_PYTHON) -m dev.bench.staff_pages $(ARGS)

.PHONY: explain
explain: embedded  ## explain the hot queries; ARGS=--write refreshes the table in docs/database.md
	@$(VENV_PYTHON) -m dev.bench.explain $(ARGS)

.PHONY: requirements
requirements: development  ## resolve requirements/*.in again; UPGRADE=--upgrade takes newer versions
	@cd requirements && for set in production embedded development; do \
		UV_CUSTOM_COMPILE_COMMAND='make requirements' ../$(VENV_PYTHON) -m uv pip compile --quiet \
			--universal --python-version 3.11 --generate-hashes --no-annotate \
			--no-emit-index-url --no-emit-find-links $(UPGRADE) $$set.in -o $$set.txt || exit 1; \
	done

.PHONY: clean
clean:  ## remove the environment, the caches and the data of `make run` in DATA_DIR (.data)
	@$(PYTHON) dev/stack/cleaning.py
	@rm -rf .venv .venv.lock .pretix staticfiles .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache .hypothesis .schemathesis
	@find $(filter-out manage.py,$(SOURCES)) -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: embedded development
embedded development:
	@$(PYTHON) dev/bootstrap.py $@
