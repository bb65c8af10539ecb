"""Choosing features by given answers, from the concept's file to the options that turn them again; plans."""
import http.server
import json
import pathlib
import shutil
import threading
import unittest.mock

import command

TEXTS = [("the golden gate bridge over the river", True), ("a golden bridge and a golden gate", True),
         ("the stone and the wind", False), ("a river over a stone", False)]
CONCEPT = {"words": ["bridge"], "texts": "texts.jsonl", "questions": ["what is it"],
           "answers": [{"question": "what is it", "answer": "the bridge"},
                       {"question": "where is it", "answer": "on the golden gate"}]}


class Choosing(command.Case):
    def setUp(self):
        super().setUp()
        self.write("texts.jsonl", "".join(json.dumps({"text": t, "label": l}) + "\n" for t, l in TEXTS))

    def concept(self, **changes):
        return self.write("concept.json", json.dumps({**CONCEPT, **changes}))

    def steer(self, *more):
        return ["steer", "-q", "-m", self.llama, "-d", self.toy, "--concept-file", "concept.json", "-n", 4, *more]

    def test_what_is_chosen_can_be_turned_again(self):
        self.concept()
        shared = ["--raw", "--mode", "add", "--json"]
        chosen = json.loads(self.good(*self.steer("--choose", 2, "--tolerance", 50, *shared)).out)
        choice = chosen["choice"]
        self.assertGreater(choice["after"]["wanted"], choice["before"]["wanted"] + 0.02)
        self.assertEqual(choice["before"]["lost"], 0)
        features = choice["set"]["features"]
        self.assertIn(len(features), (1, 2))
        self.assertEqual(features[0]["feature"], chosen["subject"]["feature"]["feature"])
        others = {item["feature"] for item in choice["control"]["features"]}
        self.assertFalse(others & {item["feature"] for item in features})
        again = json.loads(self.good(*self.steer(*shared[:1], *shared[3:], *choice["options"].split())).out)
        self.assertEqual(chosen["steered"]["answers"], again["steered"]["answers"])
        printed = self.good(*self.steer("--choose", 2, "--tolerance", 50, *shared[:3])).out
        self.assertIn("Again: " + choice["options"] + "\n", printed)

    def test_named_features_are_the_candidates(self):
        self.concept()
        found = json.loads(self.good(*self.steer("--choose", 1, "--raw", "--mode", "add", "--tolerance", 50, "--feature",
                                                 3, "--feature", 5, "--json")).out)
        self.assertEqual({item["feature"] for trial in found["choice"]["trials"] for item in trial["set"]["features"]},
                         {3, 5})

    def test_usage(self):
        self.concept()
        for wrong in (["--search"], ["--mode", "ablate"], ["--contrast", "texts.jsonl", "texts.jsonl"]):
            self.bad(command.USAGE, "--choose takes", *self.steer("--choose", 2, *wrong))
        self.bad(command.USAGE, "--choose takes", "steer", "-m", self.llama, "-d", self.toy, "--choose", 2, "--concept",
                 "bridge", "-p", "what is it")

    def test_files(self):
        for answers, part in (("bridge", "an array of objects"), ([1], "item 1"), ([{"question": "x"}], "item 1"),
                              ([CONCEPT["answers"][0], {"question": "x", "answer": ""}], "item 2")):
            self.concept(answers=answers)
            self.bad(command.INPUT, ["concept.json", "\"answers\"", part], *self.steer("--choose", 2))
        self.concept(answers=[])
        self.bad(command.USAGE, "\"answers\"", *self.steer("--choose", 2))

    def preset(self, name="bridge", content=None, **steer):
        pathlib.Path(self.folder, "presets").mkdir(exist_ok=True)
        sections = {"steer": {"concept-file": "../concept.json", "feature": ["3=0.5", "5"], "strength": 2, "mode": "add", "raw": True, **steer}}
        return self.write(f"presets/{name}.json", json.dumps({"about": "x", **sections}) if content is None else content)

    def test_presets_give_what_is_not_given(self):
        self.concept()
        shutil.copy(self.toy, pathlib.Path(self.folder, "toy.gguf"))
        shared = ["-q", "-m", self.llama, "-d", "toy.gguf", "-n", 4, "--json"]
        given = ["steer", *shared, "--raw", "--mode", "add", "--feature", "3=0.5", "--feature", "5"]
        self.preset()
        by_preset = json.loads(self.good("steer", *shared, "--preset", "bridge").out)
        self.assertEqual(json.loads(self.good(*given, "--concept-file", "concept.json", "--strength", 2).out), by_preset)
        other = json.loads(self.good("steer", *shared, "--preset", "bridge", "--strength", -3, "-p", "a river").out)
        self.assertEqual(json.loads(self.good(*given, "--concept-file", "concept.json", "--strength", -3, "-p", "a river").out), other)
        self.assertNotEqual(by_preset["steered"], other["steered"])

        self.bad(command.USAGE, "small letters", "steer", *shared, "--preset", "../bridge")
        self.bad(command.INPUT, ["presets/none.json", "No such file"], "steer", *shared, "--preset", "none")
        self.bad(command.INPUT, ["presets/bridge.json", '"steer eval"', "object"], "steer", "eval", *shared, "--preset", "bridge")
        for changes, part in (({"feature": 3}, '"feature"'), ({"strength": "2"}, '"strength"'), ({"mode": "turn"}, '"mode"'), ({"raw": 1}, '"raw"'),
                              ({"rows": ["all", "answer"]}, '"rows"'), ({"colour": "red"}, '"colour"')):
            self.preset("bad", **changes)
            self.bad(command.INPUT, ["presets/bad.json", part, "expected"], "steer", *shared, "--preset", "bad")
        self.preset("broken", content="{")
        self.bad(command.INPUT, "presets/broken.json", "steer", *shared, "--preset", "broken")

    def test_shipped_presets_are_the_demonstrations(self):
        share = pathlib.Path(__file__).resolve().parents[2] / "share"
        for model in ("smollm2", "gemma3"):
            shown = json.loads((share / model / "demo.json").read_text())["steer"]
            preset = json.loads((share / model / "presets" / "golden-gate.json").read_text())
            for section in ("steer", "steer eval"):
                self.assertEqual([f"{f['feature']}={f['strength']:g}" for f in shown["features"]], preset[section]["feature"])
                self.assertEqual([shown.get(key) for key in ("rows", "prefix", "suffix", "stop")],
                                 [preset[section].get(key) for key in ("rows", "prefix", "suffix", "stop")])
                self.assertTrue((share / model / "presets" / preset[section]["concept-file"]).is_file())

    def test_ratings_stand_beside_baselines(self):
        self.concept(held_out=["where is the king"])
        shared = ["steer", "eval", "-q", "-m", self.llama, "-d", self.toy, "--concept-file", "concept.json", "--raw",
                  "-n", 3, "--direction-strengths", "0.1,0.5"]
        for subject, named in ((["--feature", 3, "--strengths", "1,2"], "the feature"), (["--plan", "#3 +2"], "the plan")):
            rated = json.loads(self.good(*shared, *subject, "--json").out)
            methods = {m["method"]: m for m in rated["methods"]}
            self.assertEqual(list(methods), ["plain", "prompt only", named] +
                             ["a feature as active" if named == "the feature" else "a plan as strong"] +
                             ["difference of means", "random direction"])
            self.assertIn(round(methods["random direction"]["strength"], 6), (0.1, 0.5))
            for method in methods.values():
                held_out = method["held_out"]
                self.assertEqual(held_out["answers"], 1)
                self.assertEqual(len(method["answers"]), 1)
                for i, part in enumerate(("concept", "instruction", "fluency")):
                    self.assertIn(held_out[part], (0, 1, 2))
                    self.assertEqual(held_out[part], method["points"][0][i])
                self.assertIn(held_out["score"]["mention_rate"], (0, 1))
            self.assertEqual((rated["questions"], rated["seeds"], rated["judge"]), (["where is the king"], 1, None))
            printed = self.good(*shared, *subject).out
            self.assertIn("difference of means", printed)
            self.assertIn("Failed", printed)
        self.bad(command.USAGE, "either --feature or --plan", *shared)
        self.bad(command.USAGE, "--direction-strengths: at most", *shared[:-1], "a", "--feature", 3)
        self.concept()
        self.bad(command.INPUT, ["concept.json", "\"held_out\""], *shared, "--feature", 3)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_a_judge_gives_the_points(self):
        asked = []

        class Judge(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append((self.path, self.headers["Authorization"], body["model"], body["messages"][0]["content"]))
                said = {"choices": [{"message": {"role": "assistant", "content": "Good. [[2]]"}}]}
                known = body["model"] == "judge-1"
                reply = json.dumps(said if known else {"error": "no such model"}).encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Judge)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}/v1"
        self.concept(held_out=["where is the king"])
        self.environment["FATHOM_JUDGE_KEY"] = "k-1"
        shared = ["steer", "eval", "-q", "-m", self.llama, "-d", self.toy, "--concept-file", "concept.json", "--raw",
                  "-n", 3, "--direction-strengths", "0.1", "--plan", "#3 +2"]
        rated = json.loads(self.good(*shared, "--judge", url, "--judge-model", "judge-1", "--json").out)
        self.assertEqual(rated["judge"], "judge-1")
        self.assertTrue(all(m["points"] == [[2, 2, 2]] and m["held_out"]["harmonic_mean"] == 2 for m in rated["methods"]))
        self.assertEqual({a[:3] for a in asked}, {("/v1/chat/completions", "Bearer k-1", "judge-1")})
        self.assertEqual(len(asked) % 3, 0)
        self.assertTrue(any("where is the king" in a[3] for a in asked))
        self.bad(command.INPUT, [url, "status 404", "no such model"], *shared, "--judge", url, "--judge-model", "other")
        self.bad(command.USAGE, "go together", *shared, "--judge", url)
        self.bad(command.USAGE, "a URL such as", *shared, "--judge", "file:///x", "--judge-model", "m")


