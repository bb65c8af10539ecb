/* When monitors alerted: each time a watched feature passes its threshold along a text. */
import { levelOf, share } from "../base/tokens";
import type { Token, Watched } from "../base/types";

export interface Alert {
    feature: number;
    /** The token at which it came to its threshold. */
    at: number;
    /** The largest share of its maximum before it fell below again. */
    strongest: number;
}

export interface Monitored {
    feature: number;
    threshold: number;
    maximum: number | null;
}

/** In the order of the text; of one token in the order of the monitors. Features that were not read have none. */
export function alertsOf(tokens: readonly Token[], watch: readonly Watched[], monitors: readonly Monitored[]): Alert[] {
    const alerts: Alert[] = [];
    const open = new Map<number, Alert>();
    tokens.forEach((token, at) => {
        for (const { feature, threshold, maximum } of monitors) {
            const { value, exact } = levelOf(token, feature, watch);
            const level = exact ? share(value, maximum) : 0;
            const known = open.get(feature);
            if (!(level > 0) || level < threshold) open.delete(feature);
            else if (known) known.strongest = Math.max(known.strongest, level);
            else {
                const alert = { feature, at, strongest: level };
                open.set(feature, alert);
                alerts.push(alert);
            }
        }
    });
    return alerts;
}
