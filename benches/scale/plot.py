"""Tables in Markdown and plots in SVG."""
import math

COLOURS = ["#2a6f97", "#c8553d", "#5b8c5a", "#8a5a9e", "#b08900", "#4a4a4a"]
LEFT, TOP, WIDTH, HEIGHT = 70, 50, 520, 220


def short(number):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def nice(most):
    """The least of 1, 2, 5, 10 … that is no less."""
    base = 10 ** math.floor(math.log10(most))
    return next(base * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if base * step >= most * 0.999)


def lines(title, across, up, series, log_x=True, log_y=False):
    """`series` is {name: [(x, y), …]}."""
    xs = sorted({x for some in series.values() for x, _ in some})
    ys = [y for some in series.values() for _, y in some]
    scale = (lambda x: math.log10(max(x, 1))) if log_x else (lambda x: x)
    low, high = scale(xs[0]), scale(xs[-1])
    at_x = lambda x: LEFT + (scale(x) - low) / ((high - low) or 1) * WIDTH
    if log_y:
        floor, top = 10 ** math.floor(math.log10(max(min(ys), 1e-6))), 10 ** math.ceil(math.log10(max(ys)))
        at_y = lambda y: TOP + HEIGHT - math.log10(max(y, floor) / floor) / math.log10(top / floor) * HEIGHT
        marks = [floor * 10**power for power in range(round(math.log10(top / floor)) + 1)]
    else:
        top = nice(max(ys))
        at_y = lambda y: TOP + HEIGHT - y / top * HEIGHT
        marks = [top * part / 4 for part in range(5)]
    out = [f'<text x="10" y="18" font-weight="bold">{title}</text><text x="10" y="36">{up}</text>']
    for mark in marks:
        out.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{at_y(mark):.1f}" y2="{at_y(mark):.1f}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 8}" y="{at_y(mark) + 4:.1f}" text-anchor="end">{short(mark)}</text>')
    for x in xs if len(xs) < 12 else [xs[0] + (xs[-1] - xs[0]) * part / 6 for part in range(7)]:
        out.append(f'<text x="{at_x(x):.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{short(x)}</text>')
    out.append(f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 36}" text-anchor="middle">{across}</text>')
    for number, (name, some) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in some)
        out.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(some) < 12:
            out += [f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" fill="{colour}"/>' for x, y in some]
        y = TOP + HEIGHT + 58 + 18 * number
        out.append(f'<rect x="{LEFT}" y="{y - 10}" width="12" height="12" fill="{colour}"/><text x="{LEFT + 18}" y="{y}">{name}</text>')
    height = TOP + HEIGHT + 60 + 18 * len(series)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 30}" height="{height}" font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(out)}</svg>\n')


def curve_plot(curve):
    series = {}
    for row in curve["rows"]:
        series.setdefault(row["series"], []).append((row["x"], row["us"]))
    us = [row["us"] for row in curve["rows"]]
    return lines(f'{curve["title"]}: what a request costs', curve["axis"], "CPU µs a request, median", series, log_y=max(us) > 30 * min(us))


def curve_table(curve):
    everywhere = lambda key: all(key in row for row in curve["rows"])
    told, memory = everywhere("told"), curve["memory"]
    late = {key: name for key, name in (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9")) if everywhere(key)}
    head = ["", curve["axis"].split(" (")[0], "CPU µs a request", "least to most", "requests/s"]
    head += [*late.values()] + ["resident after start"] * memory + [curve.get("told", "beside")] * told
    out = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in curve["rows"]:
        cells = [row["series"], f'{row["x"]:,}', f'**{row["us"]:,.1f}**', f'{row["least"]:,.1f}–{row["most"]:,.1f}', f'{row["rps"]:,.0f}']
        cells += [f"{row[key] / 1000:.2f} ms" for key in late]
        cells += [f'{row["start_mb"]:.0f} MB'] if memory else []
        cells += [f'{row["told"]:,.0f}'] if told else []
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"
