"""Interruptions: what was promised is saved, nothing half-written stays, and a killed run can be run again."""
import json
import os
import pathlib
import signal
import time

import command
from gguf import Gguf

LONG = 10**6  # tokens: hours, if nothing stopped it


class Signals(command.Case):
    def setUp(self):
        super().setUp()
        self.text = self.corpus(documents=4000)

    def interrupt(self, process, ready, number=signal.SIGINT, times=1):
        """Waits until the command is at work, sends the signal, and gives the result."""
        deadline = time.monotonic() + command.PATIENCE
        while not ready() and process.poll() is None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertIsNone(process.poll(), "ended before it could be interrupted")
        for _ in range(times):
            process.send_signal(number)
        return self.finish(process)

    def at_work(self, process, seconds=0.3):
        """Ready once the process has computed for a while."""
        def ready():
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > seconds
        return ready

    def assert_stopped(self, result, *parts):
        self.assert_refused(result, command.STOPPED, parts or "stopped")

    def partial(self):
        return [name for name in self.tree() if ".part" in name]

    def long_train(self, output="new.gguf", **options):
        return self.train(output, corpus=f"{self.text}=1*", **{"tokens": LONG, "metrics": "metrics.jsonl", "shuffle": 256, **options})

    def stepped(self):
        path = self.folder / "metrics.jsonl"
        return path.exists() and path.read_bytes().count(b"\n") >= 1

    def test_train(self):
        for number, times in ((signal.SIGINT, 1), (signal.SIGTERM, 2), (signal.SIGHUP, 1)):
            result = self.interrupt(self.popen(*self.long_train()), self.stepped, number, times)
            self.assert_stopped(result, "new.gguf.checkpoint")
            self.assertEqual([], self.partial())
            self.assertFalse((self.folder / "new.gguf").exists())
            state = json.loads((self.folder / "new.gguf.checkpoint/state.json").read_text())
            self.assertGreaterEqual(state["step"], 1)
            (self.folder / "metrics.jsonl").unlink()

    def test_train_goes_on_to_the_same_bits(self):
        options = {"tokens": 25600, "shuffle": 512, "evaluate_every": 20, "threads": 2}
        self.good(*self.long_train("whole.gguf", **options, metrics="whole.jsonl"))
        whole = Gguf(self.folder / "whole.gguf")
        saved = self.folder / "new.gguf.checkpoint/state.json"
        for number, ready, more in ((signal.SIGINT, self.stepped, {}), (signal.SIGKILL, saved.exists, {"checkpoint_every": 3})):
            arguments = self.long_train("new.gguf", **options, **more)
            self.interrupt(self.popen(*arguments), ready, number)
            self.good(*arguments, "--resume")
            self.assertEqual(self.steps("whole.jsonl"), self.steps("metrics.jsonl"))
            self.assertFalse(saved.parent.exists())
            resumed = Gguf(self.folder / "new.gguf")
            self.assertEqual(whole.tensors, resumed.tensors)
            self.assertEqual(whole.data, resumed.data)
            (self.folder / "metrics.jsonl").unlink()

    def steps(self, name):
        lines = (self.folder / name).read_text().splitlines()
        return [{key: value for key, value in json.loads(line).items() if key in ("step", "loss", "fve", "held_out")} for line in lines]

    def test_killed_train_can_be_run_again(self):
        arguments = self.long_train(**{"checkpoint_every": 1})
        process = self.popen(*arguments)
        state = self.folder / "new.gguf.checkpoint/state.json"
        result = self.interrupt(process, state.exists, signal.SIGKILL)
        self.assertEqual(-signal.SIGKILL, result.status)
        # What a process leaves that is killed while it saves.
        for name in ("trainer0-7.ckpt", "trainer0-9.ckpt.1-2-3.part", "rows0-7.safetensors", "state.json.1-2-3.part"):
            (state.parent / name).write_bytes(b"half")
        before = json.loads(state.read_text())["step"]
        (self.folder / "metrics.jsonl").unlink()
        self.assert_stopped(self.interrupt(self.popen(*arguments, "--resume"), self.stepped))
        self.assertGreater(json.loads(state.read_text())["step"], before)
        self.assertEqual(3, len(list(state.parent.iterdir())), list(state.parent.iterdir()))

    def test_damaged_checkpoints(self):
        arguments = self.long_train()
        self.interrupt(self.popen(*arguments), self.stepped)
        folder = self.folder / "new.gguf.checkpoint"
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            for spoiled in (content[:len(content) // 2], b"", content[:40] + b"\xff" + content[41:]):
                path.write_bytes(spoiled)
                self.bad(command.INPUT, folder.name, *arguments, "--resume")
            path.write_bytes(content)
        self.bad(command.INPUT, "another model", *self.long_train(seed=2), "--resume")

    def test_capture_and_run(self):
        capture = ("capture", "-q", "-m", self.llama, "-t", 1, "--hook", "embed", "-o", "rows", "--file")
        many = self.write("many.jsonl", self.text.read_bytes() * 20)
        process = self.popen(*capture, many)
        self.assert_stopped(self.interrupt(process, self.at_work(process)))
        self.assertFalse((self.folder / "rows").exists())
        self.assertEqual([], self.partial())
        for number in (signal.SIGINT, signal.SIGTERM):
            run = ("run", "-m", self.llama, "-t", 1, "-p", "the", "-n", LONG, "--context", 10**5, "--temperature", 0)
            process = self.popen(*run, "--json")
            result = self.interrupt(process, self.at_work(process), number)
            self.assertEqual((command.STOPPED, ""), (result.status, result.err))
            written = json.loads(result.out)
            self.assertEqual("interrupted", written["finish"])
            self.assertGreater(written["tokens"], 0)
            process = self.popen(*run)
            result = self.interrupt(process, self.at_work(process), number)
            self.assertEqual((command.STOPPED, ""), (result.status, result.err))
            self.assertTrue(result.out.startswith("the") and result.out.endswith("\n"))

    def test_closed_log(self):
        """Ctrl-C reaches `| tee log` too: its pipe closes, and the checkpoint must be saved all the same."""
        process = self.popen(*(argument for argument in self.long_train() if argument != "-q"))
        process.stderr.close()
        self.assertEqual(command.PIPE, process.wait(timeout=command.PATIENCE))
        process.stdout.close()
        self.assertTrue((self.folder / "new.gguf.checkpoint/state.json").exists())


if __name__ == "__main__":
    command.main()
