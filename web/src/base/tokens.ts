/* What tokens show: their text and how far a feature lights up on them. */
import type { Token, Watched } from "./types";

/** The text that each token adds. One that ends inside a character adds nothing; the one that completes it, all of it. */
export function tokenTexts(tokens: readonly { bytes: number[] }[]): string[] {
    const decoder = new TextDecoder();
    return tokens.map((token, index) =>
        decoder.decode(Uint8Array.from(token.bytes), { stream: index + 1 < tokens.length }),
    );
}

export interface Level {
    value: number;
    /** False: read from the token's strongest features alone, so that 0 means "not among them". */
    exact: boolean;
}

export function levelOf(token: Token, feature: number, watch: readonly Watched[]): Level {
    const at = watch.findIndex((watched) => watched.feature === feature);
    const value = at >= 0 ? token.levels?.[at] : undefined;
    if (value !== undefined) return { value: value ?? 0, exact: true };
    return { value: token.features?.find((entry) => entry.feature === feature)?.value ?? 0, exact: false };
}

/** A level as a share of the feature's largest one, within 0 … 1. Without a maximum the largest level shown stands in. */
export function share(value: number, maximum: number | null | undefined): number {
    if (!(value > 0) || !maximum || !(maximum > 0)) return 0;
    return Math.min(value / maximum, 1);
}

/** Spaces and ends of lines as signs, for tokens that stand alone. */
export function visibleToken(text: string): string {
    return text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "␣");
}
