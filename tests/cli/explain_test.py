"""What layers would have said, and why a prompt goes on as it does, by the command."""
import json
import math
import re

import command

PROMPT, ANSWER = "the golden gate bridge over the", " river"
CORRUPT = "--corrupt", "the bridge gate golden over the"  # as many tokens; the answer is what the prompt has greedily


class Explain(command.Case):
    def explain(self, *more):
        return ("explain", "-q", "-t", 1, "-m", self.llama, "--prompt", PROMPT, *more)

    def json(self, *arguments):
        return json.loads(self.good(*arguments, "--json").out)

    def test_the_last_layer_is_the_model(self):
        lens = self.json("lens", "-q", "-t", 1, "-m", self.llama, "--text", PROMPT, "--target", ANSWER)
        self.assertEqual([0, 1, 2, 3], [reading["layer"] for reading in lens["readings"]])
        last = lens["readings"][-1]
        said = self.json("run", "-q", "-t", 1, "-m", self.llama, "-p", PROMPT, "-n", 1, "--temperature", 0, "--logprobs")
        self.assertAlmostEqual(math.log(last["top"][0]["probability"]), said["logprobs"][0]["logprob"], places=2)
        for reading in lens["readings"]:
            probabilities = [guess["probability"] for guess in reading["top"]]
            self.assertEqual(sorted(probabilities, reverse=True), probabilities)
            self.assertLessEqual(sum(probabilities), 1)
            self.assertGreater(reading["entropy"], 0)
        everywhere = self.json("lens", "-q", "-t", 1, "-m", self.llama, "--text", PROMPT, "--all")["readings"]
        self.assertEqual(0, len(everywhere) % 4)
        self.assertEqual([r["top"] for r in lens["readings"]], [r["top"] for r in everywhere[-4:]])
        printed = self.good("lens", "-q", "-m", self.llama, "--text", PROMPT).out
        self.assertEqual(4, printed.count("layer "))

    def test_the_lens_reads_long_texts(self):
        tokens = json.loads(self.good("capture", "-q", "-m", self.llama, "--hook", "resid_post.0", "--text", "the bridge " * 150, "-o", "x.safetensors", "--json").out)["tokens"]
        self.assertGreater(tokens, 256)  # several batches
        self.assertLess(tokens, 512)
        long = self.json("lens", "-q", "-t", 1, "-m", self.llama, "--text", "the bridge " * 150)["readings"]
        said = self.json("run", "-q", "-t", 1, "-m", self.llama, "-p", "the bridge " * 150, "-n", 1, "--temperature", 0, "--logprobs")
        self.assertAlmostEqual(math.log(long[-1]["top"][0]["probability"]), said["logprobs"][0]["logprob"], places=2)
        self.bad(command.LIMIT, "trained on 512", "lens", "-m", self.llama, "--text", "the bridge " * 1000)

    def test_every_claim_has_its_control(self):
        told = self.json(*self.explain("--answer", ANSWER, "-d", self.toy, "--controls", 3))
        self.assertEqual((PROMPT, ANSWER), (told["prompt"].strip(), told["answer"]))
        self.assertAlmostEqual(math.log(told["probability"]), told["log_probability"], places=6)
        self.assertEqual(4, len(told["layers"]))
        self.assertEqual(len(told["features"]), told["features_measured"])
        claims = [feature["ablated"] for feature in told["features"]] + [token["erased"] for token in told["tokens"]]
        claims += [token["hidden"] for token in told["tokens"] if "hidden" in token]
        for claim in claims:
            self.assertTrue(1 <= claim["controls"] <= 3)
            self.assertAlmostEqual(claim["effect"], math.log(claim["probability"]) - told["log_probability"], places=2)
            stands_out = abs(claim["effect"]) > abs(claim["control"]) + 2 * claim["control_deviation"]
            self.assertEqual(stands_out and abs(claim["effect"]) >= 0.02, claim["holds"])
        effects = [abs(feature["ablated"]["effect"]) for feature in told["features"]]
        self.assertEqual(sorted(effects, reverse=True), effects)
        self.assertEqual(told, self.json(*self.explain("--answer", ANSWER, "-d", self.toy, "--controls", 3)))

    def test_the_answer_is_what_greedy_decoding_says(self):
        said = self.json("run", "-q", "-t", 1, "-m", self.llama, "-p", PROMPT, "-n", 2, "--temperature", 0)
        told = self.json(*self.explain("--answer-tokens", 2, "--no-features"))
        self.assertEqual(said["text"], told["answer"])
        self.assertEqual(0, told["first_token_rank"])
        self.assertNotIn("features", told)

    def test_report(self):
        arguments = self.explain(*CORRUPT, "-d", self.toy, "--controls", 2, "--report", "it's why.html")
        out = self.good(*arguments).out
        self.assertTrue(out.endswith("\nReport: it's why.html\n"))
        page = (self.folder / "it's why.html").read_text()
        self.assertTrue(page.startswith("<!doctype html>") and page.endswith("</html>\n"))
        for outside in ("http:", "https:", "<script", "<link", "@import", "url(", " src="):
            self.assertNotIn(outside, page)
        for part in ("What each layer would have said", "Which features carried it", "Which tokens carried it", "Where it is carried",
                     "<svg", "nats"):
            self.assertIn(part, page)
        command_line = re.search(r"<tr><td>command<td><code>(.*?)</code>", page).group(1)
        self.assertTrue(command_line.startswith("fathom explain -q -t 1 -m "))
        self.assertIn("&#39;it&#39;\\&#39;&#39;s why.html&#39;", command_line.replace("&apos;", "&#39;"))

    def test_patching(self):
        told = self.json(*self.explain(*CORRUPT, "--no-features"))["patching"]
        self.assertEqual(4, len(told["recovered"]))
        self.assertEqual(0, told["recovered"][0][0])  # the same token lies there in both
        self.assertAlmostEqual(1, told["recovered"][3][-1], places=2)  # the last row alone decides after the last layer
        self.assertGreater(told["clean_log_probability"], told["corrupt_log_probability"])

    def test_refusals(self):
        self.bad(command.USAGE, "as many", *self.explain("--corrupt", "the golden"))
        self.bad(command.USAGE, "--prompt", "explain", "-m", self.llama)
        self.bad(command.INPUT, "toy-other.gguf", *self.explain("-d", command.files() / "toy-other.gguf"))
        self.bad(command.INPUT, "nowhere.gguf", *self.explain("-d", "nowhere.gguf"))
        self.bad(command.INPUT, "nowhere/why.html", *self.explain("--report", "nowhere/why.html"))
        self.bad(command.USAGE, "--controls", *self.explain("--controls", 0))
        self.bad(command.USAGE, "at least one token", "lens", "-m", self.llama, "--text", PROMPT, "--target", "")
        self.bad(command.INPUT, "UTF-8", "lens", "-m", self.llama, "--text", b"a\xff")
        self.bad(command.INPUT, "UTF-8", "explain", "-m", self.llama, "--prompt", b"a\xff")


if __name__ == "__main__":
    command.main()
