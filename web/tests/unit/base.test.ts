import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Later } from "../../src/base/later";
import { completed } from "../../src/base/store";

test("what is ordered several times is done once, after the last order", () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    let done = 0;
    const later = new Later(100, () => done++);
    later.order();
    mock.timers.tick(60);
    later.order();
    mock.timers.tick(60);
    assert.equal(done, 0);
    mock.timers.tick(40);
    assert.equal(done, 1);
    mock.timers.tick(1000);
    assert.equal(done, 1);
    later.order();
    later.cancel();
    mock.timers.tick(1000);
    assert.equal(done, 1);
    later.end();
    later.order();
    mock.timers.tick(1000);
    assert.equal(done, 1);
    mock.timers.reset();
});

test("what was kept by an earlier page is completed, and refused where it is of another kind", () => {
    assert.deepEqual(completed({ a: 1, b: [2] }, { a: 3 }), { a: 3, b: [2] });
    assert.deepEqual(completed({ a: 1 }, null), { a: 1 });
    assert.deepEqual(completed({ a: 1 }, [1]), { a: 1 });
    assert.deepEqual(completed("auto", 7), "auto");
    assert.equal(completed("auto", "dark"), "dark");
});
