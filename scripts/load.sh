#!/usr/bin/env bash
# The layer under load, as Markdown: requests over real sockets with and without it (wrk), ten thousand
# requests on one expired session, and one to a million sessions. Takes some minutes, on a busy machine more than ten; installs wrk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=7
seconds=3
connections=64

install_wrk() {
    command -v wrk >/dev/null && return
    command -v apt-get >/dev/null || {
        echo "error: install wrk, there is no apt-get to do it with" >&2
        exit 1
    }
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        # Asks for nothing: where sudo would, it says so and stops.
        sudo --non-interactive true 2>/dev/null || {
            echo "error: run 'apt-get install wrk' as root first" >&2
            exit 1
        }
        root=(sudo --non-interactive)
    fi
    "${root[@]}" apt-get update >&2
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends wrk >&2
}

install_wrk
cargo build --release --quiet --locked --manifest-path benches/peers/Cargo.toml
program=${CARGO_TARGET_DIR:-benches/peers/target}/release/tower-lp-auth-peers

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/report.lua" <<'LUA'
function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.stderr:write(string.format("%.1f %d %d %d %d\n", summary.requests / summary.duration * 1e6,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), bad))
end
LUA

# The servers end when their standard input does: with this script.
coproc servers { exec "$program" serve; }
for _ in bare sealed MemoryStore; do
    read -r name url cookie <&"${servers[0]}"
    printf '%s %s %s\n' "$name" "$url" "$cookie" >>"$work/servers"
done

for _ in $(seq "$rounds"); do
    while read -r name url cookie; do
        # Two cores for both sides: one thread of wrk's, the rest for the server.
        wrk --threads 1 --connections "$connections" --duration "${seconds}s" \
            --header "Cookie: $cookie" --script "$work/report.lua" "$url" \
            >/dev/null 2>"$work/figures" </dev/null
        printf '%s %s\n' "$name" "$(tail -n 1 "$work/figures")" >>"$work/rounds"
    done <"$work/servers"
done
exec {servers[1]}>&-

python3 - "$work/rounds" "$connections" <<'PYTHON'
import statistics, sys

rounds = {}
for line in open(sys.argv[1]):
    name, *figures = line.split()
    rounds.setdefault(name, []).append([float(figure) for figure in figures])
failed = sum(figures[4] for turns in rounds.values() for figures in turns)
if failed:
    sys.exit(f"error: {failed:.0f} requests failed")
print(f"### Over sockets: wrk, {sys.argv[2]} connections, medians of {len(rounds['bare'])} turns\n")
print("| served | requests/s | × bare | p50 µs | p99 µs | p99.9 µs |")
print("|---|--:|--:|--:|--:|--:|")
for name, turns in rounds.items():
    rate, p50, p99, p999 = (statistics.median(turn[at] for turn in turns) for at in range(4))
    ratio = statistics.median(own[0] / bare[0] for own, bare in zip(turns, rounds["bare"]))
    print(f"| {name} | {rate:.0f} | {ratio:.3f} | {p50:.0f} | {p99:.0f} | {p999:.0f} |")
PYTHON

printf '\n### One session expires\n\n'
"$program" storm
printf '\n### One session and a million\n\n'
"$program" sessions
