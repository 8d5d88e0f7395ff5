# Footfall. Usage:
#   make            both programs in build/release/         make run     a central, an agent and a demo page
#   make test       everything, one closing line            make lint    formatting, analysers, layers
#   make asan tsan  unit tests and scenarios, sanitized     make fuzz    FUZZ_SECONDS=30 for each decoder
#   make cover      lines that the tests reach              make example agent.conf.example from options.def
#   make torture    KILLS=1000 SEED=n: kill -9 under load   make install DESTDIR= PREFIX=/usr/local
#   make bots       recall and false positives of the bot classifier; LISTS="name=file"
#   make rolling    RESTARTS=20 REQUESTS=100000: restarts of both programs under load
#   make test-browsers  the tracker in Chromium, Firefox and WebKit: a table
#   make test-recipes   packaging/recipes in the real web servers
#   make deps       Debian packages that are missing
#   make bench      costs per event, as ratios to references; ROUNDS=5 SECONDS=5
#   make bench-peers  the usual design (Django, PostgreSQL) beside ours; ROUNDS=5 SECONDS=5
#   make clean      removes build/
# Variables: VARIANT=release|asan|tsan|fuzz|cover|crash  CC=gcc|clang  WERROR=1  V=1 (whole commands)
#   BUILD=build  PARTS="unit scenario"
.DEFAULT_GOAL := all
ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= build
VARIANT ?= release
B       := $(BUILD)/$(VARIANT)$(patsubst %,-%,$(filter-out gcc,$(notdir $(CC))))
G       := $(BUILD)/gen
PYTHON  ?= /usr/bin/python3
PREFIX  ?= /usr/local
UNITS   ?= $(PREFIX)/lib/systemd/system
FUZZ_SECONDS ?= 30
# sub-makes use both cores unless -j was given
J        = $(if $(filter -j%,$(MAKEFLAGS)),,-j2)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wcast-align -Wcast-qual -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum \
	-Wnull-dereference -Wdouble-promotion -Wconversion -Wsign-conversion $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=3 -fPIE \
	$(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero)
SANE   := -O1 -g -fno-omit-frame-pointer
FLAGS_release := -O2 -g $(HARDEN)
FLAGS_asan    := $(SANE) -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tsan    := $(SANE) -fsanitize=thread
FLAGS_fuzz    := $(SANE) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FLAGS_cover   := -O0 -g --coverage
FLAGS_crash   := $(FLAGS_release) -DFOOTFALL_CRASH_POINTS
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
LDFLAGS_crash   := $(LDFLAGS_release)
LDFLAGS_cover   := --coverage
CPPFLAGS += -D_GNU_SOURCE -Iagent -I. -I$(G)
override CFLAGS += -std=c11 $(WARN) $(FLAGS_$(VARIANT)) -pthread
override LDFLAGS += $(LDFLAGS_$(VARIANT)) $(filter -fsanitize=%,$(FLAGS_$(VARIANT))) -pthread

# asked for only when linking: `make run` on a new machine installs pkg-config first
MSGPACK       = $(shell pkg-config --libs msgpack-c 2>/dev/null || pkg-config --libs msgpack)
AGENT_LIBS    = -lmicrohttpd $(MSGPACK) -lcurl -lzstd -lsodium -lconfuse -lm
CENTRAL_LIBS  = $(AGENT_LIBS) -ldb-5.3 -ljansson
CHECK_LIBS    = $(shell pkg-config --libs check)

