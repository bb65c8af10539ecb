import assert from "node:assert/strict";
import { test } from "node:test";
import { Grid } from "../../src/map/grid";
import { colourTable, pointWidth, raster } from "../../src/map/raster";
import { pan, pixelOf, placeAt, wholeView, windowOf, zoom } from "../../src/map/view";

const SIZE = { width: 200, height: 100 };

function scattered(n: number): Grid {
    const x = Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898) * 3);
    const y = Float32Array.from({ length: n }, (_, i) => Math.cos(i * 78.233) - 7);
    return new Grid(x, y);
}

test("the grid finds what going through all points finds", () => {
    const grid = scattered(2000);
    for (const [x, y, radius] of [[0, -7, 0.3], [2.9, -6.1, 0.5], [-3, -8, 0.2], [9, 9, 1], [0, -7, 50]] as const) {
        const all = Array.from(grid.x, (_, point) => ({ point, distance: Math.hypot(grid.x[point]! - x, grid.y[point]! - y) }))
            .filter(({ distance }) => distance <= radius)
            .sort((a, b) => a.distance - b.distance || a.point - b.point)
            .slice(0, 5)
            .map(({ point }) => point);
        assert.deepEqual(grid.nearest(x, y, radius, 5), all);
    }
});

test("a window has all of its points, each once", () => {
    const grid = scattered(2000);
    const window = { left: -1, right: 0.5, low: -7.2, high: -6.9 };
    const seen: number[] = [];
    grid.inWindow(window, (point) => seen.push(point));
    assert.equal(new Set(seen).size, seen.length);
    for (let i = 0; i < 2000; i++) {
        const within = grid.x[i]! >= -1 && grid.x[i]! <= 0.5 && grid.y[i]! >= -7.2 && grid.y[i]! <= -6.9;
        if (within) assert.ok(seen.includes(i));
    }
});

test("grids without points, of one, and of equal ones", () => {
    assert.deepEqual(new Grid([], []).nearest(0, 0, 1, 1), []);
    assert.deepEqual(new Grid([4], [5]).nearest(4, 5, 0, 1), [0]);
    assert.deepEqual(new Grid([4, 4, 4], [5, 5, 5]).nearest(4, 5, 1, 9), [0, 1, 2]);
});

test("a place and its pixel are each other's inverse, and y grows upward", () => {
    const view = { x: 3, y: -2, scale: 40 };
    assert.deepEqual(pixelOf(view, SIZE, 3, -2), [100, 50]);
    assert.deepEqual(pixelOf(view, SIZE, 4, -1), [140, 10]);
    assert.deepEqual(placeAt(view, SIZE, 140, 10), [4, -1]);
    assert.deepEqual(windowOf(view, SIZE), { left: 0.5, right: 5.5, low: -3.25, high: -0.75 });
});

test("zooming keeps what is under the pointer, and ends at the whole", () => {
    const whole = wholeView({ left: 0, right: 10, low: 0, high: 2 }, SIZE);
    assert.deepEqual([whole.x, whole.y], [5, 1]);
    assert.ok(Math.abs(whole.scale - 19) < 1e-12);
    const near = zoom(whole, SIZE, whole, 3, 20, 80);
    const before = placeAt(whole, SIZE, 20, 80);
    placeAt(near, SIZE, 20, 80).forEach((value, axis) => assert.ok(Math.abs(value - before[axis]!) < 1e-9));
    assert.equal(zoom(near, SIZE, whole, 0.1, 0, 0), whole);
    assert.ok(zoom(near, SIZE, whole, 1e9, 0, 0).scale <= whole.scale * 2000);
    assert.deepEqual(pan({ x: 0, y: 0, scale: 2 }, 10, 10), { x: -5, y: 5, scale: 2 });
});

test("points become pixels, more opaque where several lie", () => {
    const grid = new Grid([0, 1, 1], [0, 1, 1]);
    const size = { width: 5, height: 5 };
    const pixels = new Uint32Array(25);
    raster(pixels, new Uint8Array(25), grid, { x: 0.5, y: 0.5, scale: 2 }, size, 1, colourTable([10, 20, 30]));
    const bytes = new Uint8Array(pixels.buffer);
    const at = (x: number, y: number): number[] => Array.from(bytes.subarray(4 * (5 * y + x), 4 * (5 * y + x) + 4));
    assert.deepEqual(at(1, 3), [10, 20, 30, 115]);
    assert.deepEqual(at(3, 1).slice(0, 3), [10, 20, 30]);
    assert.equal(at(3, 1)[3], Math.round(255 * (0.45 + 0.55 / 3)));
    assert.equal(pixels.filter((pixel) => pixel !== 0).length, 2);
    assert.equal(pointWidth(1, 1), 1);
    assert.equal(pointWidth(16, 1), 3);
    assert.equal(pointWidth(1e9, 2), 6);
});
