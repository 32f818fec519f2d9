"""What grows, and how fast."""
import math
import os
import subprocess

from benchmark.figures import analyzer_cpu
from benchmark.harness import TOP, human, progress, times


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


def rows(bench, wanted):
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
