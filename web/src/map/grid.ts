/* Points in square cells, so that what lies in a window, or nearest to a place, is found without looking at all of them. */

const POINTS_A_CELL = 4;
const MOST_CELLS = 256; /* along each axis */

export interface Box {
    left: number;
    right: number;
    low: number;
    high: number;
}

export class Grid {
    readonly box: Box;
    private readonly side: number;
    private readonly size: number;
    /** Where each cell's points begin in `order`. */
    private readonly starts: Uint32Array;
    private readonly order: Uint32Array;

    constructor(
        readonly x: ArrayLike<number>,
        readonly y: ArrayLike<number>,
    ) {
        this.box = boxOf(x, y);
        const { left, right, low, high } = this.box;
        this.side = Math.max(1, Math.min(MOST_CELLS, Math.ceil(Math.sqrt(x.length / POINTS_A_CELL))));
        this.size = Math.max(right - left, high - low, Number.MIN_VALUE) / this.side;
        const cells = new Uint32Array(x.length);
        this.starts = new Uint32Array(this.side * this.side + 1);
        for (let i = 0; i < x.length; i++) {
            const cell = this.row(y[i] ?? 0) * this.side + this.column(x[i] ?? 0);
            cells[i] = cell;
            this.starts[cell + 1]! += 1;
        }
        for (let cell = 0; cell < this.side * this.side; cell++) this.starts[cell + 1]! += this.starts[cell]!;
        const next = this.starts.slice();
        this.order = new Uint32Array(x.length);
        for (let i = 0; i < x.length; i++) this.order[next[cells[i]!]!++] = i;
    }

    private at(value: number): number {
        return Math.max(0, Math.min(this.side - 1, Math.floor(value / this.size)));
    }
    private column(value: number): number {
        return this.at(value - this.box.left);
    }
    private row(value: number): number {
        return this.at(value - this.box.low);
    }

    /** Every point in the cells that a window touches: all within it, and some beside it. */
    inWindow(window: Box, take: (point: number) => void): void {
        const from = this.column(window.left);
        const to = this.column(window.right);
        const last = this.row(window.high);
        for (let row = this.row(window.low); row <= last; row++) {
            /* The cells of a row lie beside each other. */
            const end = this.starts[row * this.side + to + 1]!;
            for (let k = this.starts[row * this.side + from]!; k < end; k++) take(this.order[k]!);
        }
    }

    /** The nearest points to a place, at most `most` and none farther than `radius`, nearest first. */
    nearest(x: number, y: number, radius: number, most: number): number[] {
        const found: { point: number; distance: number }[] = [];
        this.inWindow({ left: x - radius, right: x + radius, low: y - radius, high: y + radius }, (point) => {
            const distance = Math.hypot(this.x[point]! - x, this.y[point]! - y);
            if (distance <= radius) found.push({ point, distance });
        });
        return found
            .sort((a, b) => a.distance - b.distance || a.point - b.point)
            .slice(0, most)
            .map(({ point }) => point);
    }
}

function boxOf(x: ArrayLike<number>, y: ArrayLike<number>): Box {
    const box = { left: Infinity, right: -Infinity, low: Infinity, high: -Infinity };
    for (let i = 0; i < x.length; i++) {
        box.left = Math.min(box.left, x[i]!);
        box.right = Math.max(box.right, x[i]!);
        box.low = Math.min(box.low, y[i]!);
        box.high = Math.max(box.high, y[i]!);
    }
    return x.length > 0 ? box : { left: 0, right: 1, low: 0, high: 1 };
}
