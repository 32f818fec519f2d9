#!/bin/bash
# From nothing to a report: installs what is missing, builds, and traces the lecture's program that
# waits for an end-of-file that never comes.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh
bazel build -c opt //:ipctrace //:libipctrace.so >&2

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
gcc -g -o "$folder/pipe_eof_never" samples/lecture/pipe_eof_never.c 2>/dev/null

echo '$ ipctrace run -- ./pipe_eof_never'
bazel-bin/analyzer/ipctrace run -- "$folder/pipe_eof_never" || [ $? -ne 125 ]
