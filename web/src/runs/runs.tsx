/* Long work: jobs of the server with their progress, and the ledger of training runs with their curves. */
import { useEffect } from "preact/hooks";
import { status } from "../base/session";
import { useStore } from "../base/store";
import { Trouble } from "../parts/trouble";
import { Begin } from "./begin";
import { JobList } from "./joblist";
import { follow, jobs, trouble } from "./jobs";
import { Ledger } from "./ledger";

export function Runs() {
    const now = useStore(jobs);
    const readOnly = useStore(status)?.read_only ?? true;
    useEffect(follow, []);
    return (
        <div class="screen">
            <h1>Runs</h1>
            <Trouble text={useStore(trouble)} />
            <div class="feature-columns">
                <div>
                    {readOnly && <p class="quiet">This server is read-only: no job can be begun.</p>}
                    {now && !readOnly && <Begin files={now} />}
                    <JobList />
                </div>
                <div>
                    <Ledger />
                </div>
            </div>
        </div>
    );
}
