# What people type while they work here. `just` alone lists it.

_list:
    @just --list

# All checks, as a fresh clone has to pass them
ci:
    bash .ci/run

# Format the sources
fmt:
    cargo fmt --all

# Lint everything, warnings are errors
lint:
    cargo clippy --all-targets --locked -- -D warnings

# Run the tests; arguments go to `cargo test`, such as a part of a test's name
test *ARGS:
    cargo test --locked {{ARGS}}

# The same with cargo-nextest, which ends a test that hangs; arguments go to it
nextest *ARGS:
    cargo nextest run --locked {{ARGS}}

# Run the tests that need the lent data in ../shared/data, and compare fixtures/ with it
test-lent:
    cargo test --locked -- --ignored lent::
    scripts/make-fixtures.py --check

# Make fixtures/ again from the lent data in ../shared/data
fixtures:
    scripts/make-fixtures.py

# Run the tests that need bash, zsh and fish
shells:
    cargo test --locked --test it -- --ignored the_shell_

# Build the documentation, private items too
doc:
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked --document-private-items

# Check licences, bans and sources of dependencies
deny:
    cargo deny --locked check --hide-inclusion-graph licenses bans sources

# Kill a download halfway, resume it, compare
demo:
    scripts/demo.sh

# Time each stage that a page goes through; arguments go to criterion
bench *ARGS:
    cargo bench --locked --bench stages -- {{ARGS}}

# Compare with other programs on the same pages and write docs/benchmarks.md; `--rounds 1 --quick` for a look
bench-peers *ARGS:
    scripts/bench-peers.sh {{ARGS}}

# Count the instructions of the stages and compare with benches/baseline.json; needs valgrind
bench-check *ARGS:
    scripts/bench-check.sh {{ARGS}}

# Renew what bench-check compares with
bench-baseline:
    scripts/bench-check.sh --renew

# Download for these minutes from a sandbox full of faults: does anything grow?
soak-faults MINUTES='30':
    scripts/soak-faults.sh {{MINUTES}}

# Run what README and docs show, beside what the README's first command makes
snippets:
    scripts/snippets.sh

# Compare with what the vendor's own clients read
conformance:
    scripts/conformance.sh

# Let programs of many versions read what grab writes, and write the table of docs/store.md; `few` is what CI runs
readers *ARGS:
    scripts/readers.sh {{ARGS}}

# Open the page of `verify --report` in a real browser
browser:
    scripts/browser.sh

# Kill downloads at random moments, resume, compare; arguments: how many kills
soak *ARGS:
    scripts/soak.sh {{ARGS}}

# Fill small file systems in memory, make room, resume, compare; needs root
disk-full:
    scripts/disk-full.sh

# Fuzz one target (page, next_url, tickers, windows, spec) for some seconds; fuzz/README.md has what it needs
fuzz TARGET SECONDS='600':
    mkdir -p fuzz/corpus/{{TARGET}} fuzz/findings/{{TARGET}}
    cargo fuzz run --sanitizer none {{TARGET}} fuzz/corpus/{{TARGET}} fuzz/seeds/{{TARGET}} fuzz/findings/{{TARGET}} -- \
        -max_total_time={{SECONDS}} -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -max_len=4096 \
        -dict=fuzz/dictionaries/{{TARGET}}

# A static binary for Linux: needs `rustup target add x86_64-unknown-linux-musl` and musl-gcc (Debian: musl-tools)
static:
    cargo build --profile dist --locked --target x86_64-unknown-linux-musl

# Refuse what says "later" in the sources
forbid:
    scripts/forbid.sh
