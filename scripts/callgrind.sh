#!/bin/sh
# Runs benches/instructions.rs under valgrind's callgrind: the contenders whose names begin with PREFIX, and
# their floors. In DIRECTORY stand then `names`, `program`, and for the name in line N what it took, `out.N`.
#
#   scripts/callgrind.sh DIRECTORY [PREFIX]
set -eu
cd "$(dirname "$0")/.."
directory=$1

command -v valgrind >/dev/null || ./scripts/install.sh valgrind
program=$(cargo bench --quiet --bench instructions --no-run --message-format=json |
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$program" ] || {
    echo "error: benches/instructions.rs could not be built" >&2
    exit 1
}
echo "$program" >"$directory/program"

# One run: each call of `counted` is written to a file of its own, in the order of the names. Callgrind
# takes one option for each pattern, so the same function has two. Each contender has a heap of its own.
MALLOC_ARENA_MAX=100 valgrind --tool=callgrind --callgrind-out-file="$directory/out" \
    '--toggle-collect=instructions::counted' '--dump-after=*instructions::counted*' \
    "$program" count "${2-}" >"$directory/names" 2>"$directory/log" || {
    cat "$directory/log" >&2
    exit 1
}
