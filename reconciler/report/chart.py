"""Trends as an SVG chart, drawn with matplotlib (the `charts` extra).

The same runs make the same bytes: no date, no random ids, no name of the version. Text stays text, so that a chart can
be searched and read aloud.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reconciler.core.trends import MEASURES, Run

_INCHES = (9.0, 6.5)
_COLOURS = ("#0072b2", "#d55e00", "#009e73")
"""Told apart by people who see few colours (Okabe and Ito, 2008)."""

_TITLES = {
    "duplicates": "Duplicates: contacts beyond the one to keep",
    "failures": "Failures: actions that failed or ended unknown",
    "drift": "Drift: contacts whose own fields differ from their member",
}


def runs_svg(runs: Sequence[Run]) -> bytes:
    """A panel for each measure over the time of these runs, oldest first. Runs that do not know it leave it out."""
    with mpl.rc_context():
        mpl.rcdefaults()  # and not what a person's own matplotlibrc says
        mpl.rcParams.update({"svg.hashsalt": "reconciler", "svg.fonttype": "none"})
        figure = Figure(figsize=_INCHES, layout="constrained")
        FigureCanvasSVG(figure)
        panels = figure.subplots(len(MEASURES), 1, sharex=True, squeeze=False)
        for place, name in enumerate(MEASURES):
            _draw(panels[place][0], name, _COLOURS[place], runs)
        written = BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Title": "Runs over time"})
    return written.getvalue()


def _draw(axes: Axes, name: str, colour: str, runs: Sequence[Run]) -> None:
    known = [(_days(run.at), value) for run in runs if (value := MEASURES[name](run)) is not None]
    axes.plot([at for at, _ in known], [value for _, value in known], color=colour, marker=".", linewidth=1.2)
    axes.xaxis_date("UTC")
    axes.set_title(_TITLES[name], loc="left", fontsize=10)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _days(at: str) -> float:
    """A time as matplotlib counts it: days since 1970 (`date.epoch` of its defaults)."""
    return datetime.fromisoformat(at).timestamp() / 86_400
