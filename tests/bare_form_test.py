#!/usr/bin/env python3
"""LD_PRELOAD=libipctrace.so ./program: a report, and a program that cannot tell."""
import os
import shlex
import subprocess
import unittest

import tool


class TestCase(tool.TestCase):
    def bare(self, command, options="", **rest):
        environment = {**os.environ, "LD_PRELOAD": tool.library(tool.IPCTRACE),
                       "IPCTRACE_ANALYZER": tool.IPCTRACE, "IPCTRACE_OPTIONS": options}
        return self.run_native(command, env=environment, **rest)


class BareForm(TestCase):
    def test_the_report_comes_on_stderr(self):
        run = self.bare([self.compile("tests/programs/ends.c"), "3"])
        self.assertEqual(3, run.status)
        self.assertIn(b"[fd-double-close]", run.stderr)
        self.assertEqual(b"", run.stdout)

    def test_the_report_is_there_before_the_shell_goes_on(self):
        program = shlex.quote(self.compile("tests/programs/ends.c"))
        library = shlex.quote(tool.library(tool.IPCTRACE))
        script = (f"export IPCTRACE_ANALYZER={shlex.quote(tool.IPCTRACE)}\n"
                  f"for i in 1 2 3 4 5; do LD_PRELOAD={library} {program}; echo after; done 2>&1")
        text = self.run_native(["bash", "-c", script]).stdout.decode()
        parts = text.split("after\n")
        self.assertEqual(6, len(parts), text)
        for part in parts[:5]:
            self.assertIn("[fd-double-close]", part)
        self.assertEqual("", parts[5])

    def test_a_hang_is_reported_while_it_hangs(self):
        program = self.compile("samples/lecture/pipe_eof_never.c")
        environment = {**os.environ, "LD_PRELOAD": tool.library(tool.IPCTRACE),
                       "IPCTRACE_ANALYZER": tool.IPCTRACE}
        process = subprocess.Popen([program], env=environment, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            text = b""
            while b"[pipe-no-eof]" not in text:
                more = os.read(process.stderr.fileno(), 4096)
                self.assertTrue(more, text)
                text += more
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    def test_options_come_from_the_environment(self):
        report = self.path("report.json")
        self.bare([self.compile("tests/programs/ends.c")], f"format=json:output={report}")
        with open(report) as file:
            self.assertIn("fd-double-close", file.read())

    def test_the_exit_status_and_signal_are_the_programs(self):
        program = self.compile("tests/programs/ends.c")
        for how in ("0", "9", "-15", "-11"):
            self.assertEqual(self.run_native([program, how]).status, self.bare([program, how]).status)


class Unseen(TestCase):
    def assert_same_output(self, command, **rest):
        without = self.run_native(command, **rest)
        self.assertEqual(without.stdout, self.bare(command, **rest).stdout)
        self.assertEqual(without.stdout, self.run_traced(command, **rest).stdout)

    def test_no_descriptor_is_added(self):
        self.assert_same_output([self.compile("tests/programs/descriptors.c")])

    def test_no_descriptor_is_added_where_low_numbers_are_free(self):
        program = self.compile("tests/programs/descriptors.c")
        self.assert_same_output(["sh", "-c", f"exec 0<&- 3</dev/null 9>/dev/null; {program}; {program}"])

    def test_no_child_thread_or_signal_is_added(self):
        self.assert_same_output([self.compile("tests/programs/children.c")])

    def test_a_child_starts_as_it_would(self):
        program = self.compile("tests/programs/descriptors.c")
        other = self.compile("tests/programs/children.c")
        self.assert_same_output(["sh", "-c", f"({program}; {other}) | cat"])


if __name__ == "__main__":
    tool.main()
