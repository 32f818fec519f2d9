#!/usr/bin/env python3
"""Takes the clean samples and breaks each in every way of a table, one at a time: a close, a wait, a
flush and so on is removed. The mutant must be reported, or nothing that anybody can observe has
changed.

  mutate.py [--ipctrace=PATH] [--only=GLOB] [--jobs=N] [--runs=N] [--verbose]

A mutant is caught where a rule that the catalogue names for what was removed says error or warning,
and did not of the unbroken sample; or says note, where note is what the catalogue says of it (fd-leak
of a descriptor that is merely still open at exit). Other rules and other notes are counted apart.

That nothing observable changed is found out for each mutant that is not caught:
  - alone, it ends as the sample does, with the same output, and so do its children;
  - traced, in each of N runs, every process made the same calls with the same arguments, data, results
    and errors as in some run of the sample, less the one that was removed, and ended with the same
    status (tools/same_runs.py says what is left out, and what the sample's own runs disagree on is).
    Where a run differs, as only some schedules may, the mutant is caught if that run's own report
    names it;
  - where a close is gone: no other process was in a call that what stayed open could have held up or
    answered, from then to the end of the process that kept it; or yet another held the same end all
    through the call;
  - where a wait is gone: the children had ended when their parent did, and had been zombies for less
    than the half second that makes a process-zombie. Where a child outlives its parent instead, that
    is all that is different: it is counted apart ("ends sooner"), and no rule is about it.
What is left has a line of its own in REASONS, or is missed.

Prints a line for each mutant that is missed, a line for each that changes nothing with the reason, and
caught/total of the mutants that change something. Exit status 0 when that is at least 95%.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import functools
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "tests"))
sys.path.insert(0, os.path.join(TOP, "tools"))
import run_sample  # noqa: E402
import same_runs  # noqa: E402
import tool  # noqa: E402

# What is removed, and the rules that the catalogue names for it.
KINDS = {
    "close": "pipe-no-eof pipe-unused-end pipe-full-deadlock ipc-deadlock fd-leak fd-exec-leak "
             "socket-conn-leak socket-listener-in-child pipe-data-lost",
    "fclose": "pipe-no-eof pipe-unused-end ipc-deadlock fd-leak stdio-lost-output stdio-fd-mix",
    "wait": "process-zombie pipe-broken pipe-data-lost socket-reset stdio-fork-duplicate pipe-no-eof ipc-deadlock",
    # pipe-no-eof: a filter that holds its answer back until end-of-file.
    "fflush": "stdio-fork-duplicate stdio-fd-mix stdio-lost-output ipc-deadlock pipe-no-eof",
    "exit": "process-child-fallthrough stdio-fork-duplicate pipe-no-eof pipe-unused-end ipc-deadlock "
            "fd-double-close fd-use-after-close socket-conn-leak pipe-broken io-read-past-eof fd-not-open",
    "shutdown": "pipe-no-eof ipc-deadlock socket-reset",
    "htons": "socket-byte-order",
    "loop": "io-short-count pipe-data-lost pipe-broken socket-reset pipe-unused-end",
}
CALLS = {"close": "close", "fclose": "fclose", "wait": "wait", "waitpid": "wait", "fflush": "fflush",
         "exit": "exit", "_exit": "exit", "shutdown": "shutdown"}

# Of these the catalogue says note, for what the removed call leaves behind.
NOTED = {"close": {"fd-leak"}, "fclose": {"fd-leak"}}
# The calls that are gone from the trace.
GONE = {"close": {"close"}, "fclose": {"fclose"}, "wait": {"wait", "waitpid"}, "fflush": {"fflush"},
        "exit": set(), "shutdown": {"shutdown"}, "htons": set(), "loop": set()}

# Why nothing observable changed in mutants of which the trace alone does not tell: "sample:line kind".
REASONS = {
    "rules/socket_reset/near_read_to_the_end.c:17 shutdown":
        "the parent gets its end-of-file from the close three lines on: the child's loop, ended by the parent's own "
        "shutdown, is all that comes before",
    "rules/socket_reset/near_read_to_the_end.c:26 shutdown":
        "the child gets its end-of-file from the parent's close: the parent's loop, ended by the child's shutdown, is "
        "all that comes before",
    "rules/socket_reset/near_read_to_the_end.c:29 close":
        "shutdown has told the child end-of-file already",
    "rules/pipe_broken/near_head_of_output.c:29 close":
        "the reader has written its one byte there and this process has read it; how many bytes went the other way "
        "before is the schedule's choice in both",
    "rules/socket_serial_server/near_poll_serves_all.c:34 close":
        "the server learns of each client's end when the clients' process ends, in place of a few times twenty "
        "milliseconds before, and does the same then",
    "rules/socket_wrong_state/near_connect_asked_again.c:31 htons":
        "no datagram is sent: connect only notes the address, and does so for one port as for another",
}

Mutant = collections.namedtuple("Mutant", "sample kind line last text source")


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
        return Mutant(path, kind, line, line + kept.count("\n"), text.splitlines()[line - 1].strip(),
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


def said(run):
    return {(finding["rule"], finding["severity"], (finding.get("location") or {}).get("line"))
            for finding in run.findings}


class Result:
    def __init__(self, mutant, outcome, detail=""):
        self.mutant, self.outcome, self.detail = mutant, outcome, detail


class Program:
    """A compiled program, and how it behaves. Every run has an empty folder of its own."""

    def __init__(self, sample, source, ipctrace, runs):
        self.sample, self.ipctrace, self.runs = sample, ipctrace, runs
        self.options = sample.options()
        self.folder = tempfile.TemporaryDirectory()
        self.name = os.path.basename(sample.path)
        path = os.path.join(self.folder.name, self.name)
        with open(path, "w") as file:
            file.write(source)
        here, sample.path = sample.path, path
        try:
            self.program = sample.compile(["-O0", "-g", "-I" + os.path.dirname(here)], self.folder.name)
        finally:
            sample.path = here
        self.command = [self.program, *sample.words("ARGS")]

    @functools.cached_property
    def alone(self):
        """How it ends with all its children, and what they print: (hangs, status, lines), in each of
        some runs."""
        return [self.run_alone() for _ in range(self.runs)]

    def run_alone(self):
        with tempfile.TemporaryDirectory() as work:
            process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, cwd=work, start_new_session=True)
            try:
                # Until the last one that holds the pipe has gone.
                output, _ = process.communicate(self.sample.stdin(), timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                return (True, None, None)
        return (False, process.returncode, tuple(sorted(output.splitlines())))

    @functools.cached_property
    def findings(self):
        """What is said: (rule, severity, line); None where there is no report."""
        with tempfile.TemporaryDirectory() as work:
            try:
                run = tool.traced(self.ipctrace, self.command, stdin=self.sample.stdin(), cwd=work, timeout=8,
                                  options=self.options)
            except AssertionError:  # a mutant's kill(0, ...) ends its whole process group, the tracer too
                return None
        return run.report and said(run)

    @functools.cached_property
    def traces(self):
        """What it did, in each of some runs, and what was said of it."""
        return [self.run_traced() for _ in range(self.runs)]

    def run_traced(self):
        # The run goes on when the program's first process has ended: children may outlive it.
        linger = ["sh", "-c", '"$0" "$@"; exec sleep 0.8']
        with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as kept:
            trace = os.path.join(kept, "trace")
            traced = tool.traced(self.ipctrace, [*linger, *self.command], stdin=self.sample.stdin(), cwd=work,
                                 timeout=8, options=[*self.options, "--trace=" + trace])
            shown = subprocess.run([self.ipctrace, "show", "--format=jsonl", trace], check=True, capture_output=True)
        run = same_runs.Run(shown.stdout.decode(errors="replace"), self.name)
        run.findings = said(traced)
        return run


ORIGINALS, ORIGINALS_LOCK = {}, threading.Lock()


def original_of(sample, ipctrace, runs):
    with ORIGINALS_LOCK:
        if sample.path not in ORIGINALS:
            with open(sample.path) as file:
                ORIGINALS[sample.path] = Program(run_sample.Sample(sample.path), file.read(), ipctrace, runs)
        return ORIGINALS[sample.path]


def try_mutant(mutant, ipctrace, runs):
    sample = run_sample.Sample(mutant.sample)
    original = original_of(sample, ipctrace, runs)
    try:
        broken = Program(sample, mutant.source, ipctrace, runs)
    except subprocess.CalledProcessError:
        return Result(mutant, "does not compile")
    if original.findings is None or broken.findings is None:
        return Result(mutant, "missed", "there is no report")
    found = judged(mutant, broken.findings - original.findings)
    if found is not None:
        return found
    place = f"{os.path.relpath(mutant.sample, os.path.join(TOP, 'samples'))}:{mutant.line} {mutant.kind}"
    if place in REASONS:
        return Result(mutant, "nothing changed", REASONS[place])
    for behaviour in broken.alone:
        if behaviour not in original.alone:
            hangs, status, _ = behaviour
            same_status = status in [each[1] for each in original.alone]
            return Result(mutant, "missed", "it hangs" if hangs else "its output is another one" if same_status
                          else f"it ends with {status}")
    return same_or_not(mutant, original, broken)


def judged(mutant, new):
    """The result for what was said of a mutant and not of the sample; None where that is nothing."""
    new = sorted({(rule, severity) for rule, severity, _ in new})
    named = [(rule, severity) for rule, severity in new if rule in KINDS[mutant.kind].split()]
    detail = ", ".join(f"{rule} ({severity})" for rule, severity in named or new)
    if any(severity != "note" for _, severity in named):
        return Result(mutant, "caught", detail)
    if any(rule in NOTED.get(mutant.kind, ()) for rule, _ in named):
        return Result(mutant, "as note", detail)
    if any(severity != "note" for _, severity in new):
        return Result(mutant, "by another rule", detail)
    return None


def same_or_not(mutant, original, broken):
    calls, lines = GONE[mutant.kind], range(mutant.line, mutant.last + 1)
    before, after = original.traces, broken.traces
    known = original.findings.union(*(run.findings for run in before))
    differing = same_runs.differing(before, after, calls, lines)
    # A mistake that only some schedules show: each run that shows it must have it reported.
    results = [judged(mutant, run.findings - known) for run, _ in differing]
    for (_, changed), result in zip(differing, results):
        if result is None:
            return Result(mutant, "missed", changed)
    if results:
        return results[0]
    reasons = set()
    for run in before:
        for process, step, more in run.after(calls, lines):
            if mutant.kind == "wait":
                reasons.add(about_children(after, process))
            else:
                reasons.add(about_descriptor(run, process, step, more))
    if not reasons:
        reasons.add("every process made the same calls, with the same results")
    missed = [reason for reason in reasons if reason.startswith("!")]
    if missed:
        return Result(mutant, "missed", missed[0][1:])
    sooner = [reason for reason in reasons if reason.startswith("the child outlives")]
    if sooner:
        return Result(mutant, "ends sooner", sooner[0])
    return Result(mutant, "nothing changed", "; ".join(sorted(reasons)))


def about_descriptor(run, process, step, more):
    if more == 0:
        return "the process ended with its next act"
    if run.others_hold(process, step):
        return "another process held it too, from before to after the end of the process"
    others = run.others_between(process, step)
    if not others:
        return "no other process was in a call on it from then to the end of the process"
    return f"!{others[0].call} of another process, at line {others[0].line}, may have met what stayed open"


def about_children(after, process):
    longest, later = 0, False
    for broken in after:
        for child in broken.began:
            if broken.parent(child) != process:
                continue
            if child in broken.taken(process):
                later = True
                continue
            zombie = broken.ends[process][1] - broken.ends[child][1]
            if zombie < 0:
                return "the child outlives its parent, and both do and say the same"
            longest = max(longest, zombie)
    if longest >= 500_000_000:
        return f"!a child was a zombie for {longest // 1_000_000} ms"
    if later:
        return "another wait takes the children, later"
    return "the children had ended, less than half a second before their parent"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--only", default="*", help="samples' paths")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3, help="of each program whose runs are compared")
    parser.add_argument("--verbose", action="store_true", help="a line for every mutant")
    arguments = parser.parse_args()

    samples = [path for path in sorted(glob.glob(os.path.join(TOP, "samples/**/*.c*"), recursive=True))
               if fnmatch.fnmatch(path, "*" + arguments.only + "*") and run_sample.Sample(path).clean]
    mutants = [mutant for path in samples for mutant in mutants_of(path)]
    results = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda each: try_mutant(each, arguments.ipctrace, arguments.runs), mutants):
            results.append(result)
            if arguments.verbose or result.outcome not in ("caught", "as note"):
                mutant = result.mutant
                print(f"{os.path.relpath(mutant.sample, TOP)}:{mutant.line}: without `{mutant.text}`: "
                      f"{result.outcome}: {result.detail}", flush=True)
    print()
    changing = ["caught", "as note", "by another rule", "missed"]
    columns = changing + ["ends sooner", "nothing changed"]
    print("%-9s %8s" % ("removed", "mutants") + "".join("%17s" % column for column in columns))
    for kind in KINDS:
        outcomes = collections.Counter(r.outcome for r in results if r.mutant.kind == kind)
        print("%-9s %8d" % (kind, sum(outcomes.values())) + "".join("%17d" % outcomes[c] for c in columns))
    outcomes = collections.Counter(r.outcome for r in results)
    total = sum(outcomes[column] for column in changing)
    found = outcomes["caught"] + outcomes["as note"]
    print(f"\ncaught {found}/{total} by a rule, and at the severity, that the catalogue names: "
          f"{outcomes['caught']} as error or warning, {outcomes['as note']} as a note; "
          f"{outcomes['by another rule']} more by another rule")
    return 0 if total and found >= 0.95 * total else 1


if __name__ == "__main__":
    sys.exit(main())
