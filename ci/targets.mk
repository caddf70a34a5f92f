# Test targets, included by the Makefile. Suites name their device by platform (BFNCL_TEST_DEVICE), never by index.

.PHONY: check check-fast check-cli check-corpus check-install check-asan check-rusticl check-oclgrind check-valgrind \
        check-torture fuzz peers lint format

POCL_ENV     := OCL_ICD_VENDORS=pocl.icd BFNCL_TEST_DEVICE=pocl:0
RUSTICL_ENV  := OCL_ICD_VENDORS=rusticl.icd RUSTICL_ENABLE=llvmpipe BFNCL_TEST_DEVICE=rusticl:0 BFNCL_TEST_CLASS=wide
OCLGRIND_ICD ?= /usr/lib/oclgrind/liboclgrind-rt-icd.so

HOST_TESTS   := $(filter %/check_base %/check_measures %/check_safetensors %/check_pt %/check_io %/check_dataset %/check_labels %/check_config %/check_mol %/check_bonds %/check_molecules %/check_chem %/check_molcraft %/check_csv %/check_table %/check_baseline,$(TESTS))
DEVICE_TESTS := $(filter-out $(HOST_TESTS),$(TESTS))
# Suites that between them launch every kernel; the others only combine the same launches. Every work-item is simulated or
# checked there, so CLBlast, whose kernels are not ours, is left out (BFNCL_TEST_QUICK): our own provider runs instead.
OP_TESTS     := $(filter-out %/check_run %/check_groups %/check_units %/check_score %/check_configs %/check_net %/check_graph %/check_ragged %/check_verify %/check_device %/check_select %/check_weights %/check_binary %/check_tune %/check_mlp %/check_label_net %/check_conditional %/check_encoder %/check_film %/check_unio2 %/check_unio2_layer %/check_pocket,$(DEVICE_TESTS))

# This suite also tests the printed forms of the device list.
$(B)/tests/check_select: $(O)/src/cli/device_list.o

check: $(TESTS) ## all unit tests and golden replays on POCL, both device classes
	$(Q)$(POCL_ENV) ci/run-tests $(TESTS)

check-fast: $(HOST_TESTS) lint ## tests without a device, and lint
	$(Q)ci/run-tests $(HOST_TESTS)

check-cli: cli ## the program from outside: exit codes, messages, JSON
	$(Q)OCL_ICD_VENDORS=pocl.icd BFNCL=$(CURDIR)/$(PROG) tests/cli/run.sh

check-corpus: $(FUZZERS) ## replay the fuzz corpora
	$(Q)set -e; for f in $(FUZZERS); do n=$${f##*/fuzz_}; $$f tests/fuzz/corpus/$$n/*; done

check-install: all ## install into an empty folder, build a program with the .pc file alone
	$(Q)CC='$(CC)' tests/cli/install.sh

# LeakSanitizer takes a word beside memory from glibc for the size of a thread's dynamic TLS and then, sometimes, reads far
# outside it ("Tracer caught signal 11"): it must not look there.
LSAN_ENV := LSAN_OPTIONS=suppressions=$(CURDIR)/ci/lsan.supp:print_suppressions=0:intercept_tls_get_addr=0

check-asan: ## all tests with gcc's address and undefined-behaviour sanitizers
	$(Q)$(MAKE) --no-print-directory FLAVOUR=asan check-sanitized

.PHONY: check-sanitized
check-sanitized: $(TESTS) $(FUZZERS) cli
	$(Q)$(LSAN_ENV) UBSAN_OPTIONS=print_stacktrace=1 $(POCL_ENV) ci/run-tests $(TESTS)
	$(Q)$(MAKE) --no-print-directory FLAVOUR=asan check-corpus
	$(Q)$(LSAN_ENV) $(MAKE) --no-print-directory FLAVOUR=asan check-cli

check-rusticl: $(DEVICE_TESTS) ## all device tests on Mesa's rusticl (llvmpipe), the second implementation
	$(Q)$(RUSTICL_ENV) ci/run-tests $(DEVICE_TESTS)

check-oclgrind: $(OP_TESTS) ## every kernel under Oclgrind: races, bounds, API use; the log must stay empty
	$(Q)OCLGRIND_ICD=$(OCLGRIND_ICD) ci/oclgrind $(OP_TESTS)

# Compiling is most of the work: a first pass without checks fills the kernel cache. It runs under valgrind too, whose
# processor has fewer instructions than the machine's and so cache entries of its own.
VALGRIND_ENV := POCL_EXTRA_BUILD_FLAGS="-g -cl-opt-disable" POCL_CACHE_DIR=$(CURDIR)/$(B)/pocl-valgrind BFNCL_TEST_QUICK=1 $(POCL_ENV)
check-valgrind: $(OP_TESTS) ## uninitialised and out-of-range reads inside kernels (slow)
	$(Q)mkdir -p $(B)/pocl-valgrind
	$(Q)$(VALGRIND_ENV) BFNCL_TEST_WRAP="valgrind -q --tool=none" ci/run-tests $(OP_TESTS)
	$(Q)$(VALGRIND_ENV) BFNCL_TEST_WRAP="valgrind -q --suppressions=ci/pocl.supp --error-exitcode=9" ci/run-tests $(OP_TESTS)

check-torture: cli ## kill -9 at random moments, full disk
	$(Q)OCL_ICD_VENDORS=pocl.icd BFNCL=$(CURDIR)/$(PROG) tests/torture/run.sh

FUZZ_SECONDS ?= 60
fuzz: ## libFuzzer on every reader (clang; FUZZ_SECONDS each)
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) ci/fuzz

peers: $(B)/peers/openblas $(B)/peers/unio2 ## programs bfncl is measured against, never part of the product

$(B)/peers/openblas: tests/peers/openblas.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(STD) -O2 -Wall -Wextra -Werror -o $@ $< $(shell $(PKG_CONFIG) --cflags --libs openblas) -pthread

$(B)/peers/unio2: $(O)/tests/peers/unio2.o $(STATIC)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

lint: ## rules a compiler does not check
	$(Q)ci/lint

format: ## apply .clang-format
	clang-format -i $(shell git ls-files 'src/*.c' 'src/*.cc' 'src/*.h' 'include/*.h' 'tests/*.c' 'tests/*.h')
