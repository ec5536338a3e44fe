"""What a figure is worth: against a target (the bench), against the number that is held (the gate).
Pure: no figure is measured here, and one that is none is never good."""
import math
import re

MET, MISSED, NOT_MEASURED, TOLD = "met", "MISSED", "not measured", "told"
HELD, GROWN, SHRUNK, NOT_RUN = "held", "GROWN", "SHRUNK", "not run"


def is_figure(value):
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and math.isfinite(value) and value >= 0)


def against_target(figure, most):
    """A verdict and, where there is more to say, why. `most`: None where there is no target."""
    if isinstance(figure, Exception):
        return NOT_MEASURED, str(figure)
    if not is_figure(figure):
        return NOT_MEASURED, f"the measurement is broken: it said {figure!r}"
    if most is None:
        return TOLD, ""
    return (MET, "") if figure <= most else (MISSED, "")


def of_row(figures):
    """The verdict of a row, by (target, verdict) of its figures: the worst of those that have a
    target; and a row without any is worth nothing."""
    verdicts = {verdict for target, verdict in figures if target is not None}
    for worst in (MISSED, NOT_MEASURED, MET):
        if worst in verdicts:
            return worst
    return TOLD if any(verdict == TOLD for _, verdict in figures) else NOT_MEASURED


def margin(how, held):
    """How far a figure may be below and above the number that is held; None: as far as it likes."""
    if how == "exact":
        return 0, 0
    if how == "most":
        return None, 0
    percent = re.fullmatch(r"(\d+)%", how)
    if not percent:
        raise ValueError(f"how is {how!r} held?")
    return held * int(percent[1]) / 100, held * int(percent[1]) / 100


def against_held(figure, how, held):
    """The gate's verdict."""
    if isinstance(figure, Exception):
        return NOT_RUN, str(figure)
    if not is_figure(figure):
        return GROWN, f"the measurement is broken: it said {figure!r}"
    if how == "told":
        return TOLD, ""
    below, above = margin(how, held)
    if figure > held + above + 1e-9:
        return GROWN, ""
    if below is not None and figure < held - below - 1e-9:
        return SHRUNK, "write the smaller number into tests/bench/counts"
    return HELD, ""


def is_broken(verdict):
    """Whether the gate fails."""
    return verdict in (GROWN, SHRUNK)


def number(word):
    return None if word == "-" else float(word)


def read_counts(text):
    """The file `counts`: name -> (held, how, target)."""
    rows = {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        name, held, how, target = words
        if name in rows:
            raise ValueError(f"{name} is there twice")
        if how != "told":
            margin(how, float(held))
        rows[name] = float(held), how, number(target)
    return rows


def shown(value):
    """A figure as people read it."""
    if value is None or isinstance(value, Exception):
        return "-"
    if not is_figure(value):
        return "?"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


# ---- the soak --------------------------------------------------------------------------------

SOAK_KB = 600
GROWTH_KB = 8  # what two thirds of a soak may differ by: two pages


def median(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def growth(values):
    """From the second third to the last one; what comes in the first is warming up."""
    third = len(values) // 3
    return median(values[-third:]) - median(values[third:2 * third])


def zombies(samples):
    """Those that two samples in a row have: nobody has collected them."""
    return sorted({z for a, b in zip(samples, samples[1:]) for z in a["zombies"]
                   if z in b["zombies"]})


def soak(seen):
    """What is wrong, in words; nothing where all is well."""
    samples, found = seen["samples"], []
    if len(samples) < 30:
        return [f"{len(samples)} samples are too few to tell"]
    if seen["faults"] == 0 or seen["gets"] == 0:
        found.append("there were no faults, or no gets: nothing was tried")
    most = max(s["dirtyKb"] for s in samples)
    if most > SOAK_KB:
        found.append(f"{most} KB of private dirty memory, more than {SOAK_KB}")
    grown = growth([s["dirtyKb"] for s in samples])
    if grown > GROWTH_KB:
        found.append(f"the memory grew by {grown} KB from the second third to the last")
    kept = seen["descriptorsAfter"] - seen["descriptorsBefore"]
    if kept > 0:
        found.append(f"descriptors that were kept: {kept}")
    if left := zombies(samples):
        found.append(f"zombies that were left: {', '.join(left)}")
    return found
