/* The map's picture: dragged, zoomed by wheel, pinch and keys, with the point nearest to the pointer told. */
import { useEffect, useRef } from "preact/hooks";
import { theme } from "../base/session";
import { useStore } from "../base/store";
import type { Grid } from "./grid";
import { colourTable, pointWidth, raster, type Colour } from "./raster";
import { pan, pixelOf, placeAt, type Size, type View, wholeView, zoom } from "./view";

const WHEEL_STEP = 0.0015;
const KEY_PAN = 60; /* pixels */
const KEY_ZOOM = 1.5;
const REACH = 8; /* pixels from a point to the pointer */
const DRAG = 4; /* pixels that make a press a drag */
const FULL_TURN = 2 * Math.PI;

interface Props {
    grid: Grid;
    /** null: the whole map. */
    view: View | null;
    change: (view: View | null) => void;
    marked: readonly number[];
    pointed: number | null;
    point: (feature: number | null) => void;
    choose: (feature: number) => void;
    resized: (size: Size) => void;
}

function colourOf(text: string): Colour {
    const [red = 0, green = 0, blue = 0] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return [red, green, blue];
}

/** Draws and remembers its buffers from one frame to the next. */
class Painter {
    private image: ImageData | null = null;
    private counts = new Uint8Array();

    constructor(private readonly canvas: HTMLCanvasElement) {}

    draw(grid: Grid, view: View, whole: View, marked: readonly number[], pointed: number | null): void {
        const { canvas } = this;
        const ratio = devicePixelRatio;
        const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
        const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
        const context = canvas.getContext("2d");
        if (!context) return;
        if (!this.image || canvas.width !== width || canvas.height !== height) {
            canvas.width = width;
            canvas.height = height;
            this.image = context.createImageData(width, height);
            this.counts = new Uint8Array(width * height);
        }
        /* The style sheet gives a canvas colours by properties that a canvas itself has no use for. */
        const style = getComputedStyle(canvas);
        const scaled = { ...view, scale: view.scale * ratio };
        const size = { width, height };
        const pixels = new Uint32Array(this.image.data.buffer);
        const side = pointWidth(view.scale / whole.scale, ratio);
        raster(pixels, this.counts, grid, scaled, size, side, colourTable(colourOf(style.color)));
        context.putImageData(this.image, 0, 0);
        const dot = (feature: number, radius: number, fill: string): void => {
            const [x, y] = pixelOf(scaled, size, grid.x[feature] ?? 0, grid.y[feature] ?? 0);
            context.beginPath();
            context.arc(x, y, radius * ratio, 0, FULL_TURN);
            context.fillStyle = fill;
            context.fill();
            context.strokeStyle = style.backgroundColor;
            context.lineWidth = ratio;
            context.stroke();
        };
        for (const feature of marked) dot(feature, 4, style.fill);
        if (pointed !== null) dot(pointed, 5, style.stroke);
    }
}

