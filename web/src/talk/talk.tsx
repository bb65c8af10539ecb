/* Talking with the model, plain and steered, and seeing what lights up. */
import { useStore } from "../base/store";
import { status } from "../base/session";
import { Composer } from "./composer";
import { ExportPanel } from "./exportpanel";
import { LaneView } from "./laneview";
import { PinsPanel } from "./pinspanel";
import { SettingsPanel } from "./settingspanel";
import { lanes } from "./state";

export function Talk() {
    const all = useStore(lanes);
    const about = useStore(status);
    return (
        <div class="talk">
            <h1 class="hidden">Talk</h1>
            <div class="conversation">
                <div class="lanes" style={{ "--lanes": String(all.length) }}>
                    {all.map((lane, index) => (
                        <LaneView key={lane.id} lane={lane} number={index + 1} />
                    ))}
                </div>
                <Composer />
            </div>
            <aside class="side" aria-label="Features and sampling">
                {about && !about.dictionary ? (
                    <p class="panel quiet">This server was started without a dictionary: nothing is coloured or steered.</p>
                ) : (
                    <PinsPanel />
                )}
                <SettingsPanel />
                <ExportPanel />
            </aside>
        </div>
    );
}
