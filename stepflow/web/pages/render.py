"""Templates: found in this package, everything in them escaped."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stepflow.shell import to_type
from stepflow.web.pages import assets, words
from stepflow.web.pages.timeline.words import length
from stepflow.web.pages.visit import Shown, Visit

_FOLDER = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.visible,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "span": words.span, "exact": words.exact, "count": words.count, "pretty": words.pretty,
        "far": words.far, "head": words.head, "size": words.size, "took": length,
        "holds": words.holds, "to_type": to_type,
    }  # fmt: skip
    return made


def render(shown: Shown, visit: Visit, **around: Any) -> str:
    """Make the HTML of a page: whole, or its content alone."""
    template = _environment().get_template(shown.template)
    values = {**around, **shown.values}
    return template.render(
        values,
        visit=visit,
        url=visit.url,
        now=visit.now,
        live=shown.live,
        asset=lambda name: f"{visit.root}/ui/static/{assets.tag()}/{name}",
        frame="fragment.html" if visit.is_fragment else "base.html",
    )
