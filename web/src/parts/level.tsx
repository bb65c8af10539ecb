/* A share as a bar with its number. */
import { percent } from "../base/numbers";

export function LevelBar({ share, text }: { share: number; text?: string }) {
    return (
        <span class="level">
            <span class="level-bar" aria-hidden="true">
                <span style={{ width: `${Math.round(Math.max(0, Math.min(share, 1)) * 100)}%` }} />
            </span>
            <span class="level-number">{text ?? percent(share)}</span>
        </span>
    );
}
