/* A text whose tokens are coloured by a level. The colour is repeated by a bar under the token, and told in words by the
 * card that opens on a token: by pointing, or with the arrow keys once the text has the focus. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface ShownToken {
    text: string;
    /** 0 … 1 */
    level: number;
    strong?: boolean;
}

interface Props {
    /** What the text is, for those who do not see it. */
    name: string;
    tokens: readonly ShownToken[];
    /** What the card of a token says; none: there are no cards. */
    card?: (index: number) => ComponentChildren;
    lineBreaks?: boolean;
}

const CARD_WIDTH = 320;
const EDGE = 8;

function indexOf(target: EventTarget | null): number | null {
    const at = target instanceof HTMLElement ? target.dataset.at : undefined;
    return at === undefined ? null : Number(at);
}

function cardPlace(box: DOMRect): Record<string, string> {
    const width = Math.min(CARD_WIDTH, innerWidth - 2 * EDGE);
    const left = Math.max(EDGE, Math.min(box.left, innerWidth - width - EDGE));
    const above = box.bottom > innerHeight * 0.6;
    return {
        left: `${left}px`,
        width: `${width}px`,
        ...(above ? { bottom: `${innerHeight - box.top + 4}px` } : { top: `${box.bottom + 4}px` }),
    };
}

/** Ends of lines are shown, and broken at only where that is wished. */
const written = (text: string, lineBreaks: boolean): string =>
    lineBreaks ? text : text.replace(/\n/g, "⏎");

export function Tokens({ name, tokens, card, lineBreaks = true }: Props) {
    const box = useRef<HTMLDivElement>(null);
    const [open, setOpen] = useState<{ at: number; held: boolean } | null>(null);
    const close = (): void => setOpen(null);
    const held = open?.held ?? false;

    useEffect(() => {
        if (!held) return;
        const outside = (event: Event): void => {
            if (!box.current?.contains(event.target as Node)) close();
        };
        document.addEventListener("pointerdown", outside);
        return () => document.removeEventListener("pointerdown", outside);
    }, [held]);

    const onKey = (event: KeyboardEvent): void => {
        if (event.key === "Escape") close();
        if (!card || event.target !== event.currentTarget || tokens.length === 0) return;
        const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const from = open ? open.at : step > 0 ? -1 : tokens.length;
        setOpen({ at: Math.max(0, Math.min(tokens.length - 1, from + step)), held: true });
    };
    const onPoint = (event: Event): void => {
        const at = indexOf(event.target);
        if (card && !held) setOpen(at === null ? null : { at, held: false });
    };
    const onClick = (event: Event): void => {
        const at = indexOf(event.target);
        if (card && at !== null) setOpen(open?.held && open.at === at ? null : { at, held: true });
    };
    const place = open && box.current?.querySelector(`[data-at="${open.at}"]`)?.getBoundingClientRect();

    return (
        <div class="tokens" ref={box} onPointerLeave={() => !held && close()}>
            <div
                class="token-text"
                role="group"
                aria-label={card ? `${name}. Arrow keys go through its tokens.` : name}
                tabIndex={card ? 0 : undefined}
                onPointerOver={onPoint}
                onClick={onClick}
                onKeyDown={onKey}
                onBlur={(event) => !box.current?.contains(event.relatedTarget as Node | null) && close()}
            >
                {tokens.map((token, at) => (
                    <span
                        key={at}
                        data-at={at}
                        class={`token${open?.at === at ? " open" : ""}${token.strong ? " strong" : ""}`}
                        style={token.level > 0 ? { "--level": token.level.toFixed(2) } : undefined}
                    >
                        {written(token.text, lineBreaks)}
                    </span>
                ))}
            </div>
            {open && place && card && open.at < tokens.length && (
                <div class={`card${held ? " held" : ""}`} style={cardPlace(place)} aria-live="polite" onKeyDown={onKey}>
                    {card(open.at)}
                </div>
            )}
        </div>
    );
}
