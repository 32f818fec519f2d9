#!/usr/bin/env python3
"""Compiles a sample program, runs it under ipctrace, and compares the findings with its comments.

  run_sample.py --ipctrace=PATH [--native] [--modes=O0,O2,stripped] SAMPLE...

On a line of the sample:
  // EXPECT: rule-id, other-id     the rule has a finding here, of the catalogue's severity
  // EXPECT: rule-id=note          the same, of this severity
  // EXPECT-NOTE: rule-id          short for that
  // EXPECT-EITHER: rule-id        the rule has a finding, on one of the lines marked so
In the comment at its head:
  // EXPECT: clean                 the program is right
  // STRICT                        not even an unlisted note is accepted (else only errors and
                                   warnings must be listed)
  // HANGS                         it does not end by itself
  // EXIT: 3  or  // EXIT: SIGPIPE how it ends, if not with status 0
  // OPTIONS: --protocol=x.protocol  of ipctrace; a file is beside the sample
  // ARGS: a b   // STDIN: a\\nb\\n   // CXXFLAGS: -O2
  // SAYS: words                   some finding has them in its message, its fix or its story; may
                                   be given more than once
  // MODES: O0 O2 stripped         how it is compiled; stripped programs have no lines, so there
                                   only the rules are compared
"""
import argparse
import collections
import glob
import os
import re
import shlex
import subprocess
import sys
import tempfile

import tool
from catalogue import SEVERITY

MODES = {"O0": ["-O0", "-g"], "O2": ["-O2", "-g"], "stripped": ["-O1", "-s"]}
EXPECTATION = re.compile(r"//\s*(EXPECT|EXPECT-NOTE|EXPECT-EITHER):\s*([a-z][a-z0-9=,\s-]*?)\s*$")
SAYS = re.compile(r"//\s*SAYS:\s*(.*?)\s*$")
DIRECTIVE = re.compile(r"//\s*(HANGS|STRICT|(?:ARGS|OPTIONS|STDIN|EXIT|CXXFLAGS|MODES):.*?)\s*$")

Expected = collections.namedtuple("Expected", "rule severity places either")


class Sample:
    """What a sample's comments say about it."""

    def __init__(self, path):
        self.path = path
        self.settings = {}
        self.clean = False
        self.expected = []
        self.says = []
        either = collections.defaultdict(set)
        for source in [path] + sorted(glob.glob(os.path.dirname(path) + "/*.h")):
            with open(source) as file:
                lines = file.read().splitlines()
            for number, line in enumerate(lines, 1):
                self.read_line(line, (os.path.basename(source), number), either)
        for (rule, severity), places in either.items():
            self.expected.append(Expected(rule, severity, places, True))
        if self.clean == bool(self.expected):
            raise SystemExit(f"{path}: a sample says either `EXPECT: clean` or what it expects")

    def read_line(self, line, place, either):
        directive = DIRECTIVE.search(line)
        if directive and place[0] == os.path.basename(self.path):
            name, _, value = directive.group(1).partition(":")
            self.settings[name] = value.strip()
        says = SAYS.search(line)
        if says:
            self.says.append(says.group(1))
        expectation = EXPECTATION.search(line)
        if not expectation:
            return
        kind, items = expectation.groups()
        for item in items.split(","):
            rule, _, severity = item.strip().partition("=")
            if rule == "clean":
                self.clean = True
                continue
            if rule not in SEVERITY:
                raise SystemExit(f"{self.path}:{place[1]}: no such rule: {rule}")
            severity = severity or ("note" if kind == "EXPECT-NOTE" else SEVERITY[rule])
            if kind == "EXPECT-EITHER":
                either[rule, severity].add(place)
            else:
                self.expected.append(Expected(rule, severity, {place}, False))

    def words(self, name):
        return shlex.split(self.settings.get(name, ""))

    def compile(self, flags, folder):
        compiler = "g++ -std=c++20" if self.path.endswith(".cc") else "gcc -std=gnu17"
        program = os.path.join(folder, os.path.basename(self.path).rpartition(".")[0])
        subprocess.run([*compiler.split(), "-w", "-pthread", *flags, *self.words("CXXFLAGS"),
                        "-o", program, self.path], check=True)
        return program

    def options(self):
        """Options for ipctrace run, with the paths of files that stand beside the sample."""
        options = []
        for word in self.words("OPTIONS"):
            name, equals, value = word.partition("=")
            beside = os.path.join(os.path.dirname(os.path.abspath(self.path)), value)
            options.append(name + equals + (beside if value and os.path.exists(beside) else value))
        return options

    def stdin(self):
        return self.settings.get("STDIN", "").encode().decode("unicode_escape").encode()

    def end(self):
        """How it should end: a number or a signal's name; None when it hangs."""
        if "HANGS" in self.settings:
            return None
        value = self.settings.get("EXIT", "0")
        return int(value) if value.isdigit() else value


