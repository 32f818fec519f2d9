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
import collections
import contextlib
import json
import math
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

# Bazel runs tests from the repository's top, under other names.
TOP = next(folder for folder in (os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.getcwd())
           if os.path.exists(os.path.join(folder, "tests/bench/work.c")))
MARKS = ("<!-- bench -->", "<!-- /bench -->")

Block = collections.namedtuple("Block", "ns cpu_ns all_cpu peak_kib records")


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.ipctrace = os.path.abspath(options.ipctrace)
        processors = sorted(os.sched_getaffinity(0))
        self.pin = ["taskset", "-c", str(processors[0])]
        self.analyzer_pin = ["taskset", "-c", str(processors[-1])]
        self.work = self.path("work")
        subprocess.run(["gcc", "-O2", "-g", "-pthread", "-o", self.work,
                        os.path.join(TOP, "tests/bench/work.c")], check=True)

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


# --- Peers ---------------------------------------------------------------------------------------------

def peers(bench):
    """name -> prefix of a command, of those that are installed and work here."""
    data = bench.path("uftrace.data")
    known = {
        "strace -f": ["strace", "-f", "-o", "/dev/null"],
        "ltrace -f": ["ltrace", "-f", "-o", "/dev/null"],
        "Valgrind": ["valgrind", "-q", "--track-fds=yes", "--log-file=/dev/null"],
        "uftrace": ["uftrace", "record", "--force", "--no-libcall", "-d", data],
        "perf": ["perf", "record", "-q", "-e", "raw_syscalls:sys_enter,raw_syscalls:sys_exit",
                 "-o", bench.path("perf.data")],
    }
    # uftrace sees calls of libraries where the program's own functions need no instrumentation.
    known["uftrace"].remove("--no-libcall")
    works = {}
    for name, prefix in known.items():
        if shutil.which(prefix[0]) is None:
            continue
        with contextlib.suppress(RuntimeError):
            bench.block([bench.work, "nothing", "1"], prefix=prefix)
            works[name] = prefix
    return works


def under_peer(bench, prefix):
    return lambda command, **rest: bench.block([*prefix, *command], prefix=bench.pin, **rest)


# --- Rows ------------------------------------------------------------------------------------------------

# name: (said, units, pairs, goal, what part of the units ltrace gets; the other peers get 20 times that)
WORK = {
    "pipe": ("a 1-byte write or read on a pipe", 200_000, 31, 1.10, 50),
    "pingpong": ("ping-pong of two processes over pipes", 20_000, 31, 1.05, 20),
    "echo": ("fork-per-connection echo over loopback", 8_000, 31, 1.05, 10),
    "open": ("open and close of /dev/null", 40_000, 31, 1.08, 20),
    "exec": ("fork and exec of a small program", 100, 31, 1.18, 5),
    "fgetc": ("`fgetc`, a byte", 20_000_000, 21, 1.10, 400),
    "fgets": ("`fgets`, a line", 1_000_000, 21, 1.15, 100),
}


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


