"""What grows, and how fast."""
import math
import os
import shutil
import statistics
import subprocess

from benchmark.harness import TOP, human, judged, progress, times

PICTURE = "tools/benchmark/growth.svg"
# Of n log n over the last two of four orders of magnitude.
MOST_POWER = 1 + math.log(4 / 2) / math.log(100)


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


def bytes_text(size):
    return f"{size / 1024:.1f} KiB" if size >= 1024 else f"{size:.0f} B"


class Curves:
    """Curves over four orders of magnitude: points (n, total, peak KiB)."""

    def __init__(self):
        self.curves = []  # name, unit, points

    def add(self, name, points, put=human):
        self.curves.append((name, put, points))
        progress(self.row(self.curves[-1]))

    @staticmethod
    def row(curve):
        name, put, points = curve
        # Of the last two orders of magnitude, as far as it shows, without what every run costs.
        least = min(total for _, total, _ in points)
        last = [(n, total - least) for n, total, _ in points
                if n >= points[-1][0] / 100 and total > 1.2 * least]
        power = "–"
        if len(last) > 1:
            power = math.log(last[-1][1] / last[0][1]) / math.log(last[-1][0] / last[0][0])
            power = judged(power, MOST_POWER, f"{power:.2f}")
        return [name, ", ".join(f"{n:,}: {put(total / n)}" for n, total, _ in points), power,
                ", ".join(f"{kib // 1024} MiB" for _, _, kib in points[-2:])]

    def draw(self, path):
        """The totals, each over its own number; needs gnuplot."""
        commands = ["set terminal svg size 900,480 font 'sans-serif,12' background 'white'",
                    "set multiplot layout 1,2", "set logscale xy", "set key below", "set grid",
                    "set format x '10^{%L}'", "set xlabel 'how many'", "set pointsize 0.6"]
        for unit, title, scale in ((human, "CPU of the analyzer, ms", 1e6), (bytes_text, "size, KiB", 1024)):
            curves = [curve for curve in self.curves if curve[1] is unit]
            if not curves:
                continue
            least = min(total / scale for _, _, points in curves for _, total, _ in points)
            ends = [(points[-1][0], points[-1][1] / scale) for _, _, points in curves]
            slope = max(total / (n * math.log(n + 1)) for n, total in ends)
            plots = [f"'-' with linespoints title '{name}'" for name, _, _ in curves]
            commands += [f"set title '{title}'",
                         f"plot [1:*] [{least / 3}:{10 * max(total for _, total in ends)}] {', '.join(plots)}, "
                         f"{slope} * x * log(x + 1) with lines dashtype 3 "
                         "linecolor 'gray' title 'as n log n'"]
            for _, _, points in curves:
                commands += [f"{n} {total / scale}" for n, total, _ in points] + ["e"]
        subprocess.run(["gnuplot"], input="\n".join(commands), text=True, check=True,
                       stdout=open(path, "w"))


def spent(bench, n, command, **rest):
    """The CPU of ipctrace, with its start; of short runs the median of several."""
    units = float(command[2]) if len(command) > 2 else 0
    runs = [bench.traced(command, **rest) for _ in range(5 if n <= 1000 else 1)]
    return (n, statistics.median(max(run.all_cpu - run.cpu_ns * units, 1) for run in runs),
            max(run.peak_kib for run in runs))


def page(bench, n, command):
    """The size of the HTML report of a run."""
    trace, html = bench.path("trace"), bench.path("report.html")
    bench.block([bench.ipctrace, "run", "--trace=" + trace, "--output=/dev/null", "--", *command])
    run = bench.block([bench.ipctrace, "report", "--format=html", "--output=" + html, trace])
    return n, os.path.getsize(html), run.peak_kib


def mistaken(bench, n):
    """A program with n different mistakes."""
    source, program = bench.path("findings.c"), bench.path("findings")
    findings_source(source, n)
    subprocess.run(["gcc", "-g", "-O0", "-o", program, source], check=True)
    return [program]


def rows(bench, wanted):
    """What grows, over four orders of magnitude: the analyzer's CPU for each, and its memory."""
    curves = Curves()
    quick = bench.options.quick
    sizes = [1, 10, 100] if quick else [10 ** k for k in range(5)]

    if wanted("records"):
        most = 8 if bench.options.long else 7
        curves.add("records", [spent(bench, n, [bench.work, "pipe", str(n)])
                               for n in ([1000] if quick else [10 ** k for k in range(3, most + 1)])])
    if wanted("descriptors"):
        curves.add("open descriptors", [spent(bench, n, [bench.work, "descriptors", str(n), "1"]) for n in sizes])
    if wanted("processes"):
        curves.add("processes", [spent(bench, n, [bench.work, "fork", str(n)]) for n in sizes])
    if wanted("protocols"):
        points = []
        with open(os.path.join(TOP, "analyzer/protocol/library/echo-lines.protocol")) as file:
            text = file.read()
        for n in sizes:
            names = [bench.path(f"{i}.p") for i in range(n)]
            for name in names:
                with open(name, "w") as file:
                    file.write(text)
            points.append(spent(bench, n, [bench.work, "echo", "400"],
                                options=["--protocol=" + name for name in names]))
        curves.add("protocols", points)
    flat = []
    for name, said, counts in (("threads", "threads with a pipe each, CPU a call", [2, 8, 32, 64]),
                               ("crowd", "processes with a pipe each, CPU a call", [1, 10, 50, 200])):
        if not wanted(name):
            continue
        work = "threads" if name == "threads" else "processes"
        ratios = []
        for count in counts:
            command = [bench.work, work, str(bench.units(60_000) * count), str(count)]
            alone, ratio = bench.compare(command, 5, value=lambda block: block.cpu_ns)
            ratios.append(f"{count}: {times(ratio)}")
        flat.append([said, ", ".join(ratios), "", ""])
        progress(flat[-1])
    if wanted("page"):
        curves.add("HTML page, by findings", [page(bench, n, mistaken(bench, n)) for n in sizes], bytes_text)
        curves.add("HTML page, by processes", [page(bench, n, [bench.work, "fork", str(n)]) for n in sizes],
                   bytes_text)
    # Last: the memory that reading such a report takes here counts as its later children's.
    if wanted("findings"):
        curves.add("different findings", [spent(bench, n, mistaken(bench, n), clean=False) for n in sizes])
    if bench.options.write and shutil.which("gnuplot") and not bench.options.only:
        curves.draw(os.path.join(TOP, PICTURE))
    return (["what grows", "CPU of the analyzer (or size) for each", "power", "memory of the last two"],
            [curves.row(curve) for curve in curves.curves] + flat)
