#!/bin/bash
# Installs what is missing and runs all tests, optimised. The last line is `N passed, N failed`; the
# exit status is 0 when nothing failed. Arguments go to `bazel test`: a narrower target, --config=...
set -uo pipefail
cd "$(dirname "$0")/.."

finish() {  # PASSED FAILED
  echo "$1 passed, $2 failed"
  [ "$2" -eq 0 ]
  exit
}

tools/setup.sh || finish 0 1

targets=//...
for argument in "$@"; do
  case $argument in
    -*) ;;
    *) targets= ;;
  esac
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
bazel test -c opt --keep_going --test_summary=short --test_output=errors $targets "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

# The summary has a line for each test: its label, and PASSED, FAILED, TIMEOUT, NO STATUS ...
passed=$(grep -cE '^//[^ ]+ +(\(cached\) +)?(PASSED|FLAKY)' "$log")
failed=$(grep -cE '^//[^ ]+ +(\(cached\) +)?(FAILED|TIMEOUT|INCOMPLETE|NO STATUS|NO RESULT|BLAZE HALTED)' "$log")
# A build that failed, or no test at all, has no such lines but is a failure too.
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
finish "$passed" "$failed"
