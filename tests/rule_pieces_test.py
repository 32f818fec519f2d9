#!/usr/bin/env python3
"""A rule has all its pieces: a page, two programs that have the mistake, and a near miss."""
import glob
import os
import sys


def main():
    name = sys.argv[1]
    folder = os.path.join("samples", "rules", name)
    page = os.path.join("rules", name + ".md")
    missing = []
    if not os.path.exists(page):
        missing.append(f"its page, {page}")
    elif name.replace("_", "-") not in open(page).readline():
        missing.append(f"its id in the first line of {page}")
    if len(glob.glob(folder + "/bad_*.c*")) < 2:
        missing.append(f"two samples that have the mistake, {folder}/bad_*.c")
    if not glob.glob(folder + "/near_*.c*"):
        missing.append(f"a near miss, {folder}/near_*.c")
    for piece in missing:
        print(f"the rule {name} lacks {piece}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
