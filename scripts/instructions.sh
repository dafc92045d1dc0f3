#!/bin/sh
# Counts the instructions of a request, for every contender of benches/instructions.rs, under
# valgrind's callgrind: the difference of two runs of different length, divided by the difference of
# their lengths. The second column is what the layer adds to its floor.
#
#   scripts/instructions.sh            all contenders
#   scripts/instructions.sh cached     those whose name begins so, and their floors
set -eu
cd "$(dirname "$0")/.."

few=200
many=1200
wanted=${1-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

program=$(cargo bench --quiet --bench instructions --no-run --message-format=json |
    sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p')

count() { # name, times
    valgrind --tool=callgrind --collect-atstart=no '--toggle-collect=*instructions::counted*' \
        --callgrind-out-file="$work/out" "$program" "$1" "$2" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        exit 1
    }
    sed -n 's/^\(summary\|totals\): //p' "$work/out" | tail -n 1
}

per_request() { # name; remembered, for floors are asked for more than once
    kept="$work/$(printf %s "$1" | tr -c 'a-z+' _)"
    if [ ! -e "$kept" ]; then
        short=$(count "$1" $few)
        long=$(count "$1" $many)
        echo $(((long - short) / (many - few))) >"$kept"
    fi
    cat "$kept"
}

"$program" >"$work/contenders"
printf '%-24s %12s %12s\n' contender instructions over-floor
while IFS="$(printf '\t')" read -r name floor; do
    case $name in "$wanted"*) ;; *) continue ;; esac
    own=$(per_request "$name")
    printf '%-24s %12d %+12d\n' "$name" "$own" $((own - $(per_request "$floor")))
done <"$work/contenders"
