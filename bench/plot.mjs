// plot.mjs - bars as SVG, readable on light and dark pages.

const WIDTH = 760, LABEL = 250, ROW = 22, TOP = 44, RIGHT = 150;

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);

const STYLE = `
    text { font: 12px system-ui, sans-serif; fill: #24292f; }
    .title { font-weight: 600; font-size: 14px; }
    .hearth { fill: #c2410c; } .peer { fill: #94a3b8; }
    .spread { stroke: #24292f; stroke-width: 1.5; }
    .mark { stroke: #24292f; stroke-dasharray: 3 3; }
    @media (prefers-color-scheme: dark) {
        text { fill: #e6edf3; } .spread, .mark { stroke: #e6edf3; }
        .hearth { fill: #fb923c; } .peer { fill: #64748b; }
    }`;

function niceLimit(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 1.5, 2, 3, 5, 10].map((x) => x * power).find((x) => x >= value * 0.999);
}

// A bar from 0 to the median, a line from least to most, the numbers behind it; what is beyond
// the limit ends there.
function bar({median, min, max}, kind, y, height, limit, text) {
    const x = (value) => LABEL + Math.min(value, limit) / limit * (WIDTH - LABEL - RIGHT), middle = y + height / 2;
    return [
        `<rect class="${kind}" x="${LABEL}" y="${y}" width="${(x(median) - LABEL).toFixed(1)}" height="${height}" rx="2"/>`,
        max > min ? `<line class="spread" x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${middle}" y2="${middle}"/>` : "",
        text ? `<text x="${(x(Math.max(max, median)) + 6).toFixed(1)}" y="${middle + 4}">${escape(text)}</text>` : "",
    ].join("");
}

// rows: [{label, bars: [{kind: "hearth" or "peer", value: {median, min, max}, text}]}]; `mark`:
// a value that deserves a line. A row has one bar or two.
export function barPlot({title, rows, mark, most}) {
    const medians = rows.flatMap((row) => row.bars.map((b) => b.value.median));
    const limit = most ?? niceLimit(Math.max(...medians.map((m) => m * 1.1), mark ?? 0));
    const height = TOP + rows.length * ROW + 12;
    const body = rows.map((row, i) => {
        const y = TOP + i * ROW, each = (ROW - 6) / row.bars.length;
        const bars = row.bars.map((b, j) => bar(b.value, b.kind, y + 2 + j * each, each - 1, limit, b.text));
        return `<text x="${LABEL - 8}" y="${y + ROW / 2 + 4}" text-anchor="end">${escape(row.label)}</text>${bars.join("")}`;
    });
    const at = (LABEL + (mark ?? 0) / limit * (WIDTH - LABEL - RIGHT)).toFixed(1);
    return [
        `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
        `<title>${escape(title)}</title><style>${STYLE}</style>`,
        `<text class="title" x="8" y="20">${escape(title)}</text>`,
        ...body,
        mark ? `<line class="mark" x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${height - 8}"/>` : "",
        "</svg>", "",
    ].join("\n");
}
