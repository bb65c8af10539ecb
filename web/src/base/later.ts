/* One thing to be done after a pause, however often it is ordered in the meantime. */

export class Later {
    private timer: ReturnType<typeof setTimeout> | undefined;
    private ended = false;

    constructor(
        private readonly pause: number,
        private readonly work: () => void,
    ) {}

    /** Does it after the pause, counted from here; what was ordered before is taken back. */
    order(): void {
        clearTimeout(this.timer);
        if (!this.ended) this.timer = setTimeout(this.work, this.pause);
    }

    cancel(): void {
        clearTimeout(this.timer);
    }

    /** Nothing is done any more. */
    end(): void {
        this.ended = true;
        this.cancel();
    }
}
