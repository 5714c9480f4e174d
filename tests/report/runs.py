"""Folders of runs, written by hand."""

import json


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def step(number, loss, **more):
    return {"event": "step", "step": number, "loss": loss, "seconds": 0.5, "tokens_per_sec": 64.0, **more}


def evaluated(number, **values):
    return {"event": "eval", "step": number, "seconds": 1.0, **values}


def lines(events):
    return "".join(json.dumps(event) + "\n" for event in events)


def run(folder, command, events, summary=None, **settings):
    """A run with config.json, env.json, metrics.jsonl, and summary.json where there is one."""
    write(folder / "config.json", {"command": command, "command_line": [command, "--data", "a b"], "config": settings})
    write(folder / "env.json", {"cpu": "a CPU", "blas": {"cpus": 2}, "git_commit": "c" * 40 + "+", "python": "3.11.7"})
    write(folder / "metrics.jsonl", lines(events))
    if summary is not None:
        write(folder / "summary.json", {"command": command, **settings, **summary})
    return folder


ENDED = {
    "steps": 4,
    "tokens_per_step": 32,
    "total_flops": 1e6,
    "train_seconds": 2.0,
    "start_up_seconds": 60.0,
    "wall_seconds": 3.0,
    "params": 1000,
    "tokens_per_sec": 64.0,
    "mfu": 0.25,
    "peak_memory_mib": 100.0,
    "mean_loss_last_n": 2.5,
}


def speedrun(folder):
    """Three stages, of which the last has not ended, and an evaluation of the first two."""
    steps = [step(i, 4.0 - i / 2) for i in range(1, 5)]
    run(
        folder / "pretrain",
        "pretrain",
        [*steps, evaluated(4, val_loss=2.0, val_bpb=1.5)],
        {**ENDED, "val_loss": 2.0, "val_bpb": 1.5, "samples": {"The": " end </pre><script>"}},
        data="stdlib",
        seed=1,
    )
    run(
        folder / "midtrain",
        "midtrain",
        [*steps, evaluated(4, val_loss=0.5, val_bpb=0.25, docs_bpb=1.25)],
        {**ENDED, "val_loss": 0.5, "val_bpb": 0.25, "docs_bpb": 1.25},
        data="generated",
        docs="stdlib",
        loss_on="assistant",
        base=str(folder / "pretrain"),
    )
    run(
        folder / "sft",
        "sft",
        [step(1, 1.0, memory_mib=7.0), step(2, 0.5), evaluated(2, val_bpb=0.5, docs_bpb=1.75)],
        data="generated",
        docs="stdlib",
        loss_on="assistant",
        base="/moved/midtrain/checkpoints/step_000004",
    )
    models = {
        f"{name}-step_000004": {"source": f"/moved/{name}", "step": 4, "results": results}
        for name, results in {
            "pretrain": {"spelling": score("spelling", 0.0), "bpb": score("bpb", 1.5, "bits per byte")},
            "midtrain": {"spelling": score("spelling", 0.5), "bpb": failed("bpb", "no text")},
            "another": {"spelling": score("spelling", 1.0)},
        }.items()
    }
    evaluation = {"command": "eval", "invocation": "", "device": "cpu", "failed": [], "seconds": 5.0, "out": ""}
    write(folder / "eval" / "summary.json", {**evaluation, "models": models})
    write(folder / "summary.json", {"command": "speedrun", "seconds": {"tokenizer": 7.0, "pretrain": 9.0}})
    return folder


def score(name, value, metric="accuracy"):
    return {"benchmark": name, "metric": metric, "score": value}


def failed(name, reason):
    return {"benchmark": name, "metric": "bits per byte", "failed": reason}
