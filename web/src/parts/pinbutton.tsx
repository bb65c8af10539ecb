/* Pins a feature, or lets it go. */
import { useStore } from "../base/store";
import type { ShortFeature } from "../base/types";
import { labelOf } from "../features/known";
import { pin, pins, unpin } from "../features/pins";

export function PinButton({ feature }: { feature: ShortFeature }) {
    const number = feature.feature;
    const pinned = useStore(pins).features.includes(number);
    return (
        <button
            type="button"
            class={pinned ? "small pinned" : "small"}
            aria-label={`${pinned ? "Pinned:" : "Pin"} feature ${number}, ${labelOf(feature)}`}
            onClick={() => (pinned ? unpin : pin)(number)}
        >
            {pinned ? "Pinned" : "Pin"}
        </button>
    );
}
