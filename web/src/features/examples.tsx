/* Texts of the corpus on which a feature is active: the strongest ones, then some of each quarter of its range. */
import { useState } from "preact/hooks";
import { figure } from "../base/numbers";
import { share } from "../base/tokens";
import type { Example, FeatureDetails } from "../base/types";
import { Tokens } from "../parts/tokens";
import { groupExamples, type Length, LENGTHS, windowOf } from "./examplegroups";

function ExampleText({ example, maximum, length, breaks }: { example: Example; maximum: number | null; length: Length; breaks: boolean }) {
    const { from, to } = windowOf(example, length);
    const shown = example.tokens.slice(from, to).map((text, index) => {
        const at = from + index;
        return { text, level: share(example.values[at] ?? 0, maximum), strong: at === example.maxValueTokenIndex };
    });
    return (
        <li class={length === "stacked" ? "example stacked" : "example"}>
            <span class="figure" title={`Document ${example.document}, position ${example.position}`}>
                {figure(example.maxValue)}
            </span>
            <Tokens name={`Example of document ${example.document}`} tokens={shown} lineBreaks={breaks} />
        </li>
    );
}

export function Examples({ details }: { details: FeatureDetails }) {
    const [length, setLength] = useState<Length>("snippet");
    const [breaks, setBreaks] = useState(false);
    const groups = groupExamples(details.activations);
    return (
        <section class="panel" aria-labelledby="examples-title">
            <h2 id="examples-title">Examples</h2>
            <div class="actions">
                <div role="group" aria-label="Length of examples" class="actions">
                    {(Object.keys(LENGTHS) as Length[]).map((each) => (
                        <button
                            key={each}
                            type="button"
                            class="small"
                            aria-pressed={each === length}
                            onClick={() => setLength(each)}
                        >
                            {LENGTHS[each].name}
                        </button>
                    ))}
                </div>
                <label class="choice">
                    <input type="checkbox" checked={breaks} onChange={() => setBreaks(!breaks)} />
                    line breaks
                </label>
            </div>
            {groups.length === 0 && <p class="quiet">The catalogue has none.</p>}
            {groups.map((group) => (
                <div key={group.name}>
                    <h3>{group.name}</h3>
                    <ul class="examples">
                        {group.examples.map((example, index) => (
                            <ExampleText
                                key={index}
                                example={example}
                                maximum={details.maxActApprox}
                                length={length}
                                breaks={breaks}
                            />
                        ))}
                    </ul>
                </div>
            ))}
        </section>
    );
}
