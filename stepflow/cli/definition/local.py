"""
The app of `stepflow run` without --app: it has no tools, and runs what your own file says.

You started it, so a definition may run scripts, and read what variables it declares.
"""

from __future__ import annotations

import os

from stepflow import Stepflow

app = Stepflow()
app.definitions(scripts=True, env=list(os.environ))