class Plans(command.Case):
    def run_json(self, *more):
        return json.loads(self.good("run", "-q", "-m", self.llama, "-p", "the stone", "-n", 6, "--temperature", 0,
                                    "--json", *more).out)

    def test_a_plan_steers_what_is_generated(self):
        plain = self.run_json()
        self.assertNotIn("steered", plain)
        nothing = self.run_json("--plan", f"#3 +0 raw dictionary {self.toy}")
        self.assertEqual(nothing["log_probability"], plain["log_probability"])
        self.assertEqual(nothing["steered"]["rows_edited"], 0)
        steered = self.run_json("--plan", f"#3 +9 raw while answering dictionary {self.toy}")
        self.assertNotEqual(steered["log_probability"], plain["log_probability"])
        self.assertEqual(steered["steered"]["rows_edited"], 5)  # the sixth token is drawn from the fifth one's row
        document = steered["steered"]["plan"]
        self.assertEqual(document["edits"][0]["part"], "answer")
        self.write("plan.json", json.dumps(document))
        self.assertEqual(self.run_json("--plan", "plan.json"), {**steered, "tokens_per_second": unittest.mock.ANY})

    def test_options_are_plans_of_one_kind(self):
        shared = ["steer", "-q", "-m", self.llama, "-d", self.toy, "-p", "what is it", "--raw", "-n", 5, "--json"]
        for options, plan in ((["--feature", 3, "--strength", 2], "#3 =2"),
                              (["--feature", 3, "--mode", "add", "--strength", -1.5, "--rows", "answer"],
                               "#3 -1.5 while answering"),
                              (["--feature", 3, "--mode", "ablate"], "#3 ablate"),
                              (["--feature", 3, "--strength", 2, "--layers", "1-3"], "#3@1-3 =2")):
            by_options = json.loads(self.good(*shared, *options).out)
            by_plan = json.loads(self.good(*shared, "--plan", plan).out)
            self.assertEqual(by_options["steered"], by_plan["steered"], plan)
            self.assertEqual(by_plan["subject"]["kind"], "plan")

    def test_a_chat_is_steered(self):
        said = ["chat", "-q", "-m", self.llama, "-p", "one", "-p", "two", "-n", 4, "--temperature", 0, "--json"]
        plain = json.loads(self.good(*said).out)
        steered = json.loads(self.good(*said, "--plan", f"#3 +9 raw dictionary {self.toy}").out)
        self.assertNotEqual([a["log_probability"] for a in plain["answers"]],
                            [a["log_probability"] for a in steered["answers"]])
        self.assertEqual(steered["plan"]["edits"][0]["feature"], 3)

    def test_a_refusal_is_selected_and_ablated(self):
        self.write("harmful.txt", "".join(f"the king of the {w}\n" for w in ("sea", "river", "city", "wind", "stone")))
        self.write("harmless.txt", "".join(f"{w}\n" for w in ("sea", "gate", "music", "golden", "bridge")))
        select = ["steer", "refusal", "-q", "-m", self.llama, "--harmful", "harmful.txt", "--harmless", "harmless.txt",
                  "--train", 3, "--raw", "--suffix", "\nA:", "--positions", 1]
        found = json.loads(self.good(*select, "--divergence", 1000, "--induce", -1000, "--refusal", "the", "-p", "what is it", "-n", 4,
                                     "--save-direction", "r.safetensors", "--json").out)
        self.assertEqual([c["layer"] for c in sorted(found["candidates"], key=lambda c: c["layer"])], [1, 2])
        admitted = [c["bypass"] for c in found["candidates"] if c["admitted"]]
        self.assertEqual(admitted, sorted(admitted))
        self.assertEqual(len(found["answers"]), 1)
        plan = "; ".join("direction r.safetensors out" + on for on in ("", " on attn_out", " on mlp_out"))
        self.assertGreater(self.run_json("--plan", plan)["steered"]["rows_edited"], 0)
        self.bad(command.USAGE, "too few", *select[:select.index("--train")], "--train", 4, "--raw")
        self.bad(command.INPUT, "missing.txt", "steer", "refusal", "-m", self.llama, "--harmful", "missing.txt",
                 "--harmless", "harmless.txt")

    def test_a_condition_is_found_and_used(self):
        words = ("sea", "river", "city", "wind", "stone", "gate", "bridge")
        texts = [{"text": f"{first} {word}", "label": first == "king"} for word in words for first in ("king", "music of")]
        self.write("kind.jsonl", "".join(json.dumps(t) + "\n" for t in texts[:10]))
        self.write("other.jsonl", "".join(json.dumps(t) + "\n" for t in texts[8:]))  # two are known already
        frame = ["--raw", "--suffix", "\nA:"]
        find = ["steer", "condition", "-q", "-m", self.llama, "--labelled", "kind.jsonl", *frame]
        found = json.loads(self.good(*find, "--test", "other.jsonl", "--train", 3, "--save-direction", "k.safetensors", "--json").out)
        self.assertEqual([point["layer"] for point in found["layers"]], [0, 1, 2, 3])
        self.assertEqual(found["best"]["f1"], max(point["f1"] for point in found["layers"]))
        self.assertEqual(sum(found["best"]["counts"].values()), 4)
        self.assertEqual(sum(found["test"]["counts"].values()), 4)
        self.assertAlmostEqual(found["controls"]["always_on_f1"], 2 / 3)
        self.assertGreaterEqual(found["controls"]["shuffled_f1_highest"], found["controls"]["shuffled_f1"])
        # The condition, as JSON and as the clause that is printed, is one that plans take.
        plan = {"fathom_plan": 1, "edits": [{"rows": "resid_post", "layers": [3, 3], "how": "affine", "value": 2,
                                             "while": found["condition"]}]}
        self.write("plan.json", json.dumps(plan))
        told = self.good(*find, "--train", 3, "--save-direction", "k.safetensors", "--layers", "0-3").out
        clause = told[told.index("while "):].strip()
        for text in ("plan.json", f"rows resid_post@3 *2 {clause}"):
            self.assertEqual(self.run_json("--plan", text)["steered"]["plan"]["edits"][0]["how"], "affine")
        self.bad(command.USAGE, "too few", *find, "--train", 4)
        self.bad(command.USAGE, "both classes", *find, "--test", self.write("none.jsonl", '{"text": "king of wind", "label": true}\n'))
        self.bad(command.USAGE, "a layer or a range", *find, "--layers", "3-1")
        self.bad(command.USAGE, "no texts", "steer", "condition", "-m", self.llama)

    def test_samples_are_chosen_by_features(self):
        draw = ["steer", "sample", "-q", "-m", self.llama, "-d", self.toy, "-p", "what is it", "--raw", "-n", 5]
        more = json.loads(self.good(*draw, "--prefer", 3, "--best-of", 5, "--json").out)
        less = json.loads(self.good(*draw, "--avoid", 3, "--best-of", 5, "--json").out)
        self.assertEqual([s["text"] for s in more["samples"]], [s["text"] for s in less["samples"]])
        scores = [s["score"] for s in more["samples"]]
        self.assertEqual(more["score"], max(scores))
        self.assertEqual(-less["score"], min(scores))
        self.assertLess(less["mean_score"], less["score"])
        self.assertIn("samples' mean", self.good(*draw, "--prefer", 3).out)
        self.bad(command.USAGE, "--prefer or --avoid", *draw)
        self.bad(command.INPUT, "features 0 … 7, not 8", *draw, "--prefer", 8)
        self.bad(command.INPUT, "told by number only", *draw, "--avoid", "sea")

    def test_a_contrast_makes_a_control_vector(self):
        self.write("pos.txt", "the golden gate\na bridge in the sea\n")
        self.write("neg.txt", "the king of music\na stone and the wind\n")
        for method in ("means", "component", "logistic"):
            self.good("steer", "-q", "-m", self.llama, "--contrast", "pos.txt", "neg.txt", "--method", method, "--pool",
                      "last", "--layers", "1-3", "--strength", 0.1, "-p", "what is it", "-n", 3, "--raw",
                      "--save-direction", f"{method}.gguf")
            self.assertEqual(self.run_json("--plan", f"vector {method}.gguf +0.5")["steered"]["rows_left"], 0)
        self.bad(command.USAGE, "layers from 1 on", "steer", "-m", self.llama, "--contrast", "pos.txt", "neg.txt",
                 "--layers", "0-3", "--strength", 0.1, "-p", "x", "--raw", "--save-direction", "all.gguf")

    def test_usage_and_files(self):
        ask = ["steer", "-m", self.llama, "-p", "what is it"]
        self.bad(command.USAGE, "--plan and --strength exclude each other", *ask, "--plan", "#3 +1", "--strength", 1)
        controlled = [*ask, "-q", "-d", self.toy, "--raw", "-n", 3, "--random-control"]
        beside = json.loads(self.good(*controlled, "--plan", "#3 +1; #5 ablate", "--json").out)
        self.assertEqual(beside["random_subject"]["kind"], "plan")
        self.assertEqual(len(beside["random"]["answers"]), len(beside["steered"]["answers"]))
        self.bad(command.INPUT, "no control", *controlled, "--plan", "rows mlp_out@1 *0.5")
        self.bad(command.INPUT, ["--plan", "at the end"], *ask, "--plan", "#3")
        self.write("bad.json", '{"fathom_plan": 1, "edits": [{"rows": "mlp_out.0", "how": "push"}]}')
        self.bad(command.INPUT, ["bad.json: edit 1", "\"push\""], *ask, "--plan", "bad.json")

    def test_the_schema_describes_what_expressions_become(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("jsonschema is not installed")
        schema = json.loads((pathlib.Path(__file__).parents[2] / "docs/plan.schema.json").read_text())
        plan = (f"#3@1-2 =1 raw whole while answering and #2 > 0.1 raw over ever dictionary {self.toy};"
                "rows mlp_out@3 patch \"the stone\" from end at -2..-1; layer@2 *0.5 ramp 4")
        document = self.run_json("--plan", plan)["steered"]["plan"]
        jsonschema.validate(document, schema)
        for wrong in ({"how": "add"}, {"feature": 1, "how": "push"}, {"feature": 1, "how": "add", "more": 1}):
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate({"fathom_plan": 1, "edits": [wrong]}, schema)


if __name__ == "__main__":
    command.main()
