"""Jobs under /api/jobs: real training and indexing by a served tiny model, stopped, resumed, and left behind by a server."""
import json
import re
import signal
import time
import urllib.error
import urllib.request

import command

ENDED = ("done", "stopped", "failed")


class Jobs(command.Case):
    def setUp(self):
        super().setUp()
        self.data = self.home / "data" / "fathom"
        (self.data / "corpora").mkdir(parents=True)
        self.corpus().rename(self.data / "corpora" / "words.jsonl")

    def serve(self, *arguments):
        process = self.popen("serve", "-m", self.llama, "--dict", self.toy, "--port", 0, "--threads", 1, "--context", 256,
                             "--no-access-log", *arguments)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.address = re.search(r"http://\S+:\d+", command.text(process.stderr.readline()))[0]
        return process

    def ask(self, path, body=None, status=200, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=command.PATIENCE) as reply:
                code, text = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            code, text = error.code, error.read()
        self.assertEqual(status, code, text)
        return json.loads(text)

    def wait(self, number, states=ENDED):
        until = time.monotonic() + command.PATIENCE
        while time.monotonic() < until:
            job = self.ask(f"/api/jobs/{number}")
            if job["state"] in states:
                return job
            time.sleep(0.05)
        self.fail(f"job {number} is {job['state']}: {job['log']}")

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(command.OK, self.finish(process).status)

    def train(self, output, **options):
        return {"command": "train", "corpus": ["words.jsonl"], "output": output,
                "options": {"hook": "resid_post.1", "features": 64, "k": 4, "batch": 128, "held-out": 200, "tokens": 1000,
                            "threads": 1, **options}}

    def test_train_index_eval(self):
        process = self.serve()
        listed = self.ask("/api/jobs")
        self.assertEqual(([], ["words.jsonl"], []), (listed["jobs"], listed["corpora"], listed["dictionaries"]))
        begun = self.ask("/api/jobs", self.train("mine"))
        self.assertEqual((1, "running"), (begun["job"], begun["state"]))
        done = self.wait(1)
        self.assertEqual(("done", 0), (done["state"], done["exit"]), done["log"])
        self.assertTrue((self.data / "dictionaries" / "mine.gguf").exists())
        runs = self.ask("/api/runs")["runs"]
        self.assertEqual(["done"], [run["state"] for run in runs])
        self.assertNotIn("points", runs[0])
        run = self.ask(f"/api/runs/{runs[0]['run']}")
        self.assertGreater(len(run["points"]), 0)
        self.assertEqual(64, run["dictionaries"][0]["features"])
        index = {"command": "index", "corpus": ["words.jsonl"], "dictionary": "mine", "options": {"context": 32, "threads": 1}}
        self.assertEqual(2, self.ask("/api/jobs", index)["job"])
        done = self.wait(2)
        self.assertEqual("done", done["state"], done["log"])
        self.assertEqual(60, done["result"]["documents"])
        failed = self.train("other", hook="resid_post.77")
        self.ask("/api/jobs", failed)
        done = self.wait(3)
        self.assertEqual("failed", done["state"])
        self.assertIn("77", done["message"])
        listed = self.ask("/api/jobs")
        self.assertEqual([3, 2, 1], [job["job"] for job in listed["jobs"]])
        self.assertEqual(["mine"], listed["dictionaries"])
        self.ask("/api/jobs/3", method="DELETE")
        self.ask("/api/jobs/3", status=404)
        self.ask("/api/jobs", self.train("mine"), status=400)
        self.ask("/api/jobs", self.train("../mine"), status=400)
        self.stop(process)

    def labelled(self, name, sentences, endings):
        lines = [json.dumps({"text": f"{sentences[label]} {ending}", "label": label}) for ending in endings for label in (0, 1)]
        (self.data / "corpora" / name).write_text("\n".join(lines) + "\n")

    def test_probes(self):
        self.labelled("old.jsonl", ("a cat sat on the mat", "the river ran over the sea"),
                      ("in spring", "at noon", "by night", "once more", "all day", "in rain", "alone", "again", "at last", "too late", "now", "soon"))
        self.labelled("new.jsonl", ("that cat of hers slept where mats lay", "this river went down until seas came"),
                      ("early", "twice", "quietly", "yesterday", "for hours", "today", "outside", "with us", "as ever", "slowly", "instead", "anyway"))
        process = self.serve()
        self.ask("/api/jobs", {"command": "probe train", "corpus": ["old.jsonl"], "output": "water", "options": {"hook": "resid_post.1", "c": 1}})
        done = self.wait(1)
        self.assertEqual("done", done["state"], done["log"])
        self.assertEqual(["water"], self.ask("/api/jobs")["probes"])
        probe = self.ask("/api/probes")["probes"][0]
        self.assertEqual(("water", "blocks.1.hook_resid_post", 12, 12),
                         (probe["probe"], probe["hook"], probe["positive"], probe["negative"]))
        self.assertAlmostEqual(done["result"]["threshold"], probe["threshold"], places=6)
        watched = self.ask("/api/watch", {"texts": ["the river ran over the sea", "a cat sat on the mat"], "watch": [{"probe": "water"}]})
        self.assertEqual([1, 1], [len(text["levels"]) for text in watched["texts"]])
        self.ask("/api/jobs", {"command": "probe eval", "corpus": ["new.jsonl"], "probe": "water", "options": {"random": 50}})
        done = self.wait(2)
        self.assertEqual("done", done["state"], done["log"])
        report = done["result"]
        self.assertEqual(50, report["random_directions"]["n"])
        roc = report["roc"]
        self.assertEqual(([0, 0], [1, 1]), (roc[0], roc[-1]))
        area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(roc, roc[1:]))
        self.assertAlmostEqual(report["auroc"], area, places=9)
        self.stop(process)

    def test_scan_and_doctor(self):
        self.labelled("labelled.jsonl", ("a cat sat on the mat", "the river ran over the sea"), ("in spring", "at noon", "by night"))
        process = self.serve()
        self.ask("/api/jobs", {"command": "watch", "corpus": ["labelled.jsonl"], "labelled": True,
                               "options": {"feature": "1,2", "above": -1, "strongest": 2}})
        done = self.wait(1)
        self.assertEqual("done", done["state"], done["log"])
        self.assertEqual((6, 6), (done["result"]["summary"]["texts"], done["result"]["summary"]["alerts"]))
        self.assertEqual(3, done["result"]["summary"]["counts"]["false_positive"])
        self.assertEqual(2, len(done["result"]["strongest"]))
        self.assertIn("watch", done["log"])
        own = self.ask("/api/watch", {"texts": [done["result"]["strongest"][0]["text"]],
                                      "watch": [{"feature": 1, "above": -1}, {"feature": 2, "above": -1}]})["texts"][0]
        for level, watch in zip(own["levels"], done["result"]["strongest"][0]["watches"]):
            self.assertAlmostEqual(level, watch["level"], places=2)
        self.ask("/api/jobs", {"command": "watch", "corpus": ["labelled.jsonl"], "options": {"feature": "1"}})
        self.assertEqual("failed", self.wait(2)["state"])  # which level is meant it cannot know
        self.ask("/api/jobs", {"command": "doctor", "options": {"threads": 1}})
        done = self.wait(3)
        self.assertEqual("done", done["state"], done["log"])
        self.assertEqual((True, 0), (done["result"]["passed"], done["result"]["failed"]))
        self.assertGreater(len(done["result"]["checks"]), 10)
        self.stop(process)

    def test_stop_and_resume(self):
        process = self.serve()
        (self.data / "runs.sqlite").touch()  # as a training that has only begun leaves it for a moment
        self.assertEqual([], self.ask("/api/runs")["runs"])
        self.ask("/api/jobs", {**self.train("long", tokens=10**6, shuffle=256), "repeat": True})
        until = time.monotonic() + command.PATIENCE
        while not (runs := self.ask("/api/runs")["runs"]) and time.monotonic() < until:
            time.sleep(0.05)
        self.assertEqual("running", runs[0]["state"])
        busy = self.ask("/api/jobs", self.train("other"), status=429)
        self.assertIn("one runs at a time", busy["error"]["message"])
        self.ask("/api/jobs/1", method="DELETE")
        stopped = self.wait(1)
        self.assertEqual(("stopped", command.STOPPED), (stopped["state"], stopped["exit"]), stopped["log"])
        self.ask("/api/jobs/1/resume", {})
        self.assertEqual("running", self.ask("/api/jobs/1")["state"])
        self.stop(process)  # takes the job with it
        process = self.serve()
        self.assertEqual("stopped", self.ask("/api/jobs/1")["state"])
        self.ask("/api/jobs/7/resume", {}, status=404)
        self.stop(process)

    def test_read_only(self):
        process = self.serve("--read-only")
        self.ask("/api/jobs", self.train("mine"), status=403)
        self.ask("/api/jobs/1", status=403, method="DELETE")
        self.assertEqual([], self.ask("/api/jobs")["jobs"])
        self.stop(process)


if __name__ == "__main__":
    command.main()
