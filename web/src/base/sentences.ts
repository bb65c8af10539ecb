/* Streamed text in pieces that are worth being read aloud. */

/** What of `text` past `spoken` characters makes whole sentences: how far it goes. */
export function sentenceEnd(text: string, spoken: number): number {
    const rest = text.slice(spoken);
    const match = /^[\s\S]*[.!?:;\n](?=\s)/.exec(rest);
    return spoken + (match ? match[0].length : 0);
}
