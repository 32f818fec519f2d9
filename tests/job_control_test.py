#!/usr/bin/env python3
"""Signals: a program's own to its process group cost no report, others' end what they would end, and a
shell's job control works as without ipctrace."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

import tool

PROGRAM = "tests/programs/signals_group.c"


class Terminal:
    """An interactive bash on a terminal of its own."""

    PROMPT = "prompt> "

    def __init__(self, folder):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            environment = {**os.environ, "PS1": self.PROMPT, "TERM": "dumb"}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        self.expect(self.PROMPT)

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, *words):
        """Reads until one of the words has come, and returns what came before it."""
        end = time.monotonic() + 30
        while not any(word in self.text for word in words):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{words} do not come: {self.text!r}")
            self.text += os.read(self.fd, 4096).decode(errors="replace")
        word = min((w for w in words if w in self.text), key=self.text.index)
        before, _, self.text = self.text.partition(word)
        return before

    def status(self):
        """Of the last command."""
        self.type("echo status=$?.\n")
        self.expect("status=$?.")
        self.expect("status=")
        status = int(self.expect("."))
        self.expect(self.PROMPT)
        return status

    def close(self):
        os.close(self.fd)  # bash and its jobs get SIGHUP
        os.waitpid(self.pid, 0)


class Group(tool.TestCase):
    """What a program sends to its process group."""

    def report(self):
        """Where the process that waits for ipctrace is killed too, the report comes a little later."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with open(self.path("report.json")) as file:
                    return json.load(file)
            except (OSError, ValueError):
                time.sleep(0.02)
        return None

    def ipctrace(self, *command):
        return subprocess.Popen([tool.IPCTRACE, "run", "--format=json", "--output=" + self.path("report.json"), "--",
                                 *command], stdin=subprocess.DEVNULL, start_new_session=True)

    def assert_reported(self, *command, number):
        process = self.ipctrace(*command)
        self.assertIn(process.wait(), (128 + number, -number))
        report = self.report()
        self.assertIsNotNone(report)
        self.assertEqual({"signal": signal.Signals(number).name}, report["exit"])
        self.assertEqual(["fd-double-close"], [f["rule"] for f in report["findings"]])
        os.remove(self.path("report.json"))

    def test_costs_no_report(self):
        program = self.compile(PROGRAM)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGALRM,
                       signal.SIGABRT, signal.SIGKILL):
            for who in ((), ("child",)):
                with self.subTest(number, who=who):
                    self.assert_reported(program, str(int(number)), *who, number=number)

    def test_nor_does_a_shell_that_ends_all_of_its_jobs(self):
        program = self.compile(PROGRAM)
        process = self.ipctrace("bash", "-c", f"{program} 0; sleep 100 & trap : TERM; kill 0; exit 7")
        self.assertEqual(7, process.wait())
        self.assertEqual({"status": 7}, self.report()["exit"])

    def test_in_the_bare_form_neither(self):
        program = self.compile(PROGRAM)
        environment = {**os.environ, "LD_PRELOAD": tool.library(tool.IPCTRACE), "IPCTRACE_ANALYZER": tool.IPCTRACE,
                       "IPCTRACE_OPTIONS": "format=json:output=" + self.path("report.json")}
        for number in (signal.SIGTERM, signal.SIGKILL):
            process = subprocess.Popen([program, str(int(number))], env=environment, start_new_session=True)
            self.assertEqual(-number, process.wait())
            self.assertEqual(["fd-double-close"], [f["rule"] for f in self.report()["findings"]])
            os.remove(self.path("report.json"))

    def sleeper(self, seconds):
        """A traced program that sleeps by now, and its pid."""
        path = self.path("pid")
        process = self.ipctrace("sh", "-c", f"echo $$ > {path}.new; mv {path}.new {path}; exec sleep {seconds}")
        while not os.path.exists(path):
            time.sleep(0.01)
        with open(path) as file:
            program = int(file.read())
        os.remove(path)
        return process, program

    def test_a_signal_from_outside_ends_the_run_and_the_program(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            process, program = self.sleeper(100)
            process.send_signal(number)
            self.assertEqual(128 + number, process.wait())
            self.assertIsNotNone(self.report())
            with self.assertRaises(ProcessLookupError):
                os.kill(program, 0)

    def test_nohup_is_heeded(self):
        process = subprocess.Popen(["nohup", tool.IPCTRACE, "run", "--output=/dev/null", "--", "sleep", "1"],
                                   start_new_session=True, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGHUP)
        self.assertEqual(0, process.wait())

    def test_whoever_kills_ipctrace_alone_has_its_end(self):
        process, program = self.sleeper(3)
        process.kill()
        process.wait()
        self.assertEqual(program, self.report()["processes"][0]["pid"])


class JobControl(tool.TestCase):
    """The same keys in an interactive shell give the same, alone and traced."""

    def compare(self, act, *arguments):
        seen = []
        program = self.compile(PROGRAM)
        for prefix in ("", f"{tool.IPCTRACE} run --output=report.txt -- "):
            terminal = Terminal(self.folder)
            try:
                terminal.type(prefix + " ".join([program, *arguments]) + "\n")
                started = terminal.expect(" own session 0\r\n")
                self.assertTrue(started.endswith("foreground 1,"), started)
                terminal.program = int(re.search(r"pid (\d+)", started)[1])
                text = act(terminal)
                seen.append(re.sub(r"\[1\]\s*\+?-?|\S*ipctrace run \S+ -- ", "", text))
            finally:
                terminal.close()
        self.assertEqual(*seen)
        with open(self.path("report.txt")) as file:
            self.assertIn("[fd-double-close]", file.read())
        return seen[0]

    @staticmethod
    def line(terminal, text):
        terminal.type(text + "\n")
        terminal.expect("copied ")
        return "copied " + terminal.expect("\r\n")

    def test_the_interrupt_key(self):
        def act(terminal):
            text = self.line(terminal, "one")
            terminal.type("\x03")
            terminal.expect(terminal.PROMPT)
            return f"{text} {terminal.status()}"
        self.assertEqual("copied one 130", self.compare(act, "job"))

    def test_the_stop_key_and_going_on(self):
        def act(terminal):
            text = self.line(terminal, "one")
            terminal.type("\x1a")
            text += terminal.expect(terminal.PROMPT)
            text += f" {terminal.status()} "
            terminal.type("jobs\n")
            terminal.expect("jobs\r\n")
            text += terminal.expect(terminal.PROMPT)
            terminal.type("fg\n")
            terminal.expect("fg\r\n")
            text += self.line(terminal, "two")
            terminal.type("\x1a")
            terminal.expect(terminal.PROMPT)
            # In the background it may not read.
            terminal.type("bg\n")
            terminal.expect(terminal.PROMPT)
            for _ in range(200):
                terminal.type("jobs -s\n")
                terminal.expect("jobs -s\r\n")
                if "Stopped" in terminal.expect(terminal.PROMPT):
                    break
                time.sleep(0.05)
            terminal.type("fg\n")
            terminal.expect("fg\r\n")
            text += self.line(terminal, "three")
            terminal.type("\x04")
            terminal.expect(terminal.PROMPT)
            return text + f" {terminal.status()}"
        text = self.compare(act, "job")
        self.assertIn("Stopped", text)
        self.assertIn("copied three 5", text)

    def test_a_program_that_the_stop_key_does_not_stop(self):
        def act(terminal):
            terminal.type("\x1a")
            text = self.line(terminal, "one")
            terminal.type("\x04")
            terminal.expect(terminal.PROMPT)
            return text + f" {terminal.status()}"
        self.assertEqual("copied one 5", self.compare(act, "stubborn"))

    def test_a_program_that_stops_itself(self):
        def act(terminal):
            terminal.type("one\n")
            terminal.expect("copied one")
            os.kill(terminal.program, signal.SIGSTOP)
            text = terminal.expect(terminal.PROMPT)
            terminal.type("fg\n")
            terminal.expect("fg\r\n")
            text += self.line(terminal, "two")
            terminal.type("\x04")
            terminal.expect(terminal.PROMPT)
            return text + f" {terminal.status()}"
        self.assertIn("copied two 5", self.compare(act, "job"))

    def test_a_parent_that_stops_it_and_lets_it_go_on(self):
        process = subprocess.Popen([tool.IPCTRACE, "run", "--output=/dev/null", "--", "bash", "-c",
                                    "kill -STOP $$; exit 4"])
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        os.kill(process.pid, signal.SIGCONT)
        _, status = os.waitpid(process.pid, 0)
        self.assertEqual(4, os.WEXITSTATUS(status))
        process.returncode = 4


if __name__ == "__main__":
    tool.main()
