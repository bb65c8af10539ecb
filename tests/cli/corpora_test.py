"""Texts and corpora: what is allowed works, and what is not is named by file and line."""
import gzip
import json
import os
import subprocess

import command


class Corpora(command.Case):
    def capture(self, path, *options):
        return ("capture", "-q", "-m", self.llama, "-t", 1, "--hook", "embed", "-o", "rows.safetensors", "--file", path, *options)

    def refuse(self, name, content, *parts, status=command.INPUT):
        self.bad(status, [name, *parts], *self.capture(self.write(name, content)))

    def test_separators_inside_strings(self):
        lines = [json.dumps({"text": f"one{c}two {i}"}, ensure_ascii=False) for i, c in enumerate("\u2028\u2029\x85\v\f")]
        self.good(*self.capture(self.write("lines.jsonl", "\n".join(lines))))
        rows = self.good(*self.capture(self.write("lines.jsonl", "\n".join(lines) + "\n"), "--json"))
        self.assertEqual(len(lines), json.loads(rows.out)["documents"])

    def test_other_good_forms(self):
        for name, content in (("bom.jsonl", b'\xef\xbb\xbf{"text": "x"}\n'), ("crlf.jsonl", b'{"text": "x"}\r\n{"text": "y"}\r\n'),
                              ("zero.txt", b"a\0b\n"), ("escaped.jsonl", b'{"text": "a\\u0000b"}\n'),
                              ("odd name=3:x.txt", b"text\n"), ("packed.jsonl.gz", gzip.compress(b'{"text": "x"}\n')),
                              ("several.jsonl", b'{"text": "x", "other": [1, {}]}\n\n{"other": null, "text": "y"}')):
            self.good(*self.capture(self.write(name, content)))
        with self.write("piped.txt", "piped text").open("rb") as piped:
            self.good(*self.capture("-"), stdin=piped)

    def test_pipes(self):
        """What can be read only once is not used up before the training."""
        corpus = self.corpus()
        os.mkfifo(self.folder / "pipe")
        writer = subprocess.Popen(["cp", corpus, self.folder / "pipe"])
        self.good(*self.train(corpus="pipe"))
        writer.wait(timeout=command.PATIENCE)
        with corpus.open("rb") as piped:
            self.good(*self.train(corpus="-"), stdin=piped)

    def test_bad_lines(self):
        good = b'{"text": "fine"}\n'
        self.refuse("a.jsonl", good + b'{"text": "b\xffd"}\n', "line 2", "UTF-8")
        self.refuse("b.txt", b"fine\nfine\nb\xc3(d\n", "line 3", "UTF-8")
        self.refuse("c.jsonl", good + b'{"txt": "x"}\n', "line 2", '"text"', "missing")
        self.refuse("d.jsonl", good + good + b'{"text": 5}\n', "line 3", '"text"', "string")
        self.refuse("e.jsonl", good + b'{"text": "x"\n', "line 2", "JSON")
        self.refuse("f.jsonl", b'["text"]\n', "line 1", "object")
        self.refuse("g.jsonl", b'{"text": "\\ud800"}\n', "line 1")
        self.refuse("h.jsonl", b'{"text": ' + b"[" * 100000, "line 1", "depth")
        self.refuse("i.jsonl", good + b'{"text": "x", "text": "y"}\n', "line 2")
        self.refuse("j.jsonl", b'{"text": NaN}\n', "line 1")
        self.bad(command.INPUT, ["k.jsonl", "line 1", '"body"'], *self.capture(f"{self.write('k.jsonl', good)}:body"))

    def test_bad_files(self):
        packed = gzip.compress(json.dumps({"text": "long enough " * 5000}).encode())
        self.refuse("cut.jsonl.gz", packed[:len(packed) // 2], "cut off")
        self.refuse("bad.gz", b"\x1f\x8b\x08garbage and more garbage", "gzip")
        self.refuse("bad.zst", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff garbage", "zstd")
        self.refuse("table.parquet", b"PAR1" + bytes(100) + b"PAR1", "Parquet")
        self.bad(command.INPUT, ["nothing.txt", "No such file"], *self.capture("nothing.txt"))
        (self.folder / "hollow").mkdir()
        self.bad(command.INPUT, ["hollow", "no files"], *self.capture("hollow"))

    def test_nothing_to_read(self):
        for name, content in (("empty.jsonl", b""), ("blank.txt", b"\n \n\t\n"), ("nothing.jsonl", b'{"text": ""}\n')):
            self.bad(command.INPUT, "no tokens", *self.capture(self.write(name, content)))
            self.bad(command.INPUT, [name, "no row"], *self.train(corpus=self.folder / name))

    def test_training(self):
        for name, content, part in (("a.jsonl", b'{"text": "b\xffd"}\n', "line 1"), ("b.jsonl", b'{"txt": ""}\n', '"text"'),
                                    ("c.jsonl", b'{"text": 1}\n', "string")):
            self.bad(command.INPUT, [name, part], *self.train(corpus=self.write(name, content)))
        late = self.corpus("late.jsonl").read_bytes() + b'{"text": "b\xffd"}\n'
        self.write("late.jsonl", late)
        self.bad(command.INPUT, ["late.jsonl", "line 61", "UTF-8"], *self.train(corpus="late.jsonl", tokens=10**6))
        self.bad(command.INPUT, "nothing.jsonl", *self.train(corpus="nothing.jsonl"))
        corpus = self.corpus()
        for weight in ("=0", "=-1", "=nan", "=inf"):
            self.bad(command.USAGE, "weight over 0", *self.train(corpus=f"{corpus}{weight}"))
        self.bad(command.LIMIT, "less than one batch", *self.train(corpus=corpus, tokens=10))
        self.bad(command.USAGE, ["k 100", "64"], *self.train(corpus=corpus, k=100))
        self.bad(command.INPUT, "pattern.1", *self.train(corpus=corpus, hook="pattern.1"))
        self.bad(command.LIMIT, "memory", *self.train(corpus=corpus, features=2**26))


if __name__ == "__main__":
    command.main()
