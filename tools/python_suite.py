#!/usr/bin/env python3
"""Runs CPython's own tests with and without ipctrace and compares the result of each test.

  python_suite.py [--ipctrace=PATH] [--python=/usr/bin/python3] [--again=N] [TEST...]

Needs Debian's libpython3.11-testsuite, or any Python that has its `test` package. Tests whose
results differ are run again, alone, N times each way: those that differ then too (no result of one
way ever came the other way) are differences; the others are printed as unsteady. The exit status is
0 when there is no difference, or no `test` package.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

# Bazel runs a test from the top, under another name.
TOP = os.getcwd() if "TEST_SRCDIR" in os.environ else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ALL = ("test_os test_posix test_subprocess test_socket test_socketserver test_io test_fileio test_select "
       "test_selectors test_epoll test_poll test_asyncio test_multiprocessing_fork test_threading test_signal "
       "test_pty test_popen test_mmap test_fcntl test_pipes test_wait3 test_wait4 test_fork1 test_tempfile "
       "test_faulthandler test_ioctl test_openpty test_posixpath test_thread test_eintr").split()


class Suite:
    def __init__(self, python, ipctrace, timeout):
        self.python, self.ipctrace, self.timeout = python, ipctrace, timeout

    def run(self, test, traced, match=()):
        """{name of a test: its result}, of one module or of those of its tests that match."""
        with tempfile.TemporaryDirectory() as folder:
            results = os.path.join(folder, "results.xml")
            work = os.path.join(folder, "work")
            os.mkdir(work)
            # Where a virtual machine has no host to talk to, the tests of AF_VSOCK never end.
            command = [self.python, "-m", "test", "-u", "network", "-i", "*VSOCK*", "--junit-xml", results,
                       "--tempdir", work, test]
            for name in match:
                command += ["-m", name]
            if traced:
                command = [self.ipctrace, "run", "--checks=-*", "--output=" + os.path.join(folder, "report"), "--",
                           *command]
            output = os.path.join(folder, "output")
            with open(output, "wb") as file:
                try:
                    ended = subprocess.run(command, cwd=work, stdin=subprocess.DEVNULL, stdout=file,
                                           stderr=subprocess.STDOUT, timeout=self.timeout).returncode
                except subprocess.TimeoutExpired:
                    ended = "timeout"
            found = {}
            if os.path.exists(results):
                for case in ElementTree.parse(results).iter("testcase"):
                    result = "ok"
                    for child in case:
                        if child.tag in ("error", "failure", "skipped"):
                            result = child.tag
                    found[case.get("name")] = result
            if not found:
                found["(the whole)"] = f"status {ended}"
                with open(output, errors="replace") as file:
                    sys.stderr.write(file.read()[-2000:])
            return found


def compare(suite, test, again):
    """-> tests alike, tests in all, lines on differences, names of unsteady ones."""
    without, traced = suite.run(test, False), suite.run(test, True)
    names = sorted(set(without) | set(traced))
    differ = [name for name in names if without.get(name) != traced.get(name)]
    lines, unsteady = [], []
    for name in differ:
        ways = ({without.get(name)}, {traced.get(name)})
        for _ in range(again):
            if ways[0] & ways[1]:
                break
            for way in (0, 1):
                ways[way].add(suite.run(test, way == 1, [name]).get(name))
        if ways[0] & ways[1]:
            unsteady.append(name)
        else:
            lines.append(f"    {name}: {without.get(name)} without, {traced.get(name)} traced")
    return len(names) - len(lines), len(names), lines, unsteady


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--again", type=int, default=3)
    parser.add_argument("--timeout", type=float, default=1200, help="seconds for one module's tests, one way")
    parser.add_argument("tests", nargs="*", default=ALL)
    arguments = parser.parse_args()
    suite = Suite(arguments.python, os.path.abspath(arguments.ipctrace), arguments.timeout)
    if subprocess.run([suite.python, "-c", "import test.test_popen"], stderr=subprocess.DEVNULL).returncode != 0:
        print("nothing is compared: there is no `test` package (libpython3-testsuite)")
        return 0
    same = total = wrong = 0
    for test in arguments.tests:
        s, t, lines, unsteady = compare(suite, test, arguments.again)
        print(f"{test:28s} {s}/{t}" + (f"  (unsteady: {', '.join(unsteady)})" if unsteady else ""))
        for line in lines:
            print(line)
        sys.stdout.flush()
        same, total, wrong = same + s, total + t, wrong + len(lines)
    print(f"the same {same}/{total}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
