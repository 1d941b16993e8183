"""Imports go one way, and only the door knows Hydra."""

import ast
from pathlib import Path

import pytest

DDP = Path(__file__).parent.parent / "ddp"
MODULES = {
    ".".join(path.relative_to(DDP.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in DDP.rglob("*.py")
}
DOOR = {"ddp.launch", "ddp.composed"}
LEAVES = {
    "ddp.errors",
    "ddp.atomic",
    "ddp.disk",
    "ddp.forkserver",
    "ddp.lock",
    "ddp.metrics",
    "ddp.scheduling",
    "ddp.timing",
    "ddp.seeding",
    "ddp.config",
    "ddp.options",
    "ddp.memory",
    "ddp.npz",
    "ddp.parent",
    "ddp.run_directory",
    "ddp.ratings",
    "ddp.compiled",
    "ddp.simd",
    "ddp.segment",
    "ddp.sockets",
}
DATA_AND_MODEL = ("ddp.model", "ddp.parameters", "ddp.datasets", "ddp.splits", "ddp.holdout", "ddp.averaging")
CONCRETE = {"ddp.backends.serial", "ddp.backends.thread", "ddp.backends.process", "ddp.backends.shm"}


def imports(path):
    """Full names of what a module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(module):
    return {name for name in imports(MODULES[module]) if name in MODULES and name != "ddp"}


@pytest.mark.parametrize("module", sorted(set(MODULES) - DOOR))
def test_only_the_door_knows_hydra(module):
    assert not {name for name in imports(MODULES[module]) if name.split(".")[0] in ("hydra", "omegaconf")}


@pytest.mark.parametrize("module", sorted(LEAVES))
def test_leaves_import_nothing_of_ours_but_errors(module):
    leaves = {"ddp.atomic", "ddp.disk", "ddp.lock", "ddp.sockets", "ddp.scheduling"}
    assert ours(module) <= {"ddp.errors", "ddp.config", "ddp.options", *leaves}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith(DATA_AND_MODEL)))
def test_data_and_model_know_only_leaves_and_each_other(module):
    allowed = LEAVES | {name for name in MODULES if name.startswith(DATA_AND_MODEL)}
    assert ours(module) <= allowed


@pytest.mark.parametrize("module", ["ddp.worker", "ddp.aggregator", "ddp.exchange", "ddp.messages"])
def test_the_loops_know_no_concrete_backend(module):
    assert not ours(module) & CONCRETE


@pytest.mark.parametrize("module", sorted(name for name in MODULES if not f"{name}.".startswith("ddp.advice.")))
def test_only_the_door_asks_for_advice(module):
    assert module in DOOR or not {name for name in ours(module) if f"{name}.".startswith("ddp.advice.")}


def test_there_are_no_cycles():
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"import cycle: {' -> '.join([*open_, module])}"
        if module not in done:
            open_.append(module)
            for name in sorted(ours(module) - {module}):
                visit(name)
            done.add(open_.pop())

    for module in sorted(MODULES):
        visit(module)
