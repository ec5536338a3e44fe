# kubetoken: GNU make. `make help` lists the targets.

VERSION := 0.1.0
PREFIX ?= /usr/local
BINDIR = $(PREFIX)/bin
LIBEXECDIR = $(PREFIX)/libexec/kubetoken
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/kubetoken
DATADIR = $(PREFIX)/share/kubetoken
# systemd looks for user units below /usr/lib, /usr/local/lib and /etc only; packagers want
# USERUNITDIR=/usr/lib/systemd/user
USERUNITDIR = $(PREFIX)/lib/systemd/user
CATALOGDIR = $(PREFIX)/lib/systemd/catalog
# Where the shells look. Debian's packages for zsh want ZSHDIR=/usr/share/zsh/vendor-completions;
# fish looks below /usr/local only where XDG_DATA_DIRS names it.
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(if $(filter /usr/local,$(PREFIX)),/etc/fish/completions,$(PREFIX)/share/fish/vendor_completions.d)
PYTHON ?= /usr/bin/python3

PKG_CONFIG ?= pkg-config
BUILD ?= build
O := $(BUILD)

# CC, CPPFLAGS, CFLAGS and LDFLAGS are for whoever builds: all four programs obey them.
CFLAGS ?= $(OPTIMIZE) -g
OPTIMIZE = -O2
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes \
  -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 \
  -Wimplicit-fallthrough $(WERROR)
# Hidden, or our json_object() would stand in for jansson's inside libjwt.
BASE := -std=gnu11 -fvisibility=hidden -I. -DKUBETOKEN_VERSION='"$(VERSION)"' '-ffile-prefix-map=$(CURDIR)=.'
HARDENING := -fstack-protector-strong -fstack-clash-protection -fPIE
LINKING := -fPIE -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed

# make SANITIZE=1 builds with ASan and UBSan into a folder of its own
ifdef SANITIZE
O := $(BUILD)/sanitize
SANITIZER := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(findstring _FORTIFY_SOURCE,$(CC) $(CPPFLAGS) $(CFLAGS)),)
HARDENING += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif

# make V=1 shows the commands
ifndef V
Q := @
endif

define compile
@mkdir -p $(@D)
@echo '  CC   $@'
$(Q)$(CC) $(BASE) $(WARNINGS) $(HARDENING) $(LIBC) $(CPPFLAGS) $(CFLAGS) $(SANITIZER) $(EXTRA) \
  -MMD -MP -c $< -o $@
endef

# $(1): the libraries
define link
@mkdir -p $(@D)
@echo '  LINK $@'
$(Q)$(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS) -o $@ $(filter %.o,$^) $(1)
endef

# A cross compiler's libraries are described where Debian has those of its triplet.
triplet := $(shell $(CC) -print-multiarch 2>/dev/null)
machine := $(subst -, ,$(or $(triplet),$(shell $(CC) -dumpmachine 2>/dev/null)))
cpu := $(firstword $(machine))
cross := $(if $(filter-out $(shell uname -m),$(cpu)),$(wildcard /usr/lib/$(triplet)/pkgconfig))
pkg = $(shell $(cross:%=PKG_CONFIG_LIBDIR=%:/usr/share/pkgconfig) $(PKG_CONFIG) --$(1) $(2))

# ---- what is linked into which program -------------------------------------------------------
# Which libraries is a promise (docs/design.md §2), so each program has lists of its own, and a test
# finds what in them it does not need.

DAEMON := account account_record account_table attempt children command_unit config \
  config_change config_keys config_print device digest facts fetch_queue fetcher file_watch history \
  history_view holders holdings inspection journal lifecycle listener log_file main memory \
  metrics new_password notify offspring peer_process permit poll_set private_file profile \
  profile_index profile_record profiles programs rejection render render_json render_metrics \
  revocation round secret_command secret_remark secret_source server share share_record \
  status_parts store subject summary system_watch table typed_login typed_user watch who_asks why
DAEMON_COMMON := config_files descriptor error job json_print json_tree kube_user message_id \
  owner paths printable protections protocol secret secret_form specifiers text time tlv \
  trusted_group trusted_path trusted_program url wrap
DAEMON_LIBS = libsystemd libcjson

FETCH := answer_text as_go authorities cache claims_diff device discovery exchange get_token grant \
  http http_field id_token inspect json json_text jwk_go jwks jws main offers otp page \
  printed_token provider proxy redact refusal resolver revoke sandbox tls_files verify_token
FETCH_COMMON := descriptor error heap job json_print json_tree kube_user owner printable \
  protections secret text time tlv trusted_group trusted_path url
