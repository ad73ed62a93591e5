from engine.transcript import LINE_LENGTH, Trace


def test_lines_in_order():
    trace = Trace()
    trace.server("220 hi")
    trace.client("EHLO x")
    assert trace.lines() == ["S: 220 hi", "C: EHLO x"]


def test_the_last_lines_are_kept():
    trace = Trace(limit=2)
    for number in range(5):
        trace.client(str(number))
    assert trace.lines() == ["[3 lines dropped]", "C: 3", "C: 4"]


def test_a_long_line_is_cut():
    trace = Trace()
    trace.server("x" * (LINE_LENGTH + 1))
    assert trace.lines() == ["S: " + "x" * LINE_LENGTH + "..."]


def test_control_characters_are_made_visible():
    trace = Trace()
    trace.server("a\r\nC: forged\x1b[31m\u2028\x85ü")
    assert trace.lines() == ["S: a\\x0d\\x0aC: forged\\x1b[31m\\u2028\\x85ü"]
