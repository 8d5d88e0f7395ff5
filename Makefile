# Footfall. Usage:
#   make            both programs in build/release          make run     a central, an agent and a demo page
#   make test       everything, one closing line            make lint    formatting, analysers, layers
#   make asan tsan  unit tests and scenarios under sanitizers
#   make bench      speed, as ratios                        make clean   removes build/
# Variables: VARIANT=release|asan|tsan|ubsan  CC=gcc|clang  WERROR=1  BUILD=build
.DEFAULT_GOAL := all
BUILD   ?= build
VARIANT ?= release
B       := $(BUILD)/$(VARIANT)
PYTHON  ?= /usr/bin/python3

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
	-Wcast-align -Wcast-qual -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wswitch-enum \
	-Wnull-dereference -Wdouble-promotion -Wconversion -Wsign-conversion $(if $(WERROR),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection -D_FORTIFY_SOURCE=3 -fPIE
FLAGS_release := -O2 -g $(HARDEN)
FLAGS_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
FLAGS_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS   ?=
CPPFLAGS += -D_GNU_SOURCE -Iagent -I. -I$(B)/gen
override CFLAGS += -std=c11 $(WARN) $(FLAGS_$(VARIANT)) -pthread
LDFLAGS_release := -pie -Wl,-z,relro,-z,now,-z,noexecstack
override LDFLAGS += $(LDFLAGS_$(VARIANT)) $(filter -fsanitize=%,$(FLAGS_$(VARIANT))) -pthread

AGENT_LIBS   := -lmicrohttpd -lmsgpackc -lcurl -lzstd -lsodium -lconfuse -lm
CENTRAL_LIBS := $(AGENT_LIBS) -ldb-5.3 -ljansson -lwslay -lxlsxwriter

COMMON  := $(wildcard agent/base/*.c proto/*.c agent/conf/*.c agent/stats/*.c)
NODE    := $(wildcard agent/node/*.c)
CENTRAL := $(wildcard agent/central/*.c)
CLI_AGENT   := $(wildcard agent/cli/agent_*.c agent/cli/cli.c)
CLI_CENTRAL := $(wildcard agent/cli/central_*.c agent/cli/cli.c)
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

all: $(B)/footfall-agent $(B)/footfall-central

$(B)/libcommon.a: $(call obj,$(COMMON))
$(B)/libnode.a: $(call obj,$(NODE)) $(B)/obj/gen/tracker.o
$(B)/libcentral.a: $(call obj,$(CENTRAL)) $(B)/obj/gen/pages.o
$(B)/lib%.a:
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/footfall-agent: $(call obj,agent/agent_main.c $(CLI_AGENT)) $(B)/libnode.a $(B)/libcommon.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS)
$(B)/footfall-central: $(call obj,agent/central_main.c $(CLI_CENTRAL)) $(B)/libcentral.a $(B)/libcommon.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CENTRAL_LIBS)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# unit tests: one Check program per module, linked with whatever it needs
UNIT := $(patsubst %.c,$(B)/%,$(wildcard test/unit/test_*.c))
$(B)/test/unit/%: $(B)/obj/test/unit/%.o $(B)/libnode.a $(B)/libcentral.a $(B)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcheck -lsubunit -lrt $(CENTRAL_LIBS)

unit: $(UNIT)

clean:
	rm -rf $(BUILD)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.PHONY: all unit clean run test lint asan tsan bench deps cover install
