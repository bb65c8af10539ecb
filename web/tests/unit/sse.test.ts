import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "../../src/base/sse";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("an event is what stands between empty lines", () => {
    assert.deepEqual(new EventReader().push(bytes('data: {"a": 1}\n\ndata: [DONE]\n\n')), ['{"a": 1}', "[DONE]"]);
});

test("bytes may be cut anywhere, inside a character too", () => {
    const text = 'data: {"text": "naïve 🌉"}\n\n: a comment\nevent: other\ndata:second\r\n\r\n';
    const whole = bytes(text);
    for (let cut = 1; cut < whole.length; cut++) {
        const reader = new EventReader();
        const events = [...reader.push(whole.slice(0, cut)), ...reader.push(whole.slice(cut))];
        assert.deepEqual(events, ['{"text": "naïve 🌉"}', "second"], `cut at ${cut}`);
    }
});

test("lines of data are joined, and what is not ended is not told", () => {
    const reader = new EventReader();
    assert.deepEqual(reader.push(bytes("data: one\ndata: two\n\ndata: three\n")), ["one\ntwo"]);
    assert.deepEqual(reader.push(bytes("\n")), ["three"]);
});

test("only one space after the colon is dropped, and empty lines alone are no events", () => {
    assert.deepEqual(new EventReader().push(bytes("\n\ndata:  x\n\ndata:\n\n")), [" x", ""]);
});
