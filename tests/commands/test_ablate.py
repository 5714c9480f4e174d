"""``ablate`` as a user meets it: tables, files, rows that survive failures, exit codes."""

import contextlib
import csv
import io
import json
import math
import re
from pathlib import Path

import pytest

from nanochat_np.cli import main
from nanochat_np.commands import ablate
from nanochat_np.errors import Interrupted, RunError
from nanochat_np.experiments import ablation
from nanochat_np.experiments.ablation import VARIANTS

COLUMNS = (
    "variant,tie_lm_head,input_rmsnorm,style,parameter_count,steps,seed,final_loss,mean_loss_last_n,last_n,"
    "steps_per_sec,tokens_per_sec,vocab_size,train_tokens,model_kind,val_loss,val_bpb,optimizer,lr,train_seconds"
)
SHAPE = ("--n-embd=4", "--n-head=2", "--block-size=4")
QUICK = ("--data=stories:3000", "--steps=3", "--eval-every=0", "--quiet")
TIMED = {"steps_per_sec", "tokens_per_sec", "train_seconds"}


@pytest.fixture(autouse=True, scope="module")
def quick():
    """What takes longer than a tiny run: to load Matplotlib, to wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablate, "can_plot", lambda: False)
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def both(quick, tmp_path_factory):
    """The summary of an ablation of both kinds with two seeds."""
    folder = tmp_path_factory.mktemp("both")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        flags = [*QUICK, *SHAPE, "--json", "--model-kind=both", "--seeds=7,8", f"--out={folder}"]
        assert main(["ablate", *flags]) == 0
    return json.loads(printed.getvalue())


@pytest.fixture
def one_fails(monkeypatch):
    """Returns a function that makes one cell end in an error."""

    def fail(name, error):
        real = ablation.train

        def train(prepared, folder, *rest):
            if folder.path.name == name:
                raise error
            return real(prepared, folder, *rest)

        monkeypatch.setattr(ablation, "train", train)

    return fail


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def only(folder, ending):
    (path,) = folder.glob(f"*{ending}")
    return path


def test_the_names_of_the_files_say_what_was_run(both):
    stem = r"ablate_style-classic_seed-7-8_steps-3_\d{19}"
    for name, ending in {"csv": ".csv", "jsonl": ".jsonl", "json": ".json", "markdown": ".md", "runs": ""}.items():
        assert re.fullmatch(stem + ending.replace(".", r"\."), Path(both[name]).name)
        assert Path(both[name]).exists()
    assert both["plot"] is None


def test_the_columns_of_the_csv_are_the_keys_of_the_jsonl(both):
    assert Path(both["csv"]).read_text().splitlines()[0] == COLUMNS
    assert {",".join(row) for row in lines(both["jsonl"])} == {COLUMNS}


def test_a_row_for_each_kind_variant_and_seed_in_the_order_of_the_grid(both):
    expected = [(kind, variant, seed) for kind in ("bigram", "mini-gpt") for variant in VARIANTS for seed in (7, 8)]
    assert [(row["model_kind"], row["variant"], row["seed"]) for row in both["rows"]] == expected
    assert lines(both["jsonl"]) == both["rows"]
    assert list(VARIANTS) == [
        "tied_no_input_rmsnorm",
        "tied_input_rmsnorm",
        "untied_no_input_rmsnorm",
        "untied_input_rmsnorm",
    ]


def test_the_csv_has_six_decimals_and_the_jsonl_all(both):
    for rounded, exact in zip(table(both["csv"]), both["rows"], strict=True):
        for name, value in exact.items():
            if isinstance(value, bool):
                assert rounded[name] == str(value).lower()
            elif isinstance(value, float):
                assert rounded[name] == f"{value:.6f}"
            else:
                assert rounded[name] == str(value)
    assert any(f"{row['val_loss']:.6f}" != repr(row["val_loss"]) for row in both["rows"])


def test_each_cell_is_a_training_run_with_the_settings_of_its_variant(both):
    for row in both["rows"]:
        run = Path(both["runs"]) / f"{row['model_kind']}_{row['variant']}_seed-{row['seed']}"
        settings = json.loads((run / "config.json").read_text())["config"]
        summary = json.loads((run / "summary.json").read_text())
        assert (settings["tie_lm_head"], settings["input_rmsnorm"]) == VARIANTS[row["variant"]]
        assert (settings["seed"], settings["model_kind"]) == (row["seed"], row["model_kind"])
        assert settings["n_embd"] == (4 if row["model_kind"] == "mini-gpt" else None)
        same = {"val_loss", "val_bpb", "mean_loss_last_n", "last_n", "steps", "train_tokens", "vocab_size"}
        assert {name: row[name] for name in same} == {name: summary[name] for name in same}
        assert (row["final_loss"], row["parameter_count"]) == (summary["train_loss"], summary["params"])
        assert [path.name for path in sorted((run / "checkpoints").glob("step*"))] == ["step_000003"]
        assert (run / "metrics.jsonl").exists()


def test_means_and_standard_deviations_are_over_seeds(both):
    assert len(both["variants"]) == 8
    for found in both["variants"]:
        for name in ("val_loss", "val_bpb", "mean_loss_last_n", "steps_per_sec"):
            a, b = (
                row[name]
                for row in both["rows"]
                if (row["model_kind"], row["variant"]) == (found["model_kind"], found["variant"])
            )
            assert found[name]["mean"] == pytest.approx((a + b) / 2)
            assert found[name]["sd"] == pytest.approx(abs(a - b) / math.sqrt(2))
        assert found["seeds"] == [7, 8]


def test_variants_are_ranked_by_bits_per_byte_and_compared_with_counting(both):
    for kind in ("bigram", "mini-gpt"):
        of_kind = [found for found in both["variants"] if found["model_kind"] == kind]
        best_first = sorted(of_kind, key=lambda found: found["val_bpb"]["mean"])
        assert both["ranking"][kind] == [found["variant"] for found in best_first]
        assert [found["rank"] for found in best_first] == [1, 2, 3, 4]
    for found in both["variants"]:
        for name in ("unigram", "bigram"):
            assert found[f"beats_{name}"] == (found["val_loss"]["mean"] < both["baselines"][name]["val_loss"])


def test_the_summary_file_is_what_json_prints(both):
    assert json.loads(Path(both["json"]).read_text()) == both
    assert (both["command"], both["schema"], both["failed"], both["interrupted"]) == ("ablate", 1, [], False)


def test_the_tables_are_sorted_with_the_baselines_among_the_variants(lab, tmp_path):
    result = lab("ablate", *QUICK, *SHAPE, "--model-kind=both", "--seeds=7", f"--out={tmp_path}")
    assert result.code == 0
    bigram, gpt = re.split(r"^mini-gpt on", result.out, flags=re.MULTILINE)
    for part in (bigram, gpt):
        names = [*VARIANTS, r"\(bigram counts\)", r"\(unigram counts\)", r"\(all characters alike\)"]
        found = [(float(bpb), name) for name in names for bpb in re.findall(rf"^{name} .*?(\d\.\d{{4}})", part, re.M)]
        assert len(found) == len(names)
        in_print = sorted(found, key=lambda each: re.search(f"^{each[1]}", part, re.M).start())
        assert in_print == sorted(found, key=lambda each: each[0])
    assert "±" not in result.out
    markdown = only(tmp_path, ".md").read_text()
    assert all(f"| {variant} |" in markdown for variant in VARIANTS)


def test_one_seed_has_no_standard_deviation(lab, tmp_path):
    result = lab("ablate", *QUICK, "--json", "--seeds=7", f"--out={tmp_path}")
    assert {found["val_bpb"]["sd"] for found in result.summary["variants"]} == {None}


def test_a_cell_that_fails_loses_only_itself(lab, one_fails, tmp_path):
    one_fails("bigram_tied_input_rmsnorm_seed-7", RunError(told := "the loss is not finite at step 2"))
    result = lab("ablate", *QUICK, "--seeds=7,8", f"--out={tmp_path}")
    assert result.code == 3
    assert result.err.count("\n") == 1
    assert result.err.startswith("error: 1 of 8 runs failed: bigram_tied_input_rmsnorm_seed-7; ")
    assert told in result.err
    rows = [(row["variant"], row["seed"]) for row in table(only(tmp_path, ".csv"))]
    assert len(rows) == 7
    assert ("tied_input_rmsnorm", "8") in rows
    summary = json.loads(only(tmp_path, ".json").read_text())
    failed = {"model_kind": "bigram", "variant": "tied_input_rmsnorm", "seed": 7, "error": told}
    assert summary["failed"] == [failed]
    assert [len(found["seeds"]) for found in summary["variants"]] == [2, 1, 2, 2]
    assert told in only(tmp_path, ".md").read_text()


def test_failures_are_told_when_they_happen(lab, one_fails, tmp_path):
    one_fails("bigram_tied_input_rmsnorm_seed-7", RunError("no luck"))
    result = lab("ablate", *QUICK[:-1], "--seeds=7", f"--out={tmp_path}")
    assert "bigram_tied_input_rmsnorm_seed-7: failed: no luck\n" in result.err


def test_rows_are_on_the_disk_as_soon_as_their_cells_end(lab, monkeypatch, tmp_path):
    seen, real = [], ablation.train

    def train(*arguments):
        counts = [len(only(tmp_path, ending).read_text().splitlines()) for ending in (".csv", ".jsonl")]
        seen.append(counts)
        return real(*arguments)

    monkeypatch.setattr(ablation, "train", train)
    assert lab("ablate", *QUICK, "--seeds=7", f"--out={tmp_path}").code == 0
    assert seen == [[1, 0], [2, 1], [3, 2], [4, 3]]


@pytest.mark.parametrize("error", [Interrupted(2, "x"), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_an_interrupt_keeps_what_is_done(lab, one_fails, tmp_path, error):
    one_fails("bigram_untied_no_input_rmsnorm_seed-7", error)
    result = lab("ablate", *QUICK, "--seeds=7", f"--out={tmp_path}")
    assert result.code == 130
    assert result.err == f"interrupted after 2 of 4 runs; what they gave is in {only(tmp_path, '.md')}\n"
    summary = json.loads(only(tmp_path, ".json").read_text())
    assert summary["interrupted"] is True
    assert [found["variant"] for found in summary["variants"]] == list(VARIANTS)[:2]
    assert len(table(only(tmp_path, ".csv"))) == 2


@pytest.mark.parametrize(
    ("flags", "code", "told"),
    [
        (["--data=nothing-here"], 2, "nothing-here"),
        (["--data=stories:2000", "--model-kind=mini-gpt", "--block-size=5000"], 2, "--block-size"),
        (["--n-layer=2"], 1, "--n-layer"),
        (["--model-kind=both", "--n-embd=6", "--n-head=4"], 1, "--n-embd 6"),
        (["--seeds=3,4,3"], 1, "--seeds 3,4,3"),
        (["--seeds="], 1, "--seeds"),
        (["--mode=scalar", "--dtype=float32"], 1, "--dtype"),
        (["--momentum=0.5"], 1, "--momentum"),
        (["--device=cuda:99"], 1, "--device cuda:99"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(lab, tmp_path, flags, code, told):
    result = lab("ablate", *flags, f"--out={tmp_path / 'new'}")
    assert told in result.error(code)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written(lab, tmp_path):
    (tmp_path / "file").write_text("")
    assert f"--out {tmp_path / 'file'}" in lab("ablate", *QUICK, f"--out={tmp_path / 'file'}").error(1)


def test_without_matplotlib_a_note_says_how_to_get_it(lab, tmp_path):
    result = lab("ablate", *QUICK[:-1], "--json", "--seeds=7", f"--out={tmp_path}")
    assert "pip install 'nanochat-np[plot]'" in result.err
    assert result.summary["plot"] is None
    assert not list(tmp_path.glob("*.png"))


def test_a_plot_that_fails_costs_nothing_else(lab, monkeypatch, tmp_path):
    def plot_curves(*arguments):
        raise ImportError("broken")

    monkeypatch.setattr(ablate, "can_plot", lambda: True)
    monkeypatch.setattr(ablate, "plot_curves", plot_curves)
    result = lab("ablate", *QUICK[:-1], "--json", "--seeds=7", f"--out={tmp_path}")
    assert (result.code, result.summary["plot"]) == (0, None)
    assert "no plot: ImportError: broken" in result.err


def test_on_the_tape(lab, tmp_path):
    result = lab("ablate", *QUICK, "--json", "--mode=scalar", "--batch-size=1", "--seeds=7", f"--out={tmp_path}")
    assert (result.summary["mode"], len(result.summary["rows"])) == ("scalar", 4)


@pytest.mark.slow
def test_processes_side_by_side_give_the_same_rows(lab, tmp_path, both):
    flags = [*QUICK, *SHAPE, "--json", "--model-kind=both", "--seeds=7,8", "--jobs=2", f"--out={tmp_path}"]
    result = lab("ablate", *flags)
    assert result.code == 0
    rows = [[{k: v for k, v in row.items() if k not in TIMED} for row in s["rows"]] for s in (result.summary, both)]
    assert rows[0] == rows[1]
    assert [found["val_bpb"] for found in result.summary["variants"]] == [each["val_bpb"] for each in both["variants"]]
    assert len(table(result.summary["csv"])) == 16


@pytest.mark.slow
def test_the_plot_shows_every_variant(lab, monkeypatch, tmp_path):
    monkeypatch.setattr(ablate, "can_plot", lambda: True)
    flags = ["--data=stories:3000", "--steps=40", "--eval-every=10", "--quiet", "--json", "--seeds=7", "--n-embd=8"]
    result = lab("ablate", *flags, "--model-kind=both", f"--out={tmp_path}")
    from matplotlib import image

    pixels = image.imread(result.summary["plot"])
    assert pixels.shape[:2] == (720, 1650)
    for color in ("#0072B2", "#56B4E9", "#D55E00", "#E69F00"):
        rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        close = (abs(pixels[..., :3] - rgb) < 0.01).all(-1)
        assert close[:, :825].sum() > 100, color  # in the first panel
        assert close[:500, 825:].sum() > 100, color  # and in the second
