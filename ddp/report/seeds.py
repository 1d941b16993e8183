"""The spread over seeds of each configuration, below the curves of its accuracy."""

from collections.abc import Sequence

from ddp.report.markup import Value, figure, figures, lead, table
from ddp.report.overview import value_of
from ddp.report.spreads import Dots, spreads
from ddp.report.svg import page_style
from ddp.results.best import groups_of, lowest_first
from ddp.results.run_file import RunFile
from ddp.results.seeds import Configuration, over_seeds
from ddp.results.table import differing_settings
from ddp.results.ties import tie

FIGURES = {"mean": "mean", "std": "standard deviation", "low": "95 % low", "high": "95 % high"}
DRAWN = {"test_rmse": ("test RMSE", ""), "train_s": ("seconds of training", " s")}
MAX_DRAWN = 30  # settings with dots of their own
TITLE = "Spread over seeds"
TEXT = (
    "The runs of a row differ in their seed alone. The 95 % interval is that of the mean over ever"
    " more seeds (Student's t); the standard deviation is that of single runs."
)


def seeds(files: Sequence[RunFile]) -> str:
    """The table of the configurations that ran with several seeds; "" if there is none."""
    configurations = over_seeds(files)
    if not configurations:
        return ""
    names = differing_settings(configurations)
    measures = list(dict.fromkeys(name for each in configurations for name in each.spreads))
    headers = [name.replace("_", " ").replace(".", " ") for name in names]
    headers += ["seeds", "failed runs"]
    headers += [
        f"{measure.replace('_', ' ')} {text}" for measure in measures for text in FIGURES.values()
    ]
    rows = [_row(each, names, measures) for each in configurations]
    return f"<h3>{TITLE}</h3>{lead(TEXT)}{_pictures(files)}{table(TITLE, headers, rows)}"


def _pictures(files: Sequence[RunFile]) -> str:
    """The values of each setting, with those that tie with the lowest mean in colour."""
    pieces = []
    for name, (title, unit) in DRAWN.items():
        groups = lowest_first(groups_of(files), name)[:MAX_DRAWN]
        values = [group.values(name) for group in groups]
        if any(len(own) > 1 for own in values):
            rows = [
                Dots(label=group.label, values=own, ties=not at or tie(values[0], own))
                for at, (group, own) in enumerate(zip(groups, values, strict=True))
            ]
            caption = f"{title}: settings in colour tie with the lowest"
            with page_style():
                pieces.append(figure(spreads(rows, title, unit), caption))
    return figures(pieces)


def _row(each: Configuration, names: Sequence[str], measures: Sequence[str]) -> list[Value]:
    values = [(name, each.settings.get(name)) for name in names]
    values += [("seeds", each.spreads["test_rmse"].count), ("failed runs", each.failed)]
    values += [
        (measure, getattr(each.spreads.get(measure), figure, None))
        for measure in measures
        for figure in FIGURES
    ]
    return [value_of(name, value) for name, value in values]
