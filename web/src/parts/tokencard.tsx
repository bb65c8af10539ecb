/* What a token's card says: which features it has, how strongly, and a way to pin them. */
import { figure } from "../base/numbers";
import { levelOf, share, visibleToken } from "../base/tokens";
import type { Token, Watched } from "../base/types";
import { labelOf, useFeatures } from "../features/known";
import { pins } from "../features/pins";
import { useStore } from "../base/store";
import { LevelBar } from "./level";
import { PinButton } from "./pinbutton";

interface Props {
    token: Token;
    text: string;
    watch: readonly Watched[];
}

export function TokenCard({ token, text, watch }: Props) {
    const { coloured } = useStore(pins);
    const strongest = token.features ?? [];
    const numbers = strongest.map((each) => each.feature);
    const known = useFeatures(coloured === null ? numbers : [coloured, ...numbers]);
    const level = coloured === null ? null : levelOf(token, coloured, watch);
    return (
        <>
            <p class="card-head">
                <code class="token-name">{visibleToken(text || token.token)}</code>
                <span class="quiet">token {token.id}</span>
            </p>
            {coloured !== null && level && (
                <p class="card-level">
                    {labelOf(known.get(coloured) ?? { feature: coloured })}:{" "}
                    <LevelBar share={share(level.value, known.get(coloured)?.max_activation)} />
                    {!level.exact && level.value === 0 && <span class="quiet"> not among its strongest</span>}
                </p>
            )}
            {strongest.length === 0 ? (
                <p class="quiet">No feature is active here.</p>
            ) : (
                <ul class="card-features">
                    {strongest.map(({ feature, value }) => {
                        const about = known.get(feature) ?? { feature };
                        return (
                            <li key={feature}>
                                <a href={`#/features/${feature}`}>
                                    <span class="number">{feature}</span> {labelOf(about)}
                                </a>
                                <LevelBar
                                    share={share(value, about.max_activation)}
                                    text={about.max_activation ? undefined : figure(value)}
                                />
                                <PinButton feature={about} />
                            </li>
                        );
                    })}
                </ul>
            )}
        </>
    );
}
