# kubetoken: GNU make. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr/local
BINDIR = $(PREFIX)/bin
LIBEXECDIR = $(PREFIX)/libexec/kubetoken
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/kubetoken
# systemd looks for user units below /usr/lib, /usr/local/lib and /etc only
USERUNITDIR = $(PREFIX)/lib/systemd/user
PYTHON ?= /usr/bin/python3

CC ?= gcc
PKG_CONFIG ?= pkg-config
BUILD ?= build
O := $(BUILD)

# make SANITIZE=1 builds with ASan and UBSan into a folder of its own
ifdef SANITIZE
O := $(BUILD)/sanitize
SANITIZER := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HARDEN :=
else
HARDEN := -D_FORTIFY_SOURCE=2
endif

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
  -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 \
  -Wimplicit-fallthrough $(WERROR)
# Hidden, or our json_object() would stand in for jansson's inside libjwt.
BASE := -std=gnu11 -fvisibility=hidden -I. -DKUBETOKEN_VERSION='"$(VERSION)"' -ffile-prefix-map=$(CURDIR)=.
HARDENING := $(HARDEN) -fstack-protector-strong -fstack-clash-protection -fPIE
LINKING := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

# make V=1 shows the commands
ifndef V
Q := @
endif

compile = $(CC) $(BASE) $(CFLAGS) $(WARNINGS) $(HARDENING) $(SANITIZER) $(1) -MMD -MP -c $< -o $@
pkg = $(shell $(PKG_CONFIG) --$(1) $(2))

COMMON := descriptor error fetcher job paths protocol record secret time url
DAEMON := account accounts answer attempt command config credential digest inspection jobs \
  journal lifecycle listener main process profile registry server slots store watch world
FETCH := cache claims discovery grant http id_token inspect jwks jws main mask provider sandbox token
CLIENT := admin autostart client exec_info explain get inspect kubeconfig login main status
CLIENT_COMMON := descriptor error explain paths protocol time
ADMIN := chain child doctor kubeconfig kubectl kuberc main report token

common_o := $(COMMON:%=$(O)/common/%.o)
daemon_o := $(DAEMON:%=$(O)/daemon/%.o) $(common_o)
fetch_o := $(FETCH:%=$(O)/daemon/fetch/%.o) $(common_o) $(O)/common/json.o
client_c := $(CLIENT:%=client/%.c) $(CLIENT_COMMON:%=common/%.c)
client_o := $(client_c:%.c=$(O)/static/%.o)
admin_o := $(ADMIN:%=$(O)/client/admin/%.o) $(O)/client/autostart.o $(O)/client/client.o \
  $(filter-out %/explain.o,$(CLIENT_COMMON:%=$(O)/common/%.o))
programs := $(O)/kubetoken $(O)/kubetokend $(O)/kubetoken-fetch $(O)/kubetoken-admin

# What is linked by whom is a promise (README, "What it is made of"): keep the lists apart.
DAEMON_LIBS = libsystemd libcjson
ADMIN_LIBS = libcjson yaml-0.1
FETCH_LIBS = libcurl libjwt libcjson libcrypto libssl libseccomp

.PHONY: all
all: $(programs)

# ---- the daemon and the fetcher ------------------------------------------------------------

$(O)/kubetokend: $(daemon_o)
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^ \
	  $(call pkg,libs,$(DAEMON_LIBS))

$(O)/kubetoken-fetch: $(fetch_o)
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^ \
	  $(call pkg,libs,$(FETCH_LIBS)) -lm

$(O)/kubetoken-admin: $(admin_o)
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^ \
	  $(call pkg,libs,$(ADMIN_LIBS))

$(O)/daemon/main.o $(O)/static/client/admin.o: EXTRA = -DKUBETOKEN_LIBEXEC='"$(LIBEXECDIR)"'
$(O)/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo '  CC   $@'
	$(Q)$(call compile,$(EXTRA))

# ---- the client: libc alone, static ----------------------------------------------------------
# With musl-tools a static PIE of a few pages. `musl-gcc -static-pie` would silently make a
# dynamic one, so the link line says what it needs; a test looks at the result.

