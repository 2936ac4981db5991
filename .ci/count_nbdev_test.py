"""One PASS or FAIL line for each notebook that nbdev_test ran: it prints only the names of those that failed.

    python .ci/count_nbdev_test.py LOG EXIT_CODE
"""

import re
import sys
from pathlib import Path

from nbdev.doclinks import nbglob


def main(log, code):
    output = Path(log).read_text(encoding="utf-8", errors="replace")
    paths = sorted(p for p in nbglob(as_path=True) if not (p.parent / ".notest").exists())
    m = re.search(r"nbdev Tests Failed On The Following Notebooks:\n=+\n(.*?)(?:\n\S|\Z)", output, re.S)
    failed = set(m[1].split()) if m else set()
    if code != "0" and not failed: return print("FAIL the test command did not get as far as a list of notebooks")
    if code == "0" and "Success." not in output: return print("FAIL nbdev_test did not report success")
    for p in paths: print(f"{'FAIL' if p.name in failed else 'PASS'} nbdev_test {p.name}")


if __name__ == "__main__": main(*sys.argv[1:])
