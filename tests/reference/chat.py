"""What transformers makes of chat templates:  "$(scripts/setup-python.sh | tail -n 1)"/bin/python tests/reference/chat.py [SMOLLM2.gguf]

chat.json gets, for every template of chat/ and every conversation below, with and without a generation prompt, the text that apply_chat_template
renders, or the error it ends with. Templates are given the special tokens of the tiny llama model. With SmolLM2's file the model's own template is
rendered too (its text is not kept: the test reads it from the model).
"""

import json
import pathlib
import sys

import gguf
import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

FOLDER = pathlib.Path(__file__).parent
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
OWN = ""  # the name under which the model's own template is listed

CONVERSATIONS = [
    [("user", "What should I paint my bedroom?")],
    [("system", "You are a painter."), ("user", "What should I paint my bedroom?")],
    [("user", "Hello"), ("assistant", "Hello. How can I help?"), ("user", "Name a bridge.")],
    [
        ("system", "  Spaces around.  \n"),
        ("user", "\n one \n"),
        ("assistant", " two "),
        ("user", "three\n\n"),
        ("assistant", "four"),
    ],
    [("user", "")],
    [("system", ""), ("user", "The system turn is empty.")],
    [("user", "naïve 日本語 🌉 \u2028 \u00a0 <b>&amp;</b> \"quoted\" 'single' back\\slash \t tab")],
    [("user", "{{ 1 + 1 }} {% for x in y %} {# no #} [INST] <|im_end|>")],
    [("user", "one\r\ntwo\n\nthree")],
    [("user", "first"), ("user", "second")],
    [("assistant", "I begin."), ("user", "Do you?")],
    [("system", "One."), ("system", "Two."), ("user", "Two system turns.")],
    [("tool", '{"temperature": 21}'), ("user", "And now?")],
    [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
        ("user", "e"),
        ("assistant", "f"),
        ("user", "g"),
    ],
]
CONVERSATIONS = [[{"role": role, "content": content} for role, content in turns] for turns in CONVERSATIONS]


def render(template, messages, prompt, special):
    """Text and error, one of them None."""
    try:
        rendered = render_jinja_template(
            conversations=[messages], chat_template=template, add_generation_prompt=prompt, **special
        )
        return rendered[0][0], None
    except (jinja2.exceptions.TemplateError, TypeError) as error:
        return None, str(error)


def cases(name, template, special):
    for number, messages in enumerate(CONVERSATIONS):
        for prompt in (False, True):
            text, error = render(template, messages, prompt, special)
            yield {"template": name, "conversation": number, "add_generation_prompt": prompt} | (
                {"text": text} if error is None else {"error": error}
            )


def main(arguments):
    out = []
    for path in sorted((FOLDER / "chat").glob("*.jinja")):
        out += cases(path.name, path.read_text(), SPECIAL)
    if arguments:
        fields = gguf.GGUFReader(arguments[0]).fields
        out += cases(
            OWN, fields["tokenizer.chat_template"].contents(), {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
        )
    (FOLDER / "chat.json").write_text(
        json.dumps({"conversations": CONVERSATIONS, "cases": out}, ensure_ascii=False, indent=1) + "\n"
    )
    print(f"{len(out)} renderings, {sum('error' in case for case in out)} of them errors")


if __name__ == "__main__":
    main(sys.argv[1:])
