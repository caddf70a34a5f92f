# bfncl: Bayesian Flow Networks on any OpenCL device.   `make help` lists the targets.
#
#   V=1            show the commands
#   FLAVOUR=name   release (default), debug, asan; objects and programs of each live in build/FLAVOUR
#   CC=clang       any C11 compiler
#   PREFIX, DESTDIR, LIBDIR, INCLUDEDIR, BINDIR   as in the GNU standards

VERSION  := $(shell sed -n 's/^\#define BFNCL_VERSION "\(.*\)"/\1/p' include/bfncl.h)
SOVERSION := 0

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share/bfncl
INSTALL    ?= install
PKG_CONFIG ?= pkg-config

FLAVOUR ?= release
B := build/$(FLAVOUR)
O := $(B)/obj

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = $(if $(Q),@printf '  %-6s %s\n' '$(1)' '$(2)')

FLAVOUR_release := -O2 -g
FLAVOUR_debug   := -O0 -g3
FLAVOUR_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS ?= $(FLAVOUR_$(FLAVOUR))
ifeq ($(FLAVOUR),asan)
SAN_LDFLAGS := -fsanitize=address,undefined
endif

# RDKit (C++), which checks molecules and finds their aromatic rings, is used where its headers and Boost's are installed;
# RDKIT= (nothing) builds without.
CXX       := $(if $(filter default undefined,$(origin CXX)),$(if $(findstring clang,$(CC)),clang++,g++),$(CXX))
RDKIT_INC ?= $(firstword $(wildcard /usr/include/rdkit /usr/local/include/rdkit))
HASH      := \#
RDKIT     ?= $(shell printf '$(HASH)if !__has_include(<GraphMol/RWMol.h>) || !__has_include(<boost/config.hpp>)\n$(HASH)error\n$(HASH)endif\n' | \
               $(CXX) -isystem $(RDKIT_INC) -E -x c++ - >/dev/null 2>&1 && echo yes)
RDKIT     := $(RDKIT)
ifneq ($(RDKIT),)
LIBS_RDKIT := -lRDKitFileParsers -lRDKitSmilesParse -lRDKitSubstructMatch -lRDKitGraphMol -lRDKitRDGeneral -lstdc++
endif

LIBS_PKG  := OpenCL clblast jansson yaml-0.1 spng zlib
STD       := -std=c11 -D_POSIX_C_SOURCE=200809L -DCL_TARGET_OPENCL_VERSION=120
WARN      := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
ALL_CPPFLAGS = -Iinclude -Isrc $(shell $(PKG_CONFIG) --cflags $(LIBS_PKG) 2>/dev/null) $(CPPFLAGS)
ALL_CFLAGS = $(STD) $(WARN) -fPIC -fvisibility=hidden -pthread $(CFLAGS)
LDLIBS    += $(shell $(PKG_CONFIG) --libs $(LIBS_PKG) 2>/dev/null || echo -lOpenCL -lclblast -ljansson -lyaml -lspng -lz) -lgif -lm $(LIBS_RDKIT) -pthread
ALL_CXXFLAGS = -std=c++17 -Wall -Wextra -Werror -fPIC -fvisibility=hidden -pthread $(CFLAGS)
ALL_LDFLAGS = $(SAN_LDFLAGS) $(LDFLAGS)