FETCH_LIBS = libcurl libjwt libcjson libcrypto libssl libseccomp

CLIENT := admin autostart conversation device_login exec_info explain explain_text get help inherited inspect \
  locked login main metrics options other_user output own_config progress qr_code reap run screen \
  service share status stop watch
CLIENT_COMMON := descriptor error paths printable protocol secret_form text time wrap

ADMIN := apiserver_replay ask authentication_config cel cel_foresee cel_parse cel_scope \
  certificate check_apiserver check_cluster check_grant check_kubeconfig check_policy \
  check_protections check_provider check_token check_user child complete config_show config_text \
  doctor draft_trial draft_write file_changes grant_choice help_rows import import_auth_provider import_draft \
  import_plan import_users init issuer kubeconfig kubeconfig_edit kubeconfig_file \
  kubeconfig_mask kubeconfig_paths kubeconfig_plan kubeconfig_user kubeconfig_write kubectl \
  kubectl_words kubelogin_args kuberc log main names password_keep profile_draft profile_undo \
  provider_offers   redaction report rights text_diff trial yaml_marks yaml_print yaml_tree
ADMIN_CLIENT := autostart conversation help inherited locked options other_user output \
  own_config progress reap service
ADMIN_COMMON := config_files descriptor error heap json_print json_tree kube_user owner paths \
  printable protocol secret_form specifiers text time trusted_group trusted_path trusted_program \
  url wrap
ADMIN_LIBS = libcjson yaml-0.1

daemon_o := $(DAEMON:%=$(O)/daemon/%.o) $(DAEMON_COMMON:%=$(O)/common/%.o)
fetch_o := $(FETCH:%=$(O)/daemon/fetch/%.o) $(FETCH_COMMON:%=$(O)/common/%.o)
client_o := $(CLIENT:%=$(O)/static/client/%.o) $(CLIENT_COMMON:%=$(O)/static/common/%.o)
admin_o := $(ADMIN:%=$(O)/client/admin/%.o) $(ADMIN_CLIENT:%=$(O)/client/%.o) \
  $(ADMIN_COMMON:%=$(O)/common/%.o)
programs := $(O)/kubetoken $(O)/kubetokend $(O)/kubetoken-fetch $(O)/kubetoken-admin

.PHONY: all
all: $(programs)

# Everything is compiled again when what stands in $(O)/flags changes, and linked again when what
# stands in $(O)/links does.
define flags
$(CC) $(BASE) $(WARNINGS) $(HARDENING) $(CPPFLAGS) $(CFLAGS) $(SANITIZER) $(LIBEXECDIR)
client: $(client_libc)
endef

define links
kubetokend: $(daemon_o) $(DAEMON_LIBS)
kubetoken-fetch: $(fetch_o) $(FETCH_LIBS)
kubetoken: $(client_o)
kubetoken-admin: $(admin_o) $(ADMIN_LIBS)
tests: $(unit_o) $(DEVICE_CALLS) $(SUBJECT_CALLS) $(simulation_o) $(WRAPPED) $(fuzz_o)
by: $(CC) $(CFLAGS) $(SANITIZER) $(LINKING) $(LDFLAGS)
client: $(client_linking) $(client_libs)
endef

$(O)/flags: export TEXT = $(flags)
# Whichever way the folder is named: else one make would link anew what another's tests run.
$(O)/links: export TEXT = $(subst $(O)/,,$(links))
$(O)/flags $(O)/links: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$$TEXT" | cmp -s - $@ || printf '%s\n' "$$TEXT" > $@
FORCE:

# ---- the daemon, the fetcher and kubetoken-admin ---------------------------------------------

$(O)/%.o: %.c $(O)/flags
	$(compile)

$(O)/daemon/main.o $(O)/static/client/admin.o: private EXTRA = -DKUBETOKEN_LIBEXEC='"$(LIBEXECDIR)"'

$(O)/kubetokend: $(daemon_o) $(O)/links
	$(call link,$(call pkg,libs,$(DAEMON_LIBS)))

$(O)/kubetoken-fetch: $(fetch_o) $(O)/links
	$(call link,$(call pkg,libs,$(FETCH_LIBS)) -lm)

$(O)/kubetoken-admin: $(admin_o) $(O)/links
	$(call link,$(call pkg,libs,$(ADMIN_LIBS)))

# ---- the client: libc alone, static ----------------------------------------------------------
# With musl (package musl-tools) a static PIE of a few pages, else one of the libc there is. The
# compiler's own -static-pie knows nothing of musl, so the link line says what it needs; a test
# looks at the result.

