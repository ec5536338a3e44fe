#!/usr/bin/python3
"""What README, docs and manuals name is there: pages, their headings, files, functions, targets of
make. Run by /usr/bin/python3 -m pytest."""
import functools
import pathlib
import re

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted(str(p.relative_to(TOP)) for p in [*TOP.glob("*.md"), *TOP.glob("docs/*.md")])
MANUALS = sorted(TOP.glob("man/*.[1-8]"))
FOLDERS = ("client", "common", "daemon", "docs", "examples", "man", "packaging", "systemd", "tests")
# Names that stand for one that somebody chooses.
STAND_FOR_ONE = {"docs/COMMAND.schema.json", "tests/mutants/p9-what-it-does.patch",
                 "tests/simulation/mutants/p5-what-it-does.patch"}
DESIGN = "docs/design.md"
MODULES = sorted(p for folder in ("common", "client", "client/admin", "daemon", "daemon/fetch")
                 for p in (TOP / folder).glob("*.c"))


def read(page):
    return (TOP / page).read_text(encoding="utf-8")


def prose(page):
    """The page without what is shown as typed."""
    return re.sub(r"^```(?:.|\n)*?^```$|^    .*$", "", read(page), flags=re.M)


def links(page):
    """What it links to, but for other places of the network."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page):
    """The headings, as they are named in a link."""
    heads = re.findall(r"^#+ +(.*)$", prose(page), re.M)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def quoted(page):
    return re.findall(r"`([^`\n]+)`", prose(page))


@pytest.mark.parametrize("page", PAGES)
def test_each_link_leads_somewhere(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = (TOP / page).parent / path if path else TOP / page
        assert place.exists(), f"{page}: there is no {path}"
        assert not anchor or anchor in anchors(place), f"{page}: there is no heading {target}"


@pytest.mark.parametrize("page", PAGES)
def test_each_file_that_is_named_is_there(page):
    for name in quoted(page):
        if re.match(rf"({'|'.join(FOLDERS)})/[\w./-]+$", name) and name not in STAND_FOR_ONE:
            assert (TOP / name).exists(), f"{page}: there is no {name}"


@functools.cache
def words_of_the_code():
    files = [p for folder in FOLDERS for p in (TOP / folder).rglob("*")
             if p.suffix in (".c", ".h", ".py")]
    return {word for p in files for word in re.findall(r"\w+", p.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES)
def test_each_function_that_is_named_is_there(page):
    words = words_of_the_code()
    for name in quoted(page):
        if m := re.match(r"(\w+)\(\)$", name):
            assert m[1] in words, f"{page}: there is no {name}"


@pytest.mark.parametrize("page", PAGES)
def test_each_target_of_make_is_there(page):
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", read("Makefile"), re.M))
    for name in quoted(page):
        if (m := re.match(r"make ([a-z][\w-]*)( |$)", name)) and not m[1].startswith("fuzz-"):
            assert m[1] in targets, f"{page}: there is no `make {m[1]}`"


def test_the_readme_leads_to_each_page():
    there = set(links("README.md"))
    pages = set(PAGES) | {str(p.relative_to(TOP)) for p in MANUALS} | {"LICENSE"}
    assert not pages - there - {"README.md"}


def test_the_manuals_refer_to_manuals_that_are_there():
    ours = {p.name for p in MANUALS}
    for page in MANUALS:
        for name, part in re.findall(r"^\.Xr (kubetoken\S*) (\d)", page.read_text("utf-8"), re.M):
            assert f"{name}.{part}" in ours, f"{page.name}: there is no {name}({part})"


def test_make_help_names_what_is_for_everybody():
    """The targets that CONTRIBUTING.md has in its table."""
    table = re.findall(r"^\| `make ([\w-]+)`", read("CONTRIBUTING.md"), re.M)
    shown = re.search(r"^help:\n((?:\t.*\n)+)", read("Makefile"), re.M)[1]
    assert len(table) > 20
    for name in table:
        assert re.search(rf"[ /]{name}\b", shown), f"make help does not name {name}"


def test_the_design_has_each_file_once():
    rows = re.findall(r"^\| (`[^|]*`) \|", read(DESIGN).split("\n## §3 ", 1)[1].split("\n## ")[0],
                      re.M)
    named = re.findall(r"`([\w./]+?)\.(?:\[ch\]|c)`", "\n".join(rows))
    for module in MODULES:
        times = named.count(module.stem)
        same = sum(1 for m in MODULES if m.stem == module.stem)
        assert times == same, f"{module.relative_to(TOP)} is named {times} times, not {same}"
