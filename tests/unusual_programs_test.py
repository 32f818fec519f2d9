#!/usr/bin/env python3
"""Unusual but right programs do under ipctrace what they do without it."""
import os
import shutil
import subprocess
import sys

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

    def test_the_program_goes_on_when_the_analyzer_is_killed(self):
        script = ("import os, time\nfor i in range(50):\n"
                  "  r, w = os.pipe(); os.write(w, b'x' * 100); os.read(r, 100); os.close(r); os.close(w)\n"
                  "  time.sleep(0.02)\nopen('done', 'w').write('yes')\n")
        process = subprocess.Popen([tool.IPCTRACE, "run", "--", sys.executable, "-c", script], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        import time
        time.sleep(0.3)
        process.kill()
        process.wait()
        end = time.monotonic() + 20
        while not os.path.exists(self.path("done")) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.1)
        with open(self.path("done")) as file:
            self.assertEqual("yes", file.read())


if __name__ == "__main__":
    tool.main()
