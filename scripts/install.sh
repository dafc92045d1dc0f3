#!/usr/bin/env bash
# Installs Debian packages for the scripts beside this one, without a question; with none it does nothing.
#
#   scripts/install.sh wrk valgrind
set -euo pipefail

[ "$#" -eq 0 ] && exit
command -v apt-get >/dev/null || {
    echo "error: install $*, there is no apt-get to do it with" >&2
    exit 1
}
root=()
if [ "$(id -u)" -ne 0 ]; then
    # Asks for nothing: where sudo would, it says so and stops.
    sudo --non-interactive true 2>/dev/null || {
        echo "error: run 'apt-get install $*' as root first" >&2
        exit 1
    }
    root=(sudo --non-interactive)
fi
# A script's own output stays what is written to the standard output.
"${root[@]}" apt-get update >&2
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" >&2
