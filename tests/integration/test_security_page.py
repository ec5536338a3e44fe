"""The figures that SECURITY.md names are those of this tree, or less."""
import functools
import re
import subprocess
import sys

import pytest

import rig

PAGE = (rig.TOP / "SECURITY.md").read_text()
ROWS = [(m[2], int(m[1])) for m in re.finditer(r"^\| [a-z ]*(\d+) .*\| `([^`]+)` \|$", PAGE, re.M)]


@functools.lru_cache(maxsize=None)
def cases():
    """Of the files that are named: "FILE::TEST" of each test, once for each set of parameters."""
    files = {found_by.split("::")[0] for found_by, _ in ROWS if "::" in found_by}
    r = subprocess.run([sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q",
                        "--collect-only", *sorted(files)], cwd=rig.TOP / "tests" / "integration",
                       capture_output=True, text=True, check=False, timeout=rig.PATIENCE)
    assert r.returncode == 0, r.stdout + r.stderr
    return [line.split("[")[0].split("/")[-1] for line in r.stdout.splitlines() if "::" in line]


def count(found_by):
    if "::" in found_by:
        return cases().count(found_by)
    pattern = "*_fuzz.c" if found_by == "tests/fuzz/" else "*.patch"
    return len(list((rig.TOP / found_by).glob(pattern)))


def test_there_are_figures():
    assert len(ROWS) == PAGE.split("## What was tried")[1].split("\nBeside")[0].count("\n| ") - 1


@pytest.mark.parametrize("found_by, figure", ROWS, ids=[row[0] for row in ROWS])
def test_as_many_as_it_says(found_by, figure):
    assert count(found_by) >= figure
