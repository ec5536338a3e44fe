"""A picture of what was measured over time: panels one below the other, as SVG. No library."""
import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP = 860, 150, 70, 20, 40, 50
COLOURS = ("#1f6fb4", "#d1495b", "#2f8f4e", "#8a5fbf")


def ticks(most):
    """Round numbers from 0 to no less than `most`."""
    if most <= 0:
        return [0, 1]
    step = 10 ** math.floor(math.log10(most / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if factor * step * 5 >= most)
    return [step * i for i in range(math.ceil(most / step) + 1)]


def text(x, y, words, anchor="start", colour="#333"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
            f'{html.escape(str(words))}</text>')


def line(points, colour):
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.2"/>'


def rule(x1, y1, x2, y2, colour, dashed=False):
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}"{dash}/>')


def panel(top, title, times, series, limit=None):
    """`series`: name -> values, one for each of `times`."""
    most = max([limit or 0, *(v for values in series.values() for v in values)])
    marks = ticks(most)

    def x(t):
        return LEFT + (WIDTH - LEFT - RIGHT) * (t - times[0]) / ((times[-1] - times[0]) or 1)

    def y(value):
        return top + HEIGHT * (1 - value / marks[-1])
    out = [text(LEFT, top - 10, title)]
    for mark in marks:
        out += [rule(LEFT, y(mark), WIDTH - RIGHT, y(mark), "#ddd"),
                text(LEFT - 6, y(mark) + 4, f"{mark:g}", "end")]
    if limit is not None:
        out.append(rule(LEFT, y(limit), WIDTH - RIGHT, y(limit), "#d1495b", dashed=True))
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        out += [line([(x(t), y(v)) for t, v in zip(times, values)], colour),
                text(WIDTH - RIGHT - 130 * (len(series) - 1 - number), top - 10, name, "end",
                     colour)]
    out += [text(LEFT, top + HEIGHT + 16, f"{times[0]:g} s"),
            text(WIDTH - RIGHT, top + HEIGHT + 16, f"{times[-1]:g} s", "end")]
    return out


def draw(title, times, panels):
    """`panels`: (title, series, limit or None)."""
    height = TOP + len(panels) * (HEIGHT + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="white"/>', text(LEFT, 18, title)]
    for number, (heading, series, limit) in enumerate(panels):
        out += panel(TOP + 10 + number * (HEIGHT + GAP), heading, times, series, limit)
    return "\n".join([*out, "</svg>", ""])
