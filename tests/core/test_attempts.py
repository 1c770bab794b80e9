"""The attempts of a run, read one by one or as columns."""

from stepflow.core.step_record import Attempts

ROW = {
    b"1": b"w.7.succeed 2 6.000 7.000",
    b"0": b"w.7.continue 1 1.000 2.000",
    b"1.w.8.lost": b"w.8.lost 1 4.000 5.000",
    b"1.w.7.": b"w.7.raised 1 2.000 3.000 4.000 ValueError:%20no",
    b"10": b"w.7.fail 1 9.000 9.500",
    b"2": b"nonsense",
}


def test_attempts_come_in_the_order_in_which_they_happened():
    found = [
        (attempt.number, attempt.record.outcome.partition(":")[0], attempt.is_closed)
        for attempt in Attempts(ROW)
    ]
    assert found == [
        (0, "continue", True),
        (1, "raised", False),
        (1, "lost", False),
        (1, "succeed", True),
        (2, "unreadable", True),
        (10, "fail", True),
    ]


def test_columns_say_the_same_as_the_attempts():
    attempts = Attempts(ROW)
    columns = attempts.columns
    assert list(columns.numbers) == [attempt.number for attempt in attempts]
    assert list(columns.started_at) == [attempt.record.started_at for attempt in attempts]
    assert list(columns.ended_at) == [attempt.record.ended_at for attempt in attempts]
    assert list(columns.is_bad) == [0, 1, 1, 0, 1, 1]


def test_an_error_with_spaces_and_a_slice_are_read():
    attempts = Attempts(ROW)
    assert attempts[1].record.error == "ValueError: no"
    assert [attempt.number for attempt in attempts[-2:]] == [2, 10]
    assert len(attempts) == 6
    assert "raised" in attempts.outcomes()


def test_there_may_be_none():
    assert list(Attempts({})) == []
    assert len(Attempts({}).columns.numbers) == 0
