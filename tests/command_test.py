#!/usr/bin/env python3
"""The command's contract: options, exit statuses, and one clear sentence for what goes wrong."""
import json
import os
import signal
import shutil
import subprocess
import unittest
import xml.etree.ElementTree

import tool


class Command(tool.TestCase):
    def ipctrace(self, *arguments, **rest):
        return tool.native([tool.IPCTRACE, *arguments], cwd=self.folder, **rest)

    def assert_sentence(self, run, *words):
        """It failed with 125 and said why, in one line that names what matters."""
        text = run.stderr.decode()
        self.assertEqual(125, run.status, text)
        said = [line for line in text.splitlines() if line.startswith("ipctrace: ")]
        self.assertEqual(1, len(said), text)
        for word in words:
            self.assertIn(word, said[0])

    def trace(self, *command):
        """The path of a kept trace."""
        kept = self.path("kept.trace")
        run = self.ipctrace("run", "--trace=" + kept, "--output=/dev/null", "--", *command)
        self.assertTrue(os.path.exists(kept), run.stderr)
        return kept


class ExitStatus(Command):
    def test_is_the_programs_own(self):
        program = self.compile("tests/programs/ends.c")
        for status in (0, 1, 7, 255):
            self.assertEqual(status, self.ipctrace("run", "--", program, str(status)).status)

    def test_tells_a_signal_as_a_shell_does(self):
        program = self.compile("tests/programs/ends.c")
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV):
            run = self.run_traced([program, str(-number)])
            self.assertIn(run.status, (128 + number, -number))
            self.assertEqual({"signal": number.name}, run.report["exit"])

    def test_is_in_the_report_as_the_kernel_tells_it(self):
        for script, expected in (("exit(-1)", {"status": 255}), ("require POSIX; POSIX::_exit(258)", {"status": 2}),
                                 ("require POSIX; POSIX::abort()", {"signal": "SIGABRT"})):
            with self.subTest(script):
                report = self.run_traced(["perl", "-e", script]).report
                self.assertEqual((expected, expected), (report["exit"], report["processes"][0]["exit"]))

    def test_is_the_wanted_one_when_there_are_findings(self):
        program = self.compile("tests/programs/ends.c")
        self.assertEqual(42, self.ipctrace("run", "--error-exitcode=42", "--", program).status)
        self.assertEqual(0, self.ipctrace("run", "--error-exitcode=42", "--checks=-*,pipe-*", "--",
                                          program).status)

    def test_counts_findings_from_the_severity_on_that_fails(self):
        program = self.compile("samples/rules/fd_leak/bad_early_return.c")  # a warning
        for severity, status in (("error", 0), ("warning", 42), ("note", 42)):
            run = self.ipctrace("run", "--error-exitcode=42", "--fail-on=" + severity, "--", program)
            self.assertEqual(status, run.status, severity)
        self.assertEqual(1, self.ipctrace("run", "--fail-on=warning", "--", program).status)

    def test_is_124_after_the_timeout(self):
        run = self.run_traced(["sleep", "100"], timeout=1)
        self.assertEqual(124, run.status)
        self.assertEqual({"timeout": True}, run.report["exit"])

    def test_is_124_after_a_hang(self):
        program = self.compile("samples/lecture/pipe_eof_never.c")
        self.assertEqual(124, self.ipctrace("run", "--", program).status)


