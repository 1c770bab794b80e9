import pytest

from stepflow.core.run import StopKind, StopRequest
from stepflow.store.channel import ChannelMessage


@pytest.mark.parametrize(
    "message",
    [
        ChannelMessage("a"),
        ChannelMessage("a", StopRequest(StopKind.CANCEL, "a | b", 7.5)),
        ChannelMessage("a", StopRequest(StopKind.DEADLINE, "inbox||", 7.5)),
    ],
)
def test_a_message_is_read_back_as_it_was_written(message):
    assert ChannelMessage.read(message.write()) == message


@pytest.mark.parametrize("message", ["", "a", "a|", "a|inbox", "a|what|1|x", "a|cancel|nan|x"])
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError, match=r"."):
        ChannelMessage.read(message)
