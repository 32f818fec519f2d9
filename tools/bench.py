#!/usr/bin/env python3
"""What ipctrace costs: the same work alone and traced, in short blocks that take turns, pinned to
one processor, many times; said is the median of the pairs' ratios. The analyzer has the other
processor. Where a peer (strace, ltrace, Valgrind, uftrace, perf) is installed, its ratio stands
beside. Every traced block's report is looked at: a finding or a lost record ends the measurement.

  tools/bench.py                        all rows, as text (build with -c opt first)
  tools/bench.py --write                and into the README, between its two bench marks
  tools/bench.py --only=pipe,open       some rows
  tools/bench.py --only=records --long  with the longest run of the curves: 10^8 records
  tools/bench.py --quick                one tiny block of each: does it still run? (the test)
"""
import argparse
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from benchmark import curves, figures, programs, work  # noqa: E402
from benchmark.harness import TOP, Bench  # noqa: E402

MARKS = ("<!-- bench -->", "<!-- /bench -->")


def table(header, rows):
    if not rows:
        return ""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write_readme(text):
    path = os.path.join(TOP, "README.md")
    with open(path) as file:
        readme = file.read()
    before, rest = readme.split(MARKS[0])
    _, after = rest.split(MARKS[1])
    with open(path, "w") as file:
        file.write(before + MARKS[0] + "\n" + text + MARKS[1] + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--only", default="", help="rows, comma-separated")
    parser.add_argument("--effort", type=float, default=1, help="times the usual number of pairs")
    parser.add_argument("--quick", action="store_true", help="one tiny block of each")
    parser.add_argument("--long", action="store_true", help="curves go on to 10^8 records")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--write", action="store_true", help="into the README")
    options = parser.parse_args()
    only = set(filter(None, options.only.split(",")))

    def wanted(name):
        return not only or name in only

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        parts = [measure(bench, wanted) for measure in (work.rows, programs.rows, figures.rows, curves.rows)]
    text = "\n".join(filter(None, (table(*part) for part in parts)))
    print(text)
    if options.write:
        write_readme(text)


if __name__ == "__main__":
    main()
