/* A feature in a line: its number, label and, where it is known, the label's score. */
import { figure } from "../base/numbers";
import type { ShortFeature } from "../base/types";
import { labelOf } from "../features/known";

export function FeatureName({ feature }: { feature: ShortFeature }) {
    return (
        <a class="feature-name" href={`#/features/${feature.feature}`}>
            <span class="number">{feature.feature}</span>{" "}
            <span class={feature.label ? "label" : "label none"}>{labelOf(feature)}</span>
            {feature.label_score != null && (
                <span class="score" title="Balanced accuracy of the label on unseen text; 0.5 is chance">
                    {" "}
                    {figure(feature.label_score)}
                </span>
            )}
        </a>
    );
}
