"""The real TensorBoard shows a sweep: its server answers the requests of its page."""

import dataclasses
import json
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import pytest

from ddp.config.schema import settings
from ddp.experiment import run
from ddp.tracking.tensorboard import TensorBoard
from ddp.tracking.tracker import RunFacts

JOBS = (
    ("backend=thread", "workers=1", "backend.poll_interval_s=0.001"),
    ("backend=serial", "workers=2", "trainer=autograd"),
    ("backend=thread", "workers=4", "trainer=fused", "straggler_timeout=20"),
)
VARIED = ("straggler_timeout", "backend", "backend.poll_interval_s", "workers", "trainer")
VARIED += ("trainer.batch_size", "trainer.optimizer")
ALL = {
    "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
    "sliceSize": 10,
}
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def sweep(make_config, tmp_path_factory):
    """Runs of which some have settings that others do not have: directory name -> result."""
    directory = tmp_path_factory.mktemp("sweep")
    results = {}
    for number, overrides in enumerate(JOBS):
        config = make_config(*overrides)
        row = settings(dataclasses.asdict(config))
        board = TensorBoard(
            RunFacts(directory=directory / str(number), settings=row, varied=VARIED), "all"
        )
        results[str(number)] = run(config, directory / str(number), [board])
    return directory, results


def address_of(server):
    """The address that TensorBoard prints as soon as it answers."""
    told = []
    for line in server.stderr:
        told.append(line)
        if found := re.search(r"http://\S+", line):
            return re.sub(r"//[^:/]+", "//localhost", found[0].rstrip("/"))
    pytest.fail(f"TensorBoard did not start: {''.join(told)}")


@pytest.fixture(scope="module")
def ask(sweep):
    """`ask(path, **query)`: the server's answer."""
    directory, _ = sweep
    command = [
        sys.executable,
        "-m",
        "tensorboard.main",
        "--logdir",
        directory,
        "--port",
        "0",
        "--load_fast",
        "false",
    ]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    alarm = threading.Timer(DEADLINE_S, server.kill)
    alarm.start()
    try:
        root = address_of(server)

        def get(path, post=None, **query):
            url = f"{root}/data/plugin/{path}?{urllib.parse.urlencode(query)}".rstrip("?")
            data = None if post is None else json.dumps(post).encode()
            request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
                content = answer.read()
            return json.loads(content) if content[:1] in (b"{", b"[") else content

        # TensorBoard reads the files later than it starts
        while any("time/training_s" not in get("scalars/tags").get(name, ()) for name in sweep[1]):
            assert server.poll() is None, "TensorBoard did not read the runs in time"
        alarm.cancel()
        yield get
    finally:
        alarm.cancel()
        server.terminate()
        server.wait(DEADLINE_S)
        server.stderr.close()
        alarm.join()


def test_it_shows_the_rmse_of_every_round(sweep, ask):
    for name, result in sweep[1].items():
        points = ask("scalars/scalars", run=name, tag="rmse/test/aggregated")
        told = {step: value for _, step, value in points}
        expected = {row.round_index + 1: row.test.rmse for row in result.history.aggregate_rounds}
        assert told == pytest.approx(expected, rel=1e-6)


def test_it_shows_where_a_workers_round_went(sweep, ask):
    tags = ask("scalars/tags")
    for name, result in sweep[1].items():
        own = [tag for tag in tags[name] if re.fullmatch("time/account/[a-z_]+_ms/worker_0", tag)]
        assert {"time/account/compute_ms/worker_0", "time/account/evaluate_ms/worker_0"} <= set(own)
        told = [
            value
            for tag in own
            for _, step, value in ask("scalars/scalars", run=name, tag=tag)
            if step == 1
        ]
        assert sum(told) == pytest.approx(
            result.history.worker(0)[0].account.wall_s * 1e3, rel=1e-4
        )


def test_it_has_a_chart_for_each_worker(ask):
    layout = ask("custom_scalars/layout")
    charts = {chart["title"] for category in layout["category"] for chart in category["chart"]}
    assert {"worker_0", "worker_1", "aggregator", "worker_1: lock wait"} <= charts


def test_it_shows_the_picture_of_the_last_round(sweep, ask):
    for name in sweep[1]:
        (picture,) = ask("images/images", run=name, tag="timeline/last_rounds", sample=0)
        content = ask(f"images/individualImage?{picture['query']}")
        assert content.startswith(b"\x89PNG")


def test_it_compares_the_runs_by_their_hparams(sweep, ask):
    experiment = experiment_of(ask)
    assert {info["name"] for info in experiment["hparamInfos"]} == {*VARIED}
    metric = {"group": "", "tag": "rmse/test/kept"}
    groups = ask(
        "hparams/session_groups",
        post=ALL
        | {
            "colParams": [
                {"hparam": "workers", "includeInResult": True},
                {"metric": metric, "includeInResult": True},
            ]
        },
    )["sessionGroups"]
    told = {}
    for group in groups:
        (value,) = [
            value["value"]
            for value in group["metricValues"]
            if value["name"]["tag"] == metric["tag"]
        ]
        told[group["hparams"]["workers"]] = value
    expected = {result.config.workers: result.test_rmse for result in sweep[1].values()}
    assert told == pytest.approx(expected, rel=1e-6)


def values_of(column, order, ask, **more):
    asked = {"hparam": column, "order": order, "includeInResult": True} | more
    groups = ask("hparams/session_groups", post=ALL | {"colParams": [asked]})["sessionGroups"]
    return [group["hparams"].get(column) for group in groups]


@pytest.mark.parametrize("column", VARIED)
@pytest.mark.parametrize("order", ["ORDER_ASC", "ORDER_DESC"])
def test_every_column_can_be_sorted_and_filtered(sweep, ask, column, order):
    rows = [settings(dataclasses.asdict(result.config)) for result in sweep[1].values()]
    known = sorted(row[column] for row in rows if row[column] not in (None, "-"))
    found = values_of(column, order, ask)
    assert len(found) == len(JOBS)
    told = [value for value in found if value is not None]
    assert told == (known if order == "ORDER_ASC" else known[::-1])
    types = {info["name"]: info["type"] for info in experiment_of(ask)["hparamInfos"]}
    if types[column] == "DATA_TYPE_FLOAT64":
        chosen = {"filterInterval": {"minValue": known[0], "maxValue": known[0]}}
    else:
        chosen = {"filterRegexp": f"^{known[0]}$"}
    left = values_of(column, order, ask, excludeMissingValues=True, **chosen)
    assert left == [value for value in known if value == known[0]]
    assert len(values_of(column, order, ask, **chosen)) == len(left) + len(JOBS) - len(known)


def experiment_of(ask):
    return ask("hparams/experiment", post={"experimentName": ""})
