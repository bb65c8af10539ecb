"""Models that are not what they should be: an error that says so, or a model that works; never an abort."""
import json
import math
import random
import struct

import command
from gguf import Gguf, STRING, ARRAY

FLIPS = 200
U32, F32, U64 = 4, 6, 10


class Models(command.Case):
    def run_model(self, path):
        return self.fathom("run", "-m", path, "-p", "hello world", "-n", 2, "-t", 1, "--json")

    def refuse(self, content, *parts):
        path = self.write("spoiled.gguf", content)
        self.bad(command.INPUT, ["spoiled.gguf", *parts], "run", "-m", path, "-p", "hello", "-n", 2, "-t", 1)

    def spoiled(self, change, name="llama.gguf"):
        gguf = Gguf(command.files() / name)
        change(gguf)
        return gguf.pack()

    def test_flipped_bytes_of_the_header(self):
        refused = 0
        for seed in range(FLIPS):
            source = (self.llama, self.gemma)[seed % 2]
            content, chance = bytearray(source.read_bytes()), random.Random(seed)
            for _ in range(chance.choice((1, 1, 2, 4))):
                content[chance.randrange(Gguf(source).header)] ^= 1 << chance.randrange(8)
            result = self.run_model(self.write("flipped.gguf", bytes(content)))
            if result.status == command.OK:
                self.assertEqual("", result.err, f"seed {seed}")
            else:
                self.assert_refused(result, command.INPUT, "flipped.gguf", f"seed {seed}")
                refused += 1
        self.assertGreater(refused, FLIPS // 4)

    def test_files_that_are_no_models(self):
        whole = self.llama.read_bytes()
        self.refuse(b"", "not a GGUF file")
        self.refuse(b"GGUF")
        self.refuse(b"\0" * 4096)
        self.refuse(bytes(range(256)) * 64)
        self.refuse(b"{\"text\": \"a corpus, not a model\"}\n")
        for length in (5, 24, 100, 3000, len(whole) // 2, len(whole) - 1):
            self.refuse(whole[:length])
        self.bad(command.INPUT, ["nothing.gguf", "No such file"], "run", "-m", "nothing.gguf", "-p", "x")
        (self.folder / "folder.gguf").mkdir()
        self.bad(command.INPUT, ["folder.gguf", "is a folder"], "run", "-m", "folder.gguf", "-p", "x")
        self.bad(command.INPUT, "toy.gguf", "run", "-m", self.toy, "-p", "x")
        self.bad(command.INPUT, "adapter.gguf", "run", "-m", command.files() / "adapter.gguf", "-p", "x")

    def test_counts_that_lie(self):
        gguf = Gguf(self.llama)
        for n in (2**63, 2**64 - 1, 2**40, len(gguf.keys) + 1):
            self.refuse(gguf.pack(n_keys=n))
            self.refuse(gguf.pack(n_tensors=n))

    def test_keys(self):
        for key, kind, value in ((b"llama.block_count", U32, 2**31), (b"llama.block_count", U64, 2**63),
                                 (b"llama.embedding_length", U32, 0), (b"llama.embedding_length", STRING, b"64"),
                                 (b"llama.attention.head_count", U32, 3), (b"llama.attention.head_count", U32, 0),
                                 (b"llama.context_length", F32, 1.0),
                                 (b"tokenizer.ggml.tokens", U32, 1)):
            self.refuse(self.spoiled(lambda gguf: gguf.put(key, kind, value)), key.decode())
        self.refuse(self.spoiled(lambda gguf: gguf.put(b"tokenizer.ggml.model", STRING, b"nonsense")), "tokenizer")
        self.refuse(self.spoiled(lambda gguf: gguf.put(b"tokenizer.ggml.tokens", ARRAY, (STRING, []))), "0 tokens")
        for key in (b"llama.block_count", b"llama.attention.layer_norm_rms_epsilon", b"tokenizer.ggml.tokens"):
            self.refuse(self.spoiled(lambda gguf: gguf.keys.remove(gguf.key(key))), key.decode())
        epsilon = b"llama.attention.layer_norm_rms_epsilon"
        for value in (math.nan, math.inf):
            self.refuse(self.spoiled(lambda gguf: gguf.put(epsilon, F32, value)), epsilon.decode())

    def test_tensors(self):
        def shape(name, sizes):
            return self.spoiled(lambda gguf: gguf.tensor(name).__setitem__(1, sizes))

        name = b"blk.1.attn_q.weight"
        self.refuse(shape(name, [64, 2**62]), name.decode())
        self.refuse(shape(name, [2**63, 2]), name.decode())
        self.refuse(shape(name, [0, 64]))
        self.refuse(shape(name, [64, 32]), "blk.1.attn_")
        self.refuse(self.spoiled(lambda gguf: gguf.tensor(name).__setitem__(2, 9999)), name.decode())
        self.refuse(self.spoiled(lambda gguf: gguf.tensor(name).__setitem__(3, 2**63)), name.decode())
        self.refuse(self.spoiled(lambda gguf: gguf.tensors.remove(gguf.tensor(name))), "blk.1.attn_")
        self.refuse(self.spoiled(lambda gguf: gguf.tensors.append(gguf.tensor(name))), name.decode())

        def nan_weight(gguf):
            at = gguf.tensor(name)[3]
            gguf.data = gguf.data[:at] + struct.pack("<f", math.nan) + gguf.data[at + 4:]

        self.refuse(self.spoiled(nan_weight), name.decode())

    def test_architectures_that_the_engine_asserts_on(self):
        def rename(architecture):
            def change(gguf):
                for key in gguf.keys:
                    if key[0].startswith(b"llama."):
                        key[0] = architecture + key[0][len(b"llama"):]
                gguf.put(b"general.architecture", STRING, architecture)
            return change

        for architecture in (b"clip", b"bert", b"mamba", b"t5", b"rwkv7", b"grok", b"no-such", b"", b"x" * 300):
            self.refuse(self.spoiled(rename(architecture)))

    def test_names_do_not_reach_the_terminal_raw(self):
        path = self.write("named.gguf", self.spoiled(lambda g: g.put(b"general.name", STRING, b"\xff\x1b[31mred\n")))
        for arguments in (("doctor", "-t", 1, "-m", path), ("describe", path)):
            result = self.fathom(*arguments)
            self.assertNotIn("\x1b", result.out)
        self.assertEqual(command.OK, self.run_model(path).status)
        self.assertIn('"model"', self.run_model(path).out)

    def test_single_layers_are_shuffled(self):
        copy = ["derive", "-m", self.llama, "-o", "part.gguf"]
        self.good(*copy, "--shuffle-layers", "1-2")
        plain, part = (json.loads(self.run_model(path).out) for path in (self.llama, "part.gguf"))
        self.assertNotEqual(plain["log_probability"], part["log_probability"])
        self.bad(command.USAGE, "the model has 4 layers", *copy, "--shuffle-layers", 4)
        self.bad(command.USAGE, "a layer or a range", *copy, "--shuffle-layers", "2-1")
        self.bad(command.USAGE, "exclude each other", *copy, "--shuffle-layers", 1, "--shuffle")
        self.bad(command.USAGE, "belong together", "derive", "-m", self.llama, "--shuffle-layers", 1)

    def test_adapters(self):
        adapter = command.files() / "adapter.gguf"
        for model, file, part in ((self.gemma, adapter, "adapter.gguf"), (self.llama, self.llama, "llama.gguf"),
                                  (self.llama, self.write("cut.gguf", adapter.read_bytes()[:-40]), "cut.gguf")):
            self.bad(command.INPUT, part, "run", "-m", model, "--adapter", file, "-p", "x", "-n", 1)
        for scale in ("x", "", "nan", "1e999"):
            self.bad(command.USAGE, "--adapter", "run", "-m", self.llama, "--adapter", f"{adapter}={scale}", "-p", "x")


if __name__ == "__main__":
    command.main()
