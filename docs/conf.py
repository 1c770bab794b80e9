"""How Sphinx builds the site: `python3 dev.py docs`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "stepflow"
author = "stepflow contributors"
version = release = version_of("stepflow-rq")

extensions = [
    "myst_parser",  # pages are Markdown, which GitHub shows as well
    "sphinx.ext.autodoc",  # the reference comes from docstrings
    "sphinx_click.ext",  # and from `--help`
    "reference",  # _ext/reference.py: settings, exit codes, public names
]
exclude_patterns = ["_ext"]
nitpicky = False  # signatures name types of libraries that have no page here

# Markdown
myst_heading_anchors = 4  # `page.md#a-heading` is checked
myst_enable_extensions = ["colon_fence", "deflist"]

# Docstrings
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
add_module_names = False

# The page
html_theme = "pydata_sphinx_theme"
html_title = "stepflow"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
}
copyright = author  # noqa: A001  Sphinx's own name
