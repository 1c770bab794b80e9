import pytest

from stepflow.core.step_record import StepRecord, attempt_name, closed_name, read_name


def test_a_record_is_read_back_as_it_was_written():
    record = StepRecord("w1.7.", "continue", attempt=2, started_at=1.5, ended_at=2.25)
    assert record.write() == "w1.7.continue 2 1.500 2.250"
    assert StepRecord.read(record.write().encode()) == record
    assert record.worker == "w1"


@pytest.mark.parametrize(
    "written", [b"", b"continue 1 1 2", b"w.1.continue 1 1", b"w.1.back x 1 2", b"\xff.a 1 1 2"]
)
def test_what_is_no_record_is_refused(written):
    with pytest.raises(ValueError, match=r"."):
        StepRecord.read(written)


def test_a_name_says_which_step_and_whether_it_was_closed():
    assert read_name(closed_name(3).encode()) == (3, True)
    assert read_name(attempt_name(3, "w1.7.").encode()) == (3, False)
    assert attempt_name(3, "w1.7.", lost=True) == "3.w1.7.lost"
    assert read_name(b"what") == (0, True)
