#!/usr/bin/env python3
"""Unusual but right programs do under ipctrace what they do without it."""
import os
import re
import shutil
import subprocess
import sys
import time

import tool


class UnusualPrograms(tool.TestCase):
    def test_the_same_output_and_status(self):
        program = self.compile("tests/programs/unusual.c")
        for name in self.run_native([program]).stdout.decode().split():
            with self.subTest(name):
                without = self.run_native([program, name])
                self.assertEqual(0, without.status, without.stderr)
                run = self.run_traced([program, name])
                self.assertEqual(without.stdout, run.stdout)
                self.assertEqual(0, run.status, run.stderr)
                self.assertTrue(run.report["coverage"]["traced"])
                self.assertEqual(0, run.report["coverage"]["lost"])

    def test_sanitized_programs_start_as_they_are(self):
        for sanitizer in ("address", "undefined", "thread"):
            for compiler in ("gcc", "clang"):
                if not shutil.which(compiler):
                    continue
                with self.subTest(f"{compiler} -fsanitize={sanitizer}"):
                    program = self.path(f"{compiler}-{sanitizer}")
                    subprocess.run([compiler, "-g", "-w", "-pthread", "-fsanitize=" + sanitizer, "-o", program,
                                    "samples/lecture/pipe_eof.c"], check=True)
                    without = self.run_native([program])
                    run = self.run_traced([program])
                    self.assertEqual((without.status, without.stdout), (run.status, run.stdout), run.stderr)
                    self.assert_quiet(run)

    def test_gccs_address_sanitizer_in_the_bare_form(self):
        program = self.path("sanitized")
        subprocess.run(["gcc", "-g", "-w", "-pthread", "-fsanitize=address", "-o", program,
                        "samples/lecture/pipe_eof.c"], check=True)
        with open("README.md") as readme:
            line = re.search(r'`(LD_PRELOAD="[^`]*libasan[^`]*) \./student_prog`', readme.read()).group(1)
        without = self.run_native([program])
        run = self.run_native(["sh", "-c", line.replace("libipctrace.so", tool.library(tool.IPCTRACE)) + f" exec {program}"],
                              env=dict(os.environ, IPCTRACE_OPTIONS="color=never"))
        self.assertEqual((without.status, without.stdout), (run.status, run.stdout), run.stderr)
        self.assertIn("ipctrace: no mistakes found", run.stderr.decode())

    def test_the_program_goes_on_when_the_analyzer_is_killed(self):
        script = ("import os, time\nopen('begun', 'w').close()\nfor i in range(50):\n"
                  "  r, w = os.pipe(); os.write(w, b'x' * 100); os.read(r, 100); os.close(r); os.close(w)\n"
                  "  time.sleep(0.02)\nopen('done', 'w').write('yes')\n")
        process = subprocess.Popen([tool.IPCTRACE, "run", "--", sys.executable, "-c", script], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.wait_for("begun", "")
        process.kill()
        process.wait()
        self.wait_for("done", "yes")

    def wait_for(self, name, content):
        """Until a file has this content."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if os.path.exists(self.path(name)):
                with open(self.path(name)) as file:
                    if file.read() == content:
                        return
            time.sleep(0.01)
        self.fail(f"{name} did not come")

    def test_what_goes_past_libc_is_a_hole(self):
        program = self.compile("tests/programs/past_libc.c")
        for act, words in (("writes", "bytes written"), ("reads", "bytes read"), ("opens", "nobody was seen to open"),
                           ("closes", "closed unseen")):
            with self.subTest(act):
                run = self.run_traced([program, act])
                self.assertEqual(0, run.status)
                self.assertFalse(run.report["coverage"]["complete"])
                self.assertIn(words, " ".join(run.report["coverage"]["holes"]))
                bare = self.run_native([program, act], env=dict(
                    os.environ, LD_PRELOAD=tool.library(tool.IPCTRACE), IPCTRACE_OPTIONS="color=never"))
                self.assertIn(words, bare.stderr.decode())
                self.assertNotIn("ipctrace: no mistakes found (", bare.stderr.decode())
                threaded = self.run_traced([program, act, "threaded"])
                self.assertIn(words, " ".join(threaded.report["coverage"]["holes"]))
        self.assert_quiet(self.run_traced([program, "nothing"]))
        self.assert_quiet(self.run_traced([program, "nothing", "threaded"]))

    def test_nothing_is_lost_where_many_write_faster_than_is_read(self):
        program = self.compile("tests/programs/hammer.c")
        run = self.run_traced([program, "200", "10000"])
        self.assertEqual(0, run.status, run.stderr)
        self.assertEqual(0, run.report["coverage"]["lost"])
        self.assertLessEqual(4_000_000, run.report["coverage"]["calls"])
        self.assert_quiet(run)

    def test_calls_by_number_are_seen_like_those_by_name(self):
        program = self.compile("tests/programs/by_number.c")
        without = self.run_native([program])
        self.assertEqual(0, without.status, without.stderr)
        run = self.run_traced([program])
        self.assertEqual((without.status, without.stdout), (run.status, run.stdout), run.stderr)
        self.assert_quiet(run)
        coverage = run.report["coverage"]
        self.assertEqual((16, 16), (coverage["written_bytes"], coverage["kernel_written_bytes"]))
        self.assertTrue(coverage["complete"], coverage)

    def test_a_program_that_forbids_itself_system_calls(self):
        program = self.compile("tests/programs/filtered.c")
        for how in ("prctl", "seccomp", "strict", "lenient", "refused", "no-clock"):
            with self.subTest(how):
                without = self.run_native([program, how])
                self.assertIn(without.status, (0, 7))
                run = self.run_traced([program, how])
                self.assertEqual((without.status, without.stdout), (run.status, run.stdout), run.stderr)
                self.assertTrue(run.report["coverage"]["traced"])
                if how in ("strict", "no-clock"):
                    self.assertFalse(run.report["coverage"]["complete"])
                elif how in ("lenient", "refused"):
                    self.assertEqual([], run.report["coverage"]["holes"])
                bare = self.run_native([program, how], env=dict(
                    os.environ, LD_PRELOAD=tool.library(tool.IPCTRACE), IPCTRACE_OPTIONS="color=never"))
                self.assertEqual((without.status, without.stdout), (bare.status, bare.stdout), bare.stderr)

    def test_what_libc_does_inside_is_no_hole(self):
        programs = {"wide": """
            #include <wchar.h>
            #include <stdio.h>
            int main(void) { wprintf(L"hello %d\\n", 3); fputws(L"more\\n", stdout); return 0; }""",
                    "double free": """
            #include <stdlib.h>
            int main(void) { void *p = malloc(10); free(p); free(p); return 0; }""",
                    "keeps": """
            #include <pwd.h>
            #include <stdio.h>
            int main(void) { setpwent(); getpwent(); puts(getpwuid(0)->pw_name); return 0; }"""}
        for name, source in programs.items():
            with self.subTest(name):
                program = self.path("program")
                subprocess.run(["gcc", "-w", "-x", "c", "-o", program, "-"], input=source.encode(), check=True)
                self.assertEqual([], self.run_traced([program]).report["coverage"]["holes"])
        with self.subTest("a wrong option"):
            self.assertEqual([], self.assert_same(["ls", "--nosuch"]).report["coverage"]["holes"])
        for call in ("os.forkpty", "os.fork"):
            script = ("import multiprocessing, os, pty\n"
                      f"multiprocessing.Lock()\npid = {call}()\n"
                      "if isinstance(pid, tuple): pid = pid[0]\n"
                      "if pid == 0: os._exit(0)\nos.waitpid(pid, 0)\n")
            with self.subTest(call):
                run = self.run_traced(["/usr/bin/python3", "-c", script])
                self.assertEqual([], run.report["coverage"]["holes"])


if __name__ == "__main__":
    tool.main()