MUSL := /usr/lib/$(subst -gnu,-musl,$(shell gcc -print-multiarch 2>/dev/null))
ifndef SANITIZE
ifneq ($(wildcard $(MUSL)/rcrt1.o),)
HAVE_MUSL := yes
endif
endif

ifdef HAVE_MUSL
CLIENT_CC := gcc
CLIENT_CFLAGS := -specs=$(MUSL)/musl-gcc.specs -Os -fno-asynchronous-unwind-tables \
  -ffunction-sections -fdata-sections
client_link = gcc -specs=$(MUSL)/musl-gcc.specs -static -nostartfiles -Wl,--gc-sections \
  -Wl,-pie,--no-dynamic-linker,-z,text,-z,now,-z,relro,-z,noexecstack,-z,noseparate-code \
  -s -o $@ $(MUSL)/rcrt1.o $(MUSL)/crti.o $^ $(MUSL)/crtn.o
else
CLIENT_CC := $(CC)
CLIENT_CFLAGS := $(CFLAGS)
client_link = $(CC) $(CFLAGS) $(SANITIZER) $(if $(SANITIZER),$(LINKING),-static-pie \
  -Wl,-z,relro,-z,now,-z,noexecstack -s) $(LDFLAGS) -o $@ $^
endif

$(O)/kubetoken: $(client_o)
	@echo '  LINK $@'
	$(Q)$(client_link)

$(O)/static/%.o: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo '  CC   $@'
	$(Q)$(CLIENT_CC) $(BASE) $(CLIENT_CFLAGS) $(WARNINGS) $(HARDENING) $(SANITIZER) $(EXTRA) -MMD -MP -c $< -o $@

# Everything is built again when a flag changes.
flags_now := $(CC) $(CFLAGS) $(LDFLAGS) $(WERROR) $(SANITIZER) $(PREFIX) $(VERSION) $(HAVE_MUSL)
$(O)/flags: FORCE
	@mkdir -p $(O)
	@echo '$(flags_now)' | cmp -s - $@ || echo '$(flags_now)' > $@
FORCE:

# ---- tests ----------------------------------------------------------------------------------

