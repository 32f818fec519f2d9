"""Blocks of work, alone and traced in turn, and how figures are put."""
import collections
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

# Bazel runs tests from the repository's top, under other names.
TOP = next(folder for folder in (os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                                 os.getcwd())
           if os.path.exists(os.path.join(folder, "tests/bench/work.c")))

Block = collections.namedtuple("Block", "ns cpu_ns all_cpu peak_kib records")


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.ipctrace = self.installed(os.path.abspath(options.ipctrace))
        processors = sorted(os.sched_getaffinity(0))
        self.pin = ["taskset", "-c", str(processors[0])]
        self.analyzer_pin = ["taskset", "-c", str(processors[-1])]
        self.work = self.path("work")
        subprocess.run(["gcc", "-O2", "-g", "-pthread", "-o", self.work,
                        os.path.join(TOP, "tests/bench/work.c")], check=True)

    def installed(self, ipctrace):
        """A copy as tools/install.sh makes it: a process pays for every folder in the library's path."""
        top = os.path.dirname(os.path.dirname(ipctrace))
        library = next(path for path in (f"{top}/preload/libipctrace.so", f"{top}/lib/libipctrace.so")
                       if os.path.exists(path))
        for folder, file in (("bin", ipctrace), ("lib", library)):
            os.mkdir(self.path(folder))
            shutil.copy(file, self.path(folder))
        return self.path("bin/ipctrace")

    def path(self, name):
        return os.path.join(self.folder, name)

    def pairs(self, wanted):
        return 1 if self.options.quick else max(1, round(wanted * self.options.effort))

    def units(self, wanted):
        return max(wanted // 1000, 20) if self.options.quick else wanted

    # --- One block ---------------------------------------------------------------------------------

    def _wait(self, process):
        """Output, and the rusage of the process and of all that it waited for."""
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return out, usage

    def block(self, command, prefix=(), environment=None, cwd=None):
        """Runs a command that prints two numbers, or nothing: then it is measured from here."""
        begin = time.monotonic_ns()
        process = subprocess.Popen([*prefix, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, env=environment, cwd=cwd)
        out, usage = self._wait(process)
        took = time.monotonic_ns() - begin
        if process.returncode != 0:
            raise RuntimeError(f"{command} ended with {process.returncode} under {prefix}")
        cpu = (usage.ru_utime + usage.ru_stime) * 1e9
        said = re.fullmatch(rb"([0-9.]+) ([0-9.]+)\n", out)
        ns, cpu_ns = (float(said[1]), float(said[2])) if said else (took, cpu)
        return Block(ns, cpu_ns, cpu, usage.ru_maxrss, 0)

    def alone(self, command, **rest):
        return self.block([*self.pin, *command], **rest)

    def traced(self, command, options=(), clean=True, **rest):
        report = self.path("report.json")
        prefix = [*self.analyzer_pin, self.ipctrace, "run", "--format=json", "--output=" + report,
                  *options, "--"]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(report)
        block = self.block([*self.pin, *command], prefix=prefix, **rest)
        with open(report) as file:
            said = json.load(file)
        loud = [f["rule"] for f in said["findings"] if f["severity"] != "note"]
        if said["coverage"]["lost"] or not said["coverage"]["traced"] or (clean and loud):
            raise RuntimeError(f"{command}: {loud}, {said['coverage']}")
        return block._replace(records=said["coverage"]["calls"])

    def compare(self, command, pairs, run=None, value=lambda block: block.ns, **rest):
        """Medians of the values alone, and of the ratios in pairs that take turns."""
        return self.compare_all(command, pairs, run, [value], **rest)[0]

    def compare_all(self, command, pairs, run, values, **rest):
        """The same for several values of the same blocks."""
        run = run or self.traced
        blocks = []
        for i in range(self.pairs(pairs)):
            # Who goes first takes turns too.
            first = self.alone(command, **rest) if i % 2 == 0 else None
            other = run(command, **rest)
            blocks.append((first or self.alone(command, **rest), other))
        return [(statistics.median(value(alone) for alone, _ in blocks),
                 statistics.median(value(traced) / value(alone) for alone, traced in blocks))
                for value in values]


def human(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def times(ratio):
    if ratio >= 100:
        return f"{ratio:,.0f}×"
    return f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.0f}×"


def judged(value, goal, text=None):
    """The value, in bold where the goal is not met."""
    text = text or times(value)
    return f"**{text}**" if value > goal else text


def progress(row):
    print("  ".join(str(cell) for cell in row), file=sys.stderr, flush=True)
