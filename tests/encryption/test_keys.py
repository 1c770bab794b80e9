"""Keys: rotation, keys that are not there, and what works without any."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from click.testing import CliRunner

from stepflow import AsyncClient, Client, Stepflow, Succeed
from stepflow.cli.main import cli
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.step_record import StepRecord
from stepflow.engine.history import read_history
from stepflow.errors import InvalidOption, UndecryptableValue
from stepflow.settings import Settings
from stepflow.store.values.codec import opened, pack, pack_alike, pack_list, unpack
from stepflow.store.values.digest import digest
from stepflow.store.values.keyring import forget_keys, use_keys
from stepflow.value_settings import EncryptionSettings
from stepflow.web import app as make_api
from stepflow.web import everything
from tests.encryption.conftest import NEW, OLD, with_keys
from tests.support import until

ODD = [{"a": (1, 2), "b": {3}}, "text", 2**80, None]


def use(*keys: str) -> None:
    forget_keys()
    use_keys(EncryptionSettings(keys=",".join(keys)).plain())


def test_what_old_keys_and_no_key_have_written_is_still_read():
    """[S17]"""
    clear = pack(ODD)
    use(OLD)
    old = pack(ODD)
    use(NEW, OLD)
    assert [unpack(each) for each in (clear, old, pack(ODD))] == [ODD] * 3
    assert opened(old) == clear
    assert pack(ODD) != pack(ODD)


def test_a_sealed_value_may_stand_inside_another_one():
    use(NEW)
    assert unpack(pack_list([pack(1), pack("two")])) == [1, "two"]


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("change", [flipped, bytes])
def test_a_value_that_its_key_does_not_open_names_the_key(change):
    """[S17]"""
    use(OLD)
    data = pack(ODD)
    other = OLD.partition(":")[0] + ":" + NEW.partition(":")[2]
    use(other)
    with pytest.raises(UndecryptableValue, match="'2026-05', and the key of that name") as caught:
        unpack(change(data))
    assert caught.value.key_id == "2026-05"


def test_a_process_without_the_key_is_told_which_one_it_lacks():
    """[S17]"""
    use(OLD)
    data, alike = pack(ODD), pack_alike(ODD, what="it")
    use(NEW)
    for sealed in (data, *alike):
        with pytest.raises(UndecryptableValue, match="key '2026-05', which this process"):
            unpack(sealed)
    forget_keys()
    with pytest.raises(UndecryptableValue, match="STEPFLOW_ENCRYPTION_KEYS"):
        unpack(data)


def test_what_is_compared_is_the_same_each_time_and_with_each_key():
    use(OLD)
    before, plain = pack_alike("a", what="it"), digest("runner", "a")
    use(NEW, OLD)
    assert before[0] in pack_alike("a", what="it")
    assert pack_alike("a", what="it") == pack_alike("a", what="it") != pack_alike("b", what="it")
    assert digest("runner", "a") == plain


def test_a_step_record_keeps_the_type_of_an_error_in_clear_and_its_message_sealed():
    use(NEW)
    record = StepRecord("w.1.", "failed", 1, 1.0, 2.0, error=ErrorInfo("KeyError", "x: 1").brief())
    written = record.write().encode()
    assert b"KeyError" in written
    assert StepRecord.read(written).error == "KeyError: x: 1"
    forget_keys()
    assert StepRecord.read(written).error == "KeyError: <encrypted; this process has no keys>"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("nonsense", "is not 32 bytes in base64"),
        ("a b:" + NEW.partition(":")[2], "a key is written as ID:KEY"),
        (f"{NEW},{NEW}", "the same id"),
    ],
)
def test_a_wrong_setting_is_said_without_the_key(keys, problem):
    with pytest.raises(ValueError, match=problem) as caught:
        EncryptionSettings(keys=keys)
    assert NEW.partition(":")[2] not in str(caught.value.errors()[0]["msg"])


def test_two_apps_of_one_process_have_the_same_keys(settings):
    first = Stepflow("redis://localhost", settings=with_keys(settings, NEW))
    assert first.async_client is first.async_client
    second = settings.model_copy(update={"encryption": EncryptionSettings(keys=OLD)})
    with pytest.raises(InvalidOption, match="encrypts with key '2026-11'"):
        Client("redis://localhost", settings=second)


def test_keys_are_not_shown(monkeypatch):
    monkeypatch.setenv("STEPFLOW_ENCRYPTION_KEYS", NEW)
    monkeypatch.setattr("stepflow.settings.load_settings", Settings)  # the process keeps its own
    assert NEW.partition(":")[2] not in repr(Settings())
    shown = CliRunner().invoke(cli, ["config", "show", "--json"]).output
    assert "2026-11" in shown
    assert NEW.partition(":")[2] not in shown


@pytest.mark.crash
def test_without_keys_nothing_of_it_is_loaded():
    """[S17]"""
    code = "import sys, stepflow; stepflow.Stepflow('redis://localhost').async_client; "
    code += "print([name for name in sys.modules if 'cryptography' in name or 'keyring' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def make_app(url: str, settings: Settings) -> Stepflow:
    app = Stepflow(url, settings=settings)

    @app.runner("echo")
    async def echo(step):
        return Succeed(step.payload)

    return app


async def test_a_run_whose_key_is_away_pauses_and_goes_on_when_it_is_there(url, settings, working):
    """[S17]"""
    app = make_app(url, with_keys(settings, OLD))
    await app.async_client.submit("echo", "word", run_id="r1")
    forget_keys()
    async with working(make_app(url, settings)):

        async def paused():
            return (await app.async_client.status("r1")).state == "paused"

        await until(paused)
        status = await app.async_client.status("r1")
        assert "key '2026-05'" in status.reason
        assert (status.runner, status.step) == ("echo", 0)
        assert "key '2026-05'" in str(status.payload)
        use(NEW, OLD)
        await app.async_client.resume("r1")
        assert await app.async_client.result("r1", 60) == "word"
    forget_keys()
    unreadable = str((await app.async_client.status("r1")).unreadable)
    assert "key '2026-05'" in unreadable
    assert "\\x" not in unreadable
    words = r"the result of run 'r1': a value is encrypted with key '2026-11'"
    with pytest.raises(UndecryptableValue, match=words) as told:
        await app.async_client.result("r1")
    assert told.value.key_id == "2026-11"
    use(NEW, OLD)
    document = await app.async_client.history("r1")
    assert document["input"] == {"value": "word"}
    assert read_history(document).payload == "word"


def test_a_list_needs_no_key(url, settings):
    """[S17]"""
    with Client(url, settings=with_keys(settings, OLD)) as client:
        client.submit("echo", "word", run_id="r1")
    forget_keys()
    with Client(url, settings=settings) as client:
        assert [run.id for run in client.list().runs] == ["r1"]
        assert client.why("r1").run_id == "r1"


@pytest.mark.crash
async def test_the_dashboard_and_the_api_show_a_run_without_its_key(url, settings):
    """[S17]"""
    with Client(url, settings=with_keys(settings, OLD)) as client:
        client.submit("echo", "word", run_id="r1")
    forget_keys()
    async with AsyncClient(url, settings=settings) as client:
        transport = httpx.ASGITransport(make_api(client, access=everything))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            listed = await http.get("/ui/runs")
            page = await http.get("/ui/runs/r1")
            told = await http.get("/runs/r1")
    assert [each.status_code for each in (listed, page, told)] == [200, 200, 200], told.text
    assert "r1" in listed.text
    assert "2026-05" in page.text
    assert "2026-05" in str(told.json())