def work_rows(bench, wanted):
    them = peers(bench) if bench.options.peers else {}
    header = ["work", "alone", "ipctrace", "its CPU", "goal", *them]
    rows = []
    for name, (said, units, pairs, goal, share) in WORK.items():
        if not wanted(name):
            continue
        command = [bench.work, name, str(bench.units(units))]
        (alone, ratio), (_, cpu) = bench.compare_all(
            command, pairs, None, [lambda block: block.ns, lambda block: block.cpu_ns])
        row = [said, human(alone), judged(ratio, goal), judged(cpu, goal), times(goal)]
        for peer, prefix in them.items():
            part = share if peer.startswith("ltrace") else max(1, share // 20)
            less = [bench.work, name, str(max(bench.units(units) // part, 20))]
            try:
                row.append(times(bench.compare(less, 3, run=under_peer(bench, prefix))[1]))
            except RuntimeError:
                row.append("–")
        rows.append(row)
        progress(row)
    return header, rows


def progress(row):
    print("  ".join(str(cell) for cell in row), file=sys.stderr, flush=True)


# Whole programs -----------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def descendants(pid):
    pids, todo = [], [pid]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as file:
                    todo += [int(child) for child in file.read().split()]
    return pids


def cpu_of(pids):
    """CPU time so far, in ns."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
    return total


class Server:
    """A server, alone or traced, and what it costs it to answer."""

    def __init__(self, bench, command, traced, ready):
        prefix = []
        if traced:
            prefix = [*bench.analyzer_pin, bench.ipctrace, "run", "--output=/dev/null", "--"]
        self.process = subprocess.Popen([*prefix, *bench.pin, *command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not ready():
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(f"{command} does not start")
            time.sleep(0.05)
        self.pids = descendants(self.process.pid)[1 if traced else 0:]

    def cost(self, load):
        before = cpu_of(self.pids)
        requests = load()
        return (cpu_of(self.pids) - before) / requests

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def compare_servers(bench, commands, readies, loads, pairs):
    servers = []
    try:
        for traced in (False, True):
            servers.append(Server(bench, commands[traced], traced, readies[traced]))
        for server, load in zip(servers, loads):
            server.cost(load)  # warm
        alone, ratios = [], []
        for i in range(bench.pairs(pairs)):
            cost = {}
            for which in ((0, 1), (1, 0))[i % 2]:
                cost[which] = servers[which].cost(loads[which])
            alone.append(cost[0])
            ratios.append(cost[1] / cost[0])
        return statistics.median(alone), statistics.median(ratios)
    finally:
        for server in servers:
            server.stop()


def nginx(bench):
    commands, readies, loads = [], [], []
    with open(bench.path("page"), "w") as file:
        file.write("a page\n" * 20)
    for which in range(2):
        port = free_port()
        folder = bench.path(f"nginx{which}")
        os.mkdir(folder)
        with open(f"{folder}/nginx.conf", "w") as file:
            file.write(f"""
daemon off; pid {folder}/pid; error_log /dev/null; worker_processes 1;
{'user root;' if os.getuid() == 0 else ''}
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {bench.folder}; }}
}}
""")
        commands.append(["nginx", "-c", f"{folder}/nginx.conf", "-p", folder])

        def ready(port=port):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        readies.append(ready)

        def load(port=port):
            seconds = "1" if bench.options.quick else "1"
            done = subprocess.run([*bench.analyzer_pin, "wrk", "-t1", "-c8", "-d" + seconds,
                                   f"http://127.0.0.1:{port}/page"], check=True, stdout=subprocess.PIPE)
            return int(re.search(rb"(\d+) requests in", done.stdout)[1])
        loads.append(load)
    return compare_servers(bench, commands, readies, loads, 15)


def redis(bench):
    commands, readies, loads = [], [], []
    for _ in range(2):
        port = free_port()
        commands.append(["redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1"])

        def ready(port=port):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        readies.append(ready)

        def load(port=port):
            requests = bench.units(20_000)
            subprocess.run([*bench.analyzer_pin, "redis-benchmark", "-p", str(port), "-n", str(requests),
                            "-c", "10", "-t", "set", "-q"], check=True, stdout=subprocess.DEVNULL)
            return requests
        loads.append(load)
    return compare_servers(bench, commands, readies, loads, 15)


def make(bench):
    folder = bench.path("make")
    os.makedirs(folder, exist_ok=True)
    files = 2 if bench.options.quick else 8
    with open(f"{folder}/Makefile", "w") as file:
        file.write("OBJECTS = " + " ".join(f"part{i}.o" for i in range(files)) + "\n"
                   "prog: $(OBJECTS)\n\tcc -o $@ $^\nclean:\n\trm -f prog *.o\n")
    for i in range(files):
        body = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
        body += "\n".join(f"int f{i}_{j}(int a) {{ return printf(\"%d\", a * {j}); }}" for j in range(100))
        with open(f"{folder}/part{i}.c", "w") as file:
            file.write(body + ("\nint main(void) { return 0; }\n" if i == 0 else "\n"))
    return bench.compare(["make", "-s", "-j2", "-B"], 9, cwd=folder)


def test_socket(bench):
    test = ["python3", "-m", "test", "test_socket"]
    if bench.options.quick:
        test += ["-m", "test_create_connection"]
    # It has findings: tests make the mistakes that they test for.
    return bench.compare(test, 3, run=lambda command, **rest: bench.traced(command, clean=False, **rest),
                         value=lambda block: block.ns)


def configure(bench):
    script = ["bash", os.path.join(TOP, "tests/bench/configure.sh"), "2" if bench.options.quick else "20"]
    return bench.compare(script, 15)


def program_rows(bench, wanted):
    programs = {
        "nginx": ("nginx under wrk, CPU a request", nginx, 1.06, ["nginx", "wrk"]),
        "redis": ("redis-benchmark, CPU a request", redis, 1.03, ["redis-server", "redis-benchmark"]),
        "configure": ("a configure-like bash script", configure, 1.20, ["bash"]),
        "make": ("`make -j2` of eight C files", make, 1.05, ["make"]),
        "socket": ("CPython's test_socket", test_socket, 1.05, []),
    }
    rows = []
    for name, (said, measure, goal, needs) in programs.items():
        if not wanted(name) or any(shutil.which(tool) is None for tool in needs):
            continue
        if name == "socket" and subprocess.run(["python3", "-c", "import test.test_socket"],
                                               stderr=subprocess.DEVNULL).returncode != 0:
            continue
        alone, ratio = measure(bench)
        rows.append([said, human(alone), judged(ratio, goal), times(goal)])
        progress(rows[-1])
    return ["program", "alone", "ipctrace", "goal"], rows


# Single figures ------------------------------------------------------------------------------------------

def start_up(bench):
    command = [bench.work, "start", str(bench.units(100))]
    added = []
    for _ in range(bench.pairs(31)):
        added.append(bench.traced(command).ns - bench.alone(command).ns)
    return statistics.median(added)


def instructions(bench, what, units):
    """That a unit has more when traced, by callgrind."""
    def counted(n, traced):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", bench.work, what, str(n)]
        if traced:
            command = [bench.ipctrace, "run", "--output=/dev/null", "--", *command]
        said = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, check=True).stderr
        return int(re.search(rb"Collected : (\d+)", said)[1])
    cost = {traced: (counted(2 * units, traced) - counted(units, traced)) / units
            for traced in (False, True)}
    return cost[True] - cost[False]


def cpu_of_all(bench):
    """CPU that tracer and analyzer take, beside the program's own."""
    command = [bench.work, "pipe", str(bench.units(1_000_000))]
    nothing = [bench.work, "nothing", "1"]
    ratios = []
    for _ in range(bench.pairs(7)):
        more = bench.traced(command).all_cpu - bench.traced(nothing).all_cpu
        alone = bench.alone(command).all_cpu - bench.alone(nothing).all_cpu
        ratios.append((more - alone) / alone)
    return statistics.median(ratios)