UNIT := $(basename $(notdir $(wildcard tests/unit/*_test.c)))
unit_programs := $(UNIT:%=$(O)/unit/%)
unit_o := $(filter-out %/main.o,$(sort $(daemon_o) $(fetch_o))) $(O)/static/client/exec_info.o
ifdef HAVE_MUSL
unit_o := $(filter-out $(O)/static/%,$(unit_o)) $(O)/client/exec_info.o
endif

$(O)/unit/%: $(O)/tests/unit/%.o $(O)/tests/unit/support.o $(unit_o)
	@mkdir -p $(@D)
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^ \
	  $(call pkg,libs,$(DAEMON_LIBS) $(FETCH_LIBS) cmocka) -lm
.SECONDARY: $(UNIT:%=$(O)/tests/unit/%.o)

# What the promises are worth: lifecycle.c and account.c in virtual time.
simulation_o := $(patsubst %.c,$(O)/%.o,$(wildcard tests/simulation/*.c)) \
  $(O)/daemon/lifecycle.o $(O)/daemon/account.o $(O)/daemon/slots.o
SEEDS ?= 1-10000
STEPS ?= 20000

$(O)/simulation: $(simulation_o)
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^

.PHONY: simulate
simulate: $(O)/simulation
	$(O)/simulation --seeds $(SEEDS) --steps $(STEPS)

# Thousands of them at one provider, by the same two files. Not in `check`: bounds are broken yet.
$(O)/fleet: $(O)/tests/fleet/fleet.o $(O)/daemon/lifecycle.o $(O)/daemon/account.o
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^ -lm

.PHONY: fleet
fleet: $(O)/fleet
	$(O)/fleet

# The parsers under libFuzzer, ASan and UBSan. Secrets are on the heap there, where both see them.
# New inputs go to $(O)/fuzz/corpus, which later runs go on with; tests/fuzz/corpus stays as it is.
CLANG ?= clang
FUZZ := $(patsubst %_fuzz,%,$(basename $(notdir $(wildcard tests/fuzz/*_fuzz.c))))
FUZZ_SECONDS ?= 60
F := $(O)/fuzz
fuzz_flags := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
  -fno-sanitize-recover=undefined
fuzz_o := $(patsubst $(O)/%,$(F)/%,$(filter-out %/main.o %/secret.o,$(sort $(daemon_o) $(fetch_o)))) \
  $(F)/client/exec_info.o $(F)/tests/fuzz/heap_secret.o $(F)/tests/fuzz/fuzz.o

$(F)/%.o: %.c $(F)/flags
	@mkdir -p $(@D)
	@echo '  CC   $@'
	$(Q)$(CLANG) $(BASE) $(WARNINGS) $(fuzz_flags) -fsanitize=fuzzer-no-link $(FUZZ_EXTRA) \
	  -MMD -MP -c $< -o $@

# Each comparison of an edit distance is not worth a call; config.dict has the keys.
$(F)/daemon/config.o: FUZZ_EXTRA = -fno-sanitize-coverage=trace-cmp

$(F)/parsers.a: $(fuzz_o)
	@echo '  AR   $@'
	$(Q)rm -f $@ && ar rcs $@ $^

$(FUZZ:%=$(F)/%_fuzz): $(F)/%_fuzz: $(F)/tests/fuzz/%_fuzz.o $(F)/parsers.a
	@echo '  LINK $@'
	$(Q)$(CLANG) $(fuzz_flags) -fsanitize=fuzzer -Wl,--as-needed -o $@ $^ \
	  $(call pkg,libs,$(DAEMON_LIBS) $(FETCH_LIBS)) -lm
.SECONDARY: $(FUZZ:%=$(F)/tests/fuzz/%_fuzz.o)

# A linker that finds the runtime is the proof that it is there.
$(F)/flags: FORCE
	@mkdir -p $(F)
	@echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' \
	  | $(CLANG) $(fuzz_flags) -fsanitize=fuzzer -x c - -o $(F)/probe 2>$(F)/probe.log || { \
	  cat $(F)/probe.log >&2; \
	  echo 'make fuzz: FUZZING WAS NOT RUN: $(CLANG) or its fuzzer runtime is missing' \
	    '(packages clang and libclang-rt-dev: packaging/install-dependencies)' >&2; exit 1; }
	@echo '$(CLANG) $(BASE) $(WARNINGS) $(fuzz_flags)' > $(F)/probe.log
	@cmp -s $(F)/probe.log $@ || cp $(F)/probe.log $@

.PHONY: fuzz $(FUZZ:%=fuzz-%)
fuzz: $(FUZZ:%=fuzz-%)
$(FUZZ:%=fuzz-%): fuzz-%: $(F)/%_fuzz
	@tests/fuzz/run $(F) $* $(FUZZ_SECONDS)

# Each patch breaks a promise on purpose: the simulation has to see it.
.PHONY: mutants
mutants:
	tests/simulation/run-mutants

# The pages that hold the table of errors have it from common/error.c and common/explain.c. What is
# written is kept in git; a test says when it is old.
$(O)/codes: $(O)/tests/manual/codes.o $(O)/common/error.o $(O)/common/explain.o
	@echo '  LINK $@'
	$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $^

.PHONY: man
man: $(O)/codes
	@set -e; for page in man/kubetoken-protocol.7 man/kubetoken-codes.7; do \
	  $(O)/codes < $$page > $(O)/page; cat $(O)/page > $$page; done

JOBS = $(shell nproc)

.PHONY: deps
deps:
	@packaging/install-dependencies

.PHONY: unit
unit: $(unit_programs) $(O)/codes
	@set -e; for t in $(unit_programs); do echo "== $$t"; $$t; done

# A second make, since what there is to build with may only be there after `deps`.
.PHONY: check
check: deps
	$(MAKE) -j$(JOBS) all
	$(MAKE) check-installed

.PHONY: check-installed
check-installed: all
	$(MAKE) -j$(JOBS) unit
	$(MAKE) simulate SEEDS=1-4000
	$(MAKE) -j$(JOBS) SANITIZE=1 unit
	$(MAKE) -j$(JOBS) fuzz FUZZ_SECONDS=10
	$(PYTHON) tests/lint/check-source
	KUBETOKEN_BUILD=$(abspath $(O)) $(PYTHON) -m pytest -q -p no:cacheprovider tests

.PHONY: demo
demo: deps
	$(MAKE) -j$(JOBS) all
	KUBETOKEN_BUILD=$(abspath $(O)) tests/demo

# ---- lint -------------------------------------------------------------------------------------

sources := $(wildcard common/*.c common/*.h client/*.c client/*.h \
  client/admin/*.c client/admin/*.h daemon/*.c daemon/*.h \
  daemon/fetch/*.c daemon/fetch/*.h tests/unit/*.c tests/unit/*.h \
  tests/simulation/*.c tests/simulation/*.h tests/fleet/*.c tests/manual/*.c \
  tests/fuzz/*.c tests/fuzz/*.h)

.PHONY: lint
lint:
	packaging/install-dependencies --lint
	$(PYTHON) tests/lint/check-source
	clang-format --dry-run -Werror $(sources)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -I. \
	  --enable=warning,portability,performance -DKUBETOKEN_VERSION='"0"' common client daemon
	clang-tidy --quiet --warnings-as-errors='*' $(filter %.c,$(filter-out tests/%,$(sources))) -- \
	  $(BASE) -DKUBETOKEN_LIBEXEC='"$(LIBEXECDIR)"' $(call pkg,cflags,$(DAEMON_LIBS) $(FETCH_LIBS))

.PHONY: format
format:
	clang-format -i $(sources)

# ---- installing ---------------------------------------------------------------------------------

install_in = install -d $(DESTDIR)$(2) && install -m $(3) $(1) $(DESTDIR)$(2)/

.PHONY: install
install: all
	$(call install_in,$(O)/kubetoken $(O)/kubetokend,$(BINDIR),0755)
	$(call install_in,$(O)/kubetoken-fetch $(O)/kubetoken-admin,$(LIBEXECDIR),0755)
	$(call install_in,systemd/kubetoken.socket,$(USERUNITDIR),0644)
	sed 's|@BINDIR@|$(BINDIR)|' systemd/kubetoken.service.in > $(O)/kubetoken.service
	$(call install_in,$(O)/kubetoken.service,$(USERUNITDIR),0644)
	$(call install_in,man/kubetoken.1,$(MANDIR)/man1,0644)
	$(call install_in,man/kubetoken.conf.5,$(MANDIR)/man5,0644)
	$(call install_in,man/kubetoken-codes.7 man/kubetoken-protocol.7,$(MANDIR)/man7,0644)
	$(call install_in,man/kubetokend.8,$(MANDIR)/man8,0644)
	$(call install_in,README.md $(wildcard examples/*),$(DOCDIR),0644)

.PHONY: clean
clean:
	rm -rf $(BUILD)

.PHONY: help
help:
	@echo 'make            build kubetoken, kubetokend, kubetoken-fetch, kubetoken-admin'
	@echo 'make demo       install what is needed, build, show the main job'
	@echo 'make check      install what is needed, build, run all tests'
	@echo 'make install    DESTDIR= PREFIX=/usr/local'
	@echo 'make simulate   SEEDS=1-10000: the promises in virtual time; part of make check'
	@echo 'make fleet      thousands of clients at one provider, a line for each scenario, with the'
	@echo '                bounds that do not hold yet'
	@echo 'make fuzz       FUZZ_SECONDS=60 for each parser, with clang; 10 each in make check'
	@echo 'make mutants    does the simulation see broken promises?'
	@echo 'make man        writes the table of errors into the manual pages'
	@echo 'make lint       clang-tidy, cppcheck, format, the rules of the project'
	@echo 'make clean      remove what was built'

-include $(wildcard $(O)/common/*.d $(O)/daemon/*.d $(O)/daemon/fetch/*.d $(O)/client/*.d $(O)/client/admin/*.d \
  $(O)/static/client/*.d $(O)/static/common/*.d $(O)/tests/unit/*.d $(O)/tests/simulation/*.d \
  $(O)/tests/fleet/*.d $(O)/tests/manual/*.d \
  $(F)/common/*.d $(F)/daemon/*.d $(F)/daemon/fetch/*.d $(F)/client/*.d $(F)/tests/fuzz/*.d)
