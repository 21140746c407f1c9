// The heat map: a canvas as large as its window, which draws only the cells that are in view.

const HEAD = 34, ROW = 18, WIDEST = 40, NARROWEST = 15, PRINTED_ROWS = 40, PRINTED_WIDTH = 1000;

function newMap(model, onMove, onOpen) {
  const at = (id) => document.getElementById(id);
  const map = {
    model, box: at("map"), sizer: at("sizer"), canvas: at("canvas"), rows: [], sums: null, from: 0, to: model.months.length,
    focus: { row: 0, month: 0 }, colours: {}, gutter: 0, cell: NARROWEST, printing: false, due: false, onMove, onOpen,
  };
  readColours(map);
  map.gutter = widest(map);
  const redraw = () => drawSoon(map);
  map.box.addEventListener("scroll", redraw, { passive: true });
  map.box.addEventListener("focus", () => { drawSoon(map); tellFocus(map); });
  map.box.addEventListener("blur", redraw);
  map.box.addEventListener("keydown", (event) => onKey(map, event));
  map.canvas.addEventListener("click", (event) => onClick(map, event));
  map.canvas.addEventListener("pointermove", (event) => onHover(map, event));
  map.canvas.addEventListener("pointerleave", () => { at("tip").hidden = true; });
  new ResizeObserver(() => { if (!map.printing) layOut(map); }).observe(map.box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(map); redraw(); paintLegend(map); });
  const print = (printing) => { map.printing = printing; readColours(map); layOut(map); draw(map); paintLegend(map); tellPrinted(map); };
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  return map;
}

