"""What a server may lose is said in a sentence; that it has become another one is seen."""

from __future__ import annotations

import pytest

from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.durability.losses import (
    Persistence,
    ServerIdentity,
    load_identity,
    load_persistence,
)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Persistence(True, "always", '""', 0), "no acknowledged step is lost"),
        (Persistence(True, "everysec", '""', 0), "up to 2 s of acknowledged steps"),
        (Persistence(True, "no", '""', 0), "often 30 s"),
        (Persistence(True, "", "", 0), "unless appendfsync is always"),
        (Persistence(False, "everysec", "3600 1", 0), "since the last snapshot"),
        (Persistence(False, "everysec", "", 0), "since the last snapshot"),
        (Persistence(False, "everysec", '""', 0), "neither an append-only file nor snapshots"),
        (Persistence(True, "always", '""', 2), "when a replica takes over"),
    ],
)
def test_what_the_settings_may_lose_is_said_in_a_sentence(found, words):
    """[C39]"""
    assert words in found.loss_at("everysec")


@pytest.mark.parametrize("durability", ["fsync", "replicated"])
def test_where_every_write_waits_nothing_is_lost_whatever_the_settings(durability):
    assert f"durability is {durability}: nothing" in Persistence(True, "everysec", "", 0).loss_at(
        durability
    )


@pytest.mark.parametrize("appendfsync", ["always", "everysec", "no"])
def test_the_settings_are_read_from_the_server(link_to_real, real, appendfsync):
    before = real.config_get("appendfsync")["appendfsync"]
    real.config_set("appendfsync", appendfsync)
    try:
        assert carry_out(link_to_real, load_persistence()) == (True, appendfsync, '""', 0)
    finally:
        real.config_set("appendfsync", before)


def test_a_user_who_may_not_read_the_settings_is_told_what_holds_for_all(real, server):
    real.execute_command("ACL", "SETUSER", "looker", "on", ">pw", "-@all", "+info", "+ping")
    link = SyncConnection.to(
        Address.parse(f"{server}{'&' if '?' in server else '?'}username=looker&password=pw")
    )
    try:
        assert "unless appendfsync is always" in carry_out(link, load_persistence()).loss_at(
            "memory"
        )
    finally:
        link.close()
        real.execute_command("ACL", "DELUSER", "looker")


@pytest.mark.parametrize("may_read", [True, False])
def test_a_user_who_may_not_read_the_settings_leaves_no_line_in_the_log(real, server, may_read):
    rules = [
        "-@all",
        "+info",
        "+ping",
        "+evalsha",
        "+script|load",
        *(["+config|get"] if may_read else []),
    ]
    real.execute_command("ACL", "SETUSER", "looker", "reset", "on", ">pw", *rules)
    real.acl_log_reset()
    link = SyncConnection.to(
        Address.parse(f"{server}{'&' if '?' in server else '?'}username=looker&password=pw")
    )
    try:
        assert bool(carry_out(link, load_persistence()).appendfsync) is may_read
        assert {entry["object"] for entry in real.acl_log()} <= {"client|setinfo", "client|setname"}
    finally:
        link.close()
        real.execute_command("ACL", "DELUSER", "looker")


BEFORE = ServerIdentity("process-1", "history-1", "0")


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (BEFORE, ""),
        (ServerIdentity("", "", ""), ""),
        (ServerIdentity("process-1", "history-1", "history-0"), ""),
        (ServerIdentity("process-2", "history-2", "0"), "was started again"),
        (ServerIdentity("process-2", "history-2", "history-1"), "a replica has taken over"),
        (ServerIdentity("process-1", "history-2", "0"), "its data were replaced"),
    ],
)
def test_another_server_in_the_place_of_the_first_is_told_from_a_lost_connection(now, words):
    """The first lines are negative controls."""
    found = now.words_since(BEFORE)
    assert words in found
    assert bool(words) is bool(found)


def test_a_server_says_which_it_is(link_to_real, real):
    info = real.info()
    found = carry_out(link_to_real, load_identity())
    assert found == (info["run_id"], info["master_replid"], "0" * 40)
