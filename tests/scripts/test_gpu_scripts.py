"""nvidia_doctor.sh and profile_gpu.sh on machines that the test makes up: a PATH with stand-ins for NVIDIA's tools."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMI = """
case "$*" in
    -L) echo "GPU 0: NVIDIA H200 (UUID: GPU-1)" ;;
    *--loop-ms*)
        echo "timestamp, index, utilization.gpu [%], utilization.memory [%], memory.used [MiB], power.draw [W], clocks"
        echo "2026/01/01 00:00:00.000, 0, 50, 20, 1000, 300.00, 1980, 40"
        echo "2026/01/01 00:00:00.200, 0, 100, 30, 3000, 500.00, 1980, 42"
        exec sleep 30 ;;
    *--query-gpu*cuda_version*) echo "Field \\"cuda_version\\" is not a valid field to query."; exit 2 ;;
    *--query-gpu*) echo "NVIDIA H200, 580.65.06, 143771 MiB, 0 MiB" ;;
    *) echo "| NVIDIA-SMI 580.65.06   Driver Version: 580.65.06    CUDA Version: 13.0   |" ;;
esac
"""
PYTHON = """
case "$*" in
    *platform*) echo "3.11.9 /usr/bin/python3" ;;
    *__version__*) echo "0.1.0" ;;
    *cupy_wheels*) echo "$WHEELS" ;;
    *getDeviceCount*) echo "1 seen by CuPy, runtime 13000" ;;
    *cuda_bf16*) echo "Traceback"; echo "CompileException: cannot open source file cuda_bf16.h"; exit 1 ;;
    *RawKernel*) echo "compiles and runs a kernel" ;;
    *64*) echo "multiplies matrices" ;;
    *nanochat_np\\ train*) echo "trained" ;;
    *) exit 9 ;;
esac
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="needs bash")


@pytest.fixture
def machine(tmp_path):
    """Runs a script with the stand-ins named, and with the usual tools of a shell."""
    tools = tmp_path / "bin"
    tools.mkdir()
    names = "awk bash cat date dirname env grep head id kill mkdir mktemp rm sed sleep stat tail tee tr true uname"
    for name in names.split():
        if found := shutil.which(name):
            (tools / name).symlink_to(found)

    def run(script, *arguments, wheels="", **stand_ins):
        for name, text in stand_ins.items():
            file = tools / name.replace("_", "-")
            file.write_text("#!/usr/bin/env bash\n" + text)
            file.chmod(0o755)
        env = {"PATH": str(tools), "HOME": os.environ.get("HOME", "/"), "PYTHON": "python-stub", "WHEELS": wheels}
        command = [shutil.which("bash"), SCRIPTS / script, *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)

    return run


def lines_of(done, mark):
    return [line.split(None, 2)[1] for line in done.stdout.splitlines() if line.startswith(mark)]


@pytest.mark.parametrize(("flags", "code"), [([], 3), (["--no-require-gpu"], 0), (["--gpu"], 1)])
def test_without_a_driver_the_doctor_says_what_to_install(machine, flags, code):
    done = machine("nvidia_doctor.sh", *flags)
    assert done.returncode == code
    if code == 1:
        assert "unknown argument --gpu" in done.stderr
    else:
        assert lines_of(done, "FIX") == ["driver"]
        assert "install the NVIDIA driver" in done.stdout


def test_a_driver_that_does_not_answer(machine):
    broken = "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9"
    done = machine("nvidia_doctor.sh", nvidia_smi=broken)
    assert done.returncode == 3
    assert "nvidia-smi fails (NVIDIA-SMI has failed" in done.stdout


@pytest.mark.parametrize(
    ("wheels", "told"),
    [
        ("", "is not installed: python-stub -m pip install 'nanochat-np[cuda13]'"),
        ("cupy-cuda12x==14.2 cupy-cuda13x==14.2", "pip uninstall -y cupy-cuda12x cupy-cuda13x &&"),
    ],
)
def test_one_wheel_of_cupy_is_needed(machine, wheels, told):
    done = machine("nvidia_doctor.sh", nvidia_smi=SMI, python_stub=PYTHON, wheels=wheels)
    assert done.returncode == 3
    assert lines_of(done, "FIX") == ["CuPy"]
    assert told in done.stdout


def test_every_check_has_a_line_and_the_missing_header_a_cure(machine):
    done = machine("nvidia_doctor.sh", nvidia_smi=SMI, python_stub=PYTHON, wheels="cupy-cuda13x==14.2")
    assert done.returncode == 3
    assert "the driver runs programs up to CUDA 13.0" in done.stdout
    expected = ["system", "gpu", "CUDA", "python", "package", "CuPy", "devices", "NVRTC", "cuBLAS", "training"]
    assert [name for name in lines_of(done, "ok") if name != "module"] == expected
    assert lines_of(done, "FIX") == ["headers"]
    cure = "cannot open source file cuda_bf16.h: python-stub -m pip install nvidia-cuda-runtime-cu13"
    assert cure in done.stdout
    assert done.stdout.endswith("nvidia_doctor: 1 to do\n")


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        ([], 3, "no NVIDIA GPU, nvidia-smi is not installed: see scripts/nvidia_doctor.sh"),
        (["--tool", "x"], 1, "--tool x: takes auto, smi, nsys or ncu"),
        (["--interval", "fast"], 1, "--interval fast: takes milliseconds"),
        (["--out"], 1, "--out needs a value"),
        (["train"], 1, "unknown argument train"),
    ],
)
def test_what_the_profile_cannot_do(machine, flags, code, told):
    done = machine("profile_gpu.sh", *flags)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr


def test_a_profiler_that_is_asked_for_has_to_be_there(machine):
    done = machine("profile_gpu.sh", "--tool", "ncu", nvidia_smi=SMI)
    assert done.returncode == 3
    assert "ncu is not installed: install Nsight Compute" in done.stderr


@pytest.mark.parametrize("code", [0, 7])
def test_the_gpu_is_watched_while_the_command_runs(machine, tmp_path, code):
    out = tmp_path / "out"
    command = [
        "bash",
        "-c",
        f"while ! [ -s {out}/samples.csv ]; do sleep 0.01; done; echo done; echo oh no >&2; exit {code}",
    ]
    done = machine("profile_gpu.sh", "--out", str(out), "--", *command, nvidia_smi=SMI)
    assert done.returncode == code
    assert "nsys is not installed, so there is no timeline" in done.stderr
    assert ("oh no" in done.stderr.splitlines()) == (code != 0)
    assert (out / "run.txt").read_text() == "done\n"
    summary = (out / "summary.txt").read_text()
    assert f"exit code  {code}" in summary
    assert "2 samples, utilisation 75 % on average and 100 % at most, memory up to 3000 MiB, 400 W" in summary


def test_nsys_wraps_the_command(machine, tmp_path):
    nsys = 'echo "$@" > "$HOME_OF_TEST/nsys"; while [ "$1" != true ]; do shift; done; "$@"'
    nsys = nsys.replace("$HOME_OF_TEST", str(tmp_path))
    done = machine("profile_gpu.sh", "--out", str(tmp_path / "out"), "--", "true", nvidia_smi=SMI, nsys=nsys)
    assert done.returncode == 0
    assert "tool       nsys" in done.stdout
    asked = (tmp_path / "nsys").read_text().split()
    assert asked[0] == "profile"
    assert f"--output={tmp_path / 'out'}/timeline" in asked
    assert asked[-1] == "true"
