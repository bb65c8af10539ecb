"""What the parts of the benchmark share: the setting, running Fathom and its peers, and tables."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent


class Failed(Exception):
    pass


@dataclasses.dataclass
class Setting:
    fathom: str
    llama_bench: str
    model: str
    hook: str
    corpus: list
    threads: int
    work: pathlib.Path  # what is made once and kept: rows, texts, the model's other form
    quick: bool  # a trial of the scripts: the figures mean nothing

    def corpus_or_own(self):
        """The texts to run: those that were named, or what the model wrote itself."""
        return self.corpus or [str(own_corpus(self)[0])]


def run(command, threads=None):
    environment = dict(os.environ, TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", WANDB_MODE="disabled")
    if threads:
        environment.update(OMP_NUM_THREADS=str(threads))
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise Failed(f"{' '.join(command)}\nended with {done.returncode}: {last}")
    return done.stdout


def fathom(setting, *arguments):
    return json.loads(run([setting.fathom, *arguments, "--json"]))


def peer(script, *arguments, threads=None):
    """A peer runs in a process of its own, whose last line is its result."""
    return json.loads(run([sys.executable, HERE / script, *arguments], threads).strip().splitlines()[-1])


def model_path(setting):
    """The model's file, whether it was named by its path or by a default model's name."""
    if pathlib.Path(setting.model).exists():
        return pathlib.Path(setting.model)
    return pathlib.Path(fathom(setting, "fetch", setting.model)["models"][0]["path"])


def own_corpus(setting, again=False):
    """The corpus that the model writes itself, and what came of it with the seconds it took; `again` measures anew."""
    tokens = 2000 if setting.quick else 60000
    path = setting.work / f"own-{tokens}.jsonl"
    record = path.with_suffix(".json")
    if again or not record.exists():
        path.unlink(missing_ok=True)
        topics = ROOT / "recipes" / "topics.txt"
        begin = time.perf_counter()
        counts = fathom(setting, "corpus", "write", "-m", setting.model, "--topics", topics, "--tokens", tokens,
                        "--threads", setting.threads, "--seed", 1, "-o", path)
        counts["seconds"] = time.perf_counter() - begin
        record.write_text(json.dumps(counts))
    return path, json.loads(record.read_text())


def table(header, rows):
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for i, row in enumerate(cells):
        aligned = [c.ljust(w) if j == 0 else c.rjust(w) for j, (c, w) in enumerate(zip(row, widths, strict=True))]
        print("| " + " | ".join(aligned) + " |")
        if i == 0:
            print("|" + "|".join("-" * (w + 2) for w in widths) + "|")
    print(flush=True)


def rate(value):
    return "" if value is None else f"{value:,.0f}"


def times(ours, theirs):
    return "" if not theirs else f"{ours / theirs:.1f} ×"
