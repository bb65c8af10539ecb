# Thin front for CMake. `make demo` and `make test` do whatever set-up they need by themselves.
BUILD ?= build/release
MODEL ?= smollm2
PREFIX ?= /usr/local
SANITIZED := build/asan
JOBS ?= 2

.PHONY: all build setup setup-test test bench demo install format clean
all: build

setup:
	@scripts/setup-system.sh

setup-test:
	@scripts/setup-system.sh test

build: setup
	@engine=$$(scripts/setup-engine.sh) && \
	cmake --preset release -B $(BUILD) -DFATHOM_ENGINE_DIR="$$engine" >/dev/null && \
	cmake --build $(BUILD) --target fathom_library fathom_command

test: setup-test build
	@engine=$$(scripts/setup-engine.sh) && \
	cmake --build $(BUILD) && \
	cmake --preset asan -DFATHOM_ENGINE_DIR="$$engine" >/dev/null && \
	cmake --build $(SANITIZED) --target unit_tests
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

# ONLY=train,harvest runs some parts (bench/run.py lists them), CORPUS="FILE…" other text than the model's own.
bench: build
	@$(BUILD)/fathom fetch smollm2 gemma3 && \
	bench/run.sh $(BUILD)/fathom $(if $(ONLY),--only $(ONLY)) $(if $(CORPUS),--corpus $(CORPUS))

demo: build
	@$(BUILD)/fathom fetch $(MODEL) && $(BUILD)/fathom demo -m $(MODEL) && \
	echo "To look around yourself: $(BUILD)/fathom serve -m $(MODEL), and http://127.0.0.1:8080 in a browser"

# The prefix is known to the library too: it finds its dictionaries and catalogues below it.
install: build
	@cmake -B $(BUILD) -DCMAKE_INSTALL_PREFIX="$(PREFIX)" >/dev/null && \
	cmake --build $(BUILD) --target fathom_library fathom_command && \
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD)

format:
	@scripts/format.sh

clean:
	rm -rf build
