"""What goes wrong with an archive is said in words, with no secret in them."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from stepflow.archive.archive import Archive
from stepflow.errors import ArchiveConflict, ArchiveMisconfigured, ArchiveUnreachable
from stepflow.settings import ArchiveSettings


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://a:secret@host/db", "it knows no database 'mysql'"),
        ("secret", "its URL is none"),
        ("postgresql+asyncpg://a:secret@host/db", "it knows no database"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url, said):
    """[H6]"""
    with pytest.raises(ArchiveMisconfigured, match=said) as caught:
        Archive(ArchiveSettings(url=url))
    assert "secret" not in str(caught.value)
    assert not caught.value.retryable


def test_a_database_that_does_not_answer_may_answer_later():
    """[H6]"""
    with (
        Archive(ArchiveSettings(url="postgres://me:secret@127.0.0.1:1/db")) as archive,
        pytest.raises(ArchiveUnreachable, match="does not answer") as caught,
    ):
        archive.health()
    assert "secret" not in str(caught.value)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("54000", ArchiveConflict), ("XX000", ArchiveConflict), ("53100", ArchiveUnreachable),
        ("40P01", ArchiveUnreachable), ("57P01", ArchiveUnreachable), (None, ArchiveUnreachable),
    ],
)  # fmt: skip
def test_what_is_beyond_a_database_is_said_of_the_end_and_not_of_the_archive(state, kind):
    """[H6] Else one end would keep all others waiting for ever."""

    class Refusal(Exception):
        sqlstate = state

    error = OperationalError("INSERT", {}, Refusal("invalid memory alloc request size 1073741824"))
    with Archive(ArchiveSettings(url="memory://")) as archive:
        assert isinstance(archive._database._error(error), kind)


@pytest.mark.parametrize("name", ["password", "sslpassword", "options", "unheard_of"])
def test_an_option_that_may_be_a_secret_is_not_shown(name):
    """[H6]"""
    url = f"postgresql://127.0.0.1:1/db?{name}=s3cret&sslmode=disable"
    with (
        Archive(ArchiveSettings(url=url)) as archive,
        pytest.raises((ArchiveUnreachable, ArchiveMisconfigured)) as caught,
    ):
        archive.health()
    assert "s3cret" not in f"{caught.value} {archive.url}"
    assert f"{name}=***" in archive.url
    assert "sslmode=disable" in archive.url


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with (
        Archive(ArchiveSettings(url=f"sqlite:///{tmp_path}/no/archive.db")) as archive,
        pytest.raises(ArchiveUnreachable, match="unable to open database file"),
    ):
        archive.list()
