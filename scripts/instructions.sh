#!/bin/sh
# Counts the instructions of a request, for every contender of benches/instructions.rs, under
# valgrind's callgrind. The second column is what the layer adds to its floor, which has a budget.
#
#   scripts/instructions.sh            all contenders
#   scripts/instructions.sh cached     those whose name begins so, and their floors
#   scripts/instructions.sh --check    fails where a budget is not kept, and tells of those that have become stale
#   scripts/instructions.sh --renew    makes what is counted the budget
set -eu
cd "$(dirname "$0")/.."

budget=benches/budget/budget.txt
prefix=
case ${1-} in
--check | --renew) wanted=$1 ;;
*) wanted=--table prefix=${1-} ;;
esac
# Valgrind shows all processors with AVX2 alike; on others, code that picks its way by them takes another.
if [ "$wanted" != --table ] && ! { [ "$(uname -m)" = x86_64 ] && grep -qw avx2 /proc/cpuinfo; }; then
    echo "warning: the budget is for x86_64 with AVX2, which this machine is not: nothing is done" >&2
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compiler=$(rustc --version)
./scripts/callgrind.sh "$work" "$prefix"
program=$(cat "$work/program")
number=0
while read -r name; do
    number=$((number + 1))
    echo "$name $(sed -n 's/^totals: //p' "$work/out.$number")"
done <"$work/names" >"$work/counts"

case $wanted in
--table) "$program" table "$work/counts" ;;
--renew)
    "$program" renew "$work/counts" >"$work/budget"
    {
        echo "# Instructions over the floor. scripts/instructions.sh --renew writes this anew."
        echo "# $compiler"
        cat "$work/budget"
    } >"$budget"
    ;;
--check)
    "$program" check "$work/counts" "$budget" || {
        grep -qFx "# $compiler" "$budget" ||
            echo "note: the budget was made with another compiler than $compiler" >&2
        echo "If that is meant, 'scripts/instructions.sh --renew' writes $budget anew: commit it." >&2
        exit 1
    }
    echo "$(grep -cv '^#' "$budget") budgets are kept"
    ;;
esac
