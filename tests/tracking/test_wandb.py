"""A run in the offline files of Weights & Biases, read back. `make trackers` installs it."""

import json
import struct

import pytest
from event_files import hparams, row_of

from ddp.config.tracker import WandbOptions
from ddp.experiment import run
from ddp.tracking.make import make_trackers
from ddp.tracking.tracker import RunFacts

pytest.importorskip("wandb")


HEADER, BLOCK = 7, 32768  # of the file and of each chunk; chunks lie in blocks, as in LevelDB
LAST_CHUNK = (1, 4)  # types of a chunk that ends a record


def records(directory):
    """The records of the one offline run below a run directory."""
    from wandb.proto import wandb_internal_pb2

    (path,) = directory.glob("wandb/offline-run-*/*.wandb")
    content, at, record, found = path.read_bytes(), HEADER, b"", []
    while at + HEADER <= len(content):
        if BLOCK - at % BLOCK < HEADER:  # the rest of a block has no room for a chunk
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        record += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in LAST_CHUNK:
            found.append(wandb_internal_pb2.Record.FromString(record))
            record = b""
    return found


def values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_it_has_the_settings_and_the_curves_of_a_run(make_config, tmp_path):
    config = make_config("backend=thread", "rounds=3", "name=a run")
    facts = RunFacts(directory=tmp_path, settings=row_of(config), command="python train.py")
    chosen = {"wandb": WandbOptions(project="laboratory", mode="offline")}
    result = run(config, tmp_path, make_trackers(chosen, facts))
    assert result.warnings == ()
    found = records(tmp_path)
    (begun,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (begun.display_name, begun.project) == ("a run", "laboratory")
    settings = values(begun.config.update)
    assert settings.pop("command") == "python train.py"
    assert {key: value for key, value in settings.items() if key != "_wandb"} == hparams(config)
    history = [values(record.history.item) for record in found if record.HasField("history")]
    told = {
        row["round"]: row["rmse/test/aggregated"]
        for row in history
        if "rmse/test/aggregated" in row
    }
    assert told == {
        row.round_index + 1: pytest.approx(row.test.rmse) for row in result.history.aggregate_rounds
    }
    assert [row["rmse/test/kept"] for row in history if "rmse/test/kept" in row] == [
        pytest.approx(result.test_rmse)
    ]
    (ended,) = [record.exit for record in found if record.HasField("exit")]
    assert ended.exit_code == 0


def test_a_folder_that_cannot_be_written_does_not_end_the_run(make_config, tmp_path, capsys):
    config = make_config("backend=serial")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "wandb").write_text("a file where the folder should be")
    facts = RunFacts(directory=tmp_path / "run", settings=row_of(config))
    chosen = {"wandb": WandbOptions(project="laboratory", mode="offline")}
    result = run(config, tmp_path / "run", make_trackers(chosen, facts))
    assert result.status == "ok"
    (warning,) = result.warnings
    assert warning.startswith("tracker=wandb: ")
