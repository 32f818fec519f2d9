"""Runs ipctrace for a test and reads its report."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest


class Run:
    """One run of a program: status (a negative one is a signal), stdout, stderr, and under ipctrace
    the report."""

    def __init__(self, status, stdout, stderr, timed_out, report=None):
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.timed_out = timed_out
        self.report = report

    @property
    def findings(self):
        return self.report["findings"] if self.report else []

    def loud(self):
        """The findings that say that something is wrong with the program."""
        return [f for f in self.findings if f["severity"] in ("error", "warning")]


def native(command, *, stdin=b"", timeout=60, cwd=None, env=None):
    """Runs a command. What it leaves behind in its process group is ended with it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err, cwd=cwd,
                                   env=env, start_new_session=True)
        timed_out = False
        try:
            process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            timed_out = True
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        out.seek(0)
        err.seek(0)
        return Run(process.returncode, out.read(), err.read(), timed_out)


def traced(ipctrace, command, *, options=(), timeout=60, **rest):
    """Runs a command under `ipctrace run`; its report is read, where there is one."""
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "report.json")
        run = native([os.path.abspath(ipctrace), "run", "--format=json", "--output=" + output,
                      "--timeout=%g" % timeout, *options, "--", *command],
                     timeout=timeout + 20, **rest)
        if os.path.exists(output):
            with open(output) as file:
                text = file.read()
            try:
                run.report = json.loads(text)
            except ValueError as error:
                raise AssertionError(f"the report is no JSON ({error}); status {run.status}; "
                                     f"{text[:200]!r}; {run.stderr!r}") from error
    return run


def status_of(end):
    """The report's "exit" as one value: a number, or the signal's name, or "timeout"."""
    if end.get("timeout"):
        return "timeout"
    return end.get("signal", end.get("status"))


def library(ipctrace):
    """libipctrace.so that belongs to this ipctrace."""
    folder = os.path.dirname(os.path.abspath(ipctrace))
    for path in ("../lib/libipctrace.so", "../preload/libipctrace.so", "libipctrace.so"):
        path = os.path.normpath(os.path.join(folder, path))
        if os.path.exists(path):
            return path
    raise FileNotFoundError("libipctrace.so beside " + ipctrace)


# For unittest files ------------------------------------------------------------------------------

IPCTRACE = None  # set by main()


def main():
    """Runs the calling file's tests; its first argument is the ipctrace binary."""
    global IPCTRACE
    IPCTRACE = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__", verbosity=2)


class TestCase(unittest.TestCase):
    """A test with a folder of its own, and the programs it compiles in there."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def compile(self, source, *flags):
        """Compiles a source file of the repository, at its path from the top."""
        program = self.path(os.path.basename(source).rpartition(".")[0])
        compiler = "g++" if source.endswith(".cc") else "gcc"
        subprocess.run([compiler, "-g", "-w", "-pthread", "-o", program, source, *flags], check=True)
        return program

    def run_native(self, command, **rest):
        return native(command, **{"cwd": self.folder, **rest})

    def run_traced(self, command, **rest):
        return traced(IPCTRACE, command, **{"cwd": self.folder, **rest})

    def assert_quiet(self, run):
        """Nothing is said against the program, and nothing was missed."""
        self.assertIsNotNone(run.report, run.stderr)
        self.assertEqual([], ["%s: %s" % (f["rule"], f["message"]) for f in run.loud()])
        self.assertTrue(run.report["coverage"]["traced"])
        self.assertEqual([], run.report["coverage"]["holes"])

    def assert_same(self, command, **rest):
        """The program does the same with and without ipctrace. Returns the traced run."""
        without = self.run_native(command, **rest)
        run = self.run_traced(command, **rest)
        self.assertEqual(without.stdout, run.stdout)
        self.assertEqual(without.stderr, run.stderr)
        self.assertIn(run.status, (without.status, 128 - without.status))
        return run