COMMON  := $(wildcard agent/base/*.c proto/*.c agent/conf/*.c agent/stats/*.c)
NODE    := $(wildcard agent/node/*.c)
CENTRAL := $(wildcard agent/central/*.c)
CLI_AGENT   := $(wildcard agent/cli/agent_*.c agent/cli/cli*.c)
CLI_CENTRAL := $(wildcard agent/cli/central_*.c agent/cli/cli*.c)
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

# before a command: short words instead of it, none with -s
silent  = $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
q       = $(if $(V),,@$(if $(silent),,echo '$(1)  $(2)'; ))

all: $(B)/footfall-agent $(B)/footfall-central

$(B)/libcommon.a: $(call obj,$(COMMON))
$(B)/libnode.a: $(call obj,$(NODE)) $(B)/obj/gen/tracker.o $(B)/obj/gen/bot_tables.o $(B)/obj/gen/bot_words.o
$(B)/libcentral.a: $(call obj,$(CENTRAL)) $(B)/obj/gen/pages.o
$(B)/libcli.a: $(call obj,$(sort $(CLI_AGENT) $(CLI_CENTRAL)))
$(B)/lib%.a:
	@rm -f $@
	$(call q,AR,$@)$(AR) rcs $@ $^

$(B)/footfall-agent: $(call obj,agent/agent_main.c $(CLI_AGENT)) $(B)/libnode.a $(B)/libcommon.a
	$(call q,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS)
$(B)/footfall-central: $(call obj,agent/central_main.c $(CLI_CENTRAL)) $(B)/libcentral.a $(B)/libcommon.a
	$(call q,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CENTRAL_LIBS)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call q,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/obj/gen/%.o: $(G)/%.c
	@mkdir -p $(@D)
	$(call q,CC,$<)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# the tracker and the pages: built by node, embedded as C
NPM := npm --loglevel=error --no-fund --no-audit --no-update-notifier
%/node_modules/.package-lock.json: %/package-lock.json
	$(call q,NPM,$*)$(NPM) --prefix $* ci --ignore-scripts
	@touch $@
$(G)/tracker.c: $(wildcard js/*.js js/*.mjs js/*.html) test/lib/embed js/node_modules/.package-lock.json
	@rm -rf $(G)/tracker && mkdir -p $(G)/tracker
	$(call q,JS,$@)$(NPM) --prefix js run build --silent -- --out $(abspath $(G))/tracker/analytics-tracking.js
	@$(if $(wildcard js/demo.html),cp js/demo.html $(G)/tracker/)
	@test/lib/embed tracker $(G)/tracker >$@.tmp && mv $@.tmp $@
$(G)/pages.c: $(shell find dashboards/web/src dashboards/web/build.mjs -type f 2>/dev/null) test/lib/embed \
		dashboards/web/node_modules/.package-lock.json
	@rm -rf $(G)/pages && mkdir -p $(G)/pages
	$(call q,JS,$@)$(NPM) --prefix dashboards/web run build --silent -- --out $(abspath $(G))/pages
	@test/lib/embed pages $(G)/pages >$@.tmp && mv $@.tmp $@

# the words of packaged lists of bots, and the automaton that finds them and our own
BOTS := agent/node/bot_sources
$(G)/bot_words.c: $(BOTS)/generate.mjs $(BOTS)/people.txt $(BOTS)/node_modules/.package-lock.json
	@mkdir -p $(@D)
	$(call q,JS,$@)$(NPM) --prefix $(BOTS) run generate --silent -- $(abspath $@).tmp && mv $@.tmp $@
$(G)/bot_tables: $(BOTS)/tables.c agent/node/bot_automaton.c $(G)/bot_words.c $(wildcard agent/node/bot*.h) \
		agent/node/bot_rules.def
	$(call q,CC,$@)$(CC) $(CPPFLAGS) -std=c11 $(WARN) -O1 -o $@ $(filter %.c,$^)
$(G)/bot_tables.c: $(G)/bot_tables
	$(call q,GEN,$@)$< >$@.tmp && mv $@.tmp $@

# unit tests: one Check program per module; fuzz targets: a libFuzzer each, or one that replays its corpus
UNIT := $(patsubst %.c,$(B)/%,$(wildcard test/unit/test_*.c))
FUZZ := $(patsubst %.c,$(B)/%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_MAIN := $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer,$(call obj,test/lib/fuzz_replay.c))
LIBS := $(B)/libcli.a $(B)/libnode.a $(B)/libcentral.a $(B)/libcommon.a
$(B)/test/unit/%: $(B)/obj/test/unit/%.o $(LIBS)
	@mkdir -p $(@D)
	$(call q,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(CENTRAL_LIBS)
$(B)/test/fuzz/%: $(B)/obj/test/fuzz/%.o $(filter %.o,$(FUZZ_MAIN)) $(LIBS)
	@mkdir -p $(@D)
	$(call q,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) $(filter -f%,$(FUZZ_MAIN)) -o $@ $^ $(CENTRAL_LIBS)
$(B)/test/bench/%: $(B)/obj/test/bench/%.o $(LIBS)
	@mkdir -p $(@D)
	$(call q,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CENTRAL_LIBS)
$(B)/example: $(B)/obj/test/lib/example.o $(B)/libcommon.a
	$(call q,LD,$@)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lsodium -lconfuse

# libraries that stand between a program and the kernel, to make it fail
SHIMS := $(patsubst %.c,$(B)/%.so,$(wildcard test/fault/*.c))
$(B)/test/fault/%.so: test/fault/%.c
	@mkdir -p $(@D)
	$(call q,CC,$<)$(CC) -D_GNU_SOURCE -std=c11 $(WARN) -O2 -g -fPIC -shared -o $@ $< -pthread

BENCH := $(patsubst %,$(B)/test/bench/%,epoll_server batch_sink udp_sink udp_flood http_pace bench_parts)
unit: $(UNIT)
replays: $(FUZZ)
tests: all unit $(SHIMS) $(BENCH) $(B)/example $(addsuffix /node_modules/.package-lock.json,test/browser test/clients)
RUN_TESTS = $(PYTHON) test/lib/run-tests --bin $(B) --build $(BUILD) $(PARTS)

deps:
	@PYTHON=$(PYTHON) test/lib/deps run test
run: deps
	@$(MAKE) $(J) --no-print-directory all
	@$(PYTHON) test/lib/run-demo $(B) var/demo
test: deps
	@$(MAKE) $(J) tests && $(MAKE) $(J) VARIANT=crash all && $(MAKE) $(J) VARIANT=asan replays || { echo '0 passed, 1 failed'; exit 1; }
	@$(RUN_TESTS)
asan tsan: deps
	@$(MAKE) $(J) VARIANT=$@ tests && $(MAKE) $(J) VARIANT=crash all || { echo '0 passed, 1 failed'; exit 1; }
	@$(MAKE) --no-print-directory VARIANT=$@ PARTS="$(or $(PARTS),unit scenario)" run-tests
run-tests:
	@$(RUN_TESTS)
test-browsers: deps
	@test/lib/deps browsers && $(MAKE) $(J) --no-print-directory all test/browser/node_modules/.package-lock.json \
		|| { echo '0 passed, 1 failed'; exit 1; }
	@FOOTFALL_BIN=$(B) node test/browser/matrix.mjs
test-recipes: deps
	@PYTHON=$(PYTHON) test/lib/deps recipes && $(MAKE) $(J) --no-print-directory all || { echo '0 passed, 1 failed'; exit 1; }
	@FOOTFALL_BIN=$(B) $(PYTHON) -m pytest -q -p no:cacheprovider test/scenario/test_recipes.py
cover: deps
	@test/lib/deps cover
	@$(MAKE) $(J) VARIANT=cover tests
	@$(MAKE) --no-print-directory VARIANT=cover PARTS="$(or $(PARTS),unit scenario)" run-tests
	gcovr --root . --filter agent/ --filter proto/ $(BUILD)/cover/obj
fuzz: deps
	@test/lib/deps fuzz
	@$(MAKE) $(J) VARIANT=fuzz CC=clang replays
	@test/lib/fuzz-all $(BUILD)/fuzz-clang $(FUZZ_SECONDS)
lint: deps
	@test/lib/deps lint
	@BUILD=$(BUILD) MAKE="$(MAKE) $(J)" test/lib/lint
torture: deps
	@$(MAKE) $(J) --no-print-directory all
	@FOOTFALL_BIN=$(B) $(PYTHON) -u test/fault/torture.py $(KILLS:%=--kills %) $(SEED:%=--seed %)
BENCH_HOW = --bin $(B) $(ROUNDS:%=--rounds %) $(SECONDS:%=--seconds %)
bench-tools: all $(BENCH)
bench: deps
	@test/lib/deps bench
	@$(MAKE) $(J) bench-tools
	@$(PYTHON) test/bench/bench.py $(BENCH_HOW) --tools $(B)/test/bench --json $(BUILD)/bench.json
bench-peers: deps
	@PYTHON=$(PYTHON) test/lib/deps bench peers
	@$(MAKE) $(J) all
	@$(PYTHON) test/bench/peers.py $(BENCH_HOW) --json $(BUILD)/bench-peers.json
bots: $(B)/test/bench/bot_lists test/bench/node_modules/.package-lock.json
	@test/bench/bot-lists $(B) $(BUILD) $(LISTS)
rolling: deps
	@$(MAKE) $(J) --no-print-directory all
	@FOOTFALL_BIN=$(B) $(PYTHON) -u test/fault/rolling.py $(REQUESTS:%=--requests %) $(RESTARTS:%=--restarts %) $(SEED:%=--seed %)
example: $(B)/example
	$(B)/example >agent.conf.example.tmp && mv agent.conf.example.tmp agent.conf.example
install: all
	install -D -t $(DESTDIR)$(PREFIX)/bin $(B)/footfall-agent $(B)/footfall-central
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/footfall agent.conf.example README.md LICENSE
	for part in agent/node/bot_sources/node_modules/crawler-user-agents agent/node/bot_sources/node_modules/isbot \
			dashboards/web/node_modules/preact dashboards/web/node_modules/uplot; do \
		install -m 644 $$part/LICENSE $(DESTDIR)$(PREFIX)/share/doc/footfall/LICENSE.$${part##*/} || exit 1; done
	test -d $(DESTDIR)/etc/footfall || install -d $(DESTDIR)/etc/footfall
	install -d $(DESTDIR)$(UNITS) $(DESTDIR)$(PREFIX)/lib/sysusers.d
	for unit in packaging/systemd/*.service packaging/systemd/*.socket; do \
		sed 's,@bindir@,$(PREFIX)/bin,' $$unit >$(DESTDIR)$(UNITS)/$${unit##*/} || exit 1; done
	install -m 644 packaging/systemd/footfall.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/footfall.conf
clean:
	rm -rf $(BUILD)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.SECONDARY:
.PHONY: all bots unit replays tests run-tests test-browsers test-recipes deps run test asan tsan cover fuzz lint torture rolling example install bench bench-peers bench-tools clean
