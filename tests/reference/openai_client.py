"""Talks with `fathom serve` through OpenAI's own Python client (pip install openai):
    python tests/reference/openai_client.py FATHOM MODEL.gguf

Chats and completions whole and as streams, several answers, log-probabilities, stop texts, embeddings in both encodings, models, tools
(of a copy of the model with a chat template that takes them), and the client's own errors. Ends with 1 where something is not as the client's types say or a stream is not its whole reply.
"""

import argparse
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import openai

TESTS = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(TESTS / "cli"))
from gguf import STRING, Gguf

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


WEATHER = {"type": "function", "function": {"name": "weather", "description": "Tells the weather.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"enum": [1, 2, 3]}}, "required": ["city", "days"]}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "Tells the time."}}


def fits(call):
    arguments = json.loads(call.function.arguments)
    return call.type == "function" and (arguments == {} if call.function.name == "clock" else
                                        isinstance(arguments["city"], str) and arguments["days"] in (1, 2, 3) and len(arguments) == 2)


def tools(client):
    asked = {"model": "default", "messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": [WEATHER, CLOCK],
             "temperature": 0, "max_tokens": 80}
    whole = client.chat.completions.create(tool_choice="required", **asked)
    call = whole.choices[0].message.tool_calls[0]
    yield check(whole.choices[0].finish_reason == "tool_calls" and fits(call), f"a call: {call.function.name} {call.function.arguments}")
    pieces = [c.choices[0].delta.tool_calls[0] for c in client.chat.completions.create(tool_choice="required", stream=True, **asked)
              if c.choices and c.choices[0].delta.tool_calls]
    yield check(pieces[0].function.name == call.function.name and pieces[0].id and len(pieces) > 2 and
                "".join(p.function.arguments for p in pieces) == call.function.arguments, f"it streams in {len(pieces)} pieces")
    with client.chat.completions.stream(tool_choice="required", **asked) as stream:
        final = stream.get_final_completion().choices[0]
    yield check(final.finish_reason == "tool_calls" and final.message.tool_calls[0].function.arguments == call.function.arguments,
                "the client puts the stream together")
    named = client.chat.completions.create(tool_choice={"type": "function", "function": {"name": "clock"}}, **asked)
    yield check(named.choices[0].message.tool_calls[0].function.arguments.replace(" ", "") == "{}", "a named tool is called")
    after = client.chat.completions.create(**{**asked, "max_tokens": 8, "messages": [
        *asked["messages"], whole.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]})
    yield check(after.usage.prompt_tokens > whole.usage.prompt_tokens, f"the result is answered: {after.choices[0].message.content!r}")
    free = client.chat.completions.create(**asked).choices[0]
    yield check(bool(free.message.content) != bool(free.message.tool_calls) and all(map(fits, free.message.tool_calls or [])),
                f"left to itself it {'calls' if free.message.tool_calls else 'says'} {free.message.tool_calls or free.message.content!r}")


def errors(client, address):
    for error, what, call in (
            (openai.BadRequestError, "tools are refused where the template has none",
             lambda: client.chat.completions.create(model="default", messages=QUESTION, tools=[{"type": "function", "function": {"name": "f"}}])),
            (openai.NotFoundError, "another model is not found", lambda: client.chat.completions.create(model="gpt", messages=QUESTION)),
            (openai.AuthenticationError, "a wrong token is refused",
             lambda: openai.OpenAI(base_url=address + "/v1", api_key="wrong").models.list())):
        try:
            call()
            yield check(False, what)
        except error as found:
            yield check(bool(found.body and found.body.get("message")), f"{what}: {found.body}")


@contextlib.contextmanager
def serve(fathom, model, folder):
    token = "the-token-of-this-run"
    path = pathlib.Path(folder, "token.txt")
    path.write_text(token + "\n")
    server = subprocess.Popen([fathom, "serve", "-m", model, "--no-dict", "--port", "0", "--token-file", path, "--no-access-log"],
                              stderr=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http://\S+:\d+", server.stderr.readline())[0]
        yield openai.OpenAI(base_url=address + "/v1", api_key=token, max_retries=0, timeout=300), address
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom")
    parser.add_argument("model")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with serve(arguments.fathom, arguments.model, folder) as (client, address):
            good = [*chats(client), *others(client), *errors(client, address)]
        gguf = Gguf(pathlib.Path(arguments.model))
        gguf.put(b"tokenizer.chat_template", STRING, (TESTS / "support/tools.jinja").read_bytes())
        model = pathlib.Path(folder, "tools.gguf")
        model.write_bytes(gguf.pack())
        with serve(arguments.fathom, model, folder) as (client, _):
            good += tools(client)
    print(f"{sum(good)} of {len(good)} are as the client expects")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
