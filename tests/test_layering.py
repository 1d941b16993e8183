"""Rooms stand in layers: a room imports only rooms below it.

`python tests/test_layering.py` prints the shape of the house.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

DDP = Path(__file__).parent.parent / "ddp"
LAYERS = (
    {"counting"},
    {"errors", "timing"},
    {"config", "machine"},
    {"ratings", "tracking"},
    {"model"},
    {"trainers"},
    {"workers"},
    {"aggregation", "backends", "results"},
    {"experiment", "report"},
    {"advice"},
    {"launch"},
)
TOP = {"ddp", "__main__", "clean", "predict"}  # load_model, run; commands of their own
HYDRA = {"hydra", "omegaconf"}
STANDARD = {"ddp", *sys.stdlib_module_names}


def name_of(path):
    return ".".join(path.relative_to(DDP.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in DDP.rglob("*.py")}


def room_of(module):
    return module.split(".")[min(1, module.count("."))]


@cache
def imports(path):
    """Full names of all modules that a module imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inner or {node.module}
    return found


def ours(module):
    """Our modules that a module imports."""
    return imports(MODULES[module]) & set(MODULES) - {module}


def cycles():
    """Import cycles, each as the list of its modules."""
    done, open_, found = set(), [], []

    def visit(module):
        if module in open_:
            found.append([*open_[open_.index(module) :], module])
        elif module not in done:
            open_.append(module)
            for name in sorted(ours(module)):
                visit(name)
            done.add(open_.pop())

    for module in sorted(MODULES):
        visit(module)
    return found


@cache
def floor(module):
    """The longest chain of imports below a module."""
    return 1 + max(map(floor, ours(module)), default=0)


def loaded_by(code):
    """Modules that a fresh interpreter has loaded after `code`."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=DDP.parent, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def packages(modules):
    return {name.split(".")[0] for name in modules}


def test_every_room_stands_in_a_layer():
    rooms = {room_of(module) for module in MODULES}
    assert rooms == set().union(*LAYERS) | TOP


def test_a_room_imports_only_rooms_below_it():
    level = {room: n for n, rooms in enumerate(LAYERS) for room in rooms}
    wrong = [
        f"{module} imports {name}"
        for module in MODULES
        if room_of(module) not in TOP
        for name in ours(module)
        if room_of(name) != room_of(module) and level[room_of(name)] >= level[room_of(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_there_are_no_cycles():
    assert not cycles()


def test_only_the_launcher_knows_hydra():
    knowing = {module for module, path in MODULES.items() if HYDRA & packages(imports(path))}
    assert {room_of(module) for module in knowing} == {"launch"}


def test_a_room_says_what_it_is_for_and_nothing_else():
    rooms = {
        module: path
        for module, path in MODULES.items()
        if path.name == "__init__.py" and module != "ddp"
    }
    assert rooms
    for module, path in rooms.items():
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, module
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), module


@pytest.mark.parametrize("module", ["fused", "sweeper"])
def test_a_worker_of_a_compiled_trainer_loads_no_torch_no_pandas_and_no_hydra(module):
    loaded = loaded_by(f"import ddp.trainers.{module}, ddp.backends.preload")
    assert "numba" in loaded
    assert not packages(loaded) & {"torch", "pandas", "tensorboard", "rich", *HYDRA}
    # kernels that take a minute to compile
    assert ("ddp.trainers.posterior" in loaded) == (module == "sweeper")


def test_a_worker_of_torch_loads_no_pandas_and_no_hydra():
    loaded = loaded_by("import ddp.trainers.autograd, ddp.backends.preload")
    assert "torch" in loaded
    assert not packages(loaded) & {"pandas", "tensorboard", "rich", *HYDRA}


def test_the_manager_process_loads_only_the_standard_library():
    """The server unpickles its function and `serve_parent`: neither imports a heavy module."""
    loaded = loaded_by("import multiprocessing.managers, ddp.machine.child")
    assert packages(loaded) <= {*STANDARD, *packages(loaded_by("import multiprocessing.managers"))}


def sentence(room):
    """The docstring of a room, or of a file beside the rooms, in one line."""
    module = "ddp" if room == "ddp" else f"ddp.{room}"
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())


if __name__ == "__main__":
    for number, rooms in enumerate((*LAYERS, TOP)):
        for room in sorted(rooms):
            print(f"{number:>2}  {room:<12} {sentence(room)}")
    arrows = sum(len(ours(module)) for module in MODULES)
    print(f"entries in ddp/: {len({path.name for path in DDP.iterdir()} - {'__pycache__'})}")
    print(
        f"modules: {len(MODULES)}, arrows: {arrows}, floors: {max(map(floor, MODULES))}, cycles:"
        f" {len(cycles())}"
    )
