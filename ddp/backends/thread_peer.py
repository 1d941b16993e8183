"""The record of a worker that is a thread."""

import queue
import threading
from collections import deque
from dataclasses import dataclass, field

from ddp.backends.peer import Peer
from ddp.model.parameters import Vector
from ddp.workers.exchange import News

STOP = News(-1, is_last=True)  # in a worker's queue: the worker ends


@dataclass(slots=True, kw_only=True)
class ThreadPeer(Peer):
    """The record of a worker, and the objects that it shares with the aggregator.

    | field     | meaning                                                            |
    |-----------|--------------------------------------------------------------------|
    | `news`    | for the worker: the rounds that have an aggregate, or STOP         |
    | `slots`   | vectors that nobody reads any more: the worker publishes into them |
    | `dropped` | set once the run goes on without the worker                        |
    """

    news: "queue.SimpleQueue[News]" = field(default_factory=queue.SimpleQueue)
    slots: deque[Vector] = field(default_factory=deque)
    dropped: threading.Event = field(default_factory=threading.Event)
