"""Clients that load a server and clients that misuse one, in the standard library alone. Every socket has a time limit that is
far beyond what any answer takes: reaching it means that something hangs."""
import http.client
import json
import os
import pathlib
import random
import re
import socket
import struct
import threading
import time
import urllib.parse

PATIENCE = 120


class Server:
    """A running `fathom serve`: where it listens, and what the system says of it."""

    def __init__(self, process, address):
        self.process, self.address = process, address
        parts = urllib.parse.urlsplit(address)
        self.host, self.port = parts.hostname, parts.port

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def ask(self, path, body=None, method=None):
        """Status and body of one whole request on a connection of its own."""
        return self.reply(path, body, method)[:2]

    def reply(self, path, body=None, method=None):
        """Its headers, too."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method or ("GET" if body is None else "POST"), path, data,
                               {"Content-Type": "application/json"})
            reply = connection.getresponse()
            return reply.status, reply.read(), reply.headers
        finally:
            connection.close()

    def figure(self, name):
        """A figure of /metrics, this request's own connection left out."""
        text = self.ask("/metrics")[1].decode()
        value = float(re.search(rf"^{name} (\S+)$", text, re.M)[1])
        return value - 1 if name == "fathom_connections" else value

    def settle(self):
        """Waits until nothing runs and no connection is open: what clients left behind is cleared away. False if it never is."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if all(self.figure(name) == 0 for name in ("fathom_jobs_running", "fathom_jobs_waiting", "fathom_connections")):
                return True
            time.sleep(0.05)
        return False

    def rest(self, expected=None):
        """Open files and threads of the process once its last connection is gone: what is expected, or else the fewest seen in
        a second. None where the system does not tell."""
        folders = [pathlib.Path(f"/proc/{self.process.pid}/{name}") for name in ("fd", "task")]
        if not folders[0].exists():
            return None
        until, fewest = time.monotonic() + (PATIENCE if expected else 1), None
        while time.monotonic() < until and (fewest is None or fewest != expected):
            counts = tuple(len(list(folder.iterdir())) for folder in folders)
            fewest = min(fewest or counts, counts)
            time.sleep(0.02)
        return fewest

    def memory(self):
        """Resident bytes, None where the system does not tell."""
        path = pathlib.Path(f"/proc/{self.process.pid}/statm")
        return int(path.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if path.exists() else None


def read_events(reply):
    """The events of a stream, to its [DONE]."""
    done, events = False, []
    for line in reply:
        line = line.decode().rstrip("\n")
        if not line:
            continue
        assert line.startswith("data: ") and not done, line
        done = line == "data: [DONE]"
        if not done:
            events.append(json.loads(line[6:]))
    return events, done


def stream(server, question, connection=None):
    """The text of a streamed answer and the levels beside its tokens; None where the server had no place (429, 503) or broke the
    answer off, which it may do when it stops."""
    own = connection is None
    connection = connection or http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
    try:
        connection.request("POST", "/v1/completions", json.dumps({**question, "stream": True}),
                           {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != 200:
            assert reply.status in (429, 503), (reply.status, reply.read())
            reply.read()
            return None
        events, done = read_events(reply)
        if not done:
            return None
        choices = [choice for event in events for choice in event.get("choices", [])]
        return ("".join(choice["text"] for choice in choices),
                [token["levels"] for choice in choices for token in choice.get("tokens", [])])
    finally:
        if own:
            connection.close()


def same(answer, expected, tolerance=1e-2):
    """Whether an answer is the known one: its text, and its levels within what the size of a batch does to them."""
    return (answer[0] == expected[0] and len(answer[1]) == len(expected[1]) and
            all(abs(a - b) <= tolerance * max(1, abs(b)) for x, y in zip(answer[1], expected[1]) for a, b in zip(x, y)))


class Crowd:
    """Clients that ask what they know the answer of, until the time is over."""

    def __init__(self, server, n, questions, seconds, may_fail=False):
        self.wrong, self.answered, self.refused, self.tokens = [], 0, 0, 0
        self.lock, self.end, self.may_fail = threading.Lock(), time.monotonic() + seconds, may_fail
        self.begun = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(server, questions, i)) for i in range(n)]
        for thread in self.threads:
            thread.start()

    def client(self, server, questions, number):
        dice = random.Random(number)
        connection = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE)
        try:
            while True:
                question, expected = dice.choice(questions)
                answer = stream(server, question, connection)
                with self.lock:
                    if answer is None:
                        self.refused += 1
                    elif same(answer, expected):
                        self.answered += 1
                    else:
                        self.wrong.append((question, expected, answer))
                self.begun.set()
                if time.monotonic() >= self.end:
                    return
        except (OSError, http.client.HTTPException, AssertionError) as error:
            with self.lock:
                if not self.may_fail:
                    self.wrong.append((number, repr(error)))
        finally:
            self.begun.set()
            connection.close()

    def wait(self):
        """Joins all clients; the number of those that hang."""
        for thread in self.threads:
            thread.join(PATIENCE)
        return sum(thread.is_alive() for thread in self.threads)


def post(length, kind="Content-Length", path="/v1/completions", extra=""):
    value = f"Content-Length: {length}" if kind == "Content-Length" else "Transfer-Encoding: chunked"
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{value}\r\n{extra}\r\n").encode()


def send(sock, bytes_, piece=1 << 16):
    """Sends as much as the other side takes."""
    try:
        for at in range(0, len(bytes_), piece):
            sock.sendall(bytes_[at:at + piece])
        return True
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        return False


def status_of(sock):
    """The status that comes back, None where the connection is closed without one. A limit reached is an error."""
    bytes_ = b""
    try:
        while b"\r\n" not in bytes_ and (more := sock.recv(4096)):
            bytes_ += more
    except ConnectionError:
        pass
    found = re.match(rb"HTTP/1\.1 (\d+)", bytes_)
    return int(found[1]) if found else None


def reset(sock):
    """Closes at once, by a reset: nothing more is taken."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def vanish(server, question, by_reset):
    """Asks for a stream, takes its beginning, and is gone."""
    body = json.dumps({**question, "stream": True, "max_tokens": 100}).encode()
    sock = server.connect()
    sock.sendall(post(len(body)) + body)
    status = status_of(sock)
    reset(sock) if by_reset else sock.close()
    return status