function readColours(map) {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "soft", "line", "panel", "focus", "dot", "on-lost", ...LOOKS.map(([look]) => look)]) {
    map.colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

// New rows or months: they are shown from the top, where the worst may be.
function showRows(map, rows, from, to) {
  Object.assign(map, { rows, from, to, sums: sumsOf(map.model, rows) });
  map.focus.row = 0;
  map.box.scrollTop = 0;
  map.focus.month = Math.min(Math.max(map.focus.month, from), Math.max(from, to - 1));
  map.box.setAttribute("aria-rowcount", String(rows.length));
  map.box.setAttribute("aria-colcount", String(to - from));
  layOut(map);
}

// Room for the widest symbol.
function widest(map) {
  const context = map.canvas.getContext("2d");
  context.font = font(12);
  const width = map.model.symbols.reduce((width, symbol) => Math.max(width, context.measureText(symbol).width), context.measureText("all rows").width);
  return Math.ceil(width) + 14;
}

function layOut(map) {
  const months = Math.max(1, map.to - map.from);
  const width = map.printing ? PRINTED_WIDTH : map.box.clientWidth;
  const fits = (width - map.gutter) / months;
  map.cell = map.printing ? Math.min(WIDEST, fits) : Math.min(WIDEST, Math.max(NARROWEST, Math.floor(fits)));
  const height = HEAD + ROW * (1 + shownRows(map)) + 4;
  if (map.printing) {
    size(map, PRINTED_WIDTH, height);
  } else {
    map.sizer.style.width = `${Math.max(map.gutter + map.cell * months + 4, 1)}px`;
    map.sizer.style.height = `${height}px`;
    // The canvas would hold the box open if it were measured before it shrinks.
    size(map, 1, 1);
    size(map, map.box.clientWidth, Math.max(1, map.box.clientHeight));
  }
  drawSoon(map);
}

// On paper there is no scrolling: it says how much of the map it has.
function tellPrinted(map) {
  const note = document.getElementById("printed");
  note.hidden = !map.printing || map.rows.length <= PRINTED_ROWS;
  note.textContent = `The first ${PRINTED_ROWS} of ${count(map.rows.length)} rows.`;
}

const shownRows = (map) => map.printing ? Math.min(PRINTED_ROWS, map.rows.length) : map.rows.length;
const font = (size) => `${size}px system-ui, "Segoe UI", "DejaVu Sans", sans-serif`;

function size(map, width, height) {
  const scale = devicePixelRatio || 1;
  map.canvas.style.width = `${width}px`;
  map.canvas.style.height = `${height}px`;
  map.canvas.width = Math.round(width * scale);
  map.canvas.height = Math.round(height * scale);
  map.width = width;
  map.height = height;
}

function drawSoon(map) {
  if (map.due) return;
  map.due = true;
  requestAnimationFrame(() => { map.due = false; draw(map); });
}

// The rows and months that are in view, the ends not included.
function view(map) {
  if (map.printing) return { top: 0, bottom: shownRows(map), left: map.from, right: map.to, x: 0, y: 0 };
  const x = map.box.scrollLeft, y = map.box.scrollTop;
  return {
    x, y,
    top: Math.floor(y / ROW), bottom: Math.min(map.rows.length, Math.ceil((y + map.height - HEAD - ROW) / ROW)),
    left: map.from + Math.floor(x / map.cell), right: Math.min(map.to, map.from + Math.ceil((x + map.width - map.gutter) / map.cell)),
  };
}

function draw(map) {
  const context = map.canvas.getContext("2d");
  const scale = map.canvas.width / map.width;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.fillStyle = map.colours.paper;
  context.fillRect(0, 0, map.width, map.height);
  const seen = view(map);
  const left = (month) => map.gutter + (month - map.from) * map.cell - seen.x;
  const wide = map.model.months.length;
  for (let row = seen.top; row < seen.bottom; row++) {
    const y = HEAD + ROW * (row + 1) - seen.y;
    for (let month = seen.left; month < seen.right; month++) {
      const cell = map.rows[row] * wide + month;
      const look = lookOf(map.model.expectedIn[cell], map.model.presentIn[cell], map.model.seenIn[cell]);
      paint(context, map.colours, look, left(month), y, map.cell, ROW);
    }
  }
  if (document.activeElement === map.box && !map.printing && map.rows.length > 0) frame(map, context, left(map.focus.month), HEAD + ROW * (map.focus.row + 1) - seen.y);
  drawSymbols(map, context, seen);
  drawHead(map, context, seen, left);
}

function frame(map, context, x, y) {
  context.lineWidth = 5;
  context.strokeStyle = map.colours.paper;
  context.strokeRect(x - 0.5, y - 0.5, map.cell, ROW);
  context.lineWidth = 3;
  context.strokeStyle = map.colours.focus;
  context.strokeRect(x - 0.5, y - 0.5, map.cell, ROW);
}

function drawSymbols(map, context, seen) {
  context.fillStyle = map.colours.paper;
  context.fillRect(0, 0, map.gutter - 1, map.height);
  context.font = font(12);
  context.textAlign = "right";
  context.textBaseline = "middle";
  const active = document.activeElement === map.box && !map.printing;
  for (let row = seen.top; row < seen.bottom; row++) {
    context.fillStyle = active && row === map.focus.row ? map.colours.focus : map.colours.ink;
    context.fillText(map.model.symbols[map.rows[row]], map.gutter - 7, HEAD + ROW * (row + 1.5) - seen.y);
  }
}

// Years, months, and the row of all rows: they stay while the others scroll.
function drawHead(map, context, seen, left) {
  context.fillStyle = map.colours.paper;
  context.fillRect(0, 0, map.width, HEAD + ROW);
  context.textBaseline = "middle";
  context.save();
  context.beginPath();
  context.rect(map.gutter - 1, 0, map.width, HEAD + ROW);
  context.clip();
  for (let month = seen.left; month < seen.right; month++) {
    const { year, number } = map.model.months[month];
    const x = left(month);
    const isFirst = month === map.from || map.model.months[month - 1].year !== year;
    if (isFirst || month === seen.left) {
      // The year of the first months in view gives way to the next one.
      const yearLabel = isFirst ? x : map.gutter;
      const toNext = map.model.months.slice(month, map.to).filter((one) => one.year === year).length * map.cell + x - yearLabel;
      if (toNext > 32) label(context, map.colours.ink, font(12), "left", String(year), yearLabel + 1, 10);
    }
    if (isFirst && month > map.from) { context.fillStyle = map.colours.soft; context.fillRect(x - 1, 2, 1, HEAD - 4); }
    if (map.cell >= 13) label(context, map.colours.soft, font(10), "center", String(number), x + map.cell / 2, 25);
    const { expected, present, seen: states } = map.sums;
    paint(context, map.colours, lookOf(expected[month], present[month], states[month] & ~(PENDING | REFUSED | LOST | DAMAGED) | (expected[month] ? 0 : states[month])), x, HEAD, map.cell, ROW - 3);
  }
  context.restore();
  label(context, map.colours.soft, font(12), "right", "all rows", map.gutter - 7, HEAD + 8);
}

function label(context, colour, font, align, text, x, y) {
  Object.assign(context, { fillStyle: colour, font, textAlign: align });
  context.fillText(text, x, y);
}

// One cell. What is told by a colour is also told by a sign: a cross, a stroke, a ring, a dash, a bar as long as the share.
function paint(context, colours, { colour, corner, damaged, share }, x, y, width, height) {
  const gap = width > 6 ? 1 : 0;
  const w = width - gap, h = height - 1;
  context.fillStyle = colours[colour];
  context.fillRect(x, y, w, h);
  const middle = { x: x + w / 2, y: y + h / 2 };
  if (colour === "none") {
    context.fillStyle = colours.dot;
    context.fillRect(middle.x - 1, middle.y - 1, 2, 2);
  }
  if (w >= 8 && share < 1) {
    context.fillStyle = "#000000";
    context.fillRect(x, y + h - 3, Math.round(w * share), 2);
  }
  if (w >= 8) sign(context, colours, colour, middle, x, y, w, h);
  if (corner) triangle(context, colours[corner], colours.paper, x + w, y + h, -Math.min(8, w), -Math.min(8, h));
  if (damaged) triangle(context, colours.lost, colours.paper, x, y, Math.min(7, w), Math.min(7, h));
}

function sign(context, colours, colour, middle, x, y, w, h) {
  context.lineWidth = 1.5;
  context.beginPath();
  if (colour === "lost") {
    context.strokeStyle = colours["on-lost"];
    context.moveTo(middle.x - 3, middle.y - 3); context.lineTo(middle.x + 3, middle.y + 3);
    context.moveTo(middle.x - 3, middle.y + 3); context.lineTo(middle.x + 3, middle.y - 3);
  } else if (colour === "refused") {
    context.strokeStyle = "#000000";
    context.moveTo(middle.x - 3, middle.y + 4); context.lineTo(middle.x + 3, middle.y - 4);
  } else if (colour === "pending") {
    context.strokeStyle = "#ffffff";
    context.arc(middle.x, middle.y, 3, 0, 2 * Math.PI);
  } else if (colour === "zero") {
    context.strokeStyle = "#000000";
    context.moveTo(middle.x - 3, middle.y); context.lineTo(middle.x + 3, middle.y);
  } else {
    return;
  }
  context.stroke();
}

function triangle(context, colour, edge, x, y, dx, dy) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + dx, y);
  context.lineTo(x, y + dy);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = 1;
  context.strokeStyle = edge;
  context.beginPath();
  context.moveTo(x + dx, y);
  context.lineTo(x, y + dy);
  context.stroke();
}

