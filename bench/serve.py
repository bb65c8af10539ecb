"""Streaming clients of `fathom serve`, one and eight at once: the rate at which all of them together get their tokens, beside the engine's own
batched benchmark at the same batch, prompt and answer length. Sampling and steering are measured by themselves, each beside plain greedy
answers in the same rounds."""

import http.client
import json
import pathlib
import random
import re
import selectors
import socket
import statistics
import subprocess
import time

import common

PROMPT, TOKENS = 128, 128
CLIENTS = (1, 8)
SEED = 1
FIRST_TOKEN = 100  # before it are the special ones
STEERED_SHARE = 0.5  # of the feature's largest activation
LEAST_WINDOW = 0.5  # of the tokens must come while all clients are answered, for the rate to mean something
KINDS = {
    "greedy": {"temperature": 0},
    "sampled": {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "seed": SEED},
    "steered": {"temperature": 0},
}


class Server:
    def __init__(self, setting, path, flash):
        n = max(CLIENTS)
        command = [setting.fathom, "serve", "-m", path, "--port", "0", "--parallel", n, "--context", PROMPT + TOKENS, "--threads",
                   setting.threads, "--no-access-log", *([] if flash else ["--no-flash-attention"])]
        self.process = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        found = re.search(r"http://([\d.]+):(\d+)", line)
        if not found:
            raise common.Failed(f"fathom serve: {line}")
        self.address = (found[1], int(found[2]))

    def ask(self, path, body=None):
        connection = http.client.HTTPConnection(*self.address)
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        if reply.status != 200:
            raise common.Failed(f"{path}: {reply.status} {text.decode()}")
        return json.loads(text)

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


class Client:
    """A stream: when each event came, and how many tokens there were."""

    def __init__(self, server, request):
        body = json.dumps({**request, "stream": True, "stream_options": {"include_usage": True}}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket = socket.create_connection(server.address)
        self.socket.sendall(head.encode() + body)
        self.times, self.bytes, self.tokens = [], bytearray(), 0

    def take(self, now):
        """Reads what came; true when that was the end."""
        more = self.socket.recv(1 << 16)
        before = self.bytes.count(b"data: {")
        self.bytes += more
        self.times += [now] * (self.bytes.count(b"data: {") - before)
        if b"data: [DONE]" not in self.bytes and more:
            return False
        usage = re.search(rb'"completion_tokens": ?(\d+)', self.bytes)
        if not usage:
            raise common.Failed(f"an answer broke off: {bytes(self.bytes[-200:])!r}")
        self.tokens = int(usage[1])
        del self.times[-2:]  # the finish and the usage are no tokens
        return True


def rate(server, requests):
    """Tokens a second of all streams together, from the time that each has its first token to the time that the first of them ends."""
    clients = [Client(server, request) for request in requests]
    watch = selectors.DefaultSelector()
    for client in clients:
        watch.register(client.socket, selectors.EVENT_READ, client)
    while watch.get_map():
        for key, _ in watch.select():
            if key.data.take(time.perf_counter()):
                watch.unregister(key.fileobj)
                key.fileobj.close()
    begin, end = max(client.times[0] for client in clients), min(client.times[-1] for client in clients)
    within = 0.0
    for client in clients:
        events = sum(begin < at <= end for at in client.times)
        within += events * client.tokens / len(client.times)
    if end <= begin or within < LEAST_WINDOW * sum(client.tokens for client in clients):
        raise common.Failed("the answers were not given side by side")
    return within / (end - begin)


def prompts(server, n):
    """Prompts of random tokens whose answers are not over before their time."""
    vocabulary = server.ask("/api/status")["model"]["vocabulary"]
    dice, found = random.Random(SEED), []
    while len(found) < n:
        prompt = [dice.randrange(FIRST_TOKEN, vocabulary) for _ in range(PROMPT)]
        answer = server.ask("/v1/completions", {"prompt": prompt, "max_tokens": TOKENS, "temperature": 0})
        if answer["usage"]["completion_tokens"] == TOKENS:
            found.append(prompt)
    return found


def clamp(server):
    """An edit of the first feature that was ever active."""
    for feature in server.ask("/api/features?limit=200")["features"]:
        if feature["max_activation"]:
            return [{"feature": feature["feature"], "mode": "clamp", "value": STEERED_SHARE * feature["max_activation"]}]
    raise common.Failed("no feature is active in the catalogue")


def fathom(setting, path, rounds, flash):
    server = Server(setting, path, flash)
    try:
        texts, edit = prompts(server, max(CLIENTS)), clamp(server)
        found = {str(n): {kind: [] for kind in KINDS} for n in CLIENTS}
        for _ in range(rounds):
            for n in CLIENTS:
                for kind, options in KINDS.items():
                    more = {"steer": edit} if kind == "steered" else {}
                    requests = [{"prompt": text, "max_tokens": TOKENS, **options, **more} for text in texts[:n]]
                    found[str(n)][kind].append(rate(server, requests))
    finally:
        server.close()
    return {n: {kind: statistics.median(rates) for kind, rates in kinds.items()} for n, kinds in found.items()}


def engine(setting, path, flash):
    """The engine's rates of decoding, by the number of sequences; no token is sampled."""
    tool = pathlib.Path(setting.llama_bench).with_name("llama-batched-bench")
    n = max(CLIENTS)
    printed = common.run([tool, "-m", path, "-c", n * (PROMPT + TOKENS), "-npp", PROMPT, "-ntg", TOKENS, "-npl", ",".join(map(str, CLIENTS)),
                          "-t", setting.threads, "-fa", "on" if flash else "off", "--output-format", "jsonl"])
    lines = [json.loads(line[line.index("{"):]) for line in printed.splitlines() if '"speed_tg"' in line]
    if len(lines) != len(CLIENTS):
        raise common.Failed(f"{tool}: no rate for each of {CLIENTS} sequences: {printed[-300:]}")
    return {str(line["pl"]): line["speed_tg"] for line in lines}


def show(result, name):
    lines = []
    for n in map(str, CLIENTS):
        peer = max(result["before"][n], result["after"][n])
        ours = result["fathom"][n]
        plain = ours["greedy"]
        lines.append([f"{n} × llama-batched-bench, no sampling", f"{peer:.1f}", "", ""])
        for kind in KINDS:
            against = "" if kind == "greedy" else f"{100 * (ours[kind] / plain - 1):+.1f} %"
            lines.append([f"{n} × fathom serve, {kind}", f"{ours[kind]:.1f}", f"{100 * ours[kind] / peer:.0f} %", against])
    common.table([name, "tokens/s together", "of the engine", "against greedy"], lines)


def run(setting, results):
    path = common.model_path(setting)
    rounds = 1 if setting.quick else 5
    found = {}
    for flash, name in ((False, "without flash attention"), (True, "with flash attention")):
        before = engine(setting, path, flash)
        measured = {"before": before, "fathom": fathom(setting, path, rounds, flash), "after": engine(setting, path, flash)}
        show(measured, name)
        found[name.replace(" ", "_")] = measured
    return found
