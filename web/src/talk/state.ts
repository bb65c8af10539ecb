/* The conversation that is on the page, and how it is asked. */
import { remembered, Store } from "../base/store";
import { pins } from "../features/pins";
import { type Answer, fork, type Lane, MOST_LANES, newLane, withAnswer } from "./lanes";

export interface Settings {
    system: string;
    temperature: number;
    maxTokens: number;
    seed: number;
}

export const settings = remembered<Settings>("fathom-talk", { system: "", temperature: 0, maxTokens: 160, seed: 1 });

export const lanes = new Store<Lane[]>([newLane(1)]);
/** The lane whose edits the sliders turn. */
export const selected = new Store(1);
let lastLane = 1;

export const laneOf = (id: number): Lane | undefined => lanes.get().find((lane) => lane.id === id);

export function changeLane(id: number, change: (lane: Lane) => Lane): void {
    lanes.update((all) => all.map((lane) => (lane.id === id ? change(lane) : lane)));
}

export const setAnswer = (id: number, turn: number, answer: Answer | null): void =>
    changeLane(id, (lane) => withAnswer(lane, turn, answer));

/* What is not pinned has no slider, and so is not turned. */
pins.listen(() => {
    const { features } = pins.get();
    lanes.update((all) =>
        all.some((lane) => lane.edits.some((edit) => !features.includes(edit.feature)))
            ? all.map((lane) => ({ ...lane, edits: lane.edits.filter((edit) => features.includes(edit.feature)) }))
            : all,
    );
});

/** A new lane at the right; null when there is no place for one more. */
function add(make: (id: number) => Lane): Lane | null {
    if (lanes.get().length >= MOST_LANES) return null;
    const lane = make(++lastLane);
    lanes.update((all) => [...all, lane]);
    return lane;
}

export function forkLane(lane: Lane, turns: number): void {
    const made = add((id) => fork(lane, turns, id));
    if (made) selected.set(made.id);
}

/** A lane without edits in which the same is asked, still without answers. */
export const addPlain = (lane: Lane): Lane | null =>
    add((id) => ({ ...newLane(id), turns: lane.turns.map(({ user }) => ({ user, answer: null })) }));

export function closeLane(id: number): void {
    const rest = lanes.get().filter((lane) => lane.id !== id);
    if (rest[0] === undefined) return;
    lanes.set(rest);
    if (selected.get() === id) selected.set(rest[0].id);
}

export function startAnew(): void {
    lanes.update((all) => all.map((lane) => ({ ...lane, turns: [], from: null })));
}
