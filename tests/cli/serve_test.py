"""`fathom serve`: it says where it listens, answers, logs every request, and stops when it is asked to."""
import json
import pathlib
import re
import shutil
import signal
import threading
import urllib.error
import urllib.request

import command
from gguf import STRING, Gguf

# A chat template that takes tools and writes calls between tags, as Hermes' and Qwen's do.
TOOLS_TEMPLATE = (pathlib.Path(__file__).parents[1] / "support/tools.jinja").read_bytes()


class Serve(command.Case):
    def serve(self, *arguments, dictionary=None, model=None, context=256):
        """A server on a free port; gives its process and address."""
        named = ("--dict", self.toy) if dictionary is None else dictionary
        process = self.popen("serve", "-m", model or self.llama, *named, "--port", 0, "--threads", 1, "--context",
                             context, *arguments)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        line = command.text(process.stderr.readline())
        found = re.search(r"http://\S+:\d+", line)
        self.assertIsNotNone(found, line)
        return process, found[0]

    def ask(self, address, path, body=None, status=200, method=None, **headers):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address + path, data, {"Content-Type": "application/json", **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=command.PATIENCE) as reply:
                code, text = reply.status, reply.read()
        except urllib.error.HTTPError as error:
            code, text = error.code, error.read()
        self.assertEqual(status, code, text)
        return json.loads(text)

    def stop(self, process, number=signal.SIGTERM):
        process.send_signal(number)
        result = self.finish(process)
        self.assertEqual(command.OK, result.status, result.err)
        return [json.loads(line) for line in result.out.splitlines()]

    def test_answers_and_stops(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process, address = self.serve()
            self.assertEqual({"status": "ok"}, self.ask(address, "/healthz"))
            reply = self.ask(address, "/v1/chat/completions",
                             {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0,
                              "steer": [{"feature": 1, "value": 5}], "watch": [1]})
            self.assertEqual(1, len(reply["choices"]))
            self.assertEqual("toy", self.ask(address, "/api/status")["dictionary"]["name"])
            self.ask(address, "/api/features", status=404)  # there is no catalogue
            log = self.stop(process, number)
            self.assertEqual(["/healthz", "/v1/chat/completions", "/api/status", "/api/features"],
                             [entry["path"] for entry in log])
            self.assertEqual([200, 200, 200, 404], [entry["status"] for entry in log])

    def test_answers_under_way_are_finished(self):
        process, address = self.serve()
        replies = []
        body = {"prompt": "a", "max_tokens": 100, "temperature": 0, "stop": []}

        def ask():
            replies.append(self.ask(address, "/v1/completions", body))
        client = threading.Thread(target=ask)
        client.start()
        while b"jobs_running 1" not in (text := urllib.request.urlopen(address + "/metrics").read()) and not replies:
            self.assertIn(b"fathom_jobs_running", text)
        self.stop(process)
        client.join()
        self.assertEqual(1, len(replies))
        self.assertIn(replies[0]["choices"][0]["finish_reason"], ("length", "stop"))

    def test_tools(self):
        tools = [{"type": "function", "function": {"name": "light", "parameters": {
            "type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False}}}]
        question = {"role": "user", "content": "Is it dark?"}
        body = {"messages": [question], "tools": tools, "tool_choice": "required", "max_tokens": 60}
        process, address = self.serve()
        refused = self.ask(address, "/v1/chat/completions", body, status=400)
        self.assertIn("template has none", refused["error"]["message"])
        self.stop(process)
        gguf = Gguf(self.llama)
        gguf.put(b"tokenizer.chat_template", STRING, TOOLS_TEMPLATE)
        model = self.folder / "tools.gguf"
        model.write_bytes(gguf.pack())
        process, address = self.serve(dictionary=("--no-dict",), model=model, context=1024)
        message = self.ask(address, "/v1/chat/completions", body)["choices"][0]["message"]
        (call,) = message["tool_calls"]
        self.assertEqual("light", call["function"]["name"])
        self.assertIsInstance(json.loads(call["function"]["arguments"])["on"], bool)
        # The call and its result are what the next answer is told.
        result = {"role": "tool", "tool_call_id": call["id"], "content": "done"}
        after = self.ask(address, "/v1/chat/completions", {"messages": [question, message, result], "tools": tools, "max_tokens": 2})
        before = self.ask(address, "/v1/chat/completions", {"messages": [question, result], "tools": tools, "max_tokens": 2})
        self.assertGreater(after["usage"]["prompt_tokens"], before["usage"]["prompt_tokens"] + 10)
        self.stop(process)

    def test_token(self):
        path = self.folder / "token.txt"
        path.write_text("a token of enough letters\n")
        process, address = self.serve("--token-file", path, "--no-access-log", "--read-only")
        self.ask(address, "/v1/models", status=401)
        self.ask(address, "/v1/models", Authorization="Bearer a token of enough letters")
        self.ask(address, "/healthz", status=403, Host="evil.example")
        self.assertEqual([], self.stop(process))

    def test_labels_of_a_shipped_catalogue_go_into_a_copy(self):
        shipped = self.home / "share" / "tiny"
        shipped.mkdir(parents=True)
        shutil.copy(self.toy, shipped / "dictionary.gguf")
        self.good("index", shipped / "dictionary.gguf", "-q", "-t", 1, "-m", self.llama, "--context", 32, "--corpus",
                  self.corpus(), "--catalogue", shipped / "catalogue.sqlite")
        self.environment["FATHOM_SHARE"] = str(self.home / "share")
        before = (shipped / "catalogue.sqlite").read_bytes()
        process, address = self.serve(dictionary=())
        self.ask(address, "/api/features/3/label", {"label": "small words"}, method="PUT")
        self.assertEqual("small words", self.ask(address, "/api/features?offset=3")["features"][0]["label"])
        self.assertEqual(3, self.ask(address, "/api/search", {"words": "small words"})["features"][0]["feature"])
        self.stop(process)
        self.assertEqual(before, (shipped / "catalogue.sqlite").read_bytes())
        self.assertEqual(1, len(list((self.home / "data").rglob("catalogue.sqlite"))))
        process, address = self.serve(dictionary=())
        self.assertEqual("small words", self.ask(address, "/api/features?offset=3")["features"][0]["label"])
        self.stop(process)

    def test_bad_options(self):
        llama = ("serve", "-m", self.llama, "--no-dict")
        self.bad(command.USAGE, "--port", *llama, "--port", 65536)
        self.bad(command.USAGE, "--parallel", *llama, "--parallel", 0)
        self.bad(command.USAGE, ["0.0.0.0", "token"], *llama, "--host", "0.0.0.0")
        self.bad(command.USAGE, "localhost", *llama, "--host", "localhost", "--token-file", self.token("a token of enough letters"))
        self.bad(command.USAGE, "16", *llama, "--token-file", self.token("short"))
        self.bad(command.INPUT, "none.txt", *llama, "--token-file", "none.txt")
        self.bad(command.INPUT, "no.gguf", "serve", "-m", "no.gguf")

    def token(self, text):
        path = self.home / "token.txt"
        path.write_text(text)
        return path


if __name__ == "__main__":
    command.main()
