"""`fathom serve` under load and misuse: every answer is the one that its question has alone, nothing hangs, and what was taken is
given back. FATHOM_LOAD_SECONDS says how long each crowd asks (2); 60 is the long run, which prints its figures."""
import os
import re
import resource
import signal
import sqlite3
import threading
import time

import command
import load

SECONDS = float(os.environ.get("FATHOM_LOAD_SECONDS", 2))
LONG = SECONDS >= 30
SANITIZED = bool(os.environ.get("FATHOM_SANITIZE"))
CROWDS = (1, 8, 64)
READ_SECONDS = 2
MARGIN = 1e-2  # nats between the likeliest token and the next: what another size of batch cannot turn round
MOST_GROWTH = 24 << 20  # bytes of memory that the allocator may keep of a crowd
WORDS = "the bridge and golden gate river wind over a stone Hello cat dog one two three".split()


def drain(pipe, lines):
    with pipe:
        lines.extend(pipe)


class Load(command.Case):
    def serve(self, *arguments, **options):
        process = self.popen("serve", "-m", self.llama, "--dict", self.toy, "--port", 0, "--threads", 1, "--context", 1024,
                             "--parallel", 4, "--queue", 128, "--read-time", READ_SECONDS, *arguments, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        lines = []
        line = command.text(process.stderr.readline())
        found = re.search(r"http://\S+:\d+", line)
        self.assertIsNotNone(found, line)
        # What it says later must not fill the pipes.
        for pipe in (process.stdout, process.stderr):
            if pipe:
                threading.Thread(target=drain, args=(pipe, lines)).start()
        server = load.Server(process, found[0])
        server.lines = lines
        return server

    def questions(self, server):
        """Questions of several kinds with their answers when nobody else asks; none that rounding could answer otherwise."""
        kinds = ({}, {"watch": [1, 3]}, {"steer": [{"feature": 2, "mode": "add", "value": 20}], "watch": [2]},
                 {"steer": "#4 +15 raw while answering"})
        found = []
        for i in range(24):
            prompt = " ".join(WORDS[(i * k + k * k) % len(WORDS)] for k in range(1, 4 + i % 5))
            question = {"prompt": prompt, "max_tokens": 8 + i % 9, "temperature": 0, **kinds[i % len(kinds)]}
            status, text = server.ask("/v1/completions", {**question, "logprobs": 2})
            self.assertEqual(200, status, text)
            tops = [sorted(top.values()) for top in command.json.loads(text)["choices"][0]["logprobs"]["top_logprobs"]]
            if all(len(top) > 1 and top[-1] - top[-2] > MARGIN for top in tops):
                found.append((question, load.stream(server, question)))
        self.assertGreaterEqual(len(found), 8)
        self.assertGreater(len({answer[0] for _, answer in found}), 4)
        return found

    def crowd(self, server, n, questions, seconds=SECONDS):
        crowd = load.Crowd(server, n, questions, seconds)
        self.assertEqual(0, crowd.wait(), "clients hang")
        self.assertEqual([], crowd.wrong[:3])
        self.assertGreaterEqual(crowd.answered, n)
        if LONG:
            print(f"{n} clients, {seconds:.0f} s: {crowd.answered} answers, {crowd.refused} refused, "
                  f"{server.memory() >> 20} MiB", flush=True)
        return crowd

    def test_answers_do_not_mix_and_nothing_is_kept(self):
        server = self.serve("--no-access-log")
        questions = self.questions(server)
        before = None
        for n in (CROWDS[-1], *CROWDS):  # the first fills what stays: caches and the allocator's own
            crowd = self.crowd(server, n, questions, SECONDS if before else min(SECONDS, 3))
            self.assertEqual(0, crowd.refused)
            self.assertTrue(server.settle())
            now, memory = server.rest(before and before[0]), server.memory()
            before = before or (now, memory)
            self.assertEqual(before[0], now)
            if not SANITIZED and memory:
                self.assertLess(memory - before[1], MOST_GROWTH)
        self.end(server)

    def test_misuse_harms_nobody_else(self):
        server = self.serve("--no-access-log")
        questions = self.questions(server)
        self.crowd(server, 8, questions, 0)
        self.assertTrue(server.settle())
        before = server.rest()
        crowd = load.Crowd(server, 4, questions, SECONDS)
        slow = [threading.Thread(target=lambda: cut.append(load.dribble(server, command.PATIENCE, 0.2))) for _ in range(8)]
        cut = []
        for thread in slow:
            thread.start()
        for round_ in range(2):
            for by_reset in (False, True):
                self.assertEqual(200, load.vanish(server, questions[round_][0], by_reset))
            load.vanish_before(server, questions[round_][0])
            self.assertIn(load.long_headers(server, 10 << 20), (400, 413, 431, None))
            self.assertEqual(413, load.announced_body(server, 1 << 30))
            self.assertIn(load.chunked_body(server, (1 << 30) if LONG else (1 << 26)), (413, None))
            self.assertEqual(400, load.body(server, b"[" * 100000))
            self.assertEqual(400, load.body(server, b'{"prompt": ' + b'{"a":' * 100000 + b"1" + b"}" * 100001))
            for bad in (b'{"prompt": "\xff\xfe"}', b'{"prompt": "\xed\xa0\x80"}', b'{"prompt": "a"', b"\x00", b'{"prompt": "\\ud800"}'):
                self.assertEqual(400, load.body(server, bad), bad)
            for bad in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET", b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", load.post(-1), load.post(10) + b"{}",
                        load.post(5) + b"{}", bytes(range(256)) * 64):
                status = load.bytes_of(server, bad)
                self.assertTrue(status is None or status >= 400, (bad, status))
        for thread in slow:
            thread.join(command.PATIENCE)
        self.assertEqual([True] * len(slow), cut)  # each was cut off
        self.assertEqual(0, crowd.wait(), "clients hang")
        self.assertEqual([], crowd.wrong[:3])
        self.assertGreaterEqual(crowd.answered, 4)
        self.assertTrue(server.settle())
        self.assertEqual(before, server.rest(before))
        self.crowd(server, 4, questions, 0)
        self.end(server)

    def test_sigterm_under_load(self):
        server = self.serve()
        questions = self.questions(server)
        long_ = [({**question, "max_tokens": 60}, answer) for question, answer in questions]
        crowd = load.Crowd(server, 16, long_, command.PATIENCE, may_fail=True)
        self.assertTrue(crowd.begun.wait(command.PATIENCE))
        self.end(server)
        crowd.end = 0
        self.assertEqual(0, crowd.wait(), "clients hang")
        for line in server.lines:
            if line.startswith(b"{"):
                self.assertIn(command.json.loads(line)["status"], (200, 429, 503))

    def test_a_log_that_cannot_be_written(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("this system has no full device")
        with open("/dev/full", "wb") as full:
            server = self.serve(stdout=full)
            self.crowd(server, 4, self.questions(server), 0)
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(command.LIMIT, server.process.wait(command.PATIENCE))

    def index(self):
        self.good("index", self.toy, "-q", "-t", 1, "-m", self.llama, "--context", 32, "--corpus", self.corpus(), "--catalogue",
                  "catalogue.sqlite")

    def label(self, server, text):
        return server.ask("/api/features/3/label", {"label": text}, "PUT")

    def test_a_full_disk(self):
        self.index()
        size = (self.folder / "catalogue.sqlite").stat().st_size
        # What is there may be written over, but no file may grow past the catalogue's size.
        server = self.serve("--catalogue", "catalogue.sqlite", "--no-access-log",
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        status, text = self.label(server, "small words")
        self.assertEqual(503, status, text)
        self.assertIn(b"disk is full", text)
        self.crowd(server, 4, self.questions(server), 0)
        self.assertEqual(200, server.ask("/api/features/3")[0])
        self.end(server)
        with sqlite3.connect(self.folder / "catalogue.sqlite") as database:
            self.assertEqual("ok", database.execute("PRAGMA integrity_check").fetchone()[0])

    def test_a_locked_catalogue(self):
        self.index()
        server = self.serve("--catalogue", "catalogue.sqlite", "--no-access-log")
        questions = self.questions(server)
        database = sqlite3.connect(self.folder / "catalogue.sqlite", isolation_level=None)
        database.execute("BEGIN EXCLUSIVE")
        crowd = load.Crowd(server, 4, questions, SECONDS)
        for path, body, method in (("/api/features/3/label", {"label": "x"}, "PUT"), ("/api/features/3", None, None),
                                   ("/api/search", {"words": "x"}, None),
                                   ("/v1/completions", {"prompt": "a", "max_tokens": 1, "steer": '"small words" +2'}, None)):
            status, text, headers = server.reply(path, body, method)
            self.assertEqual(503, status, (path, text))
            self.assertIn(b"locked", text)
            self.assertGreater(int(headers["Retry-After"]), 0)
        # A feature that is told by its number needs nothing of the file.
        status, text = server.ask("/v1/completions", {"prompt": "a", "max_tokens": 1, "steer": "#3 +2 raw"})
        self.assertEqual(200, status, text)
        self.assertEqual(0, crowd.wait(), "clients hang")
        self.assertEqual([], crowd.wrong[:3])
        database.execute("ROLLBACK")
        database.close()
        self.assertEqual(200, self.label(server, "small words")[0])
        self.assertIn(b"small words", server.ask("/api/features/3")[1])
        self.end(server)

    def end(self, server):
        """Asks it to stop, which it does, with nothing to complain about (a sanitizer would)."""
        begun = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(command.OK, server.process.wait(command.PATIENCE), b"".join(server.lines))
        if LONG:
            print(f"stopped after {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    command.main()
