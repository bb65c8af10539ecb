/* How answers are drawn. */
import { useStore } from "../base/store";
import { isChat } from "./run";
import { type Settings, settings } from "./state";

interface NumberProps {
    name: string;
    value: number;
    least: number;
    most: number;
    step: number;
    change: (value: number) => void;
}

function NumberField({ name, value, least, most, step, change }: NumberProps) {
    return (
        <label class="field">
            {name}
            <input
                type="number"
                min={least}
                max={most}
                step={step}
                value={value}
                onChange={(event) => {
                    const number = event.currentTarget.valueAsNumber;
                    if (Number.isFinite(number)) change(Math.max(least, Math.min(most, number)));
                }}
            />
        </label>
    );
}

export function SettingsPanel() {
    const now = useStore(settings);
    const change = (part: Partial<Settings>): void => settings.update((before) => ({ ...before, ...part }));
    return (
        <details class="panel">
            <summary>Sampling</summary>
            <div class="fields">
                <NumberField
                    name="Temperature (0: greedy)"
                    value={now.temperature}
                    least={0}
                    most={5}
                    step={0.1}
                    change={(temperature) => change({ temperature })}
                />
                <NumberField
                    name="Most tokens"
                    value={now.maxTokens}
                    least={1}
                    most={4096}
                    step={1}
                    change={(maxTokens) => change({ maxTokens: Math.round(maxTokens) })}
                />
                <NumberField
                    name="Seed, the same in all lanes"
                    value={now.seed}
                    least={0}
                    most={Number.MAX_SAFE_INTEGER}
                    step={1}
                    change={(seed) => change({ seed: Math.round(seed) })}
                />
                {isChat() && (
                    <label class="field wide">
                        System message
                        <textarea
                            rows={2}
                            value={now.system}
                            onChange={(event) => change({ system: event.currentTarget.value })}
                        />
                    </label>
                )}
            </div>
        </details>
    );
}
