"""What the tests of the command share: tiny files, a folder to work in, and what a good error looks like."""
import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

OK, NEGATIVE, USAGE, INPUT, LIMIT, FAILURE, STOPPED, PIPE = 0, 1, 2, 3, 4, 5, 130, 141
PATIENCE = 120  # seconds for one command; a good one takes milliseconds

# What labelled texts are made of.
BRIDGES, RIVERS = ("golden gate bridge", "bridge golden", "golden bridge gate"), ("stone wind river", "river stone", "wind stone river")
FILLERS = ("the", "over", "and", "a"), ("in", "on", "of", "to")

FATHOM = os.environ["FATHOM"]
Result = collections.namedtuple("Result", "status out err")

_files = None


def files():
    """The folder of models and dictionaries, made once a process."""
    global _files
    if _files is None:
        _files = pathlib.Path(tempfile.mkdtemp(prefix="fathom-files-"))
        subprocess.run([os.environ["FATHOM_MAKE_FILES"], _files], check=True)
    return _files


def main():
    try:
        unittest.main(verbosity=1)
    finally:
        if _files is not None:
            shutil.rmtree(_files)


def text(bytes_):
    return bytes_.decode("utf-8", "replace")


class Case(unittest.TestCase):
    """A test in an empty folder, with an empty home, that leaves no core file behind."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fathom-cli-"))
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="fathom-home-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.environment = dict(os.environ, HOME=str(self.home), XDG_CACHE_HOME=str(self.home / "cache"),
                                XDG_DATA_HOME=str(self.home / "data"), LC_ALL="C.UTF-8", TMPDIR=str(self.home))
        self.llama, self.gemma = files() / "llama.gguf", files() / "gemma3.gguf"
        self.toy = files() / "toy.gguf"

    def popen(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "cwd": self.folder, "env": self.environment, **options}
        return subprocess.Popen([FATHOM, *map(os.fspath, map(_argument, arguments))], **options)

    def finish(self, process):
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Result(process.returncode, text(out or b""), text(err or b""))

    def fathom(self, *arguments, **options):
        result = self.finish(self.popen(*arguments, **options))
        self.assertGreaterEqual(result.status, 0, f"ended by {signal_name(result.status)}: {arguments}\n{result.err}")
        self.assertEqual([], [str(path) for path in self.folder.rglob("core*")])
        return result

    def good(self, *arguments, **options):
        result = self.fathom(*arguments, **options)
        self.assertEqual(OK, result.status, f"{arguments}\n{result.err}")
        return result

    def bad(self, status, parts, *arguments, **options):
        """A command must fail with this status and one line that holds every part, and leave the folder as it was."""
        before = self.tree()
        result = self.fathom(*arguments, **options)
        self.assert_refused(result, status, parts, arguments)
        self.assertEqual(before, self.tree(), f"{arguments} left something behind")
        return result

    def assert_refused(self, result, status, parts, what=""):
        self.assertEqual(status, result.status, f"{what}\n{result.err}")
        self.assert_one_line(result.err, what)
        for part in [parts] if isinstance(parts, str) else parts:
            self.assertIn(part, result.err, f"{what}")

    def assert_one_line(self, err, what=""):
        self.assertTrue(err.startswith("fathom") and err.endswith("\n") and err.count("\n") == 1, f"{what}: not one line: {err!r}")
        self.assertTrue(all(c.isprintable() for c in err[:-1]), f"{what}: control characters: {err!r}")

    def tree(self):
        return {str(p.relative_to(self.folder)): None if p.is_dir() else p.read_bytes()
                for p in sorted(self.folder.rglob("*")) if not p.is_fifo()}

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def corpus(self, name="corpus.jsonl", documents=60):
        words = "the bridge and golden gate river wind over a stone".split()
        lines = (json.dumps({"text": " ".join(words[(i * j + j) % len(words)] for j in range(1, 40))})
                 for i in range(documents))
        return self.write(name, "\n".join(lines) + "\n")

    def labelled(self, name, n=30, first=0, fillers=FILLERS[0]):
        """Half about bridges, all of them different, no two word pairs in a row alike."""
        lines = []
        for i in range(first, first + n):
            words = (BRIDGES if i % 2 else RIVERS)[i // 2 % 3].split()
            fill = [fillers[(i // 2 + j * j) % 4] for j in range(len(words) + i // 6)]
            text = " ".join(word for pair in zip(fill, words) for word in pair) + " " + " ".join(fill[len(words):])
            lines.append(json.dumps({"text": text, "label": i % 2 == 1}))
        return self.write(name, "\n".join(lines) + "\n")

    def train(self, output="new.gguf", corpus=None, **options):
        """Arguments of a run of a few steps."""
        values = {"hook": "resid_post.1", "features": 64, "k": 4, "batch": 128, "held-out": 200, "tokens": 1000,
                  "threads": 1, **{name.replace("_", "-"): value for name, value in options.items()}}
        return ["train", "-q", "-m", self.llama, "--corpus", corpus or self.corpus(), "-o", output,
                *(f"--{name}={value}" for name, value in values.items())]


def _argument(value):
    return value if isinstance(value, (str, bytes, os.PathLike)) else str(value)


def signal_name(status):
    return signal.Signals(-status).name if status < 0 else str(status)