LIB_SRC  := $(sort $(wildcard src/base/*.c src/device/*.c src/op/*.c src/graph/*.c src/net/*.c src/flow/*.c src/io/*.c src/chem/*.c src/run/*.c) $(if $(RDKIT),src/chem/rdkit.cc))
CLI_SRC  := $(sort $(wildcard src/cli/*.c))
REF_SRC  := $(sort $(wildcard tests/ref/*.c))
TEST_SRC := $(sort $(wildcard tests/check_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
KERNELS  := $(sort $(wildcard cl/*.cl cl/*.h))

LIB_OBJ  := $(addprefix $(O)/,$(addsuffix .o,$(basename $(LIB_SRC)))) $(O)/kernels.o
CLI_OBJ  := $(CLI_SRC:%.c=$(O)/%.o)
TEST_LIB_OBJ := $(REF_SRC:%.c=$(O)/%.o) $(O)/tests/support.o
TESTS    := $(TEST_SRC:tests/%.c=$(B)/tests/%)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

STATIC := $(B)/libbfncl.a
SHARED := $(B)/libbfncl.so.$(VERSION)
ifeq ($(FLAVOUR),release)
PROG := build/bfncl
else
PROG := $(B)/bfncl
endif

.PHONY: all lib cli tests clean install uninstall help FORCE
.DELETE_ON_ERROR:

all: lib cli ## library, program (default)
lib: $(STATIC) $(SHARED) $(B)/bfncl.pc ## static and shared library
cli: $(PROG) ## the program: build/bfncl
tests: $(TESTS) ## build the test programs without running them

# Rewritten only when a folder or a library differs from the last build's, so that `make install PREFIX=...` rebuilds what
# names it.
$(B)/places: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX) $(LIBDIR) $(INCLUDEDIR) $(DATADIR) $(RDKIT)' | cmp -s - $@ || echo '$(PREFIX) $(LIBDIR) $(INCLUDEDIR) $(DATADIR) $(RDKIT)' > $@
FORCE:

# Where `bfncl verify` finds the installed vectors.
$(O)/src/run/verify.o: $(B)/places
$(O)/src/run/verify.o: ALL_CPPFLAGS += -DBF_DATADIR='"$(DATADIR)"'

$(O)/src/chem/standard.o: $(B)/places
$(O)/src/chem/standard.o: ALL_CPPFLAGS += -DBF_WITH_RDKIT=$(if $(RDKIT),1,0)

$(O)/src/chem/rdkit.o: src/chem/rdkit.cc
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) -Isrc -isystem $(RDKIT_INC) $(CPPFLAGS) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(if $(filter tests/%,$<),-Itests) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Kernels are embedded as bytes, one array per file, plus a table (src/device/kernels.h).
$(O)/kernels.c: $(KERNELS) src/device/embed.sh
	$(call say,EMBED,$@)
	@mkdir -p $(@D)
	$(Q)sh src/device/embed.sh $(KERNELS) > $@

$(O)/kernels.o: $(O)/kernels.c
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(STATIC): $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,libbfncl.so.$(SOVERSION) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)
	$(Q)ln -sf libbfncl.so.$(VERSION) $(B)/libbfncl.so.$(SOVERSION)
	$(Q)ln -sf libbfncl.so.$(SOVERSION) $(B)/libbfncl.so

$(PROG): $(CLI_OBJ) $(STATIC)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/tests/%: $(O)/tests/%.o $(TEST_LIB_OBJ) $(STATIC)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS) $(shell $(PKG_CONFIG) --libs check)

$(B)/fuzz/%: $(O)/tests/fuzz/%.o $(O)/tests/fuzz/replay.o $(STATIC)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/bfncl.pc: $(B)/places Makefile include/bfncl.h
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: bfncl' \
	  'Description: Bayesian Flow Networks on any OpenCL device' 'Version: $(VERSION)' \
	  'Requires.private: $(LIBS_PKG)' 'Libs: -L$${libdir} -lbfncl' 'Libs.private: -lgif -lm $(LIBS_RDKIT) -pthread' 'Cflags: -I$${includedir}' > $@

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_LIB_OBJ:.o=.d) $(TEST_SRC:%.c=$(O)/%.d) $(FUZZ_SRC:%.c=$(O)/%.d)
.SECONDARY:

include ci/targets.mk

install: all ## install into DESTDIR/PREFIX
	$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(DATADIR)/golden
	$(INSTALL) -m 755 $(PROG) $(DESTDIR)$(BINDIR)/bfncl
	$(INSTALL) -m 644 include/bfncl.h $(DESTDIR)$(INCLUDEDIR)/bfncl.h
	$(INSTALL) -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)/libbfncl.a
	$(INSTALL) -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)/libbfncl.so.$(VERSION)
	ln -sf libbfncl.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libbfncl.so.$(SOVERSION)
	ln -sf libbfncl.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libbfncl.so
	$(INSTALL) -m 644 $(B)/bfncl.pc $(DESTDIR)$(LIBDIR)/pkgconfig/bfncl.pc
	$(INSTALL) -m 644 tests/golden/installed/* $(DESTDIR)$(DATADIR)/golden/

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/bfncl $(DESTDIR)$(INCLUDEDIR)/bfncl.h $(DESTDIR)$(LIBDIR)/libbfncl.a \
	  $(DESTDIR)$(LIBDIR)/libbfncl.so $(DESTDIR)$(LIBDIR)/libbfncl.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libbfncl.so.$(VERSION) \
	  $(DESTDIR)$(LIBDIR)/pkgconfig/bfncl.pc
	rm -rf $(DESTDIR)$(DATADIR)

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'
