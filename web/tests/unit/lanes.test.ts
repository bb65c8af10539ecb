import assert from "node:assert/strict";
import { test } from "node:test";
import { groupExamples, windowOf } from "../../src/features/examplegroups";
import type { Example } from "../../src/base/types";
import * as lanes from "../../src/talk/lanes";

const edit = (feature: number, mode: lanes.Edit["mode"], strength: number): lanes.Edit => ({
    feature, mode, strength, rows: "all",
});

const answered = (text: string): lanes.Answer => ({ ...lanes.newAnswer([]), text, state: "done" });

const lane: lanes.Lane = {
    id: 1,
    edits: [edit(304, "add", 2)],
    plan: "",
    turns: [
        { user: "One?", answer: answered("First.") },
        { user: "Two?", answer: answered("Second.") },
    ],
    from: null,
};

test("a question is asked with everything before it and nothing after", () => {
    assert.deepEqual(lanes.messagesOf(lane, 1, ""), [
        { role: "user", content: "One?" },
        { role: "assistant", content: "First." },
        { role: "user", content: "Two?" },
    ]);
    assert.deepEqual(lanes.messagesOf(lane, 0, "Be brief."), [
        { role: "system", content: "Be brief." },
        { role: "user", content: "One?" },
    ]);
    assert.equal(lanes.promptOf(lane, 1), "One?First.Two?");
});

test("a fork shares turns and edits, and changing it leaves the first lane alone", () => {
    const fork = lanes.fork(lane, 1, 2);
    assert.deepEqual(fork.from, { lane: 1, turns: 1 });
    assert.equal(fork.turns.length, 1);
    const changed = lanes.withAnswer(lanes.withEdit(fork, edit(17, "ablate", 0)), 0, null);
    assert.deepEqual(changed.edits.map((each) => each.feature), [17, 304]);
    assert.equal(changed.turns[0]?.answer, null);
    assert.equal(lane.turns[0]?.answer?.text, "First.");
    assert.deepEqual(lane.edits, [edit(304, "add", 2)]);
    assert.deepEqual(lanes.withoutEdit(changed, 304).edits.map((each) => each.feature), [17]);
});

test("one feature has one edit", () => {
    assert.deepEqual(lanes.withEdit(lane, edit(304, "clamp", 1)).edits, [edit(304, "clamp", 1)]);
});

test("what is sent: adding nothing is no edit, switching off has no strength", () => {
    const edits = [edit(1, "add", 0), edit(2, "clamp", 0), edit(3, "ablate", 4), edit(4, "add", -1.5)];
    assert.deepEqual(lanes.steerOf({ edits, plan: " " }), [
        { feature: 2, mode: "clamp", strength: 0, rows: "all" },
        { feature: 3, mode: "ablate", rows: "all" },
        { feature: 4, mode: "add", strength: -1.5, rows: "all" },
    ]);
    assert.equal(lanes.steerOf({ edits: [edit(1, "add", 0)], plan: "" }), undefined);
    assert.equal(lanes.steerOf({ edits, plan: ' "sea" ablate\n' }), '"sea" ablate');
    assert.deepEqual(edits.map(lanes.editSign), ["+0", "=0", "off", "−1.5"]);
});

const example = (binMin: number, maxValue: number, peak = 0): Example => ({
    tokens: Array.from({ length: 40 }, () => "x"), values: [], maxValue, maxValueTokenIndex: peak, document: 0,
    position: 0, binMin, binMax: binMin + 2,
});

test("examples: the strongest first, then the intervals from the top down", () => {
    const groups = groupExamples([example(0, 1), example(-1, 8), example(4, 5), example(-1, 7), example(2, 3)]);
    assert.deepEqual(groups.map((group) => [group.name, group.examples.length]), [
        ["Strongest", 2], ["Interval 4.00 – 6.00", 1], ["Interval 2.00 – 4.00", 1], ["Interval 0.00 – 2.00", 1],
    ]);
    assert.deepEqual(groupExamples([]), []);
});

test("examples are cut around their strongest token, within their text", () => {
    assert.deepEqual(windowOf(example(-1, 8, 20), "stacked"), { from: 15, to: 26 });
    assert.deepEqual(windowOf(example(-1, 8, 2), "snippet"), { from: 0, to: 19 });
    assert.deepEqual(windowOf(example(-1, 8, 39), "full"), { from: 0, to: 40 });
});

test("a fork of an answer under way is not under way", () => {
    const running: lanes.Answer = { ...lanes.newAnswer([]), text: "Thi" };
    const busy = { ...lane, turns: [...lane.turns, { user: "Three?", answer: running }] };
    const forked = lanes.fork(busy, 3, 2);
    assert.deepEqual(forked.turns.map((turn) => turn.answer?.state), ["done", "done", "stopped"]);
    assert.equal(forked.turns[2]?.answer?.text, "Thi");
    assert.equal(busy.turns[2]?.answer?.state, "running");
});
