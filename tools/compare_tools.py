#!/usr/bin/env python3
"""Runs the samples that have a mistake under other tools and prints, as the README's table, which
rules' mistakes each of them tells of.

  compare_tools.py [--ipctrace=PATH] [--only=GLOB]

A tool "finds" a mistake when it says of its own accord that something is wrong there: Valgrind
(--track-fds=yes) an error or a descriptor left open, gcc -fanalyzer a warning, ThreadSanitizer a
warning. strace judges nothing; for it the table says whether the run shows a failed call or a signal
that gives the mistake away to who looks for it. A cell says in how many of the rule's samples.
"""
import argparse
import collections
import fnmatch
import glob
import os
import re
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests"))
import run_sample  # noqa: E402
import tool  # noqa: E402

GIVES_AWAY = re.compile(r"^\d+ (?!open|access|stat|newfstatat|readlink|execve|ioctl|wait|connect\().*= -1 E"
                        r"(?:PIPE|BADF|MFILE|NFILE|SPIPE|CONNRESET|ADDRINUSE|DESTADDRREQ|NOTCONN|INVAL|ISCONN)"
                        r"|--- SIGPIPE", re.MULTILINE)


def run(sample, program, folder, prefix=(), **environment):
    return tool.native([*prefix, program, *sample.words("ARGS")], stdin=sample.stdin(), cwd=folder, timeout=8,
                       env={**os.environ, **environment})


def strace(sample, folder):
    output = os.path.join(folder, "strace")
    run(sample, sample.compile(["-g"], folder), folder, ["strace", "-f", "-o", output])
    with open(output, errors="replace") as file:
        return bool(GIVES_AWAY.search(file.read()))


def valgrind(sample, folder):
    """What it says beyond the descriptors 0, 1 and 2, and those it inherited."""
    said = run(sample, sample.compile(["-g"], folder), folder,
               ["valgrind", "--track-fds=yes", "--trace-children=yes"]).stderr.decode(errors="replace")
    if re.search(r"ERROR SUMMARY: [1-9]", said):
        return True
    blocks = re.split(r"\n==\d+== *\n", said)
    return any(re.search(r"Open (?:file descriptor|AF_)", block) and "<inherited from parent>" not in block
               for block in blocks)


def analyzer(sample, folder):
    compiler = "g++" if sample.path.endswith(".cc") else "gcc"
    said = tool.native([compiler, "-fanalyzer", "-O1", "-c", "-o", "/dev/null", os.path.abspath(sample.path)],
                       cwd=folder).stderr
    return b"-Wanalyzer" in said


def thread_sanitizer(sample, folder):
    program = sample.compile(["-g", "-fsanitize=thread"], folder)
    return b"WARNING: ThreadSanitizer" in run(sample, program, folder).stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--only", default="*", help="rules' folders")
    arguments = parser.parse_args()

    def ipctrace(sample, folder):
        report = tool.traced(arguments.ipctrace, [sample.compile(["-g"], folder), *sample.words("ARGS")],
                             stdin=sample.stdin(), cwd=folder, timeout=20,
                             options=sample.options()).report
        wanted = {expected.rule for expected in sample.expected}
        return report is not None and wanted <= {finding["rule"] for finding in report["findings"]}

    tools = [("ipctrace", ipctrace), ("Valgrind", valgrind), ("strace", strace), ("-fanalyzer", analyzer),
             ("TSan", thread_sanitizer)]
    print("| mistake | " + " | ".join(name for name, _ in tools) + " |")
    print("| --- |" + " --- |" * len(tools))
    sums = collections.Counter()
    for folder in sorted(glob.glob(os.path.join(TOP, "samples/rules/*"))):
        rule = os.path.basename(folder)
        samples = sorted(glob.glob(folder + "/bad_*.c*"))
        if not samples or not fnmatch.fnmatch(rule, arguments.only):
            continue
        cells = []
        for name, finds in tools:
            found = 0
            for path in samples:
                with tempfile.TemporaryDirectory() as work:
                    found += bool(finds(run_sample.Sample(path), work))
            sums[name] += found
            cells.append(f"{found}/{len(samples)}" if found else "–")
        sums["all"] += len(samples)
        print(f"| `{rule.replace('_', '-')}` | " + " | ".join(cells) + " |", flush=True)
    print("| together | " + " | ".join(f"{sums[name]}/{sums['all']}" for name, _ in tools) + " |")


if __name__ == "__main__":
    main()
