"""The rows of a list, read and held against what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stepflow.core.run import Run, RunStatus
from stepflow.engine.env import Env
from stepflow.engine.listing.filters import RunFilter
from stepflow.engine.listing.sources import Source, Standing, proper_index
from stepflow.engine.status import status_of
from stepflow.store.calls import batch_of
from stepflow.store.evidence.of_run import score_of
from stepflow.store.runs import load_data, load_outline, load_run, load_spec


@dataclass(frozen=True, slots=True)
class Row:
    """A run as an index has it."""

    run_id: str
    score: float
    source: Source


async def fitting(
    rows: Sequence[Row], wanted: RunFilter, env: Env, *, began_at: float
) -> dict[Row, RunStatus]:
    """Read those runs that are asked for: the data, which may be large, of these alone."""
    load = load_data if wanted.values else load_outline
    runs = await batch_of([load_run(env.keys, row.run_id) for row in rows])
    found = {
        row: run
        for row, run in zip(rows, runs, strict=True)
        if run is not None and wanted.fits(run)
    }
    found = await _standing(found, env, began_at)
    if wanted.reads_spec:
        specs = await batch_of([load_spec(env.keys, row.run_id) for row in found])
        pairs = zip(found.items(), specs, strict=True)
        found = {row: run for (row, run), spec in pairs if wanted.fits_spec(spec)}
    datas = await batch_of([load(env.keys, row.run_id) for row in found])
    pairs_ = zip(found.items(), datas, strict=True)
    shown = {row: status_of(run, data) for (row, run), data in pairs_}
    return {row: status for row, status in shown.items() if wanted.fits_status(status)}


async def _standing(found: dict[Row, Run], env: Env, began_at: float) -> dict[Row, Run]:
    """Leave out what an index only seems to hold, and what another one holds as well."""
    standing = {row: row.source.standing(run, began_at) for row, run in found.items()}
    doubtful = [row for row, is_worth in standing.items() if is_worth is Standing.DOUBTFUL]
    elsewhere = await batch_of(
        [score_of(proper_index(found[row], env.keys), row.run_id) for row in doubtful]
    )
    good = {row for row, is_worth in standing.items() if is_worth is Standing.GOOD}
    good |= {row for row, score in zip(doubtful, elsewhere, strict=True) if score is None}
    return {row: run for row, run in found.items() if row in good}
