"""Single figures, each with its goal."""
import os
import re
import shutil
import statistics
import subprocess
import time

from benchmark.harness import TOP, human, progress, times
from benchmark.programs import cpu_of, descendants


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
    pids = descendants(process.pid)  # `sleep` adds nothing
    before = cpu_of(pids)
    time.sleep(seconds)
    after = cpu_of(pids)
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


def rows(bench, wanted):
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
