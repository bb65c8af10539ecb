/* Tokens of the model, coloured by the feature that is chosen, with their cards. */
import { useMemo } from "preact/hooks";
import { levelOf, share, tokenTexts } from "../base/tokens";
import type { Token, Watched } from "../base/types";
import { useFeatures } from "../features/known";
import { TokenCard } from "./tokencard";
import { Tokens } from "./tokens";

interface Props {
    name: string;
    tokens: readonly Token[];
    watch: readonly Watched[];
    /** null: no colour. */
    feature: number | null;
    /** Tokens at or above this share stand out. */
    threshold?: number;
}

/** The largest activation of a feature: the answer's own record, or the catalogue's. */
export function useMaximum(feature: number | null, watch: readonly Watched[]): number | null {
    const known = useFeatures(feature === null ? [] : [feature]);
    if (feature === null) return null;
    return watch.find((each) => each.feature === feature)?.max_activation ?? known.get(feature)?.max_activation ?? null;
}

export function ReadTokens({ name, tokens, watch, feature, threshold }: Props) {
    const texts = useMemo(() => tokenTexts(tokens), [tokens]);
    const maximum = useMaximum(feature, watch);
    const shown = useMemo(
        () =>
            tokens.map((token, at) => {
                const level = feature === null ? 0 : share(levelOf(token, feature, watch).value, maximum);
                return { text: texts[at] ?? "", level, strong: threshold !== undefined && level >= threshold };
            }),
        [tokens, texts, watch, feature, maximum, threshold],
    );
    return (
        <Tokens
            name={name}
            tokens={shown}
            card={(at) => {
                const token = tokens[at];
                return token ? <TokenCard token={token} text={texts[at] ?? ""} watch={watch} /> : null;
            }}
        />
    );
}
