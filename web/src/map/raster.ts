/* Points as pixels. Each adds to the count of the pixels that it covers, and a table gives each count its colour: this takes
 * a few milliseconds for 65,536 points, where drawing them as shapes takes far longer than a frame. */
import type { Grid } from "./grid";
import { pixelOf, type Size, type View, windowOf } from "./view";

const COUNTS = 256;
const FAINTEST = 0.45;

export type Colour = readonly [red: number, green: number, blue: number];

/** Pixels of a colour, the more opaque the more points lie there, as RGBA in the bytes' own order. */
export function colourTable([red, green, blue]: Colour): Uint32Array {
    const table = new Uint32Array(COUNTS);
    const bytes = new Uint8Array(table.buffer);
    for (let count = 1; count < COUNTS; count++) {
        const opacity = Math.min(1, FAINTEST + ((1 - FAINTEST) * Math.log2(count)) / 3);
        bytes.set([red, green, blue, Math.round(255 * opacity)], 4 * count);
    }
    return table;
}

/** How many pixels wide a point is. */
export const pointWidth = (zoomed: number, ratio: number): number =>
    Math.max(1, Math.min(6, Math.round((1 + Math.log2(Math.max(zoomed, 1)) / 2) * ratio)));

/** Fills `pixels` (width × height) with the points in view. `size` and `view` are in these pixels. */
export function raster(pixels: Uint32Array, counts: Uint8Array, grid: Grid, view: View, size: Size, width: number, table: Uint32Array): void {
    counts.fill(0);
    const half = (width - 1) / 2;
    grid.inWindow(windowOf(view, size), (point) => {
        const [x, y] = pixelOf(view, size, grid.x[point]!, grid.y[point]!);
        const left = Math.floor(x - half);
        const top = Math.floor(y - half);
        if (left < 0 || top < 0 || left + width > size.width || top + width > size.height) return;
        for (let row = top; row < top + width; row++)
            for (let k = row * size.width + left; k < row * size.width + left + width; k++)
                if (counts[k]! < COUNTS - 1) counts[k]! += 1;
    });
    for (let k = 0; k < counts.length; k++) pixels[k] = table[counts[k]!]!;
}
