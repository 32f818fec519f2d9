"""Whole programs from Debian: servers by their CPU a request, the others by their time."""
import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import time

from benchmark.harness import TOP, human, judged, progress, times


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
        self.traced = traced

    def cost(self, load):
        # Found anew: it may be ready before its workers are there. Not the two processes of ipctrace.
        pids = descendants(self.process.pid)[2 if self.traced else 0:]
        before = cpu_of(pids)
        requests = load()
        return (cpu_of(pids) - before) / requests

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
            # So many connections that the server is never the one that waits: of few, what a request
            # costs depends on how many are ready at a time, and so on the load's pace, which shares
            # its processor with the analyzer.
            done = subprocess.run([*bench.analyzer_pin, "wrk", "-t1", "-c64", "-d1",
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
                            "-c", "64", "-t", "set", "-q"], check=True, stdout=subprocess.DEVNULL)
            return requests
        loads.append(load)
    return compare_servers(bench, commands, readies, loads, 31)


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
    return bench.compare(["make", "-s", "-j2", "-B"], 21, cwd=folder)


def test_socket(bench):
    # Where there is no virtual machine's socket, those tests wait for one for ever.
    test = ["python3", "-m", "test", "test_socket"]
    test += ["-m", "test_create_connection"] if bench.options.quick else ["-i", "*VSOCK*"]
    # It has findings: tests make the mistakes that they test for.
    return bench.compare(test, 3, run=lambda command, **rest: bench.traced(command, clean=False, **rest),
                         value=lambda block: block.ns)


def configure(bench):
    script = ["bash", os.path.join(TOP, "tests/bench/configure.sh"), "2" if bench.options.quick else "20"]
    return bench.compare(script, 41)


def rows(bench, wanted):
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