def analyzer_cpu(bench, command, **rest):
    """Block of a traced run; its all_cpu is the analyzer's alone, without what starting takes."""
    run = bench.traced(command, **rest)
    nothing = bench.traced([bench.work, "nothing", "1"])
    units = float(command[2])
    return run._replace(all_cpu=max(run.all_cpu - nothing.all_cpu - run.cpu_ns * units, 1.0))


def live_speed(bench):
    command = [bench.work, "pipe", str(bench.units(1_000_000))]
    return statistics.median(run.records / run.all_cpu * 1e9
                             for run in (analyzer_cpu(bench, command) for _ in range(bench.pairs(7))))


def kept_trace(bench):
    trace = bench.path("kept.trace")
    run = bench.traced([bench.work, "pipe", str(bench.units(2_000_000))], options=["--trace=" + trace])
    size = os.path.getsize(trace) / run.records
    speeds = []
    for _ in range(bench.pairs(5)):
        read = bench.block([bench.ipctrace, "report", "--output=/dev/null", trace], prefix=bench.analyzer_pin)
        speeds.append(run.records / read.all_cpu * 1e9)
    return size, statistics.median(speeds)


def idle(bench):
    seconds = 1 if bench.options.quick else 5
    process = subprocess.Popen([bench.ipctrace, "run", "--output=/dev/null", "--", "sleep", str(seconds + 1)])
    time.sleep(0.5)
    before = cpu_of([process.pid])
    time.sleep(seconds)
    after = cpu_of([process.pid])
    process.wait()
    return (after - before) / seconds / 1e9


