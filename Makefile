# Hearth, for people. The build itself is Meson's; `make help` lists what there is.
BUILD = build
JOBS := $(shell nproc 2>/dev/null || echo 2)
# Warnings are errors where the compiler is known: in continuous integration.
WERROR = $(if $(CI),-Dwerror=true)
SAN = address,undefined
SAN_BUILD = build-san-$(subst $(comma),-,$(SAN))
FUZZ_SECONDS = 600
KILLS = 50
SECONDS = 300
PREFIX = /usr/local
DEPS = build web
MODEL =
CLIENTS =
SCHEMAS =
BENCH_ARGS =
comma := ,

.PHONY: all deps run test bench bench-report bench-serve bench-kernels bench-train lint check fuzz arm64 ember web-test client-test tune-soak store-soak serve-soak install clean help $(BUILD)/hearth
all: $(BUILD)/hearth

$(BUILD)/hearth:
	@tools/deps $(DEPS)
	@tools/configure $(BUILD) --prefix=$(PREFIX) $(WERROR)
	@ninja -C $(BUILD) -j $(JOBS)

help:
	@echo 'make            build the program as $(BUILD)/hearth'
	@echo 'make run        install what is missing, build, start (MODEL=FILE or NAME)'
	@echo 'make test       install what is missing, build, run every test'
	@echo 'make deps       only install the missing system packages'
	@echo 'make web-test   the browser app in Chromium, at desktop and phone width'
	@echo 'make client-test  the clients of others against the program (CLIENTS="openai_chat ...")'
	@echo 'make tune-soak  a tuning run killed KILLS=50 times must end with the same bytes'
	@echo 'make store-soak what was stored outlives KILLS=50 kills and losses of power'
	@echo 'make serve-soak a server under load for SECONDS=$(SECONDS), then killed 100 times (KILLS=N)'
	@echo 'make lint       formatting, layering, sizes, clang-tidy, cppcheck, clang build'
	@echo 'make check      the tests under SAN=address,undefined (default) or SAN=thread'
	@echo 'make fuzz       every fuzz target for FUZZ_SECONDS=$(FUZZ_SECONDS) each (TARGETS="gguf ...")'
	@echo 'make arm64      cross build of the kernels, their tests under qemu'
	@echo 'make bench      Hearth beside llama.cpp on this machine (MODEL=FILE, BENCH_ARGS=--quick)'
	@echo 'make bench-report   the table of docs/BENCHMARKS.md (BENCH_ARGS=--short to try it)'
	@echo 'make bench-serve    16 clients of a server beside one and beside llama.cpp (BENCH_ARGS=--alone)'
	@echo 'make bench-kernels  every kernel beside the limit of this machine (TYPES="q4_0 ...")'
	@echo 'make bench-train    steps of training beside the limit of this machine (TASK=full)'
	@echo 'make ember      train Ember, the built-in model: up to two hours; goes on where it stopped'
	@echo 'make install    to PREFIX=$(PREFIX), below DESTDIR when set'
	@echo 'make clean      remove every build folder'

deps:
	@tools/deps build

run: $(BUILD)/hearth
	@tools/start $(BUILD)/hearth $(MODEL)

# The tests of several processes need mpirun.
test: DEPS = build mpi web
test: $(BUILD)/hearth build-arm64
	@tools/run-tests $(BUILD) build-arm64

.PHONY: build-arm64
build-arm64:
	@tools/deps build arm64
	@tools/configure build-arm64 --cross-file=tools/aarch64.cross -Donly_kernels=true $(WERROR)
	@ninja -C build-arm64 -j $(JOBS)

arm64: build-arm64
	@tools/run-tests build-arm64

bench: $(BUILD)/hearth
	@bench/run $(BUILD)/hearth --json $(BUILD)/bench-compare.json $(if $(MODEL),--model "$(MODEL)") $(BENCH_ARGS)

bench-report: $(BUILD)/hearth
	@bench/run --report $(BUILD)/hearth $(BENCH_ARGS)

bench-serve: $(BUILD)/hearth
	@bench/run --serve $(BUILD)/hearth --json $(BUILD)/bench-serve.json $(if $(MODEL),--model "$(MODEL)") $(BENCH_ARGS)

bench-kernels: $(BUILD)/hearth
	@ninja -C $(BUILD) --quiet tests/kernels/bench_kernels tests/device/bench_gemm
	@$(BUILD)/tests/kernels/bench_kernels $(TYPES)
	@$(BUILD)/tests/device/bench_gemm

bench-train: $(BUILD)/hearth
	@ninja -C $(BUILD) --quiet tests/train/bench_train
	@$(BUILD)/tests/train/bench_train $(TASK)

web-test: $(BUILD)/hearth
	@tools/deps web browser
	@HEARTH_PROGRAM=$(CURDIR)/$(BUILD)/hearth HEARTH_MODEL="$(or $(MODEL),$(wildcard $(CURDIR)/ember/ember.gguf))" web/test browser

client-test: $(BUILD)/hearth
	@tools/deps web
	@HEARTH_SCHEMAS=$(SCHEMAS) tests/clients/run $(BUILD)/hearth "$(or $(MODEL),ember/ember.gguf)" $(CLIENTS)

tune-soak: $(BUILD)/hearth
	@tools/tune-soak $(BUILD)/hearth $(KILLS)

store-soak: $(BUILD)/hearth
	@tools/store-soak $(BUILD) $(KILLS)

serve-soak: KILLS = 100
serve-soak: $(BUILD)/hearth
	@tools/deps web
	@tools/serve-soak $(BUILD)/hearth "$(or $(MODEL),ember/ember.gguf)" $(SECONDS) $(KILLS)

lint:
	@tools/deps build lint
	@tools/lint

check:
	@tools/deps build check
	@tools/configure $(SAN_BUILD) -Db_sanitize=$(SAN) -Db_lundef=false \
	    --buildtype=debugoptimized
	@ninja -C $(SAN_BUILD) -j $(JOBS)
	@UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1 \
	    tools/run-tests $(SAN_BUILD)

fuzz:
	@tools/deps build check
	@CC=clang tools/configure build-fuzz -Dfuzz=true -Db_lundef=false --buildtype=debugoptimized
	@ninja -C build-fuzz -j $(JOBS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tools/fuzz build-fuzz $(TARGETS)

ember: $(BUILD)/hearth
	@ember/make $(BUILD)

install: $(BUILD)/hearth
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf build build-*
