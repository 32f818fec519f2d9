#!/usr/bin/env python3
"""Takes the clean samples and breaks each in every way of a table, one at a time: a close, a wait, a
flush and so on is removed. The mutant must be reported, or nothing that anybody can observe has
changed.

  mutate.py [--ipctrace=PATH] [--only=GLOB] [--jobs=N] [--verbose]

Only what the unbroken sample does not have already counts as a finding, and only of a rule that the
catalogue names for what was removed. Findings of other rules, and mere notes, are counted apart.

That a mutant changes nothing is checked as far as its output, status and end without ipctrace are the
same. The reason given for it goes by what was removed; it is presumed, not proved for each.

Prints one line a mutant that is missed, those presumed reasons, and caught/total of the mutants that
change something. Exit status 0 when that is at least 95%.
"""
import argparse
import collections
import concurrent.futures
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

# What is removed, and the rules that the catalogue names for it.
KINDS = {
    "close": "pipe-no-eof pipe-unused-end pipe-full-deadlock ipc-deadlock fd-leak fd-exec-leak "
             "socket-conn-leak socket-listener-in-child pipe-data-lost",
    "fclose": "pipe-no-eof pipe-unused-end ipc-deadlock fd-leak stdio-lost-output stdio-fd-mix",
    "wait": "process-zombie pipe-broken pipe-data-lost socket-reset stdio-fork-duplicate",
    "fflush": "stdio-fork-duplicate stdio-fd-mix stdio-lost-output ipc-deadlock",
    "exit": "process-child-fallthrough stdio-fork-duplicate pipe-no-eof pipe-unused-end ipc-deadlock "
            "fd-double-close fd-use-after-close socket-conn-leak pipe-broken io-read-past-eof fd-not-open",
    "shutdown": "pipe-no-eof ipc-deadlock socket-reset",
    "htons": "socket-byte-order",
    "loop": "io-short-count pipe-data-lost pipe-broken socket-reset pipe-unused-end",
}
CALLS = {"close": "close", "fclose": "fclose", "wait": "wait", "waitpid": "wait", "fflush": "fflush",
         "exit": "exit", "_exit": "exit", "shutdown": "shutdown"}

# Why a mutant that behaves the same presumably does: (kind, pattern, reason); the pattern is sought in
# "path: line". The first that fits is it. A mutant that fits none counts as missed.
REASONS = [
    ("close", None, "the process ends at once, and its end closes the descriptor"),
    ("fclose", None, "the process ends at once, and exit flushes and closes the stream"),
    ("wait", None, "the parent ends before the child has been a zombie for half a second"),
    ("exit", None, "the branch ends with the function, and main returns"),
    ("fflush", None, "another flush or an unbuffered stream makes up for it"),
    ("loop", None, "no count was short in this run"),
]

Mutant = collections.namedtuple("Mutant", "sample kind line text source")


def closing(text, start):
    """The position after the bracket that closes the one at `start`."""
    depth = 0
    for position in range(start, len(text)):
        depth += text[position] in "({["
        depth -= text[position] in ")}]"
        if depth == 0:
            return position + 1
    return len(text)


def without_comments(text):
    """The text with comments and strings blanked, of the same length."""
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', lambda m: re.sub(r"[^\n]", " ", m.group()), text,
                  flags=re.DOTALL)


def mutants_of(path):
    with open(path) as file:
        text = file.read()
    code = without_comments(text)

    def mutant(kind, start, end, replacement):
        # Lines stay where they were.
        kept = "\n" * text.count("\n", start, end)
        line = text.count("\n", 0, start) + 1
        return Mutant(path, kind, line, text.splitlines()[line - 1].strip(),
                      text[:start] + replacement + kept + text[end:])

    # Calls that stand as statements of their own.
    for found in re.finditer(r"\b(%s)\s*\(" % "|".join(CALLS), code):
        before = code[:found.start()].rstrip()
        end = closing(code, found.end() - 1)
        rest = code[end:].lstrip()
        if before.endswith((";", "{", "}", ")", "else")) and rest.startswith(";"):
            if before.endswith(")") and re.search(r"\b(?:static|void|int)\b[^;{}]*$", before):
                continue
            yield mutant(CALLS[found.group(1)], found.start(), code.index(";", end) + 1, ";")
    # Loops that wait for all children.
    for found in re.finditer(r"\bwhile\s*\(\s*wait(?:pid)?\s*\(", code):
        end = closing(code, code.index("(", found.start()))
        body = code[end:].lstrip()
        if body.startswith("{"):
            end = closing(code, code.index("{", end))
        else:
            end = code.index(";", end) + 1
        yield mutant("wait", found.start(), end, ";")
    for found in re.finditer(r"\bhtons\s*\(", code):
        yield mutant("htons", found.start(), found.end() - 1, "")
    # Loops that go on until all bytes are there.
    for found in re.finditer(r"\bwhile\s*(\(\s*\w*(?:have|done|sent|left|total|off)\w*\s*<)", code):
        yield mutant("loop", found.start(), found.start() + len("while"), "if")
    for found in re.finditer(r"\bfor\s*\(([^;]*);([^;]*<[^;]*);\s*\)", code):
        if re.search(r"have|done|sent|left|total|off", found.group(2)):
            yield mutant("loop", found.start(), found.end(), "%s; if (%s)" % (found.group(1), found.group(2)))


