#!/usr/bin/env python3
"""Takes the clean samples and breaks each in every way of a table, one at a time: a close, a wait, a
flush and so on is removed. The mutant must be reported, or nothing that anybody can observe has
changed.

  mutate.py [--ipctrace=PATH] [--only=GLOB] [--jobs=N] [--verbose]

Prints one line a mutant that is missed, a table of why the others change nothing, and caught/total of
those that change something. Exit status 0 when that is at least 95%.
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

# Why a mutant changes nothing: (kind, pattern, reason); the pattern is sought in "path: line".
# The first that fits is it. A mutant that changes nothing and fits none counts as missed.
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
            broken = sample.compile(flags, work)
        except run_sample.subprocess.CalledProcessError:
            return Result(mutant, "does not compile")
        changed = tool.native([broken, *sample.words("ARGS")], stdin=sample.stdin(), cwd=work, timeout=5)
        traced = tool.traced(ipctrace, [broken, *sample.words("ARGS")], stdin=sample.stdin(), cwd=work,
                             timeout=8)
    found = sorted({f["rule"] for f in traced.findings})
    if set(found) & set(KINDS[mutant.kind].split()):
        return Result(mutant, "caught", ", ".join(found))
    if found:
        return Result(mutant, "caught by another rule", ", ".join(found))
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
        if arguments.verbose or result.outcome == "missed":
            mutant = result.mutant
            print(f"{os.path.relpath(mutant.sample, TOP)}:{mutant.line}: without `{mutant.text}`: "
                  f"{result.outcome}: {result.detail}")
    print()
    print("%-9s %7s %9s %7s %10s" % ("removed", "mutants", "caught", "missed", "unchanged"))
    for kind in KINDS:
        outcomes = collections.Counter(r.outcome for r in results if r.mutant.kind == kind)
        caught = outcomes["caught"] + outcomes["caught by another rule"]
        print("%-9s %7d %9d %7d %10d" % (kind, sum(outcomes.values()), caught, outcomes["missed"],
                                         outcomes["nothing changed"]))
    print("\nNothing changed, because")
    for reason, count in collections.Counter(r.detail for r in results
                                             if r.outcome == "nothing changed").most_common():
        print("%5d  %s" % (count, reason))
    caught = sum(r.outcome.startswith("caught") for r in results)
    total = caught + sum(r.outcome == "missed" for r in results)
    print(f"\ncaught {caught}/{total}")
    return 0 if total and caught >= 0.95 * total else 1


if __name__ == "__main__":
    sys.exit(main())
