#!/usr/bin/env python3
"""Opens HTML reports in Chromium: they must come out as the JSON report says, and run and load nothing.

  tools/browser.py [--ipctrace=PATH] [--chromium=PATH] [SAMPLE...]

Without a SAMPLE: one bad sample of each rule, and a program whose names and output are hostile. What
is wrong is printed; the last line is `N pages, N wrong`. Needs Debian's chromium.
"""
import argparse
import glob
import html.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests"))
import run_sample  # noqa: E402

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom")
EVIL = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


class Page(html.parser.HTMLParser):
    """What the browser made of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_data(self, data):
        self.words.append(data)


def problems(dom, log, report):
    page = Page(dom)
    text = " ".join("".join(page.words).split())
    if page.tags.get("article", 0) != len(report["findings"]):
        yield f"{page.tags.get('article', 0)} articles for {len(report['findings'])} findings"
    for finding in report["findings"]:
        for wanted in (finding["message"], finding["fix"]):
            if " ".join(wanted.split()) not in text:
                yield f"does not say: {wanted}"
    for tag in ("script", "img", "iframe", "object", "embed", "link"):
        if tag in page.tags:
            yield f"has a <{tag}>"
    if "<title>run" in dom:
        yield "a script ran"
    for line in log.splitlines():
        if "CONSOLE" in line:
            yield line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipctrace", default=os.path.join(TOP, "bazel-bin/analyzer/ipctrace"))
    parser.add_argument("--chromium", default="chromium")
    parser.add_argument("samples", nargs="*", metavar="SAMPLE")
    options = parser.parse_args()
    samples = options.samples or [
        sorted(glob.glob(os.path.join(rule, "bad_*.c*")))[0]
        for rule in sorted(glob.glob(os.path.join(TOP, "samples/rules/*/")))
        if glob.glob(os.path.join(rule, "bad_*.c*"))]
    pages = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        programs = [(sample, [run_sample.Sample(sample).compile(["-g"], folder)]) for sample in samples]
        if not options.samples:
            evil = os.path.join(folder, EVIL.replace("/", "\\"))
            shutil.copy(programs[0][1][0], evil)
            programs.append(("a hostile name", [evil, EVIL]))
        for name, command in programs:
            trace, path = os.path.join(folder, "trace"), os.path.join(folder, "report.html")
            subprocess.run([options.ipctrace, "run", "--trace=" + trace, "--output=/dev/null", "--timeout=60",
                            "--", *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            report = json.loads(subprocess.run(
                [options.ipctrace, "report", "--format=json", "--output=-", trace], stdout=subprocess.PIPE).stdout)
            subprocess.run([options.ipctrace, "report", "--format=html", "--output=" + path, trace])
            shown = subprocess.run(
                [options.chromium, *FLAGS, "--user-data-dir=" + os.path.join(folder, "profile"), "file://" + path],
                capture_output=True, text=True, timeout=120)
            found = list(problems(shown.stdout, shown.stderr, report))
            pages += 1
            wrong += bool(found)
            for each in found:
                print(f"{name}: {each}")
    print(f"{pages} pages, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