def observe(run):
    return (run.timed_out, None if run.timed_out else run.status, sorted(run.stdout.splitlines()))


class Result:
    def __init__(self, mutant, outcome, detail=""):
        self.mutant, self.outcome, self.detail = mutant, outcome, detail


def findings_of(sample, program, folder, ipctrace):
    """The rules that speak, with their severities; None where there is no report."""
    run = tool.traced(ipctrace, [program, *sample.words("ARGS")], stdin=sample.stdin(), cwd=folder, timeout=8)
    return run.report and {(finding["rule"], finding["severity"]) for finding in run.findings}


def try_mutant(mutant, ipctrace):
    sample = run_sample.Sample(mutant.sample)
    with tempfile.TemporaryDirectory() as folder:
        work = os.path.join(folder, "work")
        os.mkdir(work)
        source = os.path.join(folder, os.path.basename(mutant.sample))
        with open(source, "w") as file:
            file.write(mutant.source)
        flags = ["-O0", "-g", "-I" + os.path.dirname(mutant.sample)]
        try:
            whole = sample.compile(flags, work)
            original = tool.native([whole, *sample.words("ARGS")], stdin=sample.stdin(), cwd=work, timeout=10)
            sample.path = source
            os.rename(whole, whole + ".whole")  # both have the source's name
            whole += ".whole"
            broken = sample.compile(flags, work)
        except run_sample.subprocess.CalledProcessError:
            return Result(mutant, "does not compile")
        changed = tool.native([broken, *sample.words("ARGS")], stdin=sample.stdin(), cwd=work, timeout=5)
        before = findings_of(sample, whole, work, ipctrace)
        after = findings_of(sample, broken, work, ipctrace)
    if before is None or after is None:
        return Result(mutant, "missed", "there is no report")
    new = sorted(after - before)
    named = [(rule, severity) for rule, severity in new if rule in KINDS[mutant.kind].split()]
    detail = ", ".join(f"{rule} ({severity})" for rule, severity in named or new)
    if any(severity != "note" for _, severity in named):
        return Result(mutant, "caught", detail)
    if named:
        return Result(mutant, "noted", detail)
    if any(severity != "note" for _, severity in new):
        return Result(mutant, "by another rule", detail)
    if observe(original) != observe(changed):
        return Result(mutant, "missed", "it behaves otherwise: " +
                      ("it hangs" if changed.timed_out else f"status {changed.status}"))
    for kind, pattern, reason in REASONS:
        if kind == mutant.kind and (pattern is None or re.search(pattern, mutant.sample + ": " + mutant.text)):
            return Result(mutant, "nothing changed", reason)
    return Result(mutant, "missed", "no reason is known why it would change nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--only", default="*", help="samples' paths")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="a line for every mutant")
    arguments = parser.parse_args()

    samples = [path for path in sorted(glob.glob(os.path.join(TOP, "samples/**/*.c*"), recursive=True))
               if fnmatch.fnmatch(path, "*" + arguments.only + "*") and run_sample.Sample(path).clean]
    mutants = [mutant for path in samples for mutant in mutants_of(path)]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda mutant: try_mutant(mutant, arguments.ipctrace), mutants))

    for result in results:
        if arguments.verbose or result.outcome in ("missed", "by another rule"):
            mutant = result.mutant
            print(f"{os.path.relpath(mutant.sample, TOP)}:{mutant.line}: without `{mutant.text}`: "
                  f"{result.outcome}: {result.detail}")
    print()
    columns = ["caught", "noted", "by another rule", "missed", "nothing changed"]
    print("%-9s %8s" % ("removed", "mutants") + "".join("%17s" % column for column in columns))
    for kind in KINDS:
        outcomes = collections.Counter(r.outcome for r in results if r.mutant.kind == kind)
        print("%-9s %8d" % (kind, sum(outcomes.values())) + "".join("%17d" % outcomes[c] for c in columns))
    print("\nNothing changed, presumably because")
    for reason, count in collections.Counter(r.detail for r in results
                                             if r.outcome == "nothing changed").most_common():
        print("%5d  %s" % (count, reason))
    outcomes = collections.Counter(r.outcome for r in results)
    caught = outcomes["caught"]
    total = sum(outcomes[column] for column in columns[:4])
    print(f"\ncaught {caught}/{total} as error or warning by a rule that the catalogue names, "
          f"{outcomes['noted']} more as a note, {outcomes['by another rule']} by another rule")
    return 0 if total and caught >= 0.95 * total else 1


if __name__ == "__main__":
    sys.exit(main())
