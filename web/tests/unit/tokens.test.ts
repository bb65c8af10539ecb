import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, figure, percent } from "../../src/base/numbers";
import { sentenceEnd } from "../../src/base/sentences";
import { levelOf, share, tokenTexts, visibleToken } from "../../src/base/tokens";
import type { Token } from "../../src/base/types";
import { count } from "../../src/watch/counts";

test("a character's last byte brings all of it", () => {
    const [first, second, third, fourth] = new TextEncoder().encode("🌉");
    const tokens = [[97], [first!], [second!, third!], [fourth!, 98]].map((each) => ({ bytes: each }));
    assert.deepEqual(tokenTexts(tokens), ["a", "", "", "🌉b"]);
});

test("bytes that never make a character are shown as such", () => {
    assert.deepEqual(tokenTexts([{ bytes: [97] }, { bytes: [0xf0] }]), ["a", "\ufffd"]);
});

test("a level is the watched one, or what the strongest features tell", () => {
    const token: Token = { id: 1, token: "x", bytes: [120], levels: [2, null], features: [{ feature: 9, value: 3 }] };
    const watch = [7, 8].map((feature) => ({ feature, label: null, max_activation: null }));
    assert.deepEqual(levelOf(token, 7, watch), { value: 2, exact: true });
    assert.deepEqual(levelOf(token, 8, watch), { value: 0, exact: true });
    assert.deepEqual(levelOf(token, 9, watch), { value: 3, exact: false });
    assert.deepEqual(levelOf(token, 10, watch), { value: 0, exact: false });
});

test("colours run from nothing to the maximum and no further", () => {
    assert.equal(share(2, 8), 0.25);
    assert.equal(share(9, 8), 1);
    assert.equal(share(-1, 8), 0);
    assert.equal(share(2, 0), 0);
    assert.equal(share(2, null), 0);
    assert.equal(share(Number.NaN, 8), 0);
});

test("spaces and ends of lines are visible in tokens that stand alone", () => {
    assert.equal(visibleToken(" a\n\t"), "␣a⏎⇥");
});

test("numbers", () => {
    assert.equal(figure(-1.256), "−1.26");
    assert.equal(figure(null), "–");
    assert.equal(figure(Number.NaN), "–");
    assert.equal(percent(0.5), "50\u202f%");
    assert.equal(percent(0.0213), "2.13\u202f%");
    assert.equal(percent(0.00002), "0.002\u202f%");
    assert.equal(percent(0), "0\u202f%");
    assert.equal(bytes(4194304), "4 MiB");
    assert.equal(bytes(1536), "1.5 KiB");
});

test("whole sentences are read aloud", () => {
    assert.equal(sentenceEnd("It is 3.5 m long", 0), 0);
    assert.equal(sentenceEnd("One. Two. Thr", 0), 9);
    assert.equal(sentenceEnd("One. Two. Thr", 4), 9);
    assert.equal(sentenceEnd("One.", 0), 0);
});

test("a monitor counts tokens, and runs of tokens, at or above its threshold", () => {
    const counts = count([0, 0.5, 0.6, 0.2, 0.5, 0], 0.5);
    assert.equal(counts.mean.toFixed(6), "0.300000");
    assert.deepEqual({ ...counts, mean: 0 }, {
        tokens: 6, active: 4, above: 3, alerts: 2, strongest: 0.6, mean: 0, first: 1,
    });
    assert.deepEqual(count([], 0.5), { tokens: 0, active: 0, above: 0, alerts: 0, strongest: 0, mean: 0, first: -1 });
});
