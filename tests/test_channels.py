"""Nothing here sleeps: a thread counts as waiting once it has entered the condition's `wait`."""

import threading

import pytest

from sf_detect.channels import Channel, ChannelClosed, Mailbox

PATIENCE = 10.0


class Watched(threading.Condition):
    """Tells when someone waits: `entered` is set with the lock held, which only `wait` itself gives up."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Semaphore(0)

    def wait(self, timeout=None):
        self.entered.release()
        return super().wait(timeout)


class Call:
    """A call in a thread of its own; `outcome` is what it returned or raised."""

    def __init__(self, function, *args):
        self._thread = threading.Thread(target=self._work, args=(function, *args), daemon=True)
        self._thread.start()

    def _work(self, function, *args):
        try:
            self._outcome = function(*args)
        except BaseException as error:
            self._outcome = error

    @property
    def outcome(self):
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the call still waits"
        return self._outcome


@pytest.fixture(params=[lambda: Channel(2), Mailbox], ids=["channel", "mailbox"])
def handover(request):
    made = request.param()
    made._changed = Watched()
    return made


def full_channel():
    channel = Channel(1)
    channel._changed = Watched()
    channel.put("first")
    return channel


def waiting(handover, function, *args):
    """A call that is known to wait."""
    call = Call(function, *args)
    assert handover._changed.entered.acquire(timeout=PATIENCE)
    return call


def test_channel_keeps_order_and_drops_nothing():
    channel = Channel(3)
    put = Call(lambda: [channel.put(i) for i in range(1000)] and channel.finish())
    assert list(channel) == list(range(1000))
    assert put.outcome is None


def test_channel_shared_by_several_threads_hands_out_each_item_once():
    channel = Channel(2)
    producers = [Call(lambda first: [channel.put(first + i) for i in range(100)], 100 * n) for n in range(3)]
    consumers = [Call(lambda: list(channel)) for _ in range(3)]
    for producer in producers:
        assert producer.outcome == [None] * 100
    channel.finish()
    assert sorted(item for consumer in consumers for item in consumer.outcome) == list(range(300))


def test_channel_makes_the_producer_wait_while_it_is_full():
    channel = full_channel()
    put = waiting(channel, channel.put, "second")
    assert len(channel) == 1
    assert channel.get() == "first"
    assert put.outcome is None
    assert channel.get() == "second"


def test_channel_of_no_size():
    with pytest.raises(ValueError, match="holds at least 1 item, got size=0"):
        Channel(0)


def test_mailbox_keeps_the_newest_and_counts_the_rest():
    mailbox = Mailbox()
    for i in range(5):
        mailbox.put(i)
    assert (mailbox.get(), mailbox.dropped, len(mailbox)) == (4, 4, 0)
    mailbox.put(5)
    assert (mailbox.get(), mailbox.dropped) == (5, 4)


def test_a_consumer_that_waits_gets_the_item(handover):
    get = waiting(handover, handover.get)
    handover.put("item")
    assert get.outcome == "item"


def test_finish_leaves_what_is_queued(handover):
    handover.put("last")
    handover.finish()
    handover.finish(OSError("too late to matter"))
    assert handover.closed
    assert list(handover) == ["last"]
    assert list(handover) == []
    with pytest.raises(ChannelClosed):
        handover.get()
    with pytest.raises(ChannelClosed):
        handover.put("more")


def test_finish_with_an_error_raises_it_behind_the_last_item(handover):
    handover.put("last")
    handover.finish(OSError("the producer failed"))
    assert handover.get() == "last"
    for _ in range(2):
        with pytest.raises(OSError, match="the producer failed"):
            handover.get()


def test_close_discards_what_is_queued(handover):
    handover.put("never seen")
    handover.close()
    handover.close()
    assert len(handover) == 0
    with pytest.raises(ChannelClosed):
        handover.get()
    with pytest.raises(ChannelClosed):
        handover.put("more")


def test_close_with_an_error_raises_it_at_the_next_call_on_either_side(handover):
    handover.put("item")
    handover.close(OSError("the worker failed"))
    handover.close(OSError("later"))
    for call in (handover.get, lambda: handover.put("item"), lambda: list(handover)):
        with pytest.raises(OSError, match="the worker failed"):
            call()


def test_close_after_finish_forgets_the_producers_error(handover):
    handover.finish(OSError("the producer failed"))
    handover.close()
    assert list(handover) == []


@pytest.mark.parametrize("how", ["finish", "close"])
def test_whoever_waits_for_items_wakes_up(handover, how):
    calls = [waiting(handover, handover.get) for _ in range(3)]
    getattr(handover, how)()
    assert all(isinstance(call.outcome, ChannelClosed) for call in calls)


@pytest.mark.parametrize("how", ["finish", "close"])
def test_whoever_waits_for_a_place_wakes_up(how):
    channel = full_channel()
    calls = [waiting(channel, channel.put, n) for n in range(3)]
    getattr(channel, how)()
    assert all(isinstance(call.outcome, ChannelClosed) for call in calls)


def test_whoever_waits_meets_the_error(handover):
    error = OSError("the worker failed")
    call = waiting(handover, handover.get)
    handover.close(error)
    assert call.outcome is error


def test_iteration_ends_where_another_thread_closes(handover):
    call = waiting(handover, list, handover)
    handover.close()
    assert call.outcome == []


def test_nothing_in_time(handover):
    with pytest.raises(TimeoutError, match=r"within 0\.001 s"):
        handover.get(timeout=0.001)
    handover.put("item")
    assert handover.get(timeout=0.001) == "item"


def test_no_place_in_time():
    channel = full_channel()
    with pytest.raises(TimeoutError, match="within 0 s"):
        channel.put("second", timeout=0)
    assert list(channel._items) == ["first"]


def test_a_signal_handler_may_close_in_the_middle_of_a_call(handover):
    with handover._changed:  # as if the handler ran while this thread holds the lock
        handover.close()
    assert list(handover) == []
