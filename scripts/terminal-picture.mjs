// Text with colours of a terminal (SGR) as an SVG that looks like one.
const ESCAPE = '\u001b';
const FONT = 13;
const WIDTH = 7.83;
const LINE = 18;
const MARGIN = 14;
/** Longer lines are folded, as terminals do. */
const COLUMNS = 132;
const COLOURS = { 1: 'font-weight="bold"', 2: 'opacity="0.6"' };
const INKS = { 31: '#ff7b72', 32: '#7ee787', 33: '#e3b341' };

export function terminalPicture(command, text) {
  const rows = [`$ ${command}`, ...text.split('\n')].flatMap(folded);
  const columns = Math.max(60, ...rows.map((row) => lengthOf(row)));
  const width = Math.ceil(columns * WIDTH + 2 * MARGIN);
  const height = rows.length * LINE + 2 * MARGIN;
  const lines = rows.map((row, index) => {
    const y = MARGIN + FONT + index * LINE;
    return `<text x="${MARGIN}" y="${y}" xml:space="preserve">${spans(row)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>${escaped(`$ ${command}`)}</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="${FONT}" fill="#e6edf3">
${lines.join('\n')}
</g>
</svg>
`;
}

/** A row as parts of one colour each, with the code that begins it. */
function partsOf(row) {
  const [first, ...others] = row.split(ESCAPE);
  return [['', first], ...others.map((part) => /^\[(\d*)m(.*)$/.exec(part).slice(1))];
}

function plain(row) {
  return partsOf(row)
    .map(([, text]) => text)
    .join('');
}

function lengthOf(row) {
  return plain(row).length;
}

/** At spaces; only rows without colours are so long. */
function folded(row) {
  if (lengthOf(row) <= COLUMNS) return [row];
  const text = plain(row);
  const indent = `${/^ */.exec(text)[0]}    `;
  const cut = text.lastIndexOf(' ', COLUMNS);
  return [text.slice(0, cut), ...folded(`${indent}${text.slice(cut + 1)}`)];
}

function spans(row) {
  return partsOf(row)
    .filter(([, text]) => text !== '')
    .map(([code, text]) => {
      const style = INKS[code] ? `fill="${INKS[code]}"` : COLOURS[code];
      return style ? `<tspan ${style}>${escaped(text)}</tspan>` : escaped(text);
    })
    .join('');
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
