# Test targets; included by the Makefile.

.PHONY: check check-fast lint format

check: $(TESTS) ## all unit tests on POCL
	@for t in $(TESTS); do echo "$$t"; CK_FORK=no $$t || exit 1; done

format: ## apply .clang-format
	clang-format -i $(shell git ls-files '*.c' '*.h')
