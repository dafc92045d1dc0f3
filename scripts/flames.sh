#!/usr/bin/env bash
# Draws docs/cached.svg: where the instructions of a cached request go, the bench's own included.
# Needs valgrind, python3 and inferno (cargo install inferno).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
./scripts/callgrind.sh "$work" cached
number=$(grep -nx cached "$work/names" | cut -d: -f1)

python3 - "$work/out.$number" >"$work/stacks" <<'PYTHON'
"""A call graph as stacks: what a function costs is shared out among the ways to it by what each has asked of it."""
import collections, re, sys

own, calls, names = collections.Counter(), collections.Counter(), {}


def named(text):
    number, name = re.fullmatch(r"(\(\d+\))(?: (.*))?", text).groups()
    return names.setdefault(number, name)


function = called = None
for line in open(sys.argv[1]):
    key, _, value = line.rstrip("\n").partition("=")
    if key == "fn":
        function = named(value)
    elif key == "cfn":
        called = named(value)
    elif re.match(r"[+*\-\d]", line):
        cost = int((line.split() + ["0"])[1])
        if called:
            calls[function, called] += cost
            called = None
        else:
            own[function] += cost

below = collections.defaultdict(list)
for (caller, callee), cost in calls.items():
    below[caller].append((callee, cost))


def short(name):
    for _ in range(9):
        name = re.sub(r"<impl [^<>]*>", "", name)
        name = re.sub(r"<([^<> ]*)(?: as [^<>]*)?>", lambda it: "{" + it[1] + "}" if it[0].count(" as ") else "", name)
    name = re.sub(r"'\d+$", "", name)
    parts = [part for part in re.split(r"::", name.replace("{", "").replace("}", "")) if part]
    return "::".join(parts[-2:]).replace(";", ",")


def walk(name, share, stack):
    whole = own[name] + sum(cost for _, cost in below[name])
    if not whole or name in stack:
        return
    stack = stack + [name]
    requests = 1000
    instructions = round(own[name] * share / whole / requests)
    if instructions:
        print(";".join(map(short, stack)), instructions)
    for callee, cost in below[name]:
        walk(callee, cost * share / whole, stack)


root = next(name for name in own if name.endswith("Contender::ask"))
walk(root, own[root] + sum(cost for _, cost in below[root]), [])
PYTHON
inferno-flamegraph --title "A cached request" --subtitle "instructions, under callgrind" \
    --countname instructions --colors rust --inverted <"$work/stacks" >docs/cached.svg