def describe(finding):
    place = finding.get("location") or {}
    where = f"{os.path.basename(place.get('file') or '?')}:{place.get('line') or '?'}"
    return f"{where}  {finding['severity']} {finding['rule']}: {finding['message']}"


def texts_of(findings):
    """What the findings say, a line each."""
    return "\n".join(text for finding in findings
                     for text in [finding["message"], finding.get("fix") or "",
                                  *(step["message"] for step in finding.get("story") or [])])


def compare(sample, findings, lines_known):
    """What is wrong with the findings, as lines to print."""
    def place_of(finding):
        location = finding.get("location") or {}
        return os.path.basename(location.get("file") or ""), location.get("line")

    def meets(finding, expected):
        return (finding["rule"] == expected.rule and finding["severity"] == expected.severity and
                (not lines_known or place_of(finding) in expected.places))

    problems = []
    said = collections.Counter((f["rule"], place_of(f), f["process"]["name"]) for f in findings)
    for (rule, (file, line), _), count in said.items():
        if count > 1 and lines_known:
            problems.append(f"repeated    {file}:{line}  {rule} is {count} findings, not one with a count")
    for expected in sample.expected:
        if not any(meets(f, expected) for f in findings):
            where = " or ".join(f"{file}:{line}" for file, line in sorted(expected.places))
            problems.append(f"missing     {where}  {expected.severity} {expected.rule}")
    texts = texts_of(findings)
    problems += [f"not said    {words}" for words in sample.says if words not in texts]
    for finding in findings:
        listed = any(meets(finding, expected) for expected in sample.expected)
        if not listed and (finding["severity"] != "note" or "STRICT" in sample.settings):
            problems.append("unexpected  " + describe(finding))
        if not finding.get("location"):
            problems.append("no location " + describe(finding))
    return problems


def check_native(sample, program, folder):
    run = tool.native([program, *sample.words("ARGS")], stdin=sample.stdin(), cwd=folder,
                      timeout=5 if sample.end() is None else 30)
    if run.timed_out != (sample.end() is None):
        return ["it hangs" if run.timed_out else "it ends, but should hang"]
    if not run.timed_out and run.status != native_status(sample.end()):
        return [f"it ended with {run.status}, not {sample.end()}: {run.stderr.decode(errors='replace')}"]
    return []


def native_status(end):
    import signal
    return end if isinstance(end, int) else -getattr(signal, end)


def check_traced(sample, program, folder, ipctrace, lines_known, env=None):
    run = tool.traced(ipctrace, [program, *sample.words("ARGS")], stdin=sample.stdin(), cwd=folder,
                      options=sample.options(), timeout=30, env=env)
    if run.report is None:
        return [f"no report; status {run.status}; {run.stderr.decode(errors='replace')}"]
    problems = compare(sample, run.findings, lines_known)
    end = tool.status_of(run.report["exit"])
    if end == "timeout":
        problems.append("ipctrace had to end it by --timeout")
    elif sample.end() is not None and end != sample.end():
        problems.append(f"it ended with {end}, not {sample.end()}")
    coverage = run.report["coverage"]
    if not coverage["traced"] or coverage["holes"]:
        problems.append(f"the report's coverage is {coverage}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", help="the ipctrace binary")
    parser.add_argument("--native", action="store_true", help="run without ipctrace")
    parser.add_argument("--modes", help="instead of the sample's own")
    parser.add_argument("samples", nargs="+")
    arguments = parser.parse_args()
    failed = 0
    for path in arguments.samples:
        sample = Sample(path)
        modes = arguments.modes or sample.settings.get("MODES") or "O0 O2"
        for mode in modes.replace(",", " ").split():
            with tempfile.TemporaryDirectory() as folder:
                program = sample.compile(MODES[mode], folder)
                if arguments.native:
                    problems = check_native(sample, program, folder)
                else:
                    problems = check_traced(sample, program, folder, arguments.ipctrace,
                                            lines_known=mode != "stripped")
            if problems:
                failed += 1
                print(f"{path} ({' '.join(MODES[mode])})")
                for problem in problems:
                    print("  " + problem)
            elif len(arguments.samples) > 1:
                print(f"{path} ({mode}) as expected")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
