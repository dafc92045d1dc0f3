#!/usr/bin/env bash
# Checks what the crate's users would compile: no dependency needs a newer Rust than the crate
# declares, all licences are known to fit, and everything comes from crates.io.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python3 - <<'PYTHON'
import json, re, subprocess, sys

FITTING = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
}
CRATES_IO = "/crates.io-index"


def version(text):
    return tuple(int(part) for part in (text.split(".") + ["0", "0"])[:3])


def fits(licence):
    """Evaluates an SPDX expression; the old spelling with a slash means OR."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", licence.replace("/", " / "))
    words = []
    while tokens:
        token = tokens.pop(0)
        if tokens and tokens[0] == "WITH":
            token = f"{token} WITH {tokens[1]}"
            tokens = tokens[2:]
        words.append({"AND": "and", "OR": "or", "/": "or", "(": "(", ")": ")"}.get(token, str(token in FITTING)))
    return eval(" ".join(words), {"__builtins__": {}})


command = ["cargo", "metadata", "--format-version", "1", "--all-features", "--locked"]
metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]
ours = packages[root]["rust_version"]

shipped, queue = set(), [root]
while queue:
    package = queue.pop()
    if package in shipped:
        continue
    shipped.add(package)
    for dependency in nodes[package]["deps"]:
        if any(kind["kind"] in (None, "build") for kind in dependency["dep_kinds"]):
            queue.append(dependency["pkg"])

problems = []
for package in sorted((packages[id] for id in shipped - {root}), key=lambda it: it["name"]):
    name = f"{package['name']} {package['version']}"
    needs = package["rust_version"]
    if needs and version(needs) > version(ours):
        problems.append(f"{name} needs Rust {needs}, the crate promises {ours}")
    if not package["license"] or not fits(package["license"]):
        problems.append(f"{name} has the licence {package['license']!r}")
for id in nodes:
    package = packages[id]
    if id != root and not (package["source"] or "").endswith(CRATES_IO):
        problems.append(f"{package['name']} {package['version']} comes from {package['source']}")
for source in re.findall(r'^source = "(.*)"$', open("Cargo.lock").read(), re.MULTILINE):
    if not source.endswith(CRATES_IO):
        problems.append(f"Cargo.lock names {source}")

for problem in problems:
    print(f"error: {problem}", file=sys.stderr)
print(f"{len(shipped) - 1} dependencies: Rust {ours} suffices, licences fit" if not problems else "")
sys.exit(bool(problems))
PYTHON
