"""One HTML page that needs nothing else: what was run, its results in tables, and the pictures."""
import base64
import html
import math

from plotting import scaling
from plotting.read import inside, number
from plotting.style import bytes_text

STYLE = """
:root{color-scheme:light}
body{font:16px/1.5 system-ui,sans-serif;color:#1f2937;background:#fff;max-width:62rem;margin:0 auto;padding:1rem}
h1{margin:.5rem 0}h2{margin:2rem 0 .5rem}
p.verdict{border-left:.3rem solid #0072B2;padding-left:.8rem;font-size:1.1rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #d1d5db}
th:first-child,td:first-child{text-align:left}
table.facts td{text-align:left}
figure{margin:1rem 0 2rem}img{max-width:100%;height:auto}
figcaption{color:#4b5563;font-size:.92rem;max-width:52rem}
@media print{body{font-size:10.5pt;padding:0;max-width:none}figure{break-inside:avoid}h2{break-after:avoid}}
"""
SCORES = (("log_perplexity", "log-perplexity (nat/token)", "{:.4f}"), ("perplexity", "perplexity", "{:.2f}"),
          ("token_accuracy", "token accuracy (%)", "{:.2f}"), ("bits_per_byte", "bits per byte", "{:.4f}"),
          ("tokens", "tokens", "{:,.0f}"))
MOST_ROWS = 60


def escaped(value):
    return html.escape(str(value))


def table(head, rows, kind=""):
    """head and rows: plain text; the first cell of a row is its name."""
    parts = [f'<div class="wide"><table{kind}>\n']
    if head:
        cells = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
        parts.append(f"<thead><tr>{cells}</tr></thead>\n")
    parts.append("<tbody>\n")
    for row in rows:
        cells = "".join(f"<td>{escaped(cell)}</td>" for cell in row[1:])
        parts.append(f'<tr><th scope="row">{escaped(row[0])}</th>{cells}</tr>\n')
    parts.append("</tbody></table></div>\n")
    return "".join(parts)


def shown(value, form):
    return form.format(value) if math.isfinite(value) else "–"


def scores(quality):
    cells = []
    for key, _, form in SCORES:
        value = number(inside(quality, key))
        cells.append(shown(100 * value if key == "token_accuracy" else value, form))
    return cells


def facts(run):
    report = run.report or {}
    traffic = report.get("communication")
    up, down = number(inside(traffic, "up_bytes")), number(inside(traffic, "down_bytes"))
    rows = [("method", report.get("method")), ("recipe", report.get("recipe")), ("deck hash", report.get("deck_hash")),
            ("seed", report.get("seed")), ("ranks", report.get("ranks")), ("devices", report.get("devices")),
            ("global model", report.get("family")),
            ("bytes up", bytes_text(up) if math.isfinite(up) else None),
            ("bytes down", bytes_text(down) if math.isfinite(down) else None)]
    for file in (run.series, run.market):
        if file is not None:
            if not report:
                rows += [(name, attribute(file, name)) for name in ("seed", "ranks")]
            program = (attribute(file, "code_version"), attribute(file, "code_revision"))
            rows.append(("program", " ".join(filter(None, program))))
            break
    return [(name, value) for name, value in rows if value not in (None, "")]


def attribute(file, name):
    value = file.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def results(report):
    """The final model by domain, then every other model that was measured, on all text."""
    final = report.get("quality") if isinstance(report.get("quality"), dict) else {}
    domains = [name for name in final if name != "all"]
    rows = []
    if len(domains) > 1:
        rows += [[f"final model, {name}"] + scores(final[name]) for name in domains]
    rows.append(["final model, all text"] + scores(final.get("all")))
    for name, title in (("public_only", "control: public text alone"), ("best_device", "best single device")):
        baseline = inside(report, "baselines", name)
        if baseline:
            rows.append([title] + scores(inside(baseline, "all")))
    stages = [row for row in report.get("rows") or [] if isinstance(row, dict)]
    measured = [row for row in stages if math.isfinite(number(inside(row, "quality", "all", "log_perplexity")))]
    rows += [[str(row.get("name"))] + scores(inside(row, "quality", "all")) for row in measured[-MOST_ROWS:]]
    return table(["model"] + [title for _, title, _ in SCORES], rows)


def phases(report):
    rows = []
    for phase in report.get("phases") or []:
        rows.append([inside(phase, "name"), shown(number(inside(phase, "seconds")), "{:,.1f}"),
                     shown(number(inside(phase, "tokens")), "{:,.0f}"),
                     shown(number(inside(phase, "tokens_per_s")), "{:,.0f}"),
                     shown(number(inside(phase, "gflops")), "{:,.2f}")])
    return table(["phase", "seconds", "tokens", "tokens/s", "GFLOP/s"], rows) if rows else ""


def about_run(run):
    parts = []
    if run.report:
        parts.append(f'<p class="verdict">{escaped(inside(run.report, "verdict", "sentence") or "No verdict.")}</p>\n')
    elif run.series is not None:
        parts.append('<p class="verdict">No report.json: the run is not finished.</p>\n')
    parts.append(table([], facts(run), ' class="facts"'))
    if run.report:
        parts += ["<h2>Results</h2>\n", results(run.report), "<h2>Phases</h2>\n", phases(run.report)]
    return "".join(parts)


def about_runs(runs):
    rows = []
    for run in (run for run in runs if run.report):
        report, traffic = run.report, run.report.get("communication")
        moved = [number(inside(traffic, key)) for key in ("up_bytes", "down_bytes")]
        rows.append([run.name, report.get("method"), report.get("recipe"), report.get("devices"), report.get("seed"),
                     report.get("ranks"), str(report.get("deck_hash"))[:8]] + scores(inside(report, "quality", "all"))
                    + [bytes_text(value) if math.isfinite(value) else "–" for value in moved])
    head = ["run", "method", "recipe", "devices", "seed", "ranks", "deck hash"] + [title for _, title, _ in SCORES]
    counters = scaling.rows(runs)
    return ("<h2>Results</h2>\n" + table(head + ["up", "down"], rows) +
            ("<h2>Phases by ranks</h2>\n" + table(scaling.HEAD, counters) if counters else ""))


def figures(pictures):
    parts = []
    for picture, path in pictures:
        with open(path, "rb") as file:
            image = base64.b64encode(file.read()).decode()
        parts.append(f"<h2>{escaped(picture.title)}</h2>\n<figure>"
                     f'<img alt="{escaped(picture.title)}" src="data:image/png;base64,{image}">\n'
                     f"<figcaption>{escaped(picture.caption)}</figcaption></figure>\n")
    return "".join(parts)


def page(title, about, pictures, notes):
    """notes: pictures that were left out, with the reason."""
    left = "".join(f"<li>{escaped(note)}</li>\n" for note in notes)
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escaped(title)}</h1>\n"
            f"{about}{figures(pictures)}"
            + (f"<h2>Left out</h2>\n<ul>\n{left}</ul>\n" if notes else "") + "</body>\n</html>\n")
