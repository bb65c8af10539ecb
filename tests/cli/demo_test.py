"""The demonstration as a whole, on a tiny model, dictionary and catalogue with settings of their own."""
import copy
import json
import math
import shutil

import command

FILES = {"toy.gguf", "catalogue.sqlite", "demo.json", "watch.jsonl", "train.jsonl", "test.jsonl", "contrast.jsonl"}
SETTINGS = {
    "understand": {"texts": ["the golden gate bridge", "the river and the wind"]},
    "watch": {"feature": 2, "above": 0.5, "file": "watch.jsonl"},
    "probe": {"about": "whether a text is about bridges", "hook": "resid_post.2", "train": "train.jsonl", "test": "test.jsonl"},
    "steer": {"features": [{"feature": 3, "strength": 1.5}], "chat": True, "concept": ["bridge", "gate"],
              "questions": ["What is golden?", "Where is the river?"],
              "vector": {"texts": "contrast.jsonl", "layers": [1, -1], "strength": 0.5}},
    # What the model says greedily.
    "explain": {"prompt": "the golden gate bridge over the", "answer": "[", "corrupt": "the bridge gate golden over the"},
}


class Demo(command.Case):
    def setUp(self):
        super().setUp()
        self.share = self.folder / "share"
        self.share.mkdir()
        self.dictionary = self.share / "toy.gguf"
        shutil.copy(self.toy, self.dictionary)
        for name, n, first, fillers in (("watch", 8, 0, 0), ("train", 60, 0, 0), ("test", 40, 60, 1), ("contrast", 8, 100, 0)):
            self.labelled(f"share/{name}.jsonl", n, first, command.FILLERS[fillers])
        self.good("index", self.dictionary, "-q", "-t", 1, "-m", self.llama, "--context", 32, "--corpus", self.corpus(), "--catalogue",
                  self.share / "catalogue.sqlite")
        self.settings(SETTINGS)

    def settings(self, settings):
        (self.share / "demo.json").write_text(json.dumps(settings) if isinstance(settings, dict) else settings)

    def demo(self, *more):
        return ("demo", "-q", "-m", self.llama, "-d", self.dictionary, "--catalogue", self.share / "catalogue.sqlite", *more)

    def run_whole(self, *more):
        result = self.good(*self.demo("-o", "out/here", *more))
        self.assertEqual("", result.err)
        self.assertEqual({"demo.json", "explanation.html"}, {path.name for path in (self.folder / "out/here").iterdir()})
        return result.out, json.loads((self.folder / "out/here/demo.json").read_text())

    def test_what_it_says_is_what_it_writes(self):
        page, results = self.run_whole()
        self.assertEqual({"model", "dictionary", "catalogue", "fathom", "seed", "understanding", "detection", "steering", "explanation"},
                         set(results))
        for part in ("1. Understand", "2. Detect", "3. Steer", "4. Explain", "feature 2", "shuffled labels", results["steering"]["plain"],
                     results["steering"]["steered"], results["steering"]["random"], "Report: out/here/explanation.html",
                     "Everything above as JSON: out/here/demo.json"):
            self.assertIn(part, page)
        counts = results["detection"]["watch"]["counts"]
        self.assertIn(f'alerts: {counts["true_positive"]} right, {counts["false_positive"]} wrong; '
                      f'silences: {counts["true_negative"]} right, {counts["false_negative"]} wrong', page)

        printed, again = self.run_whole("--json")
        self.assertEqual((self.folder / "out/here/demo.json").read_text(), printed)
        self.assertEqual(results, again)

    def test_what_is_shown_of_each_stage(self):
        own = "a stone over the river"
        results = json.loads(self.good(*self.demo("--json", "--text", own)).out)
        self.assertTrue((self.folder / "demo-out/demo.json").exists())
        texts = [told["text"] for told in results["understanding"]]
        self.assertEqual(SETTINGS["understand"]["texts"] + [own], texts)
        for told in results["understanding"]:
            self.assertEqual(told["text"], "".join(token["token"] for token in told["tokens"]))
            self.assertTrue(all(feature["activation"] > 0 for token in told["tokens"] for feature in token["features"]))
            for feature in told["about"]:
                self.assertTrue(feature["examples"] and feature["raises"] and feature["lowers"])
                self.assertTrue(0 < feature["density"] <= 1)
        self.check_detection(results["detection"])
        self.check_steering(results["steering"])
        self.check_explanation(results["explanation"])

    def check_detection(self, detection):
        watch, counts = detection["watch"], {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
        self.assertEqual((2, 0.5), (watch["feature"]["feature"], watch["above"]))
        for reading in watch["alerts"]:
            self.assertEqual(reading["level"] > watch["above"], reading["alert"])
            counts[reading["alert"], reading["expected"]] += 1
        self.assertEqual({"true_positive": counts[True, True], "false_positive": counts[True, False],
                          "true_negative": counts[False, False], "false_negative": counts[False, True]}, watch["counts"])
        self.assertEqual(8, sum(counts.values()))
        probe = detection["probe"]
        self.assertEqual((60, 40, 40), (probe["trained_on"], probe["tested_on"], sum(probe["counts"].values())))
        low, high = probe["auroc_interval"]
        self.assertTrue(low <= probe["auroc"] <= high <= 1)
        self.assertGreater(probe["auroc"], 0.9)
        self.assertLess(probe["shuffled_auroc"], 0.75)
        self.assertLessEqual(probe["shuffled_auroc"], probe["shuffled_highest"])
        for name in ("bag_of_words_auroc", "random_direction_p95", "accuracy"):
            self.assertTrue(0 <= probe[name] <= 1)

    def check_steering(self, steering):
        self.assertEqual(SETTINGS["steer"]["questions"][0], steering["question"])
        for name in ("plain", "steered", "random", "vector"):
            self.assertIsInstance(steering[name], str)
            self.assertEqual((2, steering[name]), (len(steering[name + "_all"]), steering[name + "_all"][0]))
            self.assertTrue(all(math.isfinite(value) for value in steering[name + "_cost"].values()))
        self.assertNotEqual(steering["plain"], steering["steered"])
        [held], [control] = steering["steered_features"], steering["random_features"]
        self.assertEqual((3, 1.5, 1.5), (held["feature"], held["strength"], control["strength"]))
        self.assertNotEqual(3, control["feature"])

    def check_explanation(self, explanation):
        self.assertEqual((SETTINGS["explain"]["prompt"], "["), (explanation["prompt"].strip(), explanation["answer"]))
        self.assertEqual(4, len(explanation["layers"]))
        claims = [feature["ablated"] for feature in explanation["features"]] + [token["erased"] for token in explanation["tokens"]]
        self.assertGreater(len(claims), 4)
        for claim in claims:
            self.assertGreaterEqual(claim["controls"], 1)
            self.assertTrue(all(math.isfinite(claim[name]) for name in ("effect", "control", "control_deviation")))
        self.assertEqual(4, len(explanation["patching"]["recovered"]))
        page = (self.folder / explanation["report"]).read_text()
        self.assertTrue(page.startswith("<!doctype html>") and page.endswith("</html>\n"))
        for outside in ("http:", "https:", "<script", "<link", "@import", "url(", " src="):
            self.assertNotIn(outside, page)

    def test_bad_settings(self):
        for path, value, expected in (
                ("understand", None, ['"understand"', "missing"]),
                ("understand.texts", "the bridge", ["understand", '"texts"', "array"]),
                ("understand.texts", [1], ["understand", '"texts"', "no text"]),
                ("watch.feature", None, ["watch", '"feature"', "missing"]),
                ("watch.feature", 8, ["watch", '"feature" is 8', "0 to 7"]),
                ("watch.feature", 2 ** 32 + 2, ["watch", "4294967298"]),
                ("watch.feature", "2", ["watch", '"feature" is a string', "an integer"]),
                ("watch.above", True, ["watch", '"above"', "a number"]),
                ("watch.file", [], ["watch", '"file"', "a string"]),
                ("probe.hook", "resid_post.9", ["probe", '"hook"', "resid_post.9"]),
                ("probe.pool", "median", ["probe", '"pool" is "median"', '"last"']),
                ("probe.test", None, ["probe", '"test"', "missing"]),
                ("steer.features", [], ["steer", '"features"', "1 to 4"]),
                ("steer.features", [{"feature": 1}], ["steer.features[0]", '"strength"', "missing"]),
                ("steer.features", [{"feature": 1, "strength": 1}, {"feature": -1, "strength": 1}], ["steer.features[1]", "-1", "0 to 7"]),
                ("steer.rows", "prompt", ["steer", '"rows" is "prompt"', '"answer"']),
                ("steer.layers", [0, 4], ["steer", '"layers"', "4 layers"]),
                ("steer.chat", 1, ["steer", '"chat"', "a boolean"]),
                ("steer.stop", 1, ["steer", '"stop"', "a string"]),
                ("steer.questions", ["why?"] * 33, ["steer", '"questions"', "1 to 32"]),
                ("steer.vector", [], ["steer.vector", '"strength"', "an object"]),
                ("steer.vector", {"texts": "contrast.jsonl", "layers": [1], "strength": 1}, ["steer.vector", '"layers"', "[first, last]"]),
                ("explain.corrupt", None, ["explain", '"corrupt"', "missing"])):
            settings = copy.deepcopy(SETTINGS)
            *outer, last = path.split(".")
            place = settings[outer[0]] if outer else settings
            place.pop(last, None)
            if value is not None:
                place[last] = value
            self.settings(settings)
            with self.subTest(path, value=value):
                self.bad(command.INPUT, ["demo.json: ", *expected], *self.demo())
        self.settings('{"understand": ')
        self.bad(command.INPUT, "demo.json", *self.demo())
        (self.share / "demo.json").unlink()
        self.bad(command.INPUT, "demo.json", *self.demo())

    def test_files_that_are_not_there(self):
        for name in sorted(FILES - {"toy.gguf", "demo.json"}):
            (self.share / name).rename(self.share / "away")
            self.assert_refused(self.fathom(*self.demo()), command.INPUT, name)
            self.assertFalse((self.folder / "demo-out/demo.json").exists())
            (self.share / "away").rename(self.share / name)
        self.write("taken", "a file")
        self.bad(command.INPUT, "taken", *self.demo("-o", "taken"))
        self.assert_refused(self.fathom(*self.demo("--json", "--text", b"a\xff")), command.INPUT, "UTF-8")


if __name__ == "__main__":
    command.main()
