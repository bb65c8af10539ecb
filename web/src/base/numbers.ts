/* Numbers as people read them. */

const DASH = "–";
const MINUS = "−";
const THIN_SPACE = "\u202f"; /* one at which no line ends */

export function figure(value: number | null | undefined, digits = 2): string {
    return value === null || value === undefined || !Number.isFinite(value) ? DASH : value.toFixed(digits).replace("-", MINUS);
}

/** A share of 1 in per cent, with as many digits as small ones need. */
export function percent(value: number | null | undefined): string {
    if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
    const hundredfold = value * 100;
    return `${hundredfold.toFixed(hundredfold >= 10 || hundredfold === 0 ? 0 : hundredfold >= 0.1 ? 2 : 3)}${THIN_SPACE}%`;
}

export const whole = (value: number): string => value.toLocaleString("en");

export function bytes(value: number): string {
    const units = ["bytes", "KiB", "MiB", "GiB"];
    let unit = 0;
    let rest = value;
    while (rest >= 1024 && unit + 1 < units.length) {
        rest /= 1024;
        unit++;
    }
    return `${Number.isInteger(rest) ? rest : rest.toFixed(1)} ${units[unit]}`;
}