export function MapCanvas({ grid, view, change, marked, pointed, point, choose, resized }: Props) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const colours = useStore(theme);
    /* What handlers that outlive a render go by. */
    const now = useRef({ grid, view, change, marked, pointed, colours });
    now.current = { grid, view, change, marked, pointed, colours };
    const order = useRef<() => void>(() => undefined);
    const press = useRef(new Map<number, { x: number; y: number }>());
    const dragged = useRef(false);

    const sizeNow = (): Size => ({
        width: canvas.current?.clientWidth || 1,
        height: canvas.current?.clientHeight || 1,
    });
    const wholeNow = (): View => wholeView(now.current.grid.box, sizeNow());
    const viewNow = (): View => now.current.view ?? wholeNow();
    const zoomBy = (factor: number, x: number, y: number): void => {
        const whole = wholeNow();
        const next = zoom(viewNow(), sizeNow(), whole, factor, x, y);
        now.current.change(next === whole ? null : next);
    };

    useEffect(() => {
        const element = canvas.current;
        if (!element) return;
        const painter = new Painter(element);
        let ordered = 0;
        order.current = () => {
            ordered ||= requestAnimationFrame(() => {
                ordered = 0;
                const { grid: shown, marked: dots, pointed: hit } = now.current;
                painter.draw(shown, viewNow(), wholeNow(), dots, hit);
            });
        };
        const watcher = new ResizeObserver(() => {
            resized(sizeNow());
            order.current();
        });
        const dark = matchMedia("(prefers-color-scheme: dark)");
        const redraw = (): void => order.current();
        /* Not one of Preact's: those cannot keep the page from scrolling. */
        const onWheel = (event: WheelEvent): void => {
            event.preventDefault();
            zoomBy(Math.exp(-event.deltaY * WHEEL_STEP), event.offsetX, event.offsetY);
        };
        watcher.observe(element);
        dark.addEventListener("change", redraw);
        element.addEventListener("wheel", onWheel, { passive: false });
        return () => {
            cancelAnimationFrame(ordered);
            watcher.disconnect();
            dark.removeEventListener("change", redraw);
            element.removeEventListener("wheel", onWheel);
        };
    }, []);
    useEffect(() => order.current(), [grid, view, marked, pointed, colours]);

    const hit = (event: PointerEvent): number | null => {
        const at = viewNow();
        const [x, y] = placeAt(at, sizeNow(), event.offsetX, event.offsetY);
        return grid.nearest(x, y, REACH / at.scale, 1)[0] ?? null;
    };
    const onDown = (event: PointerEvent): void => {
        dragged.current = press.current.size > 0;
        press.current.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
        canvas.current?.setPointerCapture(event.pointerId);
    };
    const onMove = (event: PointerEvent): void => {
        const before = press.current.get(event.pointerId);
        if (!before) return point(hit(event));
        const dx = event.offsetX - before.x;
        const dy = event.offsetY - before.y;
        if (!dragged.current && Math.hypot(dx, dy) < DRAG) return;
        dragged.current = true;
        const other = [...press.current].find(([id]) => id !== event.pointerId)?.[1];
        press.current.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
        if (!other) return change(pan(viewNow(), dx, dy));
        const apart = (at: { x: number; y: number }): number => Math.max(1, Math.hypot(at.x - other.x, at.y - other.y));
        zoomBy(apart({ x: event.offsetX, y: event.offsetY }) / apart(before), other.x, other.y);
    };
    const onUp = (event: PointerEvent): void => {
        const feature = dragged.current ? null : hit(event);
        press.current.delete(event.pointerId);
        if (feature !== null) choose(feature);
    };
    const onKey = (event: KeyboardEvent): void => {
        const { width, height } = sizeNow();
        const way = {
            ArrowLeft: [KEY_PAN, 0],
            ArrowRight: [-KEY_PAN, 0],
            ArrowUp: [0, KEY_PAN],
            ArrowDown: [0, -KEY_PAN],
        }[event.key];
        const nearer = { "+": KEY_ZOOM, "=": KEY_ZOOM, "-": 1 / KEY_ZOOM }[event.key];
        if (way) change(pan(viewNow(), way[0] ?? 0, way[1] ?? 0));
        else if (nearer) zoomBy(nearer, width / 2, height / 2);
        else if (event.key === "0") change(null);
        else return;
        event.preventDefault();
    };
    return (
        <canvas
            ref={canvas}
            tabIndex={0}
            role="application"
            aria-label="Map of the features. Arrow keys move it, plus and minus zoom, 0 shows all of it. What is in the middle is listed below."
            onPointerDown={onDown}
            onPointerMove={onMove}
            onPointerUp={onUp}
            onPointerCancel={(event) => press.current.delete(event.pointerId)}
            onPointerLeave={() => point(null)}
            onKeyDown={onKey}
        />
    );
}
