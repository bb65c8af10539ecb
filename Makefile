# Thin front for CMake. `make demo` and `make test` do whatever set-up they need by themselves.
BUILD ?= build/release
MODEL ?= smollm2

.PHONY: all build setup test demo install clean
all: build

setup:
	@scripts/setup-system.sh

build: setup
	@engine=$$(scripts/setup-engine.sh | tail -n 1) && cmake --preset release -DFATHOM_ENGINE_DIR="$$engine" >/dev/null && cmake --build $(BUILD)

test: build
	@ctest --test-dir $(BUILD) --output-on-failure

clean:
	rm -rf build
