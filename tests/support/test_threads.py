import signal
import threading
import time

import pytest

from impala_tf.support import signals
from impala_tf.support.threads import Closed, Crew, Slot, Turns


def test_the_first_error_ends_all_and_is_kept():
    crew, woken = Crew(), threading.Event()
    crew.on_stop(woken.set)

    def waits():
        woken.wait(30)
        raise ValueError("a consequence of the stop")

    def fails():
        raise OSError("the cause")

    crew.start("waits", waits)
    crew.start("fails", fails)
    assert crew.wait(30)
    assert crew.join(30) == []
    assert isinstance(crew.error, OSError)


def test_who_does_not_end_is_named():
    crew, release = Crew(), threading.Event()
    crew.start("stuck", lambda: release.wait(30))
    crew.start("quick", lambda: None)
    crew.stop()
    assert crew.join(0.05) == ["stuck"]
    release.set()
    assert crew.join(30) == []
    assert crew.error is None


def test_a_slot_holds_one():
    slot, taken = Slot(), []

    def produce():
        for i in range(100):
            slot.put(i)

    thread = threading.Thread(target=produce)
    thread.start()
    taken = [slot.get() for _ in range(100)]
    thread.join(30)
    assert taken == list(range(100))


@pytest.mark.parametrize("side", ["put", "get"])
def test_a_closed_slot_wakes(side):
    slot, raised = Slot(), threading.Event()
    if side == "put":
        slot.put(1)

    def wait():
        try:
            slot.put(2) if side == "put" else slot.get()
        except Closed:
            raised.set()

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    assert not raised.is_set()
    slot.close()
    assert raised.wait(30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_noted_once_and_given_back(number, capfd, monkeypatch):
    """`timeout` sends one to the process and one to its group; only a later one is a second wish."""
    usual = []
    before = signal.signal(number, lambda *_: usual.append(1))
    try:
        with signals.requests() as request:
            assert not request.made
            for _ in range(3):
                signal.raise_signal(number)
            assert request.made
            assert not usual
            monkeypatch.setattr(signals, "SAME_REQUEST_SECS", 0.0)
            time.sleep(0.01)
            signal.raise_signal(number)
            assert usual == [1], "a second wish acts as usual"
        signal.raise_signal(number)
        assert usual == [1, 1]
    finally:
        signal.signal(number, before)
    assert capfd.readouterr().err.count(signal.Signals(number).name) == 1


def test_a_closed_terminal_stays_ignored_where_nohup_asked_for_that():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.requests() as request:
            signal.raise_signal(signal.SIGHUP)
            assert not request.made
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_turns_are_given_in_the_order_in_which_they_were_asked_for():
    """The thread that gives its turn back and asks again comes after those that were waiting."""
    turns, order = Turns(1), []
    turns.acquire()

    def work(name):
        turns.acquire()
        order.append(name)
        turns.release()

    threads = []
    for name in range(5):
        threads.append(threading.Thread(target=work, args=(name,)))
        threads[-1].start()
        while len(turns._waiting) <= name:
            time.sleep(0.001)
    turns.release()
    turns.acquire()
    order.append("first again")
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4, "first again"]


def test_as_many_turns_at_a_time_as_there_are():
    turns = Turns(2)
    turns.acquire()
    turns.acquire()
    third = threading.Thread(target=turns.acquire)
    third.start()
    third.join(0.05)
    assert third.is_alive()
    turns.release()
    third.join(10)
    assert not third.is_alive()


def test_a_turn_that_was_passed_on_is_given_back_once():
    turns, me = Turns(1), threading.get_ident()
    assert not turns.pass_on(me)
    turns.acquire()
    assert turns.pass_on(me)
    assert not turns.pass_on(me)
    turns.release()
    turns.acquire()
    second = threading.Thread(target=turns.acquire, daemon=True)
    second.start()
    second.join(0.05)
    assert second.is_alive(), "there is one turn"
    turns.release()
    second.join(10)
    assert not second.is_alive()


def test_closed_turns_wake_those_that_wait():
    turns, raised = Turns(1), threading.Event()
    turns.acquire()

    def wait():
        try:
            turns.acquire()
        except Closed:
            raised.set()

    threading.Thread(target=wait).start()
    while not turns._waiting:
        time.sleep(0.001)
    turns.close()
    assert raised.wait(30)
    with pytest.raises(Closed):
        turns.acquire()
