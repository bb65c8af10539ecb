/* What went wrong, said at once. */
export function Trouble({ text }: { text: string | null | undefined }) {
    return text ? (
        <p class="trouble" role="alert">
            {text}
        </p>
    ) : null;
}
