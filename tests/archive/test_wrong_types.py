"""Whatever is given to the archive and of another type is refused in a sentence, or accepted."""

from __future__ import annotations

from itertools import product

import pytest

from stepflow import Client
from stepflow.errors import ArchiveConflict, ArchiveMisconfigured, StepflowError
from stepflow.settings import Settings
from tests.around.test_wrong_types import ODD

MORE = [*ODD, "a\0b", 2**31, 2**63, "x" * 1000]
#: what a database says itself, in words that have nothing to do with what was given
ITS_OWN = (ArchiveConflict, ArchiveMisconfigured)


def listing(option):
    return lambda a, x: a.list(**{option: x})


TABLE = {
    **{
        f"list({option}=)": listing(option)
        for option in (
            "limit", "cursor", "run_id", "state", "runner", "version", "queue", "parent",
            "headers", "tags", "since", "until", "error", "longer_than", "shorter_than", "where",
        )
    },
    "list(where=version)": lambda a, x: a.list(where=f"version={x}"),
    "list(where=header)": lambda a, x: a.list(where=f"header.{x}~{x}"),
    "list(headers={x:})": lambda a, x: a.list(headers={x: "y"} if x.__hash__ else {"y": x}),
    "list(tags={:x})": lambda a, x: a.list(tags={"y": x}),
    "list_both(limit=)": lambda a, x: a.list_both(limit=x),
    "list_both(cursor=)": lambda a, x: a.list_both(cursor=x),
    "get": lambda a, x: a.get(x),
    "get(generation=)": lambda a, x: a.get("r1", generation=x),
    "get(end=)": lambda a, x: a.get("r1", end=x),
    "steps": lambda a, x: a.steps(x),
    "document": lambda a, x: a.document(x),
    "export(redact=)": lambda a, x: list(a.export(redact=x)),
    "prune": lambda a, x: a.prune(x, dry_run=True),
    "prune(state=)": lambda a, x: a.prune(1, state=x, dry_run=True),
    "prune(runner=)": lambda a, x: a.prune(1, runner=x, dry_run=True),
    "snapshot": lambda a, x: a.snapshot(x),
    "snapshot(why=)": lambda a, x: a.snapshot("r1", why=x),
    "snapshots": lambda a, x: a.snapshots(x),
    "restore": lambda a, x: a.restore(x),
    "restore(snapshot)": lambda a, x: a.restore("r1", x),
    "restore(new_id=)": lambda a, x: a.restore("r1", new_id=x),
}  # fmt: skip


@pytest.fixture
def archives(archive_url: str, url: str, real):
    settings = Settings()
    client = Client(
        url, settings=settings.model_copy(update={"archive": settings.archive.at(archive_url)})
    )
    client.submit("etl", 1, run_id="r1")
    client.archive.snapshot("r1")
    yield client.archive
    client.archive.close()
    client.close()
    real.flushall()


def test_what_is_of_another_type_is_refused_in_a_sentence(archives):
    """[B37] [H6]"""
    wrong = []
    for what, odd in product(TABLE, MORE):
        try:
            TABLE[what](archives, odd)
        except ITS_OWN as error:
            wrong.append(f"{what} with {odd!r:.20} has the database say: {error}")
        except StepflowError as error:
            if len(str(error)) < 10:
                wrong.append(f"{what} says only {error}")
        except Exception as error:  # noqa: BLE001  the fault that is looked for
            wrong.append(f"{what} with {odd!r:.20} raises {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
