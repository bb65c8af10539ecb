import assert from "node:assert/strict";
import { test } from "node:test";
import type { Run, RunPoint } from "../../src/base/types";
import { inWords, scaleOf } from "../../src/explain/effect";
import { nearest } from "../../src/parts/linechart";
import { linesOf } from "../../src/runs/lines";
import { isWhole, requestOf } from "../../src/runs/request";

const point = (dictionary: number, tokens: number, fve: number | null): RunPoint => ({
    dictionary, tokens, fve, step: tokens, loss: 1, l0: 32, dead_fraction: 0, seconds: 1,
});
const run = (number: number, points: RunPoint[]): Run => ({
    run: number, state: "done", message: "", started: "", command: "", model: "", seed: 1, tokens: 0, steps: 0, seconds: 0,
    dictionaries: [], points,
});

test("a line for each dictionary of each run; what is not known is left out", () => {
    const lines = linesOf([run(7, [point(0, 1, 0.5), point(1, 1, 0.4), point(0, 2, null), point(0, 3, 0.7)]), run(8, [point(0, 5, 0.1)])], "fve");
    assert.deepEqual(lines, [
        { name: "run 7, dictionary 0", points: [[1, 0.5], [3, 0.7]] },
        { name: "run 7, dictionary 1", points: [[1, 0.4]] },
        { name: "run 8", points: [[5, 0.1]] },
    ]);
    assert.deepEqual(linesOf([run(9, [])], "loss"), []);
});

test("empty fields of a form are left to the server", () => {
    const values = { train: { hook: "resid_post.3", features: " 512 ", seed: "" }, index: {}, eval: { tokens: "1000" }, watch: { feature: "304,17", above: "2.5", strongest: "" }, "probe train": { pool: "last" }, "probe eval": {} };
    const form = { corpus: "a.txt", dictionary: "mine", probe: "water", output: " new ", repeat: true, labelled: true, values };
    assert.deepEqual(requestOf({ ...form, command: "train" }), {
        command: "train", corpus: ["a.txt"], output: "new", repeat: true, options: { hook: "resid_post.3", features: 512 },
    });
    assert.deepEqual(requestOf({ ...form, command: "eval", corpus: "" }), {
        command: "eval", dictionary: "mine", options: { tokens: 1000 },
    });
    assert.deepEqual(requestOf({ ...form, command: "probe train" }), {
        command: "probe train", corpus: ["a.txt"], output: "new", options: { pool: "last" },
    });
    assert.deepEqual(requestOf({ ...form, command: "probe eval" }), { command: "probe eval", corpus: ["a.txt"], probe: "water", options: {} });
    assert.deepEqual(requestOf({ ...form, command: "index", dictionary: "" }), { command: "index", corpus: ["a.txt"], options: {} });
    assert.deepEqual(requestOf({ ...form, command: "watch", probe: "" }), {
        command: "watch", corpus: ["a.txt"], labelled: true, options: { feature: "304,17", above: 2.5 },
    });
    for (const [command, changes, whole] of [
        ["train", {}, true], ["train", { output: " " }, false], ["eval", { corpus: "" }, true], ["index", { corpus: "" }, false],
        ["probe eval", { probe: "" }, false], ["watch", { probe: "" }, true],
        ["watch", { probe: "", values: { ...values, watch: { feature: " " } } }, false], ["watch", { values: { ...values, watch: {} } }, true],
    ] as const)
        assert.equal(isWhole({ ...form, command, ...changes }), whole, command);
});

test("the nearest point of a line", () => {
    assert.deepEqual(nearest([[1, 5], [4, 6], [9, 7]], 6), [4, 6]);
    assert.equal(nearest([], 6), null);
});

test("a claim without a control says so", () => {
    const measure = { effect: -2, probability: 0.1, control: 0.5, control_deviation: 0.25, controls: 0, holds: false };
    assert.match(inWords(measure), /no control could be had/);
    assert.equal(inWords({ ...measure, controls: 8, holds: true }), "control +0.50 ± 0.25 of 8; holds");
    assert.equal(scaleOf([measure, { ...measure, effect: 1 }]), 2);
    assert.ok(scaleOf([]) > 0);
});
