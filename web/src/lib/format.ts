// Numbers, sizes and times as people read them in their language.

export function formatBytes(bytes: number, language: string): string {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let value = bytes, unit = 0;
    while (value >= 999.5 && unit < units.length - 1) {
        value /= 1000;
        unit++;
    }
    const digits = unit === 0 || value >= 99.95 ? 0 : 1;
    return `${formatNumber(value, language, digits)} ${units[unit] ?? ""}`;
}

export function formatNumber(value: number, language: string, digits = 0): string {
    return new Intl.NumberFormat(language, {minimumFractionDigits: digits, maximumFractionDigits: digits}).format(value);
}

// 8,4 M; 1,2 B: how many parameters or tokens there are.
export function formatCount(value: number, language: string): string {
    const units = ["", " k", " M", " B", " T"];
    let unit = 0;
    while (value >= 999.5 && unit < units.length - 1) {
        value /= 1000;
        unit++;
    }
    return `${formatNumber(value, language, unit > 0 && value < 99.95 ? 1 : 0)}${units[unit] ?? ""}`;
}

// 0.8 s, 42 s, 3:07, 2:03:07
export function formatDuration(seconds: number, language: string): string {
    if (seconds < 9.95) return `${formatNumber(seconds, language, 1)} s`;
    if (seconds < 59.5) return `${formatNumber(seconds, language)} s`;
    const whole = Math.round(seconds), two = (n: number) => String(n).padStart(2, "0");
    const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, s = whole % 60;
    return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// A time of day today, otherwise a date.
export function formatWhen(iso: string, language: string, now = new Date()): string {
    const when = new Date(iso);
    if (Number.isNaN(when.getTime())) return "";
    const options: Intl.DateTimeFormatOptions = when.toDateString() === now.toDateString()
        ? {hour: "2-digit", minute: "2-digit"}
        : when.getFullYear() === now.getFullYear() ? {day: "numeric", month: "short"}
            : {day: "numeric", month: "short", year: "numeric"};
    return new Intl.DateTimeFormat(language, options).format(when);
}
