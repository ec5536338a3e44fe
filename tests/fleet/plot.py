#!/usr/bin/python3
"""Draws what fleet says of a scenario.

usage: tests/fleet/plot.py PROGRAM FOLDER NAME...

Runs `PROGRAM --curve NAME` for each, and writes FOLDER/NAME.svg: above, what a provider is asked
and what it gives; below, how many are without a token.
"""

import html
import os
import subprocess
import sys

WIDTH, LEFT, RIGHT = 720, 56, 16
PANELS = (34, 150), (208, 90)  # top and height: requests, clients without a token
POINTS = 240
ASKED, GIVEN, EMPTY = "#c0392b", "#2471a3", "#7d6608"


class Curve:
    def __init__(self, text):
        lines = text.splitlines()
        self.name, self.what = lines[0].removeprefix("# ").split(": ", 1)
        facts = dict(f.split() for f in lines[1].removeprefix("# ").split(", "))
        self.back, self.cap, self.clients = (float(facts[k]) for k in ("back", "cap", "n"))
        rows = [tuple(map(float, line.split())) for line in lines[2:]]
        step = -(-len(rows) // POINTS)
        parts = [rows[i:i + step] for i in range(0, len(rows), step)]
        self.at = [p[0][0] for p in parts]
        self.asked = [max(r[1] for r in p) for p in parts]
        self.given = [sum(r[2] for r in p) / len(p) for p in parts]
        self.empty = [100 * max(r[3] for r in p) / self.clients for p in parts]


def ceiling(value):
    """A round number above it."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if factor * size >= value:
                return factor * size
        size *= 10


def label(x, y, text, anchor="start", colour="#444"):
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">' \
           f"{html.escape(text)}</text>"


def line(points, colour, extra=""):
    return f'<polyline fill="none" stroke="{colour}" {extra}points="' + \
           " ".join(f"{x:.0f},{y:.0f}" for x, y in points) + '"/>'


def axis(panel, most, unit):
    top, height = panel
    out = []
    for part in (0, 0.5, 1):
        y = top + height * (1 - part)
        out.append(f'<path stroke="#ddd" d="M{LEFT} {y:g}H{WIDTH - RIGHT}"/>')
        out.append(label(LEFT - 6, y + 4, f"{most * part:g}{unit}", "end"))
    return out


def draw(curve):
    end = curve.at[-1] or 1
    bottom = PANELS[1][0] + PANELS[1][1]

    def x(seconds):
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / end

    def points(values, panel, most):
        return [(x(at), panel[0] + panel[1] * (1 - min(v / most, 1)))
                for at, v in zip(curve.at, values)]

    most = ceiling(max(curve.asked))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 330" '
           'font-family="sans-serif" font-size="12">',
           f"<title>{html.escape(curve.name)}: {html.escape(curve.what)}</title>",
           f'<rect width="{WIDTH}" height="330" fill="#fff"/>']
    if curve.back > 0:
        for top, height in PANELS:
            out.append(f'<rect x="{LEFT}" y="{top}" width="{x(curve.back) - LEFT:.0f}" '
                       f'height="{height}" fill="#eee"/>')
    out += [label(LEFT, 20, "requests a second", colour=ASKED),
            label(LEFT + 130, 20, "logins served a second", colour=GIVEN)]
    if curve.cap <= most:
        y = PANELS[0][0] + PANELS[0][1] * (1 - curve.cap / most)
        out += [f'<path stroke="{GIVEN}" stroke-dasharray="3 4" d="M{LEFT} {y:.0f}H'
                f'{WIDTH - RIGHT}"/>',
                label(WIDTH - RIGHT, 20, f"dashed: as many as it can, {curve.cap:g}", "end")]
    out += axis(PANELS[0], most, "")
    out += [line(points(curve.asked, PANELS[0], most), ASKED),
            line(points(curve.given, PANELS[0], most), GIVEN)]
    scale = ceiling(max(max(curve.empty), 1))
    out += [label(LEFT, PANELS[1][0] - 6, "clients in use without a token", colour=EMPTY),
            *axis(PANELS[1], scale, " %"), line(points(curve.empty, PANELS[1], scale), EMPTY)]
    hour = ceiling(end / 3600 / 12)
    unit, word = (600, "min") if end <= 5400 else (3600 * hour, "h")
    for tick in range(0, int(end) + 1, unit):
        out.append(f'<path stroke="#888" d="M{x(tick):.0f} {bottom}v4"/>')
        out.append(label(x(tick), bottom + 18, f"{tick // (60 if word == 'min' else 3600)} {word}",
                         "middle"))
    return "\n".join(out + ["</svg>"]) + "\n"


def main(program, folder, *names):
    os.makedirs(folder, exist_ok=True)
    for name in names:
        text = subprocess.run([program, "--curve", name], check=True, capture_output=True,
                              text=True).stdout
        with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as file:
            file.write(draw(Curve(text)))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__.strip())
    main(*sys.argv[1:])
