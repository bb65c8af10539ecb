/* Which part of the map is seen: the data's place at the middle of the picture, and pixels for each of its units. */
import type { Box } from "./grid";

export interface View {
    x: number;
    y: number;
    scale: number;
}

export interface Size {
    width: number;
    height: number;
}

const MARGIN = 0.95; /* of the picture is filled by the whole map */
const MOST_ZOOM = 2000;

export function wholeView(box: Box, { width, height }: Size): View {
    const wide = Math.max(box.right - box.left, Number.MIN_VALUE);
    const tall = Math.max(box.high - box.low, Number.MIN_VALUE);
    return {
        x: (box.left + box.right) / 2,
        y: (box.low + box.high) / 2,
        scale: MARGIN * Math.min(width / wide, height / tall),
    };
}

/** The data's place under a pixel; y grows upward in the data and downward in pictures. */
export const placeAt = (view: View, size: Size, px: number, py: number): [number, number] => [
    view.x + (px - size.width / 2) / view.scale,
    view.y - (py - size.height / 2) / view.scale,
];

export const pixelOf = (view: View, size: Size, x: number, y: number): [number, number] => [
    size.width / 2 + (x - view.x) * view.scale,
    size.height / 2 - (y - view.y) * view.scale,
];

export function windowOf(view: View, size: Size): Box {
    const [left, high] = placeAt(view, size, 0, 0);
    const [right, low] = placeAt(view, size, size.width, size.height);
    return { left, right, low, high };
}

export const pan = (view: View, dx: number, dy: number): View => ({
    ...view,
    x: view.x - dx / view.scale,
    y: view.y + dy / view.scale,
});

/** Nearer by `factor`, with what is under the pixel staying there; never farther than the whole. */
export function zoom(view: View, size: Size, whole: View, factor: number, px: number, py: number): View {
    const scale = Math.max(whole.scale, Math.min(whole.scale * MOST_ZOOM, view.scale * factor));
    if (scale === whole.scale) return whole;
    const [x, y] = placeAt(view, size, px, py);
    return {
        scale,
        x: x - (px - size.width / 2) / scale,
        y: y + (py - size.height / 2) / scale,
    };
}
