"""The ledger of runs, seeds and sweeps: what training writes down, and that a bad ledger never costs a run."""
import json
import sqlite3

import command


class Runs(command.Case):
    def ledger(self):
        return self.home / "data/fathom/runs.sqlite"

    def runs(self):
        return json.loads(self.good("runs", "--json").out)["runs"]

    def test_what_is_written_down(self):
        self.good(*self.train("one.gguf", evaluate_every=2))
        self.good(*self.train("it's two.gguf", features="64,32", evaluate_every=2, seed=5))
        self.good(*self.train("three.gguf"), "--no-record")
        first, second = self.runs()
        self.assertEqual([first["run"], second["run"]], [1, 2])
        self.assertEqual([first["state"], second["state"]], ["done", "done"])
        self.assertIn("--seed=5", second["command"])
        self.assertIn("'it'\\''s two.gguf'", second["command"])
        self.assertEqual(len(first["corpus_hash"]), 32)
        self.assertEqual(first["model_identity"], second["model_identity"])
        self.assertEqual([d["features"] for d in second["dictionaries"]], [64, 32])
        shown = json.loads(self.good("runs", "show", 2, "--json", "--svg", "curves.svg").out)
        self.assertEqual([p["step"] for p in shown["points"]], [2, 4, 6, 7] * 2)
        self.assertEqual(shown["points"][3]["fve"], shown["dictionaries"][0]["fve"])
        svg = (self.folder / "curves.svg").read_text()
        self.assertEqual(svg.count("<polyline"), 2)
        self.assertIn("held-out FVE", self.good("runs", "show", 1).out)
        compared = self.good("runs", "compare", 1, 2, "--curve", "loss").out
        self.assertIn("B less A: FVE", compared)
        self.assertIn("run 2: resid_post.1 topk, 32 features", compared)
        self.assertIn("one.gguf", self.good("runs").out)
        self.good("runs", "remove", 1)
        self.assertEqual([run["run"] for run in self.runs()], [2])

    def test_stopped_runs_go_on_in_their_entry(self):
        arguments = [*self.train("new.gguf", evaluate_every=1), "--max-time", "0.000001s", "--resume"]
        while self.fathom(*arguments).status == command.STOPPED:
            run, = self.runs()
            self.assertEqual(run["state"], "stopped")
        run, = self.runs()
        self.assertEqual(run["state"], "done")
        points = json.loads(self.good("runs", "show", 1, "--json").out)["points"]
        self.assertEqual([p["step"] for p in points], list(range(1, 8)))

    def test_failed_runs(self):
        late = self.corpus("late.jsonl").read_bytes() + b'{"text": "b\xffd"}\n'
        self.write("late.jsonl", late * 40)
        self.assertNotEqual(self.fathom(*self.train(corpus="late.jsonl", tokens=10**4)).status, command.OK)
        self.assertTrue(not self.ledger().exists() or self.runs() == [] or self.runs()[0]["state"] == "failed")

    def test_bad_ledgers(self):
        self.ledger().parent.mkdir(parents=True)
        for content in (b"no database at all, but text that is long enough", None):
            if content is None:
                self.ledger().unlink()
                database = sqlite3.connect(self.ledger())
                database.execute("CREATE TABLE mine (a)")
                database.commit()
                database.close()
            else:
                self.ledger().write_bytes(content)
            before = self.ledger().read_bytes()
            run = self.good(*self.train("made.gguf"))
            self.assertIn("is not written down", run.err)
            self.assertEqual(before, self.ledger().read_bytes())
            self.bad(command.INPUT, "runs.sqlite", "runs")
            (self.folder / "made.gguf").unlink()

    def test_locked_ledgers(self):
        self.good(*self.train("made.gguf"))
        lock = sqlite3.connect(self.ledger())
        lock.execute("BEGIN EXCLUSIVE")
        run = self.good(*self.train("made.gguf"))
        lock.rollback()
        lock.close()
        self.assertIn("locked by another process", run.err)
        self.assertEqual(len(self.runs()), 1)

    def test_what_is_not_there(self):
        self.bad(command.INPUT, "runs.sqlite: no such file", "runs")
        self.bad(command.INPUT, "runs.sqlite: no such file", "runs", "remove", 1)
        self.assertFalse(self.ledger().exists())
        self.good(*self.train("made.gguf"))
        self.bad(command.INPUT, "there is no run 7", "runs", "show", 7)
        self.bad(command.USAGE, "number of a run", "runs", "show", "first")
        self.bad(command.USAGE, "", "runs", "compare", 1)

    def test_seeds(self):
        # After a few steps features lie as they were drawn; after these they come back.
        run = json.loads(self.good(*self.train("s.gguf", f"{self.corpus()}=1*", seeds=3, seed=4, tokens=20000, lr=3e-3), "--json").out)
        self.assertEqual([d["seed"] for d in run["dictionaries"]], [4, 5, 6])
        self.assertEqual(len(run["stability"]), 3)
        for one in run["stability"]:
            self.assertGreater(one["best_cosine_in_every_other_seed"]["mean"], 1.5 * one["random_directions"]["mean"])
        file = json.loads((self.folder / "s-resid_post.1-64-4-seed5.stability.json").read_text())
        self.assertEqual(len(file["best_cosine"]), 64)
        self.assertEqual(len(file["others"]), 2)
        self.assertEqual(self.runs()[0]["notes"]["stability"][1]["seed"], 5)
        self.good(*self.train("s", features=16, seeds=2))
        for seed in 1, 2:
            self.assertTrue((self.folder / f"s-resid_post.1-16-4-seed{seed}.stability.json").exists())
        same = json.loads(self.good(*self.train("s.gguf", features="16,32", seeds=2), "--json").out)
        self.assertEqual([d["features"] for d in same["dictionaries"]], [16, 16, 32, 32])
        self.assertIn("random directions", self.good(*self.train("s.gguf", seeds=2)).out)

    def sweep(self, *more, **options):
        values = {"features": "16,32,64", "k": "2,4", "tokens": "512,1024,2048", **options}
        arguments = self.train("folder", corpus=f"{self.corpus()}=1*", **values)
        return ["sweep", *arguments[1:], *more]

    def test_sweeps(self):
        result = json.loads(self.good(*self.sweep("--json", "--svg", "sweep.svg")).out)
        self.assertEqual(len(result["points"]), 18)
        self.assertEqual(len(result["largest_withheld"]), 2)
        for one in result["largest_withheld"]:
            self.assertEqual((one["features"], one["tokens"]), (64, 2048))
            self.assertGreater(one["predicted"], 0)
            self.assertIn("largest_other_run", one)
        self.assertTrue(result["surface"]["has_tokens"])
        self.assertEqual([one["k"] for one in result["recommended"]], [2, 4])
        self.assertEqual(len(list((self.folder / "folder").glob("*.gguf"))), 18)
        written = json.loads((self.folder / "folder/sweep.json").read_text())
        self.assertEqual([p["path"] for p in written["points"]], [p["path"] for p in result["points"]])
        self.assertAlmostEqual(written["surface"]["delta"], result["surface"]["delta"], places=6)
        self.assertIn("<circle", (self.folder / "sweep.svg").read_text())
        self.assertIn("sweep", self.runs()[0]["notes"])
        self.assertIn("predicted from the 16 others", self.good(*self.sweep()).out)

    def test_small_sweeps(self):
        self.assertIn("no surface: surface: 2 points", self.good(*self.sweep(features="16", k="2", tokens="512,1024")).out)
        self.assertIn("no surface: surface: 4 points", self.good(*self.sweep(features="16,32", k="2,4", tokens="512")).out)
        for hook in ("resid_post.0,resid_post.1", "resid_post.*"):
            self.bad(command.USAGE, "one hook point", *self.sweep(hook=hook))
        self.bad(command.USAGE, "--tokens x", *self.sweep(tokens="x"))
        self.assertEqual(command.LIMIT, self.fathom(*self.sweep(features=",".join("8" * 40), k="1,2")).status)


if __name__ == "__main__":
    command.main()
