#!/usr/bin/env bash
# Installs what the tests need and runs all of them; the last lines are the summary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Where tests/foreign_clients.rs looks for it.
has_grpcio() {
    local python
    for python in target/python/bin/python3 python3 /usr/bin/python3; do
        "$python" -c 'import grpc' 2>/dev/null && return
    done
    return 1
}

# The tests of tests/chromium.rs drive a real browser, those of tests/redis_*.rs real servers,
# tests/quickstart.rs and tests/foreign_clients.rs run curl, and the latter Python besides.
missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v curl >/dev/null || missing+=(curl)
command -v python3 >/dev/null || missing+=(python3)
has_grpcio || missing+=(python3-grpcio)
./scripts/install.sh "${missing[@]}"
cargo build --examples --all-features

# The examples in the documentation first, so that the summary of all else comes last.
cargo test --doc --all-features
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --all-features "$@"
else
    cargo test --lib --bins --tests --all-features "$@"
fi
