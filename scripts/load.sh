#!/usr/bin/env bash
# The layer under load, as Markdown: the quickstart's routes over real sockets with and without it
# (wrk), ten thousand requests on one expired session, and one to a million sessions. Takes some minutes,
# on a busy machine more than ten, and longer the first time, to build; installs wrk.
#
#   scripts/load.sh            all of it
#   scripts/load.sh --quick    less of each, to see that it works
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rounds=7 seconds=3 connections=64
turns=9 requests=10000
sessions=1000000
case ${1-} in
--quick) rounds=1 seconds=1 turns=1 requests=1000 sessions=1000 ;;
'') ;;
*)
    echo "error: expected --quick or nothing, not $1" >&2
    exit 2
    ;;
esac

command -v wrk >/dev/null || ./scripts/install.sh wrk
cargo build --release --quiet --manifest-path benches/peers/Cargo.toml
program=${CARGO_TARGET_DIR:-benches/peers/target}/release/tower-lp-auth-peers

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/report.lua" <<'LUA'
wrk.method = "POST"
wrk.body = "to and fro"

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.stderr:write(string.format("%.1f %d %d %d %d\n", summary.requests / summary.duration * 1e6,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9), bad))
end
LUA

# The servers end when their standard input does: with this script.
coproc servers { exec "$program" serve; }
for _ in without sealed MemoryStore; do
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
print(f"### The quickstart over sockets: wrk, {sys.argv[2]} connections, medians of {len(rounds['without'])} turns\n")
print("| the layer | requests/s | × without | p50 µs | p99 µs | p99.9 µs |")
print("|---|--:|--:|--:|--:|--:|")
for name, turns in rounds.items():
    rate, p50, p99, p999 = (statistics.median(turn[at] for turn in turns) for at in range(4))
    ratio = statistics.median(own[0] / without[0] for own, without in zip(turns, rounds["without"]))
    print(f"| {name} | {rate:.0f} | {ratio:.3f} | {p50:.0f} | {p99:.0f} | {p999:.0f} |")
PYTHON

printf '\n### One session expires\n\n'
"$program" storm "$turns" "$requests"
printf '\n### One session and up to %d\n\n' "$sessions"
"$program" sessions "$sessions"
