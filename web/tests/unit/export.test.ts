import assert from "node:assert/strict";
import { test } from "node:test";
import { cString, type Exported, exportAs } from "../../src/talk/export";

const what: Exported = {
    origin: "http://127.0.0.1:8080",
    messages: [{ role: "user", content: "What's \"red\"?\nSay." }],
    prompt: "",
    plan: "",
    edits: [
        { feature: 304, mode: "add", strength: 1.5, rows: "answer" },
        { feature: 17, mode: "ablate", strength: 9, rows: "all" },
        { feature: 5, mode: "add", strength: 0, rows: "all" },
    ],
    watch: [304, 17],
    temperature: 0,
    maxTokens: 40,
    seed: 7,
    maxima: new Map([[304, 6.5]]),
};
const STEER = [
    { feature: 304, mode: "add", strength: 1.5, rows: "answer" },
    { feature: 17, mode: "ablate", rows: "all" },
];

test("curl: the body is the request, quoted for a shell", () => {
    const text = exportAs("curl", what);
    const [, route, body] = /^curl (\S+) -H '[^']+' -d '([\s\S]*)'\n$/.exec(text) ?? [];
    assert.equal(route, "http://127.0.0.1:8080/v1/chat/completions");
    assert.deepEqual(JSON.parse(body!.replace(/'\\''/g, "'")), {
        model: "default", messages: what.messages, max_tokens: 40, temperature: 0, seed: 7, steer: STEER, watch: [304, 17],
    });
});

test("Python: what the client does not know goes into extra_body", () => {
    const text = exportAs("Python", what);
    assert.match(text, /client\.chat\.completions\.create\(\n/);
    assert.match(text, /^ {4}max_tokens=40,$/m);
    assert.match(text, /\{"role": "user", "content": "What's \\"red\\"\?\\nSay\."\}/);
    assert.match(text, /extra_body=\{"steer": \[\n +\{"feature": 304, "mode": "add", "strength": 1\.5, "rows": "answer"\},/);
    assert.match(text, /"watch": \[304, 17\]\}/);
    assert.match(text, /print\(reply\.choices\[0\]\.message\.content\)/);
});

test("a plan has what acts, in multiples of the maximum", () => {
    assert.deepEqual(JSON.parse(exportAs("plan", what)), {
        fathom_plan: 1,
        edits: [
            { feature: 304, how: "add", value: 1.5, part: "answer" },
            { feature: 17, how: "ablate" },
        ],
    });
});

test("C: strengths are in the dictionary's units, and texts are literals", () => {
    const text = exportAs("C", what);
    assert.match(text, /\.feature = 304, \.mode = FATHOM_STEER_ADD, \.value = 9\.75f, \.rows = FATHOM_STEER_ANSWER/);
    assert.match(text, /\.feature = 17, \.mode = FATHOM_STEER_ABLATE, \.value = 0\.0f, \.rows = FATHOM_STEER_ALL/);
    assert.match(text, /\{"user", "What's \\"red\\"\?\\nSay\."\}/);
    assert.match(text, /\.seed = 7, \.temperature = 0\.0f/);
    assert.doesNotMatch(text, /\.feature = 5,/);
    assert.equal(cString("a\u0001b\\ ??="), '"a\\001b\\\\ ?\\?="');
    assert.equal(cString("???="), '"?\\?\\?="');
});

test("without edits nothing is steered, and running text is gone on from", () => {
    const plain = { ...what, edits: [], watch: [], messages: null, prompt: "Once" };
    assert.doesNotMatch(exportAs("C", plain), /steer|dictionary|chat/);
    const body = /-d '([\s\S]*)'\n$/.exec(exportAs("curl", plain))?.[1];
    assert.deepEqual(JSON.parse(body!), { model: "default", prompt: "Once", max_tokens: 40, temperature: 0, seed: 7 });
    assert.match(exportAs("Python", plain), /completions\.create\([\s\S]*choices\[0\]\.text/);
});

test("a plan as text goes in the place of the edits", () => {
    const typed = { ...what, plan: '"golden gate" +1 while answering' };
    assert.equal(exportAs("plan", typed), '"golden gate" +1 while answering\n');
    assert.match(exportAs("curl", typed), /"steer": "\\"golden gate\\" \+1 while answering"/);
    assert.match(exportAs("Python", typed), /extra_body=\{"steer": "\\"golden gate\\" \+1 while answering", "watch"/);
    assert.match(exportAs("C", typed), /text_of_plan = "\\"golden gate\\" \+1 while answering";/);
    assert.doesNotMatch(exportAs("C", typed), /fathom_steer_add_feature/);
});
