"""The event files of TensorBoard, read back, and rows of workers to write into them."""

import dataclasses
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from ddp.config.schema import settings
from ddp.timing.account import Account
from ddp.tracking.messages import AggregateRound, WorkerRound
from ddp.tracking.metrics import SquaredError


def read_events(directory: Path) -> EventAccumulator:
    events = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def row_of(config):
    """The settings of a config that TensorBoard gets."""
    return settings(dataclasses.asdict(config))


def hparams(config):
    """The values of a config that TensorBoard shows."""
    return {key: value for key, value in row_of(config).items() if value not in (None, "-")}


def plugin(events: EventAccumulator, tag: str) -> plugin_data_pb2.HParamsPluginData:
    return plugin_data_pb2.HParamsPluginData.FromString(events.PluginTagToContent("hparams")[tag])


def aggregate(round_index, *, test=None, account=None) -> AggregateRound:
    return AggregateRound(
        round_index=round_index, valid=SquaredError(4.0, 1), test=test or SquaredError(9.0, 1),
        weights=(1.0,), elapsed_s=1.0, account=account or Account(),
    )  # fmt: skip


TEST_ERROR = SquaredError(4.0, 4)


def worker_round(
    worker, round_index, *, test=TEST_ERROR, account=None, received=True
) -> WorkerRound:
    return WorkerRound(
        worker=worker, round_index=round_index, train_loss=1.0, valid=SquaredError(1.0, 4),
        test=test,
        best_epoch=0, aggregate_received=received, account=account or Account(),
    )  # fmt: skip
