/* Events of a text/event-stream: what follows "data:", whatever pieces the bytes come in. */

export class EventReader {
    private readonly decoder = new TextDecoder();
    private rest = "";
    private data: string[] = [];

    /** The events that these bytes complete. */
    push(bytes: Uint8Array): string[] {
        return this.take(this.decoder.decode(bytes, { stream: true }));
    }

    private take(text: string): string[] {
        const events: string[] = [];
        const lines = (this.rest + text).split("\n");
        this.rest = lines.pop() ?? "";
        for (const line of lines) this.line(line.endsWith("\r") ? line.slice(0, -1) : line, events);
        return events;
    }

    private line(line: string, events: string[]): void {
        if (line === "") {
            if (this.data.length > 0) events.push(this.data.join("\n"));
            this.data = [];
        } else if (line.startsWith("data:")) {
            this.data.push(line.slice(line[5] === " " ? 6 : 5));
        }
    }
}
