import assert from "node:assert/strict";
import { test } from "node:test";
import type { Token } from "../../src/base/types";
import { newAnswer, newLane } from "../../src/talk/lanes";
import { alertsOf } from "../../src/watch/events";
import { liveOf } from "../../src/watch/source";

const token = (...levels: (number | null)[]): Token => ({ id: 1, bytes: [65], levels }) as Token;
const WATCH = [{ feature: 3 }, { feature: 9 }];

test("an alert begins at a threshold and ends below it; of one token they come in the monitors' order", () => {
    const monitors = [{ feature: 9, threshold: 0.5, maximum: 2 }, { feature: 3, threshold: 0.25, maximum: 4 }];
    const tokens = [token(0, 0), token(1, 1), token(3, 0.9), token(0.9, 1.5), token(null, 5), token(2, 1)];
    assert.deepEqual(alertsOf(tokens, WATCH, monitors), [
        { feature: 9, at: 1, strongest: 0.5 },
        { feature: 3, at: 1, strongest: 0.75 },
        { feature: 9, at: 3, strongest: 1 },
        { feature: 3, at: 5, strongest: 0.5 },
    ]);
    assert.deepEqual(alertsOf(tokens.slice(0, 1), WATCH, monitors), []);
});

test("a feature that was not read has no alerts, whatever a token's strongest features say", () => {
    const strong = { ...token(0, 0), features: [{ feature: 7, value: 9 }] } as Token;
    assert.deepEqual(alertsOf([strong], WATCH, [{ feature: 7, threshold: 0.1, maximum: 9 }]), []);
    assert.deepEqual(alertsOf([token(1)], [{ feature: 3 }], [{ feature: 3, threshold: 0, maximum: null }]), []);
});

test("a lane's last answer is watched with its prompt, also while it is written", () => {
    const answer = { ...newAnswer([]), promptTokens: [token(1)], tokens: [token(2), token(3)], watch: WATCH };
    const lane = { ...newLane(4), turns: [{ user: "a", answer: null }, { user: "b", answer }] };
    assert.deepEqual(liveOf([lane], 4), { tokens: [token(1), token(2), token(3)], watch: WATCH, running: true });
    assert.equal(liveOf([{ ...lane, turns: [...lane.turns, { user: "c", answer: null }] }], 4), null);
    assert.equal(liveOf([lane], 5), null);
});
