#!/usr/bin/env python3
"""The rules that are linked in, their pages and their samples are the same set, and every rule
has the catalogue's severity."""
import glob
import os
import re
import subprocess
import sys

from catalogue import SEVERITY


def main():
    listing = subprocess.run([sys.argv[1], "rules"], check=True, stdout=subprocess.PIPE, text=True).stdout
    registered = {}
    for line in listing.splitlines():
        found = re.match(r"\s*([a-z]+(?:-[a-z]+)+)\s+\(?(error|warning|note)\b", line)
        if found:
            registered[found.group(1)] = found.group(2)
    problems = []
    if not registered:
        problems.append("`ipctrace rules` lists no rule:\n" + listing)

    pages = {os.path.basename(path)[:-3].replace("_", "-") for path in glob.glob("rules/*.md")}
    samples = {name.replace("_", "-") for name in os.listdir("samples/rules")
               if glob.glob(f"samples/rules/{name}/*.c*")}
    for what, there in (("page", pages), ("sample", samples)):
        problems += [f"{rule} is linked in and has no {what}" for rule in sorted(registered.keys() - there)]
        problems += [f"{rule} has a {what} and is not linked in" for rule in sorted(there - registered.keys())]

    for rule, severity in sorted(registered.items()):
        if rule not in SEVERITY:
            problems.append(f"{rule} does not stand in the catalogue")
        elif severity != SEVERITY[rule]:
            problems.append(f"{rule} is {severity}, and {SEVERITY[rule]} in the catalogue")
        page = subprocess.run([sys.argv[1], "explain", rule], stdout=subprocess.PIPE, text=True)
        if page.returncode != 0 or rule not in page.stdout:
            problems.append(f"`ipctrace explain {rule}` does not show its page")

    with open("README.md") as file:
        table = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning|note) \|", file.read(), re.MULTILINE))
    if table != SEVERITY:
        differences = sorted(rule for rule in table.keys() | SEVERITY.keys()
                             if table.get(rule) != SEVERITY.get(rule))
        problems.append("the README's table of rules differs in " + ", ".join(differences))

    print("\n".join(problems) or f"{len(registered)} rules")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
