#!/usr/bin/env python3
"""Programs in unusual surroundings do under ipctrace what they do without it, and what was missed is
said."""
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tool  # noqa: E402

SOURCE = "tests/preload/surroundings.c"
ROOT = os.getuid() == 0


def can_mount():
    return ROOT and subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
                                   stderr=subprocess.DEVNULL).returncode == 0


class Surroundings(tool.TestCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.program = self.compile(SOURCE)

    def same(self, *arguments, complete, **rest):
        run = self.assert_same([self.program, *arguments], **rest)
        self.assertEqual(0, run.status, run.stderr)
        self.assertTrue(run.stdout)
        self.assertTrue(run.report["coverage"]["traced"])
        self.assertEqual(complete, run.report["coverage"]["complete"], run.report["coverage"])
        return run

    @unittest.skipUnless(ROOT, "needs root")
    def test_a_program_that_changes_its_root_and_runs_others_there(self):
        cage = self.path("cage")
        os.mkdir(cage)
        shutil.copy(self.program, cage)
        listed = subprocess.run(["ldd", self.program], stdout=subprocess.PIPE, text=True, check=True).stdout
        for word in listed.split():
            if word.startswith("/"):
                os.makedirs(cage + os.path.dirname(word), exist_ok=True)
                shutil.copy(word, cage + word)
        # The loader would complain about a library that is not there.
        run = self.same("chroot", cage, complete=False)
        self.assertEqual(2, run.report["coverage"]["untraced_execs"])

    @unittest.skipUnless(ROOT, "needs root")
    def test_a_program_that_gives_up_its_privileges(self):
        run = self.same("unprivileged", complete=False)
        self.assertEqual(1, run.report["coverage"]["untraced_execs"])

    def test_a_program_that_scribbles_over_the_trace(self):
        for value in ("zeros", "ones", "letters"):
            with self.subTest(value):
                without = self.run_native([self.program, value])
                run = self.run_traced([self.program, value])
                self.assertEqual((0, without.stdout), (without.status, run.stdout))
                # 125: it was the first thing that was heard of the program.
                self.assertIn(run.status, (0, 125), run.stderr)
                if run.status == 0:
                    self.assertFalse(run.report["coverage"]["complete"])

    def test_a_program_that_maps_its_memory_over_the_trace(self):
        self.assert_same([self.program, "maps-over"])

    def test_a_cloned_child_on_the_same_memory(self):
        self.same("clone-shares", complete=True)

    def test_64_threads_with_100000_calls_each(self):
        run = self.same("threads", complete=True, timeout=250)
        self.assertGreaterEqual(run.report["coverage"]["calls"], 64 * 100000)

    def test_2000_processes(self):
        run = self.same("processes", complete=True, timeout=250)
        self.assertEqual(2001, len(run.report["processes"]))

    def test_a_tmpdir_that_is_not_there_or_cannot_be_written(self):
        for folder in ("/nonexistent", "/proc", ""):
            with self.subTest(folder):
                self.same("work", complete=True, env={**os.environ, "TMPDIR": folder})

    def test_a_dev_shm_that_is_full_missing_or_read_only(self):
        if not can_mount():
            self.skipTest("needs the right to mount")
        for options in ("size=64k", "size=0,nr_inodes=1", "ro"):
            with self.subTest(options):
                # 64 KiB hold the header and little more: what does not fit is counted, or lies elsewhere.
                script = f"mount -t tmpfs -o {options} none /dev/shm && exec \"$@\""
                without = self.run_native([self.program, "work"])
                report = self.path("report.json")
                run = self.run_native(["unshare", "-m", "sh", "-c", script, "sh", tool.IPCTRACE, "run",
                                       "--format=json", "--output=" + report, "--", self.program, "work"])
                self.assertEqual((without.status, without.stdout, without.stderr),
                                 (run.status, run.stdout, run.stderr))

    def test_a_tmpdir_that_is_full_or_read_only_and_nothing_else(self):
        if not can_mount():
            self.skipTest("needs the right to mount")
        without = self.run_native([self.program, "work"])
        for options in ("size=4k", "size=64k,nr_inodes=1", "ro"):
            with self.subTest(options):
                # Nor can /dev/shm be used: the trace has to lie elsewhere.
                script = (f"mkdir -p $1/tmp && mount -t tmpfs -o {options} none $1/tmp && mount -t tmpfs -o ro none /dev/shm && "
                          "shift && exec \"$@\"")
                run = self.run_native(["unshare", "-m", "sh", "-c", script, "sh", self.folder, tool.IPCTRACE, "run",
                                       "--output=/dev/null", "--", self.program, "work"],
                                      env={**os.environ, "TMPDIR": self.path("tmp")})
                self.assertEqual((without.status, without.stdout, without.stderr),
                                 (run.status, run.stdout, run.stderr))

    def test_the_debugger(self):
        if not shutil.which("gdb"):
            self.skipTest("there is no gdb")
        command = ["gdb", "-q", "-batch", "-ex", "run", "-ex", "info inferiors", "--args", self.program, "work"]
        if b"exited normally" not in self.run_native(command).stdout:
            self.skipTest("gdb may not trace here")
        run = self.run_traced(command)
        self.assertIn(b"work: 1 x 5", run.stdout)
        self.assertIn(b"exited normally", run.stdout)

    def test_valgrind(self):
        if not shutil.which("valgrind"):
            self.skipTest("there is no valgrind")
        run = self.run_traced(["valgrind", "-q", "--error-exitcode=9", "--trace-children=yes", self.program,
                               "work"])
        self.assertEqual((0, b"work: 1 x 5\n"), (run.status, run.stdout), run.stderr)
        self.assertEqual(b"", run.stderr)


if __name__ == "__main__":
    tool.main()