function paintLegend(map) {
  const list = document.getElementById("legend");
  const entries = [
    ...LOOKS.map(([colour, words]) => [words, { colour, corner: null, damaged: false, share: { most: 0.95, half: 0.5, few: 0.2 }[colour] }]),
    ["corner: some of it pending, refused or lost", { colour: "half", corner: "lost", damaged: false, share: 0.5 }],
    ["upper corner: damage found", { colour: "full", corner: null, damaged: true }],
  ];
  list.replaceChildren(...entries.map(([words, look]) => {
    const swatch = document.createElement("canvas");
    const scale = devicePixelRatio || 1;
    swatch.width = swatch.height = Math.round(18 * scale);
    const context = swatch.getContext("2d");
    context.scale(scale, scale);
    paint(context, map.colours, look, 0, 0, 18, 18);
    context.strokeStyle = map.colours.line;
    context.lineWidth = 1;
    if (look.colour === "none") context.strokeRect(0.5, 0.5, 16, 16);
    return element("li", {}, swatch, words);
  }));
}

// The cell at a place of the screen, if there is one.
function cellAt(map, event) {
  const { left, top } = map.canvas.getBoundingClientRect();
  const x = event.clientX - left, y = event.clientY - top;
  if (x < map.gutter || y < HEAD + ROW) return null;
  const month = map.from + Math.floor((x - map.gutter + map.box.scrollLeft) / map.cell);
  const row = Math.floor((y - HEAD - ROW + map.box.scrollTop) / ROW);
  return month < map.to && row < map.rows.length ? { row, month } : null;
}

const cellWords = (map, { row, month }) =>
  `${map.model.symbols[map.rows[row]]}, ${map.model.months[month].name}: ${wordsOf(map.model, map.rows[row], month)}`;

function onHover(map, event) {
  const tip = document.getElementById("tip");
  const cell = event.pointerType === "touch" ? null : cellAt(map, event);
  tip.hidden = cell === null;
  if (cell === null) return;
  tip.textContent = cellWords(map, cell);
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4))}px`;
  tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 8 : event.clientY + 18}px`;
}

function onClick(map, event) {
  const cell = cellAt(map, event);
  if (cell === null) return;
  document.getElementById("tip").hidden = true;
  moveTo(map, cell.row, cell.month);
  map.onOpen(map.focus);
}

function onKey(map, event) {
  if (event.altKey || event.metaKey || map.rows.length === 0 || map.to <= map.from) return;
  const { row, month } = map.focus;
  const page = Math.max(1, Math.floor((map.height - HEAD - ROW) / ROW) - 1);
  const last = map.rows.length - 1;
  const moves = {
    ArrowLeft: [row, month - 1], ArrowRight: [row, month + 1], ArrowUp: [row - 1, month], ArrowDown: [row + 1, month],
    PageUp: [row - page, month], PageDown: [row + page, month],
    Home: event.ctrlKey ? [0, map.from] : [row, map.from], End: event.ctrlKey ? [last, map.to - 1] : [row, map.to - 1],
  };
  if (event.key === "Enter" || event.key === " ") map.onOpen(map.focus);
  else if (moves[event.key]) moveTo(map, ...moves[event.key]);
  else return;
  event.preventDefault();
}

function moveTo(map, row, month) {
  map.focus.row = Math.min(Math.max(row, 0), Math.max(0, map.rows.length - 1));
  map.focus.month = Math.min(Math.max(month, map.from), map.to - 1);
  const top = map.focus.row * ROW, left = (map.focus.month - map.from) * map.cell;
  const high = map.height - HEAD - ROW - 2, wide = map.width - map.gutter - 2;
  const { box } = map;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW > box.scrollTop + high) box.scrollTop = top + ROW - high;
  if (left < box.scrollLeft) box.scrollLeft = left;
  else if (left + map.cell > box.scrollLeft + wide) box.scrollLeft = left + map.cell - wide;
  drawSoon(map);
  tellFocus(map);
}

function tellFocus(map) {
  if (map.rows.length > 0 && map.to > map.from) map.onMove(map.focus);
}
