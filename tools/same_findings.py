#!/usr/bin/env python3
"""Runs each sample several times, compiled in several ways: the findings must be the same.

  tools/same_findings.py [--ipctrace=PATH] [--runs=N] [--part=K/N] [--jobs=N] [SAMPLE...]

  -O0 -g and -O2 -g     the same findings, in the same order, with the same fingerprints, in every run
                        of either: lines do not depend on the optimiser
  -O0 and -O2, stripped the same findings, in the same order, with the same fingerprints, in every run
                        of one program; and the same rules with the same severities as with lines.
                        Of what falls on one line, and is one finding there, only the rule counts.

Prints what differs, and `N samples, N differ` at the end. --part=2/8 takes the second of every eight.
"""
import argparse
import concurrent.futures
import glob
import os
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests"))
import run_sample  # noqa: E402
import tool  # noqa: E402

WITH_LINES = {"-O0 -g": ["-O0", "-g"], "-O2 -g": ["-O2", "-g"]}
STRIPPED = {"-O0 -s": ["-O0", "-s"], "-O2 -s": ["-O2", "-s"]}


def findings_of(sample, flags, ipctrace, runs):
    """In each run: (rule, severity, fingerprint), in order."""
    with tempfile.TemporaryDirectory() as folder:
        program = sample.compile(flags, folder)
        seen = []
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as work:
                run = tool.traced(ipctrace, [program, *sample.words("ARGS")], stdin=sample.stdin(), cwd=work,
                                  options=sample.options(), timeout=30)
            if run.report is None:
                raise RuntimeError(f"no report: {run.stderr!r}")
            seen.append([(f["rule"], f["severity"], f["fingerprint"]) for f in run.findings])
        return seen


def words(findings):
    return ", ".join(f"{rule} {severity} {fingerprint[:6]}" for rule, severity, fingerprint in findings) or "nothing"


def compare(path, ipctrace, runs):
    """What differs, as lines to print."""
    sample = run_sample.Sample(path)
    problems, first = [], None
    for name, flags in WITH_LINES.items():
        for number, findings in enumerate(findings_of(sample, flags, ipctrace, runs), 1):
            first = findings if first is None else first
            if findings != first:
                problems.append(f"{name}, run {number}: {words(findings)}; in the first run: {words(first)}")
    rules = {finding[:2] for finding in first}
    for name, flags in STRIPPED.items():
        seen = findings_of(sample, flags, ipctrace, runs)
        for number, findings in enumerate(seen, 1):
            if findings != seen[0]:
                problems.append(f"{name}, run {number}: {words(findings)}; in the first run: {words(seen[0])}")
        if {finding[:2] for finding in seen[0]} != rules:
            problems.append(f"{name}: {words(seen[0])}; with lines: {words(first)}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("samples", nargs="*")
    arguments = parser.parse_args()
    samples = arguments.samples or sorted(glob.glob(TOP + "/samples/**/*.c*", recursive=True))
    part, parts = map(int, arguments.part.split("/"))
    samples = samples[part - 1::parts]
    differ = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        found = pool.map(lambda path: compare(path, os.path.abspath(arguments.ipctrace), arguments.runs), samples)
        for path, problems in zip(samples, found):
            differ += bool(problems)
            for problem in problems:
                print(f"{os.path.relpath(path, TOP)}: {problem}", flush=True)
    print(f"{len(samples)} samples, {differ} differ")
    return 1 if differ or not samples else 0


if __name__ == "__main__":
    sys.exit(main())
