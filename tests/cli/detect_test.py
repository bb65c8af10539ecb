"""Watching features and probes, and what a probe is worth, by the command."""
import json

import command


class Detect(command.Case):
    def watch(self, *more):
        return ("watch", "-q", "-m", self.llama, "-d", self.toy, *more)

    def lines(self, *arguments, status=command.OK):
        result = self.fathom(*arguments, "--json")
        self.assertEqual(status, result.status, result.err)
        return [json.loads(line) for line in result.out.split("\n") if line]

    def test_levels_are_the_features_own(self):
        text = "the golden gate bridge"
        features = json.loads(self.good("features", "-m", self.llama, "-d", self.toy, "--text", text, "--top", 8, "--json").out)
        [reading, summary] = self.lines(*self.watch("--feature", "2", "--above", 1e6, "--text", text))
        self.assertEqual({"summary": {"texts": 1, "alerts": 0}}, summary)
        [watched] = reading["watches"]
        own = [next((f["activation"] for f in token["features"] if f["feature"] == 2), 0) for token in features["tokens"]]
        self.assertEqual(len(own), len(watched["levels"]))
        for level, activation in zip(watched["levels"], own):
            self.assertAlmostEqual(level, activation, places=4)
        self.assertAlmostEqual(max(own), watched["level"], places=4)
        self.assertEqual("".join(reading["tokens"]).strip(), text)

    def test_alerts_are_counted(self):
        labelled = self.labelled("labelled.jsonl")
        everything = self.lines(*self.watch("--feature", "0,1,2", "--above", -1, "--labelled", labelled))
        self.assertEqual(31, len(everything))
        summary = everything[-1]["summary"]
        self.assertEqual((30, 30, 0.5), (summary["texts"], summary["alerts"], summary["balanced_accuracy"]))
        self.assertEqual({"true_positive": 15, "false_positive": 15, "true_negative": 0, "false_negative": 0}, summary["counts"])
        level = everything[0]["watches"][1]["level"] - 0.001
        one = self.lines(*self.watch("--feature", 1, "--above", level, "--labelled", labelled))
        alerts = [reading["alert"] for reading in one[:-1]]
        self.assertEqual(sum(alerts), one[-1]["summary"]["alerts"])
        self.assertEqual([reading["watches"][0]["level"] >= level for reading in one[:-1]], alerts)
        counts = one[-1]["summary"]["counts"]
        self.assertEqual(sum(a and r["label"] for a, r in zip(alerts, one)), counts["true_positive"])
        self.assertEqual(sum(a and not r["label"] for a, r in zip(alerts, one)), counts["false_positive"])

    def test_a_scan_tells_the_strongest(self):
        watch = self.watch("--feature", 1, "--above", 0.5, "--labelled", self.labelled("labelled.jsonl"))
        everything = self.lines(*watch)
        readings, summary = everything[:-1], everything[-1]["summary"]
        level = lambda reading: reading["watches"][0]["level"]
        for most in (1, 7, 1000):
            [scan] = self.lines(*watch, "--strongest", most)
            self.assertEqual(summary, scan["summary"])
            self.assertEqual(sorted(readings, key=lambda reading: (-level(reading), reading["number"]))[:most], scan["strongest"])
        told = self.good(*watch, "--strongest", 2).out.splitlines()
        self.assertEqual(2, sum(line.startswith("         feature 1") for line in told), told)
        self.assertTrue(any(line.startswith("30 texts, ") for line in told), told)
        self.bad(command.USAGE, "strongest", *watch, "--strongest", 0)

    def test_status_and_text(self):
        watch = self.watch("--feature", 2, "--text", "the golden gate bridge", "--fail-on-alert", "--above")
        self.assertEqual(command.OK, self.fathom(*watch, 1e6).status)
        raised = self.fathom(*watch, -1)
        self.assertEqual((command.NEGATIVE, ""), (raised.status, raised.err))
        self.assertTrue(raised.out.startswith("ALERT  "))
        self.assertIn("1 texts, 1 with an alert", raised.out)
        self.assertNotIn("\x1b", raised.out)  # a pipe is shown no colours

    def test_levels_can_be_chosen(self):
        development = self.labelled("development.jsonl")
        told = self.good(*self.watch("--feature", 2, "--development", development, "--labelled", self.labelled("test.jsonl", first=40))).out
        self.assertRegex(told, r"level [-0-9.e]+ chosen on .*development.jsonl: recall [01]\.\d\d, false positives [01]\.\d\d, AUROC 0\.\d+ there")
        self.bad(command.LIMIT, "negatives", *self.watch("--feature", 2, "--development", development, "--target", 0.01, "--text", "x"))

    def test_a_probe_from_training_to_watching(self):
        train, test = self.labelled("train.jsonl", n=60), self.labelled("test.jsonl", n=40, fillers=command.FILLERS[1])
        trained = json.loads(self.good("probe", "train", "-q", "-m", self.llama, "--labelled", train, "--hook", "resid_post.2", "-o",
                                       "probe.gguf", "--json").out)
        self.assertEqual(("blocks.2.hook_resid_post", "mean"), (trained["hook"], trained["pool"]))
        self.assertGreater(trained["cross_validated_auroc"], 0.9)
        judged = json.loads(self.good("probe", "eval", "probe.gguf", "-q", "-m", self.llama, "--labelled", test, "--random", 50, "--json").out)
        low, high = judged["auroc_interval"]
        self.assertTrue(low <= judged["auroc"] <= high <= 1)
        self.assertGreater(judged["auroc"], judged["shuffled_labels"]["mean"] + 0.2)
        self.assertEqual(40, sum(judged["counts"].values()) + judged["duplicates"])
        text = "the golden over gate and bridge"
        applied = json.loads(self.good("probe", "apply", "probe.gguf", "-q", "-m", self.llama, "--text", text, "--json").out)
        score = applied["texts"][0]["score"]
        self.assertEqual(score >= applied["threshold"], applied["texts"][0]["alert"])
        [watched, _] = self.lines("watch", "-q", "-m", self.llama, "--probe", "probe.gguf", "--text", text)
        self.assertAlmostEqual(score, watched["watches"][0]["level"], places=3)
        self.assertIn("beside it:", self.good("probe", "eval", "probe.gguf", "-m", self.llama, "--labelled", test, "--random", 50).out)
        self.bad(command.USAGE, "trained on them: 60", "probe", "eval", "probe.gguf", "-m", self.llama, "--labelled",
                 train)
        self.bad(command.INPUT, "probe.gguf", "probe", "apply", "probe.gguf", "-m", command.files() / "other.gguf", "--text", text)
        whole = (self.folder / "probe.gguf").read_bytes()
        for name, content in (("cut.gguf", whole[:len(whole) // 2]), ("none.gguf", b""), ("dict.gguf", self.toy.read_bytes())):
            self.write(name, content)
            self.bad(command.INPUT, name, "probe", "apply", name, "-m", self.llama, "--text", text)
            self.bad(command.INPUT, name, "watch", "--probe", name, "-m", self.llama, "--text", text)

    def test_bad_texts(self):
        train = self.labelled("train.jsonl", n=60)
        for name, content, part in (("unlabelled", '{"text": "the river"}\n', "text 1"), ("label", '{"text": "x", "label": 2}\n', '"label"'),
                                    ("field", '{"words": "x", "label": true}\n', '"text"'), ("json", '{"text": \n', "json"),
                                    ("utf8", b'{"text": "\xff", "label": true}\n', "UTF-8"), ("empty", "", "empty")):
            name += ".jsonl"
            self.write(name, content)
            self.bad(command.INPUT, [name, part], *self.watch("--feature", 1, "--above", 1, "--labelled", name))
            self.bad(command.INPUT, [name, part], "probe", "train", "-m", self.llama, "--labelled", train, name, "--hook", "resid_post.1",
                     "-o", "probe.gguf")

    def test_separators_inside_texts(self):
        self.write("texts.jsonl", json.dumps({"text": "the\u2028river"}, ensure_ascii=False) + "\n" + json.dumps({"text": "a gate"}) + "\n")
        readings = self.lines(*self.watch("--feature", 1, "--above", 1e6, "--file", "texts.jsonl"))
        self.assertEqual(["the\u2028river", "a gate"], [reading["text"] for reading in readings[:-1]])

    def test_usage(self):
        for parts, arguments in (("what to watch", ("--text", "x")), ("names the texts", ("--feature", 1, "--above", 1)),
                                 ("needs its level", ("--feature", 1, "--text", "x")), ("1,x", ("--feature", "1,x", "--above", 1, "--text", "x")),
                                 ("--window", ("--feature", 1, "--above", 1, "--text", "x", "--window", "wide"))):
            self.bad(command.USAGE, parts, *self.watch(*arguments))
        self.bad(command.INPUT, "0 … 7", *self.watch("--feature", 8, "--above", 1, "--text", "x"))
        self.bad(command.USAGE, "names what to score", "probe", "apply", "probe.gguf")
        self.bad(command.USAGE, "at least", "probe", "train", "-m", self.llama, "--labelled", self.labelled("few.jsonl", n=4), "--hook",
                 "resid_post.1", "-o", "probe.gguf")
        self.bad(command.INPUT, "nowhere.jsonl", *self.watch("--feature", 1, "--above", 1, "--labelled", "nowhere.jsonl"))
        self.bad(command.INPUT, "nowhere/probe", "probe", "train", "-m", self.llama, "--labelled", self.labelled("few.jsonl"), "--hook",
                 "resid_post.1", "-o", "nowhere/probe")


if __name__ == "__main__":
    command.main()
