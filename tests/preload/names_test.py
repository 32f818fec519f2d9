#!/usr/bin/env python3
"""Every function of libc is interposed, or stands in not_traced.txt with the reason why not."""
import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import tool  # noqa: E402

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
TABLE = "tests/preload/not_traced.txt"


def exported(library, of_libc=False):
    """The names of functions that programs can be linked with: of libc's, not those for old programs
    alone, nor for its own parts."""
    listed = subprocess.run(["nm", "-D", "--defined-only", library], stdout=subprocess.PIPE, text=True, check=True)
    names = set()
    for line in listed.stdout.splitlines():
        _, kind, name = line.split()
        if kind in "TWiI" and (not of_libc or re.search("@@GLIBC_[0-9]", name)):
            names.add(name.partition("@")[0])
    return names


def table():
    """[(number of the line, compiled patterns)]"""
    rows = []
    with open(TABLE) as file:
        for number, line in enumerate(file, 1):
            for pattern in line.partition("#")[0].split():
                rows.append((number, re.compile(pattern)))
    return rows


@unittest.skipUnless(os.path.exists(LIBC) and os.confstr("CS_GNU_LIBC_VERSION") == "glibc 2.36",
                     "the table is of glibc 2.36")
class Names(unittest.TestCase):
    def test_every_function_is_interposed_or_judged(self):
        rest = exported(LIBC, of_libc=True) - exported(tool.library(tool.IPCTRACE))
        self.assertGreater(len(rest), 1000)
        judged = [pattern for _, pattern in table()]
        self.assertEqual([], sorted(name for name in rest if not any(p.fullmatch(name) for p in judged)))

    def test_the_table_has_nothing_that_is_not_needed(self):
        rest = exported(LIBC, of_libc=True) - exported(tool.library(tool.IPCTRACE))
        self.assertEqual([], [f"line {number}: {pattern.pattern}" for number, pattern in table()
                              if not any(pattern.fullmatch(name) for name in rest)])

    def test_what_is_interposed_is_there_under_each_of_its_names(self):
        ours, theirs = exported(tool.library(tool.IPCTRACE)), exported(LIBC, of_libc=True)
        missing = set()
        for name in ours:
            for form in ("{}64", "{}_unlocked", "__{}_chk", "__{}64_chk", "__{}_2", "__isoc99_{}", "__isoc23_{}",
                         "_IO_{}", "__{}"):
                missing |= {form.format(name)} & theirs - ours
        judged = [pattern for _, pattern in table() if "_IO_" in pattern.pattern]
        self.assertEqual([], [name for name in missing if not any(p.fullmatch(name) for p in judged)])


if __name__ == "__main__":
    tool.main()
