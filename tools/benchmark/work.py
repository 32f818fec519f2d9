"""The rows of tests/bench/work.c, beside the peers."""
import contextlib
import shutil

from benchmark.harness import human, judged, progress, times


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


# name: (said, units, pairs, goal, what part of the units ltrace gets; the other peers get 20 times that)
WORK = {
    "pipe": ("a 1-byte write or read on a pipe", 200_000, 31, 1.10, 50),
    "pingpong": ("ping-pong of two processes over pipes", 20_000, 31, 1.05, 20),
    "echo": ("fork-per-connection echo over loopback", 8_000, 31, 1.05, 10),
    "open": ("open and close of /dev/null", 40_000, 61, 1.08, 20),
    "exec": ("fork and exec of a small program", 100, 61, 1.18, 5),
    "fgetc": ("`fgetc`, a byte", 20_000_000, 21, 1.10, 400),
    "fgets": ("`fgets`, a line", 1_000_000, 21, 1.15, 100),
}


def rows(bench, wanted):
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
