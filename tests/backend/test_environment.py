"""The process before NumPy loads, on machines that the test makes up."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from nanochat_np.backend import environment
from nanochat_np.errors import ConfigError

VARIABLES = (
    environment.BUDGET_VARIABLE,
    environment.KERNEL_VARIABLE,
    *environment.SPIN,
    *environment.THREAD_VARIABLES,
)
AVX512 = " ".join(sorted(environment.AVX512))


class Machine:
    """A process on a machine of its own: its environment, CPUs, control groups and CPU model."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.cgroup = root / "proc", root / "cgroup"
        monkeypatch.setattr(environment, "PROC", self.proc)
        monkeypatch.setattr(environment, "CGROUP", self.cgroup)
        monkeypatch.setattr(environment, "_set_here", {})
        monkeypatch.setattr(environment, "_set_by_user", {})
        monkeypatch.setattr(environment, "_numpy_came_first", False)
        self.modules: dict[str, object] = {}
        self.variables: dict[str, str] = {}
        self.affinity = set(range(8))
        monkeypatch.setattr(environment, "sys", SimpleNamespace(modules=self.modules))
        system = SimpleNamespace(environ=self.variables, sched_getaffinity=lambda pid: self.affinity)
        monkeypatch.setattr(environment, "os", system)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def cpu(self, vendor: str, family: int, flags: str) -> None:
        one = (
            f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel name\t: X: Y\nflags\t\t: {flags}\n\n"
        )
        self.write(self.proc / "cpuinfo", one + one.replace(flags, "fpu"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_all_libraries_get_the_budget_of_the_cpus(machine: Machine) -> None:
    environment.prepare()
    assert {name: machine.variables[name] for name in environment.THREAD_VARIABLES} == dict.fromkeys(
        environment.THREAD_VARIABLES, "8"
    )
    assert machine.variables["OPENBLAS_THREAD_TIMEOUT"] == "10"
    assert machine.variables["GOMP_SPINCOUNT"] == "2000"


def test_what_the_user_has_set_is_left_alone(machine: Machine) -> None:
    machine.cpu("AuthenticAMD", 26, AVX512)
    chosen = {"OPENBLAS_NUM_THREADS": "3", "NUMBA_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Zen"}
    chosen["OPENBLAS_THREAD_TIMEOUT"] = "20"
    machine.variables.update(chosen)
    environment.prepare()
    assert {name: machine.variables[name] for name in chosen} == chosen
    assert machine.variables["MKL_NUM_THREADS"] == "8"


def test_the_budget_asked_of_the_program_overrides_what_a_parent_process_left(machine: Machine) -> None:
    machine.variables.update({"OPENBLAS_NUM_THREADS": "8", "NUMBA_NUM_THREADS": "8", "NANOCHAT_NP_THREADS": "2"})
    environment.prepare()
    assert {machine.variables[name] for name in environment.THREAD_VARIABLES} == {"2"}


@pytest.mark.parametrize(("value", "threads"), [("1", "1"), ("3,2", "3"), ("", "8"), ("x", "8"), ("0", "8")])
def test_the_general_variable_of_openmp_is_the_budget_where_there_is_no_other(
    machine: Machine, value: str, threads: str
) -> None:
    machine.variables["OMP_NUM_THREADS"] = value
    environment.prepare()
    assert machine.variables["OPENBLAS_NUM_THREADS"] == machine.variables["NUMBA_NUM_THREADS"] == threads
    assert machine.variables["OMP_NUM_THREADS"] == value


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", " "])
def test_a_wrong_budget_is_refused(machine: Machine, value: str) -> None:
    machine.variables["NANOCHAT_NP_THREADS"] = value
    with pytest.raises(ConfigError, match=r"NANOCHAT_NP_THREADS=.*whole number, 1 or more"):
        environment.prepare()


def test_a_library_that_is_loaded_is_not_told_what_it_will_not_read(machine: Machine) -> None:
    machine.cpu("AuthenticAMD", 26, AVX512)
    machine.modules["numpy"] = machine.modules["numba"] = object()
    environment.prepare()
    assert machine.variables == {}
    assert environment._numpy_came_first


def test_a_second_call_changes_nothing(machine: Machine) -> None:
    environment.prepare()
    before = dict(machine.variables), dict(environment._set_here), dict(environment._set_by_user)
    machine.modules["numpy"] = object()
    environment.prepare()
    assert before == (machine.variables, environment._set_here, environment._set_by_user)
    assert not environment._numpy_came_first


@pytest.mark.parametrize(
    ("vendor", "family", "flags", "kernel"),
    [
        ("AuthenticAMD", 26, f"fpu {AVX512} avx2", "SkylakeX"),
        ("AuthenticAMD", 26, AVX512.replace("avx512vl", ""), None),
        ("AuthenticAMD", 25, AVX512, None),
        ("GenuineIntel", 26, AVX512, None),
    ],
)
def test_the_kernel_is_chosen_only_where_openblas_may_miss_avx512(
    machine: Machine, vendor: str, family: int, flags: str, kernel: str | None
) -> None:
    machine.cpu(vendor, family, flags)
    environment.prepare()
    assert machine.variables.get("OPENBLAS_CORETYPE") == kernel


def test_without_a_cpuinfo_nothing_is_assumed_of_the_cpu(machine: Machine) -> None:
    environment.prepare()
    assert environment.cpu_info() == {}
    assert "OPENBLAS_CORETYPE" not in machine.variables


@pytest.mark.parametrize(
    ("groups", "files", "cpus"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "20000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "9900000 100000\n"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a\n", {"a/cpu.max": "300000 100000", "cpu.max": "200000 100000"}, 2),
        ("0::/of/the/host\n", {"cpu.max": "400000 100000"}, 4),
        ("5:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "250000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 3),
        ("5:cpu:/\n1:memory:/m\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ("1:memory:/\n", {"cpu.max": "100000 100000"}, 8),
        ("", {}, 8),
    ],
)
def test_a_quota_of_the_control_group_counts_where_it_is_smaller(
    machine: Machine, groups: str, files: dict[str, str], cpus: int
) -> None:
    machine.write(machine.proc / "self/cgroup", groups)
    for path, text in files.items():
        machine.write(machine.cgroup / path, text)
    assert environment.available_cpus() == cpus


def test_the_affinity_counts(machine: Machine) -> None:
    machine.affinity = {3, 5}
    assert environment.available_cpus() == 2


def test_the_module_itself_imports_neither_numpy_nor_numba_nor_psutil() -> None:
    tree = ast.parse(Path(environment.__file__).read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top for alias in node.names} | {getattr(node, "module", "") for node in top}
    assert not {"numpy", "numba", "psutil"} & {name.partition(".")[0] for name in names}


def test_the_report_tells_the_blas_in_use_and_who_set_what() -> None:
    code = "import json; from nanochat_np.backend import environment; print(json.dumps(environment.report()))"
    variables = {"PATH": "/bin", "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, check=True, text=True)
    report = json.loads(done.stdout)
    assert report["set_by_user"] == {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"}
    assert report["set_here"]["OPENBLAS_THREAD_TIMEOUT"] == "10"
    assert report["set_here"]["NUMBA_NUM_THREADS"] == str(report["cpus"])
    assert report["numpy_came_first"] is False
    if report["library"] == "scipy-openblas" and sys.platform == "linux":
        assert report["threads"] == 1
        assert isinstance(report["kernel"], str)


def test_blas_gets_one_thread_for_small_products_and_the_budget_for_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    if environment.report()["threads"] is None:
        pytest.skip("the BLAS of this NumPy is not an OpenBLAS that can be found")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    environment.use_blas_threads_for(2 * environment.WORTH_SHARING)
    assert environment.report()["threads"] == 2
    environment.use_blas_threads_for(environment.WORTH_SHARING / 2)
    assert environment.report()["threads"] == 1
