#!/bin/sh
# Runs the soak of tests/soak for as long as asked and prints its table: users, three instances and a
# pair of Redis servers, while one thing after the other fails.
#
#   scripts/soak.sh          ten minutes
#   scripts/soak.sh 240      four hours
set -eu
cd "$(dirname "$0")/.."

SOAK_MINUTES=${1-10}
export SOAK_MINUTES
exec cargo test --all-features --test soak -- --nocapture