def hang(bench):
    """From rest to the report: a program that hangs at once, less one that ends at once."""
    source = os.path.join(TOP, "samples/lecture/pipe_eof_never.c")
    program = bench.path("pipe_eof_never")
    subprocess.run(["gcc", "-g", "-w", "-o", program, source], check=True)

    def took(command):
        begin = time.monotonic()
        subprocess.run([bench.ipctrace, "run", "--output=/dev/null", "--", *command], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.monotonic() - begin
    return statistics.median(took([program]) - took(["true"]) for _ in range(bench.pairs(9))) * 1e3


def figure_rows(bench, wanted):
    rows = []

    def add(name, said, measure, goal, show, more_is_better=False):
        if not wanted(name):
            return
        value = measure()
        missed = value < goal if more_is_better else value > goal
        text = show(value)
        rows.append([said, f"**{text}**" if missed else text,
                     ("≥ " if more_is_better else "≤ ") + show(goal)])
        progress(rows[-1])

    add("start", "from exec to `main`, added", lambda: start_up(bench), 110e3, human)
    if shutil.which("valgrind"):
        add("instructions", "instructions added to a hot call",
            lambda: instructions(bench, "pipe", 20_000), 150, "{:.0f}".format)
        add("instructions", "instructions added to an `fgetc` from the buffer",
            lambda: instructions(bench, "fgetc", 400_000) - instructions(bench, "lines", 400_000), 15,
            "{:.1f}".format)
    add("cpu", "CPU of tracer and analyzer, pipe row, in terms of the program's",
        lambda: cpu_of_all(bench), 1.5, times)
    add("live", "analyzer, live, all rules, records a second of one processor",
        lambda: live_speed(bench), 5e6, lambda v: f"{v / 1e6:.1f} million", more_is_better=True)
    if wanted("kept"):
        size, speed = kept_trace(bench)
        add("kept", "kept trace, bytes a record", lambda: size, 24, "{:.1f}".format)
        add("kept", "`report` of a kept trace, all rules, records a second", lambda: speed, 3e6,
            lambda v: f"{v / 1e6:.1f} million", more_is_better=True)
    add("idle", "CPU while nothing happens, of one processor", lambda: idle(bench), 0.01,
        "{:.2%}".format)
    add("hang", "from a deadlock to its report", lambda: hang(bench), 200, "{:.0f} ms".format)
    return ["", "measured", "goal"], rows


# Curves --------------------------------------------------------------------------------------------------

def findings_source(path, count):
    """A program with so many different mistakes."""
    with open(path, "w") as file:
        file.write("#include <unistd.h>\n")
        for first in range(0, count, 50):
            file.write(f"static void part{first}(void) {{\n  int fd;\n")
            for _ in range(first, min(first + 50, count)):
                file.write("  fd = dup(0); close(fd); close(fd);\n")
            file.write("}\n")
        file.write("int main(void) {\n")
        for first in range(0, count, 50):
            file.write(f"  part{first}();\n")
        file.write("  return 0;\n}\n")


def curves(bench, wanted):
    """What grows, over four orders of magnitude: the analyzer's CPU for each, and its memory."""
    rows = []
    sizes = [1, 10, 100] if bench.options.quick else [10, 100, 1000, 10_000, 100_000]

    def add(said, points):
        points = [point for point in points if point is not None]
        # Of the last two orders of magnitude: where growth shows, and fixed costs do not.
        last = [p for p in points if p[0] >= points[-1][0] / 100]
        power = "–"
        if len(last) > 1 and last[0][1] > 0 and last[-1][1] > 0:
            power = f"{math.log(last[-1][1] / last[0][1]) / math.log(last[-1][0] / last[0][0]):.2f}"
        rows.append([said, ", ".join(f"{n:,}: {human(ns / n)}" for n, ns, _ in points), power,
                     ", ".join(f"{kib // 1024} MiB" for _, _, kib in points[-2:])])
        progress(rows[-1])

    def point(n, run):
        return n, run.all_cpu, run.peak_kib

    if wanted("records"):
        most = 8 if bench.options.long else 7
        add("records", [point(n, analyzer_cpu(bench, [bench.work, "pipe", str(n)]))
                        for n in ([1000] if bench.options.quick else [10 ** k for k in range(4, most + 1)])])
    if wanted("descriptors"):
        limit = int(subprocess.check_output(["bash", "-c", "ulimit -Hn"])) - 100
        add("open descriptors", [point(n, analyzer_cpu(bench, [bench.work, "descriptors", str(n), "1"]))
                                 for n in (min(size, limit) for size in sizes)])
    if wanted("processes"):
        add("processes", [point(n, analyzer_cpu(bench, [bench.work, "fork", str(n)]))
                          for n in sizes if n <= 10_000])
    if wanted("protocols"):
        points = []
        for n in sizes:
            if n > 1000:
                continue
            names = []
            for i in range(n):
                names.append(bench.path(f"p{i}.protocol"))
                with open(names[-1], "w") as file:
                    text = open(os.path.join(TOP, "analyzer/protocol/library/echo-lines.protocol")).read()
                    file.write(text)
            run = bench.traced([bench.work, "echo", "400"], clean=False,
                               options=["--protocol=" + name for name in names])
            points.append((n, run.all_cpu, run.peak_kib))
        add("protocols", points)
    for name, said, counts in (("threads", "threads with a pipe each, CPU a call", [2, 8, 32, 64]),
                               ("crowd", "processes with a pipe each, CPU a call", [1, 10, 50, 200])):
        if not wanted(name):
            continue
        work = "threads" if name == "threads" else "processes"
        points = []
        for count in counts:
            command = [bench.work, work, str(bench.units(20_000) * count), str(count)]
            alone, ratio = bench.compare(command, 5, value=lambda block: block.cpu_ns)
            points.append(f"{count}: {times(ratio)}")
        rows.append([said, ", ".join(points), "", ""])
        progress(rows[-1])
    # Last: the memory that reading such a report takes here counts as its later children's.
    if wanted("findings"):
        points = []
        for n in sizes:
            if n > 10_000:
                continue
            source, program = bench.path("findings.c"), bench.path("findings")
            findings_source(source, n)
            subprocess.run(["gcc", "-g", "-O0", "-o", program, source], check=True)
            run = bench.traced([program], clean=False)
            points.append((n, max(run.all_cpu - bench.alone([program]).all_cpu, 1), run.peak_kib))
        add("different findings", points)
    return ["what grows", "CPU of the analyzer for each", "power", "memory of the last two"], rows


# --- The table -------------------------------------------------------------------------------------------

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
        parts = [measure(bench, wanted) for measure in (work_rows, program_rows, figure_rows, curves)]
    text = "\n".join(filter(None, (table(*part) for part in parts)))
    print(text)
    if options.write:
        write_readme(text)


if __name__ == "__main__":
    main()
