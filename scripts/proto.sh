#!/usr/bin/env bash
# Writes examples/grpc/proto/echo.v1.rs anew from echo.proto. Needs protoc; nothing else does, because
# the result is committed. A test compares the hash in its first line with the .proto.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v protoc >/dev/null || {
    echo "error: install protoc (apt-get install protobuf-compiler) first" >&2
    exit 1
}
proto=examples/grpc/proto generator=target/proto
mkdir -p "$generator/src"
cat >"$generator/Cargo.toml" <<'TOML'
[package]
name = "proto"
edition = "2024"

[dependencies]
tonic-prost-build = "0.14"

[workspace]
TOML
cat >"$generator/src/main.rs" <<'RUST'
fn main() -> std::io::Result<()> {
    let [proto, out] = [1, 2].map(|at| std::env::args().nth(at).expect("two paths"));
    let folder = std::path::Path::new(&proto).parent().expect("a folder");
    tonic_prost_build::configure().out_dir(out).compile_protos(&[proto.as_ref()], &[folder])
}
RUST
cargo run --quiet --manifest-path "$generator/Cargo.toml" -- "$proto/echo.proto" "$generator"
{
    echo "// Made by scripts/proto.sh from echo.proto, SHA-256 $(sha256sum <"$proto/echo.proto" | cut -d' ' -f1)"
    cat "$generator/echo.v1.rs"
} >"$proto/echo.v1.rs"