ifndef SANITIZE
# The folder of the musl for the machine that $(CC) compiles for: by its triplet, as in Debian, or
# where a musl-gcc for that machine has it. `make MUSL=` does without.
musl_gcc := $(shell \
  specs=$$(sed -n 's|.*-specs[ =]"*\(/[^ "]*\).*|\1|p' "$$(command -v musl-gcc)" 2>/dev/null); \
  grep -qs 'ld-musl-$(cpu)' "$$specs" && dirname "$$specs")
MUSL := $(patsubst %/rcrt1.o,%,$(firstword $(wildcard $(addsuffix /rcrt1.o, \
  /usr/lib/$(cpu)-linux-$(subst gnu,musl,$(lastword $(machine))) $(musl_gcc)))))
MUSL_INCLUDE := $(firstword $(wildcard /usr/include/$(notdir $(MUSL)) $(MUSL)/../include))

client_libc := -fno-asynchronous-unwind-tables -ffunction-sections -fdata-sections
client_linking := -s -Wl,--gc-sections -Wl,-z,text,-z,now,-z,relro,-z,noexecstack \
  -Wl,-z,noseparate-code
ifneq ($(MUSL),)
client_libc += -nostdinc -isystem $(MUSL_INCLUDE) -isystem $(shell $(CC) -print-file-name=include)
client_linking += -static -nostdlib -Wl,-pie,--no-dynamic-linker $(MUSL)/rcrt1.o $(MUSL)/crti.o
client_libs := -Wl,--start-group $(MUSL)/libc.a -lgcc -Wl,--end-group $(MUSL)/crtn.o
# What a `get` touches stands side by side. Other linkers take the script for one of their own.
ifneq ($(findstring GNU ld,$(shell $(CC) $(LDFLAGS) -Wl,--version 2>/dev/null)),)
client_order := client/get.ld
client_linking += -Wl,-T,$(client_order)
endif
else
client_libs := -static-pie # behind LDFLAGS: a -pie in them would make it a dynamic one
endif
$(O)/static/%.o: private LIBC = $(client_libc)
$(O)/static/%.o $(O)/kubetoken: private OPTIMIZE = -Os
$(O)/kubetoken: private LINKING = $(client_linking)
endif

$(O)/static/%.o: %.c $(O)/flags
	$(compile)

$(O)/kubetoken: $(client_o) $(client_order) $(O)/links
	$(call link,$(client_libs))

# ---- tests ----------------------------------------------------------------------------------

