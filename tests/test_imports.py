"""Imports point one way, and heavy libraries load only where they are needed: read from the sources themselves."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import nanochat_np

PACKAGE = Path(nanochat_np.__file__).parent

# From top to bottom; what stands on one line may import its neighbours, and everything below.
LAYERS = [
    ["cli", "__main__"],
    ["commands"],
    ["experiments", "report", "serve", "train", "evaluate"],
    ["infer", "execute", "nn", "optim", "data", "tasks", "text", "scalar", "interop"],
    ["ops"],
    ["kernels"],
    ["backend"],
    ["errors", "config", ""],  # "" is the package itself, which holds its version
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
# The command line stands beside the layers: it knows records and errors only, and commands talk to the user through it.
COMMAND_LINE, ITS_IMPORTS, ITS_USERS = "command_line", {"errors", "config", ""}, {"cli", "__main__", "commands"}

NEVER = {"torch", "jax", "tensorflow", "pickle", "cPickle", "dill", "cloudpickle"}
ONLY_IN = {
    "cupy": r"backend/device\.py",
    "pyarrow": r"data/parquet\.py",
    "numba": r"(kernels|scalar)/\w+\.py|backend/jit\.py|commands/doctor\.py",  # doctor tells its version
}


def imported(path):
    """Full names that a module imports anywhere in it, and those of the package that it names in a string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"nanochat_np(\.\w+)+", str(node.value)):
            yield node.value


MODULES = {path.relative_to(PACKAGE).as_posix(): list(imported(path)) for path in sorted(PACKAGE.rglob("*.py"))}


def part_of_module(module):
    """The part of the package that a source belongs to: "ops/norm.py" is of "ops"."""
    return "" if module == "__init__.py" else module.split("/")[0].removesuffix(".py")


def part_of(name):
    """The part of the package that a full name belongs to: "nanochat_np.ops.norm.rms_norm" is of "ops"."""
    part = name.split(".")[1] if "." in name else ""
    return part if part in LEVEL or part == COMMAND_LINE else ""


def allowed(importer, target):
    if importer == target:
        return True
    if importer == COMMAND_LINE:
        return target in ITS_IMPORTS
    if target == COMMAND_LINE:
        return importer in ITS_USERS
    return LEVEL[importer] <= LEVEL[target]


def test_every_module_has_a_layer():
    parts = {part_of_module(module) for module in MODULES}
    assert parts <= {*LEVEL, COMMAND_LINE}, "give it a layer in this test"


def test_imports_point_down():
    upward = [
        f"nanochat_np/{module} imports {name}"
        for module, names in MODULES.items()
        for name in names
        if name.split(".")[0] == "nanochat_np" and not allowed(part_of_module(module), part_of(name))
    ]
    assert not upward


def test_libraries_stay_where_they_belong():
    strays = [
        f"nanochat_np/{module} imports {name}"
        for module, names in MODULES.items()
        for name in names
        for library in [name.split(".")[0]]
        if library in NEVER or (library in ONLY_IN and not re.fullmatch(ONLY_IN[library], module))
    ]
    assert not strays


def test_the_rules_can_be_broken():
    assert not allowed("ops", "nn")
    assert not allowed("command_line", "backend")
    assert not allowed("train", "command_line")
    assert allowed("train", "evaluate")
    assert part_of("nanochat_np.ops.norm.rms_norm") == part_of("nanochat_np.ops") == "ops"
    assert part_of("nanochat_np.__version__") == part_of("nanochat_np") == ""


def in_a_new_process(code):
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent, timeout=60)


def test_the_package_itself_loads_nothing():
    in_a_new_process(
        "import sys, nanochat_np, nanochat_np.cli\n"
        "assert not {'numpy', 'numba', 'cupy', 'llvmlite'} & set(sys.modules), sorted(sys.modules)"
    )


def test_work_on_a_gpu_does_without_numba():
    in_a_new_process(
        "import sys\n"
        "from tests.gpu import test_models\n"
        "from tests.gpu.fake_cupy import fake_cupy\n"
        "from nanochat_np.backend import select_device\n"
        "assert 'numba' not in sys.modules, 'by imports alone'\n"
        "sys.modules['cupy'] = fake_cupy()\n"
        "for network in (test_models.bigram, test_models.mini_gpt):\n"
        "    for optimizer in test_models.OPTIMIZERS:\n"
        "        test_models.trained(network(True, True), select_device('cuda'), optimizer=optimizer, batch=1)\n"
        "    test_models.texts(network(True, True), select_device('cuda'))\n"
        "assert 'numba' not in sys.modules, 'by training or sampling'\n"
    )
