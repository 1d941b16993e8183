"""Imports go one way, and only the door knows Hydra."""

import ast
from functools import cache
from pathlib import Path

DDP = Path(__file__).parent.parent / "ddp"
MODULES = {
    ".".join(path.relative_to(DDP.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in DDP.rglob("*.py")
}
DOOR = {"ddp.launch.command", "ddp.launch.composed"}
LEAVES = {
    "ddp.errors",
    "ddp.machine.files",
    "ddp.disk",
    "ddp.backends.forkserver",
    "ddp.machine.lock",
    "ddp.tracking.metrics",
    "ddp.timing.meter",
    "ddp.timing.spans",
    "ddp.config.seeding",
    "ddp.config.schema",
    "ddp.config.options",
    "ddp.machine.memory",
    "ddp.npz",
    "ddp.machine.child",
    "ddp.results.run_directory",
    "ddp.ratings.arrays",
    "ddp.machine.compiled.jit",
    "ddp.machine.compiled.simd",
    "ddp.machine.segment",
    "ddp.machine.sockets",
}
DATA_AND_MODEL = (
    "ddp.model.torch_module",
    "ddp.model.parameters",
    "ddp.ratings.load",
    "ddp.ratings.splits",
    "ddp.ratings.holdout",
    "ddp.aggregation.mean",
)
CONCRETE = {"ddp.backends.serial", "ddp.backends.thread", "ddp.backends.process", "ddp.backends.shm"}


@cache
def imports(module):
    """Full names of what a module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(module):
    return {name for name in imports(module) if name in MODULES and name != "ddp"}


def breaches(modules, forbidden):
    """Module -> the names that it imports and that `forbidden(names)` picks: empty if all is well."""
    return {module: found for module in sorted(modules) if (found := forbidden(module))}


def test_only_the_door_knows_hydra():
    def of_hydra(module):
        return {n for n in imports(module) if n.split(".")[0] in ("hydra", "omegaconf")}

    assert breaches(set(MODULES) - DOOR, of_hydra) == {}
    assert set(breaches(DOOR, of_hydra)) == DOOR


def test_leaves_import_nothing_of_ours_but_errors():
    leaves = {"ddp.machine.files", "ddp.disk", "ddp.machine.lock", "ddp.machine.sockets", "ddp.timing.meter"}
    allowed = {"ddp.errors", "ddp.config.schema", "ddp.config.options", *leaves}
    assert breaches(LEAVES, lambda module: ours(module) - allowed) == {}


def test_data_and_model_know_only_leaves_and_each_other():
    modules = {name for name in MODULES if name.startswith(DATA_AND_MODEL)}
    assert breaches(modules, lambda module: ours(module) - LEAVES - modules) == {}


def test_the_loops_know_no_concrete_backend():
    loops = ("ddp.workers.worker", "ddp.aggregation.aggregator", "ddp.workers.exchange", "ddp.tracking.messages")
    assert breaches(loops, lambda module: ours(module) & CONCRETE) == {}


def test_only_the_door_asks_for_advice():
    advice = {name for name in MODULES if f"{name}.".startswith("ddp.advice.")}
    assert breaches(set(MODULES) - DOOR - advice, lambda module: ours(module) & advice) == {}


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
