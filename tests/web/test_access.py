"""Who may do what [O18]."""

import pytest

from stepflow.errors import InvalidOption
from stepflow.web import Grant, reading
from stepflow.web.access import Tokens, read_tokens
from stepflow.web.routes import OPERATIONS

ALL, READ = "all-0123456789abcdef", "read-0123456789abcdef"
TOKENS = Tokens({ALL: "ann"}, {READ: "bob"})


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("wrong-0123456789abcdef"), 401),
        ({"Authorization": f"Basic {ALL}"}, 401),
        ({"Authorization": ALL}, 401),
        (bearer(ALL), 200),
        (bearer(READ), 200),
    ],
)
async def test_without_a_known_token_nothing_is_shown(api, headers, status):
    """[O18] The answer says how to send one."""
    answer = await api(access=TOKENS).get("/runs", headers=headers)
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
async def test_whether_it_is_well_is_told_to_anybody(api, path):
    assert (await api(access=TOKENS).get(path)).status_code == 200


async def test_an_app_says_itself_who_may_do_what(api):
    """[O18] As words, a set of verbs or a Grant, by a function or a coroutine function."""

    async def by_header(request):
        return request.headers.get("x-user") and Grant("read", request.headers["x-user"])

    http = api(access=by_header)
    assert (await http.get("/runs")).status_code == 401
    assert (await http.get("/runs", headers={"x-user": "ann"})).status_code == 200
    assert (await api(access=lambda request: {"cancel"}).get("/runs")).status_code == 200
    assert (await api(access=lambda request: None).get("/runs")).status_code == 401
    assert (await api(access=reading).get("/runs")).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:80", 200), ("[::1]:80", 200), ("ops.test", 200), ("evil.test", 421), ("", 421)],
)
async def test_a_host_that_it_does_not_go_by_is_refused(api, host, status):
    """[O18] So a name that a page has rebound to this machine leads nowhere."""
    http = api(hosts={"localhost", "::1", "ops.test"})
    assert (await http.get("/runs", headers={"Host": host})).status_code == status


def test_a_file_of_tokens_names_their_bearers(tmp_path):
    """[O18]"""
    path = tmp_path / "tokens"
    path.write_text("# ours\n\nann 0123456789abcdef\nfedcba9876543210\n")
    assert read_tokens(path) == {"0123456789abcdef": "ann", "fedcba9876543210": "token"}


@pytest.mark.parametrize(
    ("text", "said"), [("", "no token"), ("short", "line 1"), ("a b 0123456789abcdef", "line 1")]
)
def test_a_file_without_a_usable_token_is_refused(tmp_path, text, said):
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(InvalidOption, match=said):
        read_tokens(path)
    with pytest.raises(InvalidOption, match="cannot be read"):
        read_tokens(tmp_path / "missing")


def test_every_operation_that_changes_something_needs_the_right_of_its_verb():
    """[O18] A reader's right is that of every other one."""
    for operation in OPERATIONS:
        assert (operation.right in {"read", ""}) != operation.is_verb, operation.path
