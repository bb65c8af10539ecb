"""run, chat, capture, hooks, doctor and bench generate, on the tiny models: what they print and what they write."""
import json
import math
import struct
import command


def tensors(path):
    """The header of a safetensors file and a reader of its tensors."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])

    def read(name):
        begin, end = header[name]["data_offsets"]
        return struct.unpack("<" + {"F32": "f", "I32": "i"}[header[name]["dtype"]] * ((end - begin) // 4), content[8 + length + begin:8 + length + end])
    return header, read


class Run(command.Case):
    def run_json(self, *arguments):
        return json.loads(self.good("run", "-m", self.llama, "-t", 1, "-p", "the bridge", "--json", *arguments).out)

    def test_same_seed_same_text(self):
        first, again, other = (self.run_json("-n", 12, "--seed", seed, "--temperature", 1, "--top-k", 0) for seed in (3, 3, 4))
        for result in (first, again):
            del result["tokens_per_second"]
        self.assertEqual(first, again)
        self.assertNotEqual(first["text"], other["text"])
        self.assertEqual(3, first["seed"])
        self.assertIn(first["finish"], ("length", "end"))

    def test_logprobs(self):
        result = self.run_json("-n", 6, "--temperature", 0, "--logprobs")
        self.assertEqual(result["tokens"], len(result["logprobs"]))
        self.assertAlmostEqual(result["log_probability"], sum(t["logprob"] for t in result["logprobs"]), places=5)
        self.assertTrue(all(t["logprob"] < 0 for t in result["logprobs"]))
        self.assertEqual(result["text"].encode(), b"".join(bytes(t["bytes"]) for t in result["logprobs"]).decode("utf-8", "replace").encode())
        plain = self.good("run", "-m", self.llama, "-t", 1, "-p", "the bridge", "-n", 6, "--temperature", 0, "--logprobs").out
        self.assertEqual(result["tokens"], plain.count("%"))

    def test_types_of_keys_and_values(self):
        """Another type rounds otherwise: the same text, nearly the same probabilities, and not the same bits."""
        found = {kind: self.run_json("-n", 6, "--temperature", 0, *(["--kv-type", kind] if kind else []))["log_probability"]
                 for kind in (None, "f16", "f32")}
        self.assertEqual(found[None], found["f16"])
        self.assertNotEqual(found["f32"], found["f16"])
        self.assertAlmostEqual(found["f32"], found["f16"], delta=0.1)
        self.bad(command.INPUT, ["llama.gguf", "q8_0", "multiple of 32", "16"], "run", "-m", self.llama, "-p", "x", "--kv-type", "q8_0")
        self.bad(command.USAGE, ["--kv-type", "f16|f32|q8_0"], "run", "-m", self.llama, "-p", "x", "--kv-type", "q2")

    def test_text_is_the_prompt_and_what_follows(self):
        result = self.run_json("-n", 6, "--temperature", 0)
        plain = self.good("run", "-m", self.llama, "-t", 1, "-p", "the bridge", "-n", 6, "--temperature", 0).out
        self.assertTrue(plain.startswith("the bridge"))
        self.assertTrue(plain.endswith("\n"))
        self.assertNotIn("\x1b", plain)
        self.assertEqual("the bridge\n", self.good("run", "-m", self.llama, "-t", 1, "-p", "the bridge", "-n", 0).out)
        self.assertEqual(0, self.run_json("-n", 0)["tokens"])
        self.assertGreater(result["prompt_tokens"], 0)

    def test_a_prompt_without_room_is_not_shown(self):
        run = self.fathom("run", "-m", self.llama, "-p", "the bridge " * 150, "--context", 32, "-n", 4)
        self.assert_refused(run, command.LIMIT, "context")
        self.assertEqual("", run.out)

    def test_adapters_change_the_model(self):
        adapter = command.files() / "adapter.gguf"
        plain, none, full = (self.run_json("-n", 1, "--temperature", 0, *more)["log_probability"]
                             for more in ((), ("--adapter", f"{adapter}=0"), ("--adapter", adapter)))
        self.assertAlmostEqual(plain, none, places=6)
        self.assertNotAlmostEqual(plain, full, places=6)


class Chat(command.Case):
    def test_messages(self):
        result = json.loads(self.good("chat", "-m", self.llama, "-t", 1, "-n", 4, "--json", "--system", "be brief", "-p", "one", "-p", "two").out)
        self.assertEqual(["system", "user", "assistant", "user", "assistant"], [m["role"] for m in result["messages"]])
        self.assertEqual([a["text"] for a in result["answers"]], [m["content"] for m in result["messages"] if m["role"] == "assistant"])
        self.assertGreater(result["answers"][1]["prompt_tokens"], result["answers"][0]["prompt_tokens"])

    def test_standard_input(self):
        lines = self.write("lines", "one\ntwo\n\nnot read\n")
        with open(lines, "rb") as stream:
            result = json.loads(self.good("chat", "-m", self.llama, "-t", 1, "-n", 4, "--json", stdin=stream).out)
        self.assertEqual(["one", "two"], [m["content"] for m in result["messages"] if m["role"] == "user"])

    def test_templates(self):
        own = self.write("own.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}")
        chat = ("chat", "-m", self.llama, "-t", 1, "-n", 1, "--json", "-p", "one")
        short = json.loads(self.good(*chat, "--chat-template", own).out)["answers"][0]["prompt_tokens"]
        self.assertLess(short, json.loads(self.good(*chat).out)["answers"][0]["prompt_tokens"])
        broken = self.write("broken.jinja", "{% for m in messages %}")
        self.bad(command.INPUT, "", *chat, "--chat-template", broken)
        self.bad(command.INPUT, "none.jinja", *chat, "--chat-template", "none.jinja")


class Capture(command.Case):
    def test_files_and_texts(self):
        corpus = self.write("corpus.jsonl", '{"body": "the golden gate"}\n{"body": "a river"}\n')
        result = json.loads(self.good("capture", "-m", self.gemma, "-t", 1, "--hook", "resid_post.-1,q.0", "--hook", "logits", "--text", "the bridge",
                                      "--file", f"{corpus}:body", "-o", "rows.safetensors", "--json").out)
        header, read = tensors(self.folder / "rows.safetensors")
        names = ["blocks.3.hook_resid_post", "blocks.0.attn.hook_q", "logits"]
        self.assertEqual(names, [hook["name"] for hook in result["hooks"]])
        self.assertEqual(sorted(names + ["tokens", "position", "document"]), sorted(k for k in header if k != "__metadata__"))
        n = result["tokens"]
        for hook in result["hooks"]:
            self.assertEqual([n, hook["width"]], header[hook["name"]]["shape"])
            self.assertTrue(all(map(math.isfinite, read(hook["name"]))))
        self.assertEqual(3, result["documents"])
        self.assertEqual([0, 1, 2], sorted(set(read("document"))))
        positions = read("position")
        self.assertEqual(3, positions.count(0))
        self.assertEqual(1, len({read("tokens")[i] for i in range(n) if positions[i] == 0}), "bos comes first")

    def test_what_is_missing(self):
        self.bad(command.USAGE, "--text", "capture", "-m", self.llama, "--hook", "embed", "-o", "x.safetensors")
        self.bad(command.INPUT, "folder/x", "capture", "-m", self.llama, "-t", 1, "--hook", "embed", "--text", "a", "-o", "folder/x.safetensors")
        self.bad(command.INPUT, "no tokens", "capture", "-m", self.llama, "-t", 1, "--hook", "embed", "--text", "", "-o", "x.safetensors")


class Describing(command.Case):
    def test_hooks(self):
        result = json.loads(self.good("hooks", "-m", self.llama, "--json").out)
        self.assertEqual(17 * 4 + 3, len(result["hooks"]))
        by_alias = {hook["alias"]: hook for hook in result["hooks"]}
        self.assertEqual("blocks.3.attn.hook_z", by_alias["z.3"]["name"])
        self.assertEqual((4, 16), (by_alias["z.3"]["heads"], by_alias["z.3"]["width_per_head"]))
        self.assertIsNone(by_alias["pattern.0"]["width_per_head"])
        last = self.good("hooks", "-m", self.llama, "--layer", -1).out
        self.assertEqual(17, last.count("\n"))
        self.assertIn("blocks.3.hook_mlp_out", last)
        self.bad(command.USAGE, "--layer", "hooks", "-m", self.llama, "--layer", 4)

    def test_doctor(self):
        for model in (self.llama, self.gemma):
            result = json.loads(self.good("doctor", model, "-t", 1, "-q", "--json").out)
            self.assertTrue(result["passed"])
            self.assertEqual(18, len(result["checks"]))
            self.assertTrue(all(check["passed"] for check in result["checks"]))
            self.assertEqual(17 * 4 + 3, len(result["hooks"]))
        self.assertIn("18 of 18 checks passed", self.good("doctor", "-m", self.llama, "-t", 1, "-q").out)
        self.bad(command.USAGE, "twice", "doctor", self.llama, "-m", self.llama)

    def test_bench_generate(self):
        result = json.loads(self.good("bench", "generate", "-m", self.llama, "-t", 1, "--runs", 2, "--tokens", 4, "--prompt", 8, "--json").out)
        self.assertEqual(result["tokens_per_second"], result["plain"]["tokens_per_second"])
        for kind in ("plain", "tapped", "steered"):
            self.assertGreater(result[kind]["tokens_per_second"], 0)
            self.assertGreater(result[kind]["prompt_tokens_per_second"], 0)


if __name__ == "__main__":
    command.main()
