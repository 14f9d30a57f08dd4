# `make demo` shows the enclave; `make test` checks it.

ENCLAVE = cargo run --locked --quiet --bin enclave --

.PHONY: help demo test bench nightly tools

help:
	@echo "make demo    an invented city, three questions asked and answered (afresh, in ./demo-home)"
	@echo "make test    the whole check: format, licences, lints, docs, tests"
	@echo "make bench   speed and memory, as JSON"
	@echo "make nightly what takes too long for the check: hours"
	@echo "make tools   install what these need and this machine lacks"

demo:
	@bash .ci/tools build
	@rm -rf demo-home
	@echo "building the enclave (some minutes the first time) ..." >&2
	@$(ENCLAVE) --home demo-home demo --no-serve

test: tools
	@bash .ci/check

bench:
	@cargo bench --locked --package cli --bench speed

nightly:
	@bash .ci/nightly

tools:
	@bash .ci/tools
