"""Versioned weights between the learner and the actors."""

import threading

import pytest

from impala_tf.experience.weights import WeightStore
from impala_tf.support.threads import Closed


def waiting_event(store, monkeypatch):
    """An event that is set when somebody begins to wait in the store. Whoever publishes or closes then comes later."""
    waiting = threading.Event()
    wait_for = store._condition.wait_for

    def spy(predicate):
        if not predicate():
            waiting.set()
        return wait_for(predicate)

    monkeypatch.setattr(store._condition, "wait_for", spy)
    return waiting


def in_thread(function):
    """Starts the function; returns the thread and the list that its result or error comes to."""
    results = []

    def work():
        try:
            results.append(function())
        except Closed:
            results.append("closed")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, results


def test_newer_weights_are_there_at_once():
    store = WeightStore()
    store.publish(3, "three")
    assert store.newer_than(2) == (3, "three")


def test_who_asks_for_newer_weights_waits_until_they_are_published(monkeypatch):
    store = WeightStore()
    store.publish(3, "three")
    waiting = waiting_event(store, monkeypatch)
    thread, results = in_thread(lambda: store.newer_than(3))
    assert waiting.wait(30)
    assert results == []
    store.publish(4, "four")
    thread.join(30)
    assert results == [(4, "four")]


def test_closing_wakes_who_waits(monkeypatch):
    store = WeightStore()
    store.publish(4, "four")
    waiting = waiting_event(store, monkeypatch)
    thread, results = in_thread(lambda: store.newer_than(4))
    assert waiting.wait(30)
    store.close()
    thread.join(30)
    assert results == ["closed"]
    with pytest.raises(Closed):
        store.newer_than(0)


def test_with_a_lag_the_weights_are_those_of_some_versions_before():
    store = WeightStore(lag=2)
    for version in range(5):
        store.publish(version, f"flat {version}")
        assert store.latest() == (max(0, version - 2), f"flat {max(0, version - 2)}")


def test_listeners_have_the_weights_before_the_actors_see_the_version():
    store = WeightStore()
    store.publish(1, "one")
    seen = []
    store.add_listener(lambda flat: seen.append((flat, store.latest())))
    store.publish(2, "two")
    assert seen == [("two", (1, "one"))]
    assert store.latest() == (2, "two")


def test_a_store_that_was_opened_again_has_forgotten_all_weights():
    store = WeightStore(lag=1)
    seen = []
    store.add_listener(seen.append)
    store.publish(8, "eight")
    store.publish(9, "nine")
    store.close()
    store.reopen()
    store.publish(5, "five")
    assert store.newer_than(4) == (5, "five")
    assert seen == ["eight", "eight", "five"]
