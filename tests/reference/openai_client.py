"""Talks with `fathom serve` through OpenAI's own Python client (pip install openai):
    python tests/reference/openai_client.py FATHOM MODEL.gguf

Chats and completions whole and as streams, several answers, log-probabilities, stop texts, embeddings in both encodings, models, and
the client's own errors. Ends with 1 where something is not as the client's types say or a stream is not its whole reply.
"""

import argparse
import re
import subprocess
import sys
import tempfile

import openai

QUESTION = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "What is a bridge?"}]
EXACT = {"temperature": 0, "max_tokens": 24}
ROUNDING = 0.1  # nats, that quantised products differ by in batches of another size


def check(good, what):
    print(("  good  " if good else "  WRONG ") + what)
    return good


def chats(client):
    whole = client.chat.completions.create(model="default", messages=QUESTION, logprobs=True, top_logprobs=3, **EXACT)
    text = whole.choices[0].message.content
    yield check(whole.choices[0].finish_reason in ("stop", "length"), f"a chat: {text!r}")
    content = whole.choices[0].logprobs.content
    yield check(len(content) == whole.usage.completion_tokens and b"".join(bytes(t.bytes) for t in content).decode() == text,
                "the tokens' bytes are the text")
    yield check(all(abs(t.logprob - t.top_logprobs[0].logprob) < 1e-4 for t in content), "the likeliest tokens were taken")
    chunks = list(client.chat.completions.create(model="default", messages=QUESTION, stream=True,
                                                 stream_options={"include_usage": True}, **EXACT))
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    yield check(streamed == text, "the stream is the whole reply")
    yield check(chunks[-1].usage.completion_tokens == whole.usage.completion_tokens, "the stream tells its usage")
    # Twice from the same cache and alone: the size of a batch moves logits by its rounding.
    first, second = (client.chat.completions.create(model="default", messages=QUESTION, seed=5, max_tokens=8) for _ in range(2))
    yield check(first.choices[0].message.content == second.choices[0].message.content,
                f"a seed gives the same answer: {second.choices[0].message.content!r}")
    several = client.chat.completions.create(model="default", messages=QUESTION, n=3, seed=5, max_tokens=8)
    yield check(len({c.message.content for c in several.choices}) > 1, f"several answers: {[c.message.content for c in several.choices]}")
    stop = text.split()[2]
    cut = client.chat.completions.create(model="default", messages=QUESTION, stop=[stop], **EXACT)
    yield check(cut.choices[0].message.content == text[:text.index(stop)], f"an answer stops before {stop!r}")


def others(client):
    prompts = ["The capital of France is", "One, two, three,"]
    both = client.completions.create(model="default", prompt=prompts, logprobs=2, **EXACT)
    for i, prompt in enumerate(prompts):
        alone = list(client.completions.create(model="default", prompt=prompt, stream=True, logprobs=2, **EXACT))
        first, other = alone[0].choices[0].logprobs, both.choices[i].logprobs
        yield check(first.tokens[0] == other.tokens[0] and abs(first.token_logprobs[0] - other.token_logprobs[0]) < ROUNDING,
                    f"{prompt!r} goes on with {''.join(c.choices[0].text for c in alone)!r}")
    texts = ["a bridge", "a long bridge over a river"]
    coded = client.embeddings.create(model="default", input=texts)  # the client asks for base64
    plain = client.embeddings.create(model="default", input=texts, encoding_format="float")
    worst = max(abs(a - b) for x, y in zip(coded.data, plain.data) for a, b in zip(x.embedding, y.embedding))
    yield check(worst < 1e-6 and len(coded.data) == 2, f"embeddings of {len(plain.data[0].embedding)} numbers in both encodings")
    yield check(client.models.retrieve(client.models.list().data[0].id).owned_by == "fathom", "models are listed")


def errors(client, address):
    for error, what, call in (
            (openai.BadRequestError, "tools are refused",
             lambda: client.chat.completions.create(model="default", messages=QUESTION, tools=[{"type": "function", "function": {"name": "f"}}])),
            (openai.NotFoundError, "another model is not found", lambda: client.chat.completions.create(model="gpt", messages=QUESTION)),
            (openai.AuthenticationError, "a wrong token is refused",
             lambda: openai.OpenAI(base_url=address + "/v1", api_key="wrong").models.list())):
        try:
            call()
            yield check(False, what)
        except error as found:
            yield check(bool(found.body and found.body.get("message")), f"{what}: {found.body}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom")
    parser.add_argument("model")
    arguments = parser.parse_args()
    token = "the-token-of-this-run"
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(token + "\n")
        file.flush()
        server = subprocess.Popen([arguments.fathom, "serve", "-m", arguments.model, "--no-dict", "--port", "0", "--token-file", file.name,
                                   "--no-access-log"], stderr=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+:\d+", server.stderr.readline())[0]
            client = openai.OpenAI(base_url=address + "/v1", api_key=token, max_retries=0, timeout=300)
            good = [*chats(client), *others(client), *errors(client, address)]
        finally:
            server.terminate()
            server.wait()
    print(f"{sum(good)} of {len(good)} are as the client expects")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