def vanish_before(server, question):
    """Asks and is gone before anything comes back."""
    body = json.dumps({**question, "max_tokens": 100}).encode()
    sock = server.connect()
    sock.sendall(post(len(body)) + body)
    reset(sock)


def dribble(server, seconds, pause):
    """Sends a byte at a time; whether the server cut it off within `seconds`."""
    sock = server.connect()
    text, until = post(1000) + b" " * 1000, time.monotonic() + seconds
    try:
        for byte in text:
            sock.sendall(bytes([byte]))
            sock.settimeout(pause)
            try:
                if not sock.recv(1):
                    return True
            except TimeoutError:
                pass
            if time.monotonic() > until:
                return False
        return False
    except ConnectionError:
        return True
    finally:
        sock.close()


def long_headers(server, n_bytes):
    with server.connect() as sock:
        sent = send(sock, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * n_bytes)
        return status_of(sock) if sent else 431


def announced_body(server, n_bytes):
    """A body that says beforehand how long it is."""
    with server.connect() as sock:
        sock.sendall(post(n_bytes))
        return status_of(sock)


def chunked_body(server, n_bytes):
    """A body that does not: the server is to stop reading at some point, or to take it and refuse it."""
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    with server.connect() as sock:
        sock.sendall(post(0, "chunked"))
        for _ in range(n_bytes >> 20):
            if not send(sock, chunk):
                return 413
        send(sock, b"0\r\n\r\n")
        return status_of(sock)


def body(server, bytes_, path="/v1/completions"):
    with server.connect() as sock:
        sock.sendall(post(len(bytes_), path=path) + bytes_)
        return status_of(sock)


def bytes_of(server, bytes_):
    """Whatever this is, it is answered or closed."""
    with server.connect() as sock:
        send(sock, bytes_)
        sock.shutdown(socket.SHUT_WR)
        return status_of(sock)
