#!/usr/bin/env python3
"""Runs the samples under many schedules: the findings must be the same in each.

  tools/jitter.py [--ipctrace=PATH] [--rounds=N] [--seed=N] [--jobs=N]
                  [--longest-us=N] [--all] [SAMPLE...]

A preloaded library (tests/jitter) delays calls by chance. A sample whose findings then are not what
its comments say is printed with its seed; the last line is `N runs, N failed`. Without a SAMPLE, all
that are not about time (which say `sleep`, `alarm` or `timer`) are run.
"""
import argparse
import concurrent.futures
import glob
import os
import random
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests"))
import run_sample  # noqa: E402

# What a program that measures time, gives others time to act or is told by its pace has in it; its
# verdict may depend on the schedule.
TIMED = re.compile(r"\b(\w*sleep\w*|alarm|\w*timer\w*|SO_RCVTIMEO|clock_gettime|tv_sec|EXPECT: io-busy-wait)\b")


def about_time(path):
    with open(path) as file:
        return bool(TIMED.search(file.read()))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 30))
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--longest-us", type=int, default=20000, help="of a delay, in microseconds")
    parser.add_argument("--all", action="store_true", help="also those that are about time")
    parser.add_argument("samples", nargs="*")
    arguments = parser.parse_args()
    samples = arguments.samples or sorted(
        path for path in glob.glob(TOP + "/samples/**/*.c*", recursive=True)
        if arguments.all or not about_time(path))
    print(f"seed {arguments.seed}, {len(samples)} samples, {arguments.rounds} rounds")

    with tempfile.TemporaryDirectory() as folder:
        jitter = os.path.join(folder, "libjitter.so")
        subprocess.run(["gcc", "-O1", "-w", "-shared", "-fPIC", "-o", jitter,
                        os.path.join(TOP, "tests/jitter/jitter.c")], check=True)

        def build(number, path):
            place = os.path.join(folder, str(number))
            os.mkdir(place)
            sample = run_sample.Sample(path)
            return sample, sample.compile(run_sample.MODES["O0"], place)

        def run(job):
            sample, program, seed = job
            env = dict(os.environ, LD_PRELOAD=jitter, IPCTRACE_JITTER_SEED=str(seed),
                       IPCTRACE_JITTER_US=str(arguments.longest_us))
            with tempfile.TemporaryDirectory() as place:
                problems = run_sample.check_traced(sample, program, place, arguments.ipctrace,
                                                   lines_known=True, env=env)
            return sample.path, seed, problems

        failed = {}
        runs = 0
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            programs = list(pool.map(build, range(len(samples)), samples))
            jobs = [(sample, program, arguments.seed + turn)
                    for turn in range(arguments.rounds) for sample, program in programs]
            for path, seed, problems in pool.map(run, jobs):
                runs += 1
                if problems:
                    failed.setdefault(path, []).append(seed)
                    print(f"{os.path.relpath(path, TOP)} (seed {seed})")
                    for problem in problems:
                        print("  " + problem, flush=True)
    for path, seeds in sorted(failed.items(), key=lambda item: -len(item[1])):
        print(f"{len(seeds):4} of {arguments.rounds}  {os.path.relpath(path, TOP)}")
    print(f"{runs} runs, {sum(map(len, failed.values()))} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
