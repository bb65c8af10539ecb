/* The page: its head, and the screen that the address names. */
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { setToken } from "./base/api";
import { loadStatus, locked, place, spoken, status, theme, type Theme, trouble } from "./base/session";
import { useStore } from "./base/store";
import { Explain } from "./explain/explain";
import { Feature } from "./features/feature";
import { Features } from "./features/features";
import { MapScreen } from "./map/mapscreen";
import { Model } from "./models/model";
import { Trouble } from "./parts/trouble";
import { Runs } from "./runs/runs";
import { Talk } from "./talk/talk";
import { Watch } from "./watch/watch";
import "./style/base.css";
import "./style/parts.css";
import "./style/screens.css";
import "./style/work.css";

const SCREENS = [
    { path: "talk", name: "Talk" },
    { path: "features", name: "Features" },
    { path: "map", name: "Map" },
    { path: "watch", name: "Watch" },
    { path: "explain", name: "Explain" },
    { path: "runs", name: "Runs" },
    { path: "model", name: "Model" },
] as const;

const THEMES: Record<Theme, string> = { auto: "as the system", light: "light", dark: "dark" };

function Head({ screen }: { screen: string }) {
    const about = useStore(status);
    const now = useStore(theme);
    return (
        <header class="head">
            <a class="skip" href="#content" onClick={skip}>
                To the content
            </a>
            <strong class="brand">Fathom</strong>
            <nav aria-label="Screens">
                {SCREENS.map(({ path, name }) => (
                    <a key={path} href={`#/${path}`} aria-current={path === screen ? "page" : undefined}>
                        {name}
                    </a>
                ))}
            </nav>
            <span class="model-name">{about?.model.name}</span>
            <label class="theme">
                <span class="hidden">Colours</span>
                <select value={now} onChange={(event) => theme.set(event.currentTarget.value as Theme)}>
                    {(Object.keys(THEMES) as Theme[]).map((each) => (
                        <option key={each} value={each}>
                            {THEMES[each]}
                        </option>
                    ))}
                </select>
            </label>
        </header>
    );
}

/** The hash is the address of screens, so that the link to the content cannot use it. */
function skip(event: Event): void {
    event.preventDefault();
    document.getElementById("content")?.focus();
}

function Lock() {
    const [token, setTyped] = useState("");
    const [refused, setRefused] = useState(false);
    const open = async (): Promise<void> => {
        setToken(token.trim());
        await loadStatus();
        setRefused(locked.get());
    };
    return (
        <form
            class="screen lock"
            onSubmit={(event) => {
                event.preventDefault();
                void open();
            }}
        >
            <h1>This server asks for its token</h1>
            <label class="field wide">
                Token
                <input
                    type="password"
                    autocomplete="off"
                    value={token}
                    onInput={(event) => setTyped(event.currentTarget.value)}
                />
            </label>
            <p>
                <button type="submit" class="main" disabled={token.trim() === ""}>
                    Open
                </button>
            </p>
            <Trouble text={refused ? "That is not its token." : null} />
        </form>
    );
}

function Screen({ path }: { path: string }) {
    const [screen, argument] = path.split("/");
    if (screen === "features" && argument && /^\d+$/.test(argument)) return <Feature number={Number(argument)} />;
    if (screen === "features") return <Features />;
    if (screen === "map") return <MapScreen />;
    if (screen === "watch") return <Watch />;
    if (screen === "explain") return <Explain />;
    if (screen === "runs") return <Runs />;
    if (screen === "model") return <Model />;
    return <Talk />;
}

function Page() {
    const path = useStore(place);
    const isLocked = useStore(locked);
    const wrong = useStore(trouble);
    const aloud = useStore(spoken);
    const colours = useStore(theme);
    const content = useRef<HTMLElement>(null);
    const screen = path.split("/")[0] || "talk";
    const first = useRef(true);
    useEffect(() => void loadStatus(), []);
    useEffect(() => {
        document.documentElement.dataset.theme = colours;
    }, [colours]);
    useEffect(() => {
        const name = SCREENS.find((each) => each.path === screen)?.name ?? "Talk";
        document.title = `${name} – Fathom`;
        if (!first.current) content.current?.focus({ preventScroll: true });
        first.current = false;
        scrollTo(0, 0);
    }, [path]);
    return (
        <>
            <Head screen={screen} />
            <main id="content" tabIndex={-1} ref={content}>
                <Trouble text={wrong} />
                {isLocked ? <Lock /> : <Screen path={path} />}
            </main>
            <p class="hidden" role="status" aria-live="polite">
                {aloud}
            </p>
        </>
    );
}

document.documentElement.dataset.theme = theme.get();
const root = document.getElementById("page");
if (root) render(<Page />, root);