class WhatGoesWrong(Command):
    def test_no_such_program(self):
        self.assert_sentence(self.ipctrace("run", "--", "./nowhere"), "./nowhere", "No such file")

    def test_not_executable(self):
        with open(self.path("text"), "w") as file:
            file.write("text")
        self.assert_sentence(self.ipctrace("run", "--", "./text"), "./text", "Permission denied")

    def test_a_static_program_is_not_called_clean(self):
        program = self.compile("tests/programs/ends.c", "-static")
        self.assert_sentence(self.ipctrace("run", "--", program), "ends", "static")

    def test_a_set_user_id_program_is_not_called_clean(self):
        if os.getuid() != 0:
            program = shutil.which("su")
        else:
            program = self.compile("tests/programs/ends.c")
            os.chmod(self.folder, 0o755)
            os.chown(program, 65534, 65534)
            os.chmod(program, 0o4755)
        self.assert_sentence(self.ipctrace("run", "--", program, "0"), os.path.basename(program),
                             "set-user-ID")

    def test_a_full_disk_for_the_trace(self):
        program = self.compile("tests/programs/ends.c")
        run = self.ipctrace("run", "--trace=/dev/full", "--", program, "0")
        self.assert_sentence(run, "/dev/full", "No space left")
        self.assertIn(b"[fd-double-close]", run.stderr)

    def test_a_trace_that_does_not_exist(self):
        self.assert_sentence(self.ipctrace("report", "nowhere.trace"), "nowhere.trace")

    def test_a_file_that_is_no_trace(self):
        with open(self.path("poem"), "w") as file:
            file.write("a poem about pipes\n" * 100)
        self.assert_sentence(self.ipctrace("report", "poem"), "poem", "not a")
        open(self.path("empty"), "w").close()
        self.assert_sentence(self.ipctrace("report", "empty"), "empty")

    def test_a_trace_that_is_cut_short_tells_what_it_has(self):
        kept = self.trace("bash", "-c", "for i in $(seq 200); do echo $i | cat; done")
        with open(kept, "rb") as file:
            whole = file.read()
        with open(self.path("half.trace"), "wb") as file:
            file.write(whole[:len(whole) * 2 // 3])
        run = self.ipctrace("show", "half.trace")
        self.assert_sentence(run, "half.trace", "cut short")
        self.assertIn(b"pipe", run.stdout)

    def test_a_damaged_trace_does_no_harm(self):
        kept = self.trace("sh", "-c", "seq 10 | cat")
        with open(kept, "rb") as file:
            whole = bytearray(file.read())
        for position in range(0, len(whole), max(1, len(whole) // 40)):
            damaged = bytearray(whole)
            damaged[position] ^= 0xff
            with open(self.path("damaged.trace"), "wb") as file:
                file.write(damaged)
            run = self.ipctrace("report", "damaged.trace")
            self.assertGreaterEqual(run.status, 0, f"byte {position}: signal {-run.status}")

    def test_an_option_that_does_not_exist(self):
        self.assert_sentence(self.ipctrace("run", "--nonsense", "--", "true"), "--nonsense")

    def test_values_that_make_no_sense(self):
        for option in ("--timeout=soon", "--format=poem", "--fail-on=anger", "--error-exitcode=x"):
            run = self.ipctrace("run", option, "--", "true")
            self.assertEqual(125, run.status, option)
            self.assertIn(option.partition("=")[2], run.stderr.decode())


class Reports(Command):
    def test_the_programs_input_is_its_own(self):
        run = self.run_traced(["cat"], stdin=b"every\0byte\n")
        self.assertEqual(b"every\0byte\n", run.stdout)

    def test_a_killed_program_is_reported_up_to_that_moment(self):
        program = self.compile("tests/programs/sleeps.c")
        script = f'{program} & sleep 0.5; kill -9 $!; wait'
        run = self.run_traced(["bash", "-c", script])
        self.assertIn("fd-double-close", [f["rule"] for f in run.findings])
        ends = [p["exit"] for p in run.report["processes"] if p["name"] == "sleeps"]
        self.assertEqual([{"signal": "SIGKILL"}], ends)

    def test_a_kept_trace_gives_the_same_report(self):
        program = self.compile("samples/rules/fd_leak/bad_early_return.c")
        kept = self.path("kept.trace")
        first = self.run_traced([program], options=["--trace=" + kept])
        again = self.ipctrace("report", "--format=json", kept)
        self.assertEqual(first.report["findings"], json.loads(again.stdout or again.stderr)["findings"])

    def test_every_run_gives_the_same_fingerprints(self):
        program = self.compile("samples/lecture/server_v2_neither_closes.c")
        # Notes may be about how long something took.
        runs = [[(f["rule"], f["fingerprint"]) for f in self.run_traced([program]).loud()] for _ in range(5)]
        self.assertTrue(runs[0])
        self.assertEqual([runs[0]] * 5, runs)

    def test_a_hang_is_reported_at_once(self):
        program = self.compile("samples/lecture/pipe_eof_never.c")
        run = self.run_traced([program], timeout=30)
        self.assertNotIn("timeout", run.report["exit"])
        self.assertIn("pipe-no-eof", [f["rule"] for f in run.findings])

    def test_a_thread_asleep_at_a_lock_is_told_by_its_line(self):
        source = "samples/rules/ipc_deadlock/bad_semaphore.c"
        with open(source) as file:
            wait = [number for number, line in enumerate(file, 1) if "sem_wait" in line]
        run = self.run_traced([self.compile(source)], timeout=30)
        self.assertEqual(1, len(run.findings))
        asleep = [step["location"] for step in run.findings[0]["story"] if "waits at a mutex" in step["message"]]
        self.assertEqual(wait, [location["line"] for location in asleep])

    def test_a_program_that_only_sleeps_is_left_alone(self):
        self.assert_quiet(self.assert_same(["sh", "-c", "sleep 1 | cat; echo done"]))

    def test_checks_choose_in_order(self):
        program = self.compile("tests/programs/ends.c")
        for checks, found in (("-*", 0), ("-*,fd-*", 1), ("fd-*,-fd-double-close", 0), ("*", 1)):
            run = self.run_traced([program], options=["--checks=" + checks])
            self.assertEqual(found, len(run.loud()), checks)

    def test_show_tells_every_call_as_a_json_line(self):
        kept = self.trace("sh", "-c", "echo x | cat")
        lines = [json.loads(line) for line in
                 self.ipctrace("show", "--format=jsonl", kept).stdout.splitlines()]
        for line in lines:
            self.assertLessEqual({"pid", "tid", "enter_ns", "return_ns", "call", "fd", "args", "result",
                                  "errno", "stack"}, line.keys())
        calls = {line["call"] for line in lines}
        self.assertTrue(calls & {"fork", "vfork"}, calls)
        self.assertTrue(calls & {"pipe", "pipe2"}, calls)

    def test_the_text_report_names_the_line_and_has_no_colour_in_a_file(self):
        program = self.compile("samples/lecture/pipe_eof_never.c")
        text = self.ipctrace("run", "--", program).stderr.decode()
        self.assertIn("[pipe-no-eof]", text)
        self.assertIn("pipe_eof_never.c:22", text)
        self.assertNotIn("\x1b", text)

    def test_what_the_program_names_cannot_write_to_the_terminal(self):
        program = self.compile("tests/programs/ends.c")
        evil = self.path("evil\x1b]0;title\x07")
        shutil.copy(program, evil)
        self.assertNotIn(b"\x1b", self.ipctrace("run", "--", evil).stderr)

    def test_json_has_the_agreed_form(self):
        program = self.compile("samples/lecture/server_v2_neither_closes.c")
        report = self.run_traced([program]).report
        self.assertEqual(1, report["version"])
        self.assertEqual([program], report["program"])
        self.assertEqual({"status": 0}, report["exit"])
        self.assertTrue(report["findings"])
        for finding in report["findings"]:
            for key, kind in (("rule", str), ("severity", str), ("count", int), ("message", str),
                              ("fix", str), ("process", dict), ("thread", int), ("location", dict),
                              ("story", list), ("fingerprint", str)):
                self.assertIsInstance(finding[key], kind, key)
            self.assertIn(finding["severity"], ("error", "warning", "note"))
            self.assertEqual({"pid", "name"}, finding["process"].keys())
            self.assertLessEqual({"file", "line", "function"}, finding["location"].keys())
            self.assertTrue(finding["story"])
            for step in finding["story"]:
                self.assertIsInstance(step["message"], str)
        for process in report["processes"]:
            self.assertLessEqual({"pid", "ppid", "name", "argv", "exit"}, process.keys())
        self.assertTrue(report["coverage"]["traced"])
        self.assertEqual(0, report["coverage"]["lost"])

    def test_the_page_has_what_the_json_report_has_and_nothing_that_a_browser_would_load_or_run(self):
        program = self.compile("samples/lecture/server_v2_neither_closes.c")
        kept = self.trace(program)
        report = json.loads(self.ipctrace("report", "--format=json", "--output=-", kept).stdout)
        page = self.ipctrace("report", "--format=html", "--output=-", kept).stdout.decode()
        self.assertTrue(report["findings"])
        root = xml.etree.ElementTree.fromstring(page)  # it is well-formed XML, too
        articles = list(root.iter("article"))
        self.assertEqual([f["severity"] for f in report["findings"]], [each.get("class") for each in articles])
        for finding, article in zip(report["findings"], articles):
            text = "".join(article.itertext())
            for wanted in (finding["message"], finding["fix"], *(step["message"] for step in finding["story"])):
                self.assertIn(wanted, text)
            line = finding["location"]["line"]
            self.assertEqual([str(line)], [span.text.split()[0] for span in article.iter("span")
                                           if span.get("class") == "here"])
        lanes = [each for each in root.iter("div") if each.get("class") == "lane"]
        self.assertEqual(len(report["processes"]), len(lanes))
        ids = [each.get("id") for each in root.iter() if each.get("id")]
        self.assertEqual(len(ids), len(set(ids)))
        for element in root.iter():
            self.assertNotIn(element.tag, ("script", "link", "img", "iframe", "object", "embed", "base", "form"))
            for name, value in element.items():
                self.assertFalse(name.startswith("on") or name in ("src", "srcdoc", "action"), name)
                if name == "href":
                    self.assertIn(value.removeprefix("#"), ids)
        self.assertIn("default-src 'none'", page)

    def test_rules_and_explain(self):
        self.assertIn(b"pipe-no-eof", self.ipctrace("rules").stdout)
        self.assertIn(b"pipe-no-eof", self.ipctrace("explain", "pipe-no-eof").stdout)
        self.assert_sentence(self.ipctrace("explain", "no-such-rule"), "no-such-rule")


if __name__ == "__main__":
    tool.main()