UNIT := $(basename $(notdir $(wildcard tests/unit/*_test.c)))
unit_programs := $(UNIT:%=$(O)/unit/%)
# What kubetoken-admin reads and changes of files: the API server's configuration, a kubeconfig, our
# own configuration; pure.
READERS := authentication_config cel cel_foresee cel_parse cel_scope config_text grant_choice \
  import_auth_provider import_plan issuer kubeconfig_edit kubeconfig_mask kubeconfig_user \
  kubelogin_args kuberc text_diff yaml_marks yaml_print yaml_tree
unit_o := $(filter-out %/main.o,$(sort $(daemon_o) $(fetch_o))) $(O)/client/exec_info.o \
  $(O)/client/reap.o $(O)/client/service.o $(O)/client/admin/child.o $(O)/client/admin/help_rows.o \
  $(O)/client/admin/redaction.o \
  $(READERS:%=$(O)/client/admin/%.o)

# What these modules call in others is replaced where it is linked, by their tests.
DEVICE_CALLS := attempt_cancel attempt_free attempt_new attempt_start attempt_update \
  attempt_where attempt_words sd_event_add_time sd_event_source_disable_unref \
  sd_event_source_set_enabled sd_event_source_set_time secret_free time_boottime
SUBJECT_CALLS := permit_join profile_access_token profile_config profile_error profile_facts \
  profile_forget profile_look profile_named profile_token profile_trouble profile_want \
  profile_words time_boottime
$(O)/unit/device_login_test: private REPLACED = $(DEVICE_CALLS)
$(O)/unit/subject_test: private REPLACED = $(SUBJECT_CALLS)

$(O)/unit/%: $(O)/tests/unit/%.o $(O)/tests/unit/support.o $(unit_o) $(O)/links
	$(call link,$(REPLACED:%=-Wl,--wrap=%) \
	  $(call pkg,libs,$(DAEMON_LIBS) $(FETCH_LIBS) yaml-0.1 cmocka) -lm)
# Never empty, which would be a rule for all there is.
.SECONDARY: $(O)/tests/unit/support.o $(UNIT:%=$(O)/tests/unit/%.o)

# What the promises are worth: the daemon's own code in virtual time. What it asks of the machine is
# replaced where it is linked; secrets are on the plain heap.
SIMULATED := account account_record account_table attempt config config_change config_keys \
  device digest facts fetch_queue history holders holdings lifecycle new_password permit \
  private_file profile profile_index profile_record profiles rejection secret_remark \
  secret_source store subject typed_login typed_user
SIMULATED_COMMON := config_files error job kube_user owner paths printable protections protocol \
  secret_form specifiers text time tlv trusted_group trusted_path url
simulation_o := $(patsubst %.c,$(O)/%.o,$(wildcard tests/simulation/*.c)) \
  $(SIMULATED:%=$(O)/daemon/%.o) $(O)/tests/fuzz/heap_secret.o \
  $(SIMULATED_COMMON:%=$(O)/common/%.o)
WRAPPED := account_ask close config_load getrandom lifecycle_init lifecycle_step \
  private_file_check private_file_is_young private_file_open private_file_stamp profile_new read \
  rejection_confirm time_boottime
SEEDS ?= 1-5000
STEPS ?= 20000

$(O)/simulation: $(simulation_o) $(O)/links
	$(call link,$(WRAPPED:%=-Wl,--wrap=%))

.PHONY: simulate
simulate: $(O)/simulation
	$(O)/simulation --seeds $(SEEDS) --steps $(STEPS)

# Thousands of them at one provider, by the same three files.
$(O)/fleet: $(O)/tests/fleet/fleet.o $(O)/daemon/lifecycle.o $(O)/daemon/account.o $(O)/daemon/fetch_queue.o $(O)/links
	$(call link,-lm)

.PHONY: fleet
fleet: $(O)/fleet
	$(O)/fleet

# Those of docs/fleet.md.
FLEET_PICTURES := outage-2h outage-4x network resume date monday not-found refresh long rotate-busy

.PHONY: fleet-pictures
fleet-pictures: $(O)/fleet
	$(PYTHON) tests/fleet/plot.py $(O)/fleet docs/fleet $(FLEET_PICTURES)

# The parsers under libFuzzer, ASan and UBSan. Secrets are on the heap there, where both see them.
# New inputs go to $(O)/fuzz/corpus, which later runs go on with; tests/fuzz/corpus stays as it is.
CLANG ?= clang
FUZZ := $(patsubst %_fuzz,%,$(basename $(notdir $(wildcard tests/fuzz/*_fuzz.c))))
FUZZ_SECONDS ?= 120
F := $(O)/fuzz
fuzz_flags := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
  -fno-sanitize-recover=undefined
fuzz_o := $(patsubst $(O)/%,$(F)/%,$(filter-out %/main.o %/secret.o,$(sort $(daemon_o) $(fetch_o)))) \
  $(F)/client/exec_info.o $(F)/client/admin/redaction.o $(READERS:%=$(F)/client/admin/%.o) \
  $(F)/tests/fuzz/heap_secret.o $(F)/tests/fuzz/fuzz.o

$(F)/%.o: %.c $(F)/flags
	@mkdir -p $(@D)
	@echo '  CC   $@'
	$(Q)$(CLANG) $(BASE) $(WARNINGS) $(fuzz_flags) -fsanitize=fuzzer-no-link $(FUZZ_EXTRA) \
	  -MMD -MP -c $< -o $@

# Each comparison of an edit distance is not worth a call; config.dict has the keys.
$(F)/common/text.o: FUZZ_EXTRA = -fno-sanitize-coverage=trace-cmp

$(F)/parsers.a: $(fuzz_o) $(O)/links
	@echo '  AR   $@'
	$(Q)rm -f $@ && ar rcs $@ $(filter %.o,$^)

$(FUZZ:%=$(F)/%_fuzz): $(F)/%_fuzz: $(F)/tests/fuzz/%_fuzz.o $(F)/parsers.a
	@echo '  LINK $@'
	$(Q)$(CLANG) $(fuzz_flags) -fsanitize=fuzzer -Wl,--as-needed -o $@ $^ \
	  $(call pkg,libs,$(DAEMON_LIBS) $(FETCH_LIBS) yaml-0.1) -lm
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

# What they found, as few inputs as it takes, becomes a part of tests/fuzz/corpus, which each run begins
# with.
.PHONY: corpus $(FUZZ:%=corpus-%)
corpus: $(FUZZ:%=corpus-%)
$(FUZZ:%=corpus-%): corpus-%: $(F)/%_fuzz
	@tests/fuzz/minimise $(F) $*

# Each patch breaks a promise on purpose: the simulation has to see it, or the test that it names.
.PHONY: mutants
mutants:
	tests/simulation/run-mutants
	tests/mutants/run

# The pages that hold the table of errors have it from common/error.c and client/explanations.inc. What is
# written is kept in git; a test says when it is old.
$(O)/codes: $(O)/man/codes.o $(O)/common/error.o $(O)/common/printable.o $(O)/client/explain_text.o $(O)/links
	$(link)

# So has the catalogue of the journal.
$(O)/catalogue: $(O)/man/catalogue.o $(O)/common/error.o $(O)/common/message_id.o $(O)/common/printable.o \
  $(O)/client/explain_text.o $(O)/links
	$(link)

.PHONY: man
man: $(O)/codes $(O)/catalogue
	@$(O)/catalogue > $(O)/page; cat $(O)/page > systemd/kubetoken.catalog
	@set -e; for page in man/kubetoken-protocol.7 man/kubetoken-codes.7; do \
	  $(O)/codes < $$page > $(O)/page; cat $(O)/page > $$page; done

JOBS = $(shell nproc)

# The integration tests against the sanitized programs. What those cannot hold is skipped by name
# (tests/integration/sanitized.py).
.PHONY: check-asan
check-asan: deps
	$(MAKE) -j$(JOBS) SANITIZE=1 all $(O)/sanitize/codes $(O)/sanitize/catalogue
	t=$$(mktemp -d /tmp/kt.XXXXXX) && trap 'rm -rf "$$t"' EXIT && trap 'exit 130' INT TERM && \
	KUBETOKEN_BUILD=$(abspath $(O))/sanitize KUBETOKEN_SANITIZED=1 $(PYTHON) -m pytest -q -rs \
	  -p no:cacheprovider -n $$(($(JOBS) + 1)) --dist loadfile --basetemp "$$t" tests/integration

# Memcheck, over the main paths.
.PHONY: check-valgrind
check-valgrind: all
	KUBETOKEN_BUILD=$(abspath $(O)) PYTHON=$(PYTHON) tests/valgrind

# For another machine, with Debian's libraries of it, and what of that qemu-user can run.
ARM64_CC ?= aarch64-linux-gnu-gcc
.PHONY: check-arm64
check-arm64:
	packaging/install-dependencies --build --arm64
	$(MAKE) -j$(JOBS) CC=$(ARM64_CC) WERROR=-Werror BUILD=$(BUILD)/arm64 all units
	$(PYTHON) tests/arm64 $(BUILD)/arm64

# Each failing allocation and system call; `make check` fails a part of them.
.PHONY: check-faults
check-faults: all
	t=$$(mktemp -d /tmp/kt.XXXXXX) && trap 'rm -rf "$$t"' EXIT && trap 'exit 130' INT TERM && \
	KUBETOKEN_BUILD=$(abspath $(O)) KUBETOKEN_FULL=1 $(PYTHON) -m pytest -q -rs \
	  -p no:cacheprovider --basetemp "$$t" tests/integration/test_failing_*.py

.PHONY: deps
deps:
	@packaging/install-dependencies

.PHONY: unit units
units: $(unit_programs)
unit: $(unit_programs) $(O)/codes $(O)/catalogue
	@set -e; for t in $(unit_programs); do echo "== $$t"; $$t; done

# For whoever builds a package: neither root nor network, and nothing is installed.
.PHONY: test
test: all
	$(MAKE) unit
	$(MAKE) simulate SEEDS=1-100

# A second make, since what there is to build with may only be there after `deps`.
.PHONY: check
check: deps
	$(MAKE) -j$(JOBS) all
	$(MAKE) check-installed

# What takes longest begins first, and ends beside the others.
longest := tests/systemd
others := $(addprefix tests/,bench integration lint packaging)

# Most tests wait most of the time, so that there are more of them at once than processors; their
# folders have a short name, since that of a socket has 107 bytes at most.
.PHONY: check-installed
check-installed: all $(O)/kubetokend-keeps-more
	$(MAKE) -j$(JOBS) unit
	$(MAKE) simulate SEEDS=1-500
	$(MAKE) fleet
	$(MAKE) -j$(JOBS) SANITIZE=1 unit
	$(MAKE) SANITIZE=1 simulate SEEDS=1-100 STEPS=2500
	$(MAKE) -j$(JOBS) fuzz FUZZ_SECONDS=5
	$(PYTHON) tests/lint/check-source
	$(MAKE) -j$(JOBS) check-musl
	$(MAKE) bench-gate
	t=$$(mktemp -d /tmp/kt.XXXXXX) && trap 'rm -rf "$$t"' EXIT && trap 'exit 130' INT TERM && \
	KUBETOKEN_BUILD=$(abspath $(O)) $(PYTHON) -m pytest -q -rs -p no:cacheprovider \
	  -n $$(($(JOBS) + 2)) --dist loadfile --basetemp "$$t" $(longest) $(others)

# ---- the bench --------------------------------------------------------------------------------
# Programs of its own, with fixed flags: what they cost is a measure. A floor is what nothing can be
# cheaper than. One that cannot be built here is told as not measured.
B := $(O)/bench
bench_flags := -std=gnu11 -Wall -Wextra -O2 -I. -pthread
floor_flags := -std=gnu11 -Wall -Wextra -I. -Os -s -static -nostdlib -ffreestanding \
  -fno-stack-protector -fno-asynchronous-unwind-tables -Wl,--build-id=none,-z,noseparate-code,-z,norelro
bench_programs := $(addprefix $(B)/,exit_floor socket_floor spawn_time counter.so sockload one_post)

define bench_build
@mkdir -p $(@D)
@echo '  CC   $@'
$(Q)$(CC) $(1) -o $@ $< $(2) || echo 'bench: $@ could not be built, and is told as not measured'
endef

$(B)/%_floor: tests/bench/%_floor.c tests/bench/system_call.h
	$(call bench_build,$(floor_flags))

$(B)/%.so: tests/bench/%.c
	$(call bench_build,$(bench_flags) -shared -fPIC)

$(B)/%: tests/bench/%.c
	$(call bench_build,$(bench_flags),$(libraries))

$(B)/one_post: private libraries = $(call pkg,libs,libcurl)

.PHONY: bench-programs
bench-programs: $(bench_programs)

# The counts that no load of the machine changes; PART=client, daemon or scale: one part alone.
.PHONY: bench-gate
bench-gate: all bench-programs
	KUBETOKEN_BUILD=$(abspath $(O)) $(PYTHON) tests/bench/gate $(PART:%=--%)

# ROWS=NAME,...: these alone; `tests/bench/bench --list` says what rows there are.
.PHONY: bench
bench: all bench-programs
	KUBETOKEN_BUILD=$(abspath $(O)) $(PYTHON) tests/bench/bench $(ROWS:%=--rows %)

MINUTES ?= 60
.PHONY: soak
soak: all bench-programs
	KUBETOKEN_BUILD=$(abspath $(O)) $(PYTHON) tests/bench/soak --minutes $(MINUTES)

# What it is compared with; where one is missing the bench says so.
.PHONY: bench-peers
bench-peers:
	packaging/install-dependencies --peers

# Another version of the daemon, one that keeps more over a restart, for tests/systemd.
MORE := store_new profile_record_encode
$(O)/kubetokend-keeps-more: $(O)/tests/systemd/keeps_more.o $(daemon_o) $(O)/links
	$(call link,$(MORE:%=-Wl,--wrap=%) $(call pkg,libs,$(DAEMON_LIBS)))

# In another root it is built with that root's libraries.
systemd_build = $(abspath $(O))$(if $(ROOT),/root-$(notdir $(ROOT)))

.PHONY: check-systemd
check-systemd: all
	KUBETOKEN_BUILD=$(systemd_build) KUBETOKEN_ROOT=$(ROOT) KUBETOKEN_FULL=$(FULL) \
	  $(PYTHON) -m pytest -q -rs -p no:cacheprovider tests/systemd

.PHONY: idle
idle: all
	$(PYTHON) tests/systemd/idle.py --build $(systemd_build) $(if $(ROOT),--root $(ROOT))

.PHONY: demo
demo: deps
	$(MAKE) -j$(JOBS) all
	KUBETOKEN_BUILD=$(abspath $(O)) tests/demo

# ---- lint -------------------------------------------------------------------------------------

sources := $(wildcard common/*.c common/*.h client/*.c client/*.h \
  client/admin/*.c client/admin/*.h daemon/*.c daemon/*.h \
  daemon/fetch/*.c daemon/fetch/*.h tests/unit/*.c tests/unit/*.h \
  tests/simulation/*.c tests/simulation/*.h tests/fleet/*.c man/*.c \
  tests/bench/*.c tests/bench/*.h \
  tests/fuzz/*.c tests/fuzz/*.h tests/systemd/*.c tests/systemd/inside/*.c)

.PHONY: lint
lint:
	packaging/install-dependencies --lint
	$(PYTHON) tests/lint/check-source
	clang-format --dry-run -Werror $(sources)
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 -I. \
	  --enable=warning,portability,performance -DKUBETOKEN_VERSION='"0"' \
	  -DKUBETOKEN_LIBEXEC='"/"' --suppress=normalCheckLevelMaxBranches common client daemon
	clang-tidy --quiet --warnings-as-errors='*' $(filter %.c,$(filter-out tests/%,$(sources))) -- \
	  $(BASE) -DKUBETOKEN_LIBEXEC='"$(LIBEXECDIR)"' $(call pkg,cflags,$(DAEMON_LIBS) $(FETCH_LIBS))

# gcc's analyzer. What it is known to read wrong is named in there, with the reason.
.PHONY: analyze
analyze:
	$(Q)$(PYTHON) tests/lint/analyze -- gcc $(BASE) -O1 -DKUBETOKEN_LIBEXEC='"/"'

# What compiles with musl's headers asks for nothing that glibc alone has. The libraries' headers are
# those of this machine, which is why nothing is linked. What the bench measures, and what runs beside
# a systemd, is of this machine too.
MUSL_GCC ?= musl-gcc
musl_headers = -idirafter /usr/include \
  $(addprefix -idirafter /usr/include/,$(shell $(MUSL_GCC) -print-multiarch 2>/dev/null))
musl_checked := $(patsubst %.c,$(O)/musl/%.checked,$(filter %.c, \
  $(filter-out tests/bench/% tests/systemd/%,$(sources))))

$(O)/musl/%.checked: %.c $(O)/flags
	@mkdir -p $(@D)
	@echo '  MUSL $<'
	$(Q)$(MUSL_GCC) -fsyntax-only -Werror $(BASE) $(WARNINGS) $(musl_headers) $(EXTRA) \
	  -MMD -MP -MF $(@:checked=d) -MT $@ $< && touch $@
$(O)/musl/daemon/main.checked $(O)/musl/client/admin.checked: \
  private EXTRA = -DKUBETOKEN_LIBEXEC='"$(LIBEXECDIR)"'

.PHONY: check-musl
check-musl: $(musl_checked)

.PHONY: format
format:
	clang-format -i $(sources)

# ---- installing ---------------------------------------------------------------------------------

# Each line: a mode, a folder, and what goes there.
define installed
0755 $(BINDIR) $(O)/kubetoken $(O)/kubetokend completions/kubectl_complete-kubetoken
0755 $(LIBEXECDIR) $(O)/kubetoken-fetch $(O)/kubetoken-admin
0644 $(USERUNITDIR) systemd/kubetoken.socket $(O)/kubetoken.service
0644 $(DATADIR) systemd/hardened.conf
0644 $(CATALOGDIR) systemd/kubetoken.catalog
0644 $(MANDIR)/man1 man/kubetoken.1
0644 $(MANDIR)/man5 man/kubetoken.conf.5
0644 $(MANDIR)/man7 man/kubetoken-codes.7 man/kubetoken-protocol.7
0644 $(MANDIR)/man8 man/kubetokend.8
0644 $(BASHDIR) completions/kubetoken.bash
0644 $(ZSHDIR) completions/_kubetoken
0644 $(FISHDIR) completions/kubetoken.fish
0644 $(DOCDIR) README.md SECURITY.md docs/administrators.md docs/design.md docs/grants.md docs/performance.md docs/recipes.md docs/share.md docs/troubleshooting.md $(wildcard docs/*.schema.json) $(wildcard examples/*)
endef

.PHONY: install
install: export FILES = $(installed)
install: all
	@sed 's|@BINDIR@|$(BINDIR)|' systemd/kubetoken.service.in > $(O)/kubetoken.service
	@printf '%s\n' "$$FILES" | while read -r mode folder files; do \
	  install -d "$(DESTDIR)$$folder" && install -m "$$mode" $$files "$(DESTDIR)$$folder/" || exit; \
	done
	@ln -sf kubetoken "$(DESTDIR)$(BINDIR)/kubectl-kubetoken"
ifeq ($(DESTDIR),)
	@echo 'Installed below $(PREFIX). Who wants it, also who is logged in by now, says:'
	@echo '    systemctl --user daemon-reload'
	@echo '    systemctl --user enable --now kubetoken.socket'
endif

# With the variables of `make install`. Folders of our own go too, if nothing else is in them.
.PHONY: uninstall
uninstall: export FILES = $(installed)
uninstall:
	@printf '%s\n' "$$FILES" | while read -r mode folder files; do \
	  for file in $$files; do rm -f "$(DESTDIR)$$folder/$${file##*/}" || exit; done; \
	done
	@rm -f "$(DESTDIR)$(BINDIR)/kubectl-kubetoken"
	@for folder in $(LIBEXECDIR) $(DATADIR) $(DOCDIR); do \
	  [ ! -d "$(DESTDIR)$$folder" ] || rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$folder"; done
ifeq ($(DESTDIR),)
	@echo 'Uninstalled. Who had it says:'
	@echo '    systemctl --user disable --now kubetoken.socket kubetoken.service'
endif

# The package of Debian, into this folder; nothing else is left behind.
.PHONY: deb
deb:
	@packaging/install-dependencies --deb
	@packaging/build-deb

# Its tests, with ROOT in another Debian.
.PHONY: check-deb
check-deb:
	KUBETOKEN_ROOT=$(ROOT) KUBETOKEN_FULL=1 $(PYTHON) -m pytest -q -rs -p no:cacheprovider \
	  tests/packaging

.PHONY: clean
clean:
	rm -rf $(BUILD)

.PHONY: help
help:
	@echo 'make            build kubetoken, kubetokend, kubetoken-fetch, kubetoken-admin'
	@echo '                CC= CPPFLAGS= CFLAGS= LDFLAGS= are obeyed; MUSL= does without musl'
	@echo 'make demo       install what is needed, build, show the main job'
	@echo 'make check      install what is needed, build, run all tests'
	@echo 'make unit       the unit tests alone'
	@echo 'make test       unit tests and simulation: without root, network or anything to install'
	@echo 'make deb        install what is needed, build the package of Debian'
	@echo 'make check-deb  what is held of it, built twice; ROOT=FOLDER: in another Debian'
	@echo 'make install    DESTDIR= PREFIX=/usr/local USERUNITDIR=PREFIX/lib/systemd/user'
	@echo '                BASHDIR= ZSHDIR= FISHDIR=: where the shells look for completions'
	@echo 'make uninstall  takes out what make install, with the same variables, has put there'
	@echo 'make check-asan the integration tests against programs under ASan and UBSan'
	@echo 'make check-valgrind'
	@echo '                the main paths under memcheck'
	@echo 'make check-faults'
	@echo '                each allocation and each system call fails once; a part is in make check'
	@echo 'make check-systemd'
	@echo '                tests/systemd alone; ROOT=FOLDER: with the systemd of another Debian, built'
	@echo '                in there; FULL=1: each signal five times, as the units are shipped'
	@echo 'make idle       what a daemon with 100 profiles costs in a minute of nothing; ROOT='
	@echo 'make simulate   SEEDS=1-5000 STEPS=20000: the daemon in virtual time; part of make check'
	@echo 'make fleet      thousands of clients at one provider, a line and a bound for each scenario;'
	@echo '                part of make check'
	@echo 'make fleet-pictures'
	@echo '                draws those of docs/fleet.md'
	@echo 'make bench-gate holds what a get costs, by counts; PART=client, daemon or scale; part of'
	@echo '                make check'
	@echo 'make bench      what it costs, beside floors and peers, with targets; ROWS=NAME,...'
	@echo 'make bench-peers'
	@echo '                installs those that it is compared with'
	@echo 'make soak       MINUTES=60: tokens of seconds and a provider that fails, as a picture'
	@echo 'make fuzz       FUZZ_SECONDS=120 for each parser, with clang; 9 each in make check'
	@echo 'make corpus     what that found, into tests/fuzz/corpus'
	@echo 'make mutants    do the simulation and the tests see broken promises?'
	@echo 'make man        writes the table of errors into the manual pages and the catalogue'
	@echo 'make check-musl compiles all sources with the headers of musl; part of make check'
	@echo 'make check-arm64'
	@echo '                install what is needed (dpkg takes packages of arm64 from then on), build for'
	@echo '                arm64, run that under qemu-user'
	@echo 'make lint       installs and runs clang-tidy, cppcheck, clang-format, the rules of the project'
	@echo 'make analyze    the analyzer of gcc'
	@echo 'make format     clang-format over all C'
	@echo 'make clean      remove what was built'

-include $(musl_checked:checked=d)
-include $(wildcard $(O)/common/*.d $(O)/daemon/*.d $(O)/daemon/fetch/*.d $(O)/client/*.d $(O)/client/admin/*.d \
  $(O)/static/client/*.d $(O)/static/common/*.d $(O)/tests/unit/*.d $(O)/tests/simulation/*.d \
  $(O)/tests/fleet/*.d $(O)/tests/systemd/*.d $(O)/man/*.d \
  $(F)/common/*.d $(F)/daemon/*.d $(F)/daemon/fetch/*.d $(F)/client/*.d $(F)/client/admin/*.d $(F)/tests/fuzz/*.d)
