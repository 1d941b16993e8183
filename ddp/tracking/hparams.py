"""The HParams of TensorBoard: the settings of a run, and the columns that compare runs.

TensorBoard reads the columns from one run. It sorts them by name, those with `differs` first. It
answers HTTP 500 when it sorts a column in which numbers and texts are mixed.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ddp.config.schema import is_number

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

NO_VALUE = ("-", "None")
# the settings that studies vary most often
MAIN = ("backend", "workers", "local_epochs", "split", "aggregation", "trainer", "trainer.lr")


def known_values(settings: Mapping[str, Any]) -> dict[str, float | str]:
    """The settings that have a value: a number, or a text where the schema allows a text.

    `settings`: as `ddp.config.schema.settings` has them.
    """
    values: dict[str, float | str] = {}
    for name, value in settings.items():
        if value is None or value in NO_VALUE:
            continue
        if not is_number(name):
            values[name] = str(value)
        elif isinstance(value, int | float):
            with suppress(OverflowError):  # an integer that no float holds
                values[name] = float(value)
    return values


def main_first(names: Sequence[str]) -> list[str]:
    """The names, those of MAIN first."""
    return [name for name in MAIN if name in names] + [name for name in names if name not in MAIN]


def summaries(
    values: Mapping[str, float | str],
    varied: Sequence[str] | None,
    metrics: Sequence[str],
    *,
    ended_well: bool = True,
) -> list["Summary"]:
    """The summaries of one run: columns, values and end.

    `varied`: the settings that its sweep varies, which are the columns. None: every setting that
    has a value is a column, those of MAIN first. `metrics`: tags of scalars.
    """
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    from ddp.tracking.summaries import of_plugin

    columns = []
    for name in main_first([*values] if varied is None else varied):
        number = api_pb2.DATA_TYPE_FLOAT64 if is_number(name) else api_pb2.DATA_TYPE_STRING
        column = api_pb2.HParamInfo(name=name, type=number)
        if hasattr(column, "differs"):  # TensorBoard 2.16 and later
            column.differs = varied is not None or name in MAIN
        columns.append(column)
    experiment = api_pb2.Experiment(
        hparam_infos=columns,
        metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in metrics],
    )
    begun = plugin_data_pb2.SessionStartInfo()
    for name, value in values.items():
        if isinstance(value, str):
            begun.hparams[name].string_value = value
        else:
            begun.hparams[name].number_value = value
    status = api_pb2.STATUS_SUCCESS if ended_well else api_pb2.STATUS_FAILURE
    ended = plugin_data_pb2.SessionEndInfo(status=status)
    contents = {
        "experiment": {"experiment": experiment},
        "session_start_info": {"session_start_info": begun},
        "session_end_info": {"session_end_info": ended},
    }
    return [
        of_plugin(
            f"_hparams_/{name}",
            "hparams",
            plugin_data_pb2.HParamsPluginData(**content).SerializeToString(),
        )
        for name, content in contents.items()
    ]
