// Everything that is not the map: totals, findings, the days of a month, the map as a table. Text is set as text, always.

const FINDINGS_ON_A_PAGE = 100;
const FINDING_COLUMNS = ["Severity", "Kind", "Symbol", "When", "Detail", "Path"];
const SEVERITIES = ["damage", "gap", "notice"];
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

// An element with attributes and children; a child that is no element is text.
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const swatch = (colour) => element("span", { class: `swatch ${colour}`, "aria-hidden": "true" });

function showTotals(model) {
  const { symbols, expected, present, unexplained, unrequested, damage, gaps, notices, partitions, files } = model;
  const totals = [
    ["Symbols", count(symbols.length)], ["Sessions expected", count(expected)], ["Present", count(present)],
    ...(unexplained ? [["Empty, says the server alone", count(unexplained)]] : []),
    ...(unrequested ? [["In the spec, never requested", count(unrequested)]] : []),
    ["Coverage", percent(present, expected + unexplained)], ["Damage", count(damage)], ["Gaps", count(gaps)], ["Notices", count(notices)],
    ["Partitions", count(partitions)], ["Files read whole", count(files)],
  ];
  document.getElementById("totals").replaceChildren(
    ...totals.map(([words, value]) => element("div", {}, element("dt", {}, words), element("dd", {}, value))));
  const rows = model.states.map(({ words, expected }, state) => [state, words, model.byState[state], expected]).filter(([, , sessions]) => sessions > 0);
  document.querySelector("#by-state tbody").replaceChildren(...rows.reverse().map(([state, words, sessions, expected]) => element("tr", {},
    element("th", { scope: "row" }, swatch(STATE_COLOURS[state]), words),
    element("td", { class: "number" }, count(sessions)), element("td", {}, expected ? "yes" : "no"))));
}

// The table of findings. `onShow` brings a symbol and a month of the map on view.
function newFindings(model, onShow) {
  const at = (id) => document.getElementById(id);
  const table = { model, onShow, order: null, column: -1, down: false, page: 0, rows: model.findings };
  const heads = FINDING_COLUMNS.map((words, column) => {
    const button = element("button", { type: "button" }, words);
    button.addEventListener("click", () => sortFindings(table, column));
    return element("th", { scope: "col" }, button);
  });
  at("findings").tHead.rows[0].replaceChildren(...heads);
  at("finding-filters").addEventListener("submit", (event) => event.preventDefault());
  at("finding-filters").addEventListener("input", () => filterFindings(table));
  at("findings-back").addEventListener("click", () => turnTo(table, table.page - 1));
  at("findings-on").addEventListener("click", () => turnTo(table, table.page + 1));
  filterFindings(table);
}

// What stands in the columns, as text.
const findingTexts = (model, [kind, severity, symbol, when, path, detail]) =>
  [severity, kind, symbol < 0 ? "" : model.symbols[symbol], when, detail, path];

function filterFindings(table) {
  const needle = document.getElementById("finding-text").value.trim().toLowerCase();
  const severity = document.getElementById("finding-severity").value;
  const holds = (finding) => !needle || findingTexts(table.model, finding).some((text) => text.toLowerCase().includes(needle));
  table.rows = table.model.findings.filter((finding) => (!severity || finding[1] === severity) && holds(finding));
  orderFindings(table);
}

function sortFindings(table, column) {
  table.down = table.column === column && !table.down;
  table.column = column;
  orderFindings(table);
}

function orderFindings(table) {
  const { column, down, model } = table;
  if (column >= 0) {
    const key = (finding) => column === 0 ? String(SEVERITIES.indexOf(finding[1])) : findingTexts(model, finding)[column];
    const keyed = table.rows.map((finding) => [key(finding), finding]);
    keyed.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0) * (down ? -1 : 1));
    table.rows = keyed.map(([, finding]) => finding);
  }
  [...document.getElementById("findings").tHead.rows[0].cells].forEach((cell, place) => {
    if (place === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    else cell.removeAttribute("aria-sort");
  });
  turnTo(table, 0);
}

function turnTo(table, page) {
  const at = (id) => document.getElementById(id);
  const pages = Math.max(1, Math.ceil(table.rows.length / FINDINGS_ON_A_PAGE));
  table.page = Math.min(Math.max(page, 0), pages - 1);
  const first = table.page * FINDINGS_ON_A_PAGE;
  at("findings").tBodies[0].replaceChildren(...table.rows.slice(first, first + FINDINGS_ON_A_PAGE).map((finding) => findingRow(table, finding)));
  const { findings, all_findings: all } = table.model;
  const carried = all > findings.length ? ` The page carries the worst ${count(findings.length)} of ${count(all)}: --csv writes all.` : "";
  at("findings-shown").textContent = `${count(table.rows.length)} of ${count(findings.length)} findings.${carried}`;
  at("findings-page").textContent = `Page ${count(table.page + 1)} of ${count(pages)}`;
  at("findings-back").disabled = table.page === 0;
  at("findings-on").disabled = table.page === pages - 1;
}

function findingRow({ model, onShow }, finding) {
  const [severity, kind, symbol, when, detail, path] = findingTexts(model, finding);
  const month = model.monthAt.get(when.slice(0, 7));
  let named = symbol;
  if (symbol && month !== undefined) {
    named = element("button", { type: "button", title: "Show its days" }, symbol);
    named.addEventListener("click", () => onShow(finding[2], month));
  }
  return element("tr", {}, ...[severity, kind, named, when, detail, path].map((text) => element("td", {}, text)));
}

// The days of a symbol's month, each with its reason.
function showDays(model, symbol, month) {
  const at = (id) => document.getElementById(id);
  const { name, year, number } = model.months[month];
  at("days-title").textContent = `${model.symbols[symbol]}, ${name}`;
  at("days-sum").textContent = `${wordsOf(model, symbol, month)}.`;
  const first = Date.UTC(year, number - 1, 1) / DAY_MS, end = Date.UTC(year, number, 1) / DAY_MS;
  at("days-rows").replaceChildren(...Array.from({ length: end - first }, (_, day) => dayRow(model, symbol, first + day)));
  // The days of a finding are a month, a day, or two days with dots between.
  const touches = (when) => when.slice(0, 7) <= name && when.slice(-10).slice(0, 7) >= name;
  const about = model.findings.filter((finding) => finding[2] === symbol && touches(finding[3]));
  const said = ([kind, severity, , when, path, detail]) => element("li", {}, `${when} ${kind} (${severity}): ${detail}${path ? ` — ${path}` : ""}`);
  at("days-findings").replaceChildren(...(about.length ? [element("h3", {}, "Findings"), element("ul", {}, ...about.map(said))] : []));
}

function dayRow(model, symbol, day) {
  const place = model.placeOf.get(day);
  const weekday = WEEKDAYS[new Date(day * DAY_MS).getUTCDay()];
  const row = (kind, what, note) => element("tr", kind ? { class: kind } : {}, element("th", { scope: "row" }, `${isoDay(day)} ${weekday}`), element("td", {}, ...what), element("td", {}, note));
  if (place !== undefined) {
    const state = model.days[symbol * model.sessions.length + place];
    const half = model.halfDays.get(day);
    return row("", [swatch(STATE_COLOURS[state]), model.states[state].words], half ? `half day: ${half}` : "");
  }
  if (weekday === "Sat" || weekday === "Sun") return row("closed rest", ["closed"], "weekend");
  const closure = model.closures.get(day);
  return closure ? row("closed rest", ["closed"], closure) : row("closed", [swatch("none"), model.states[NOT_ASKED_STATE].words], "");
}

// The part of the map that is on view, for readers who cannot see it.
function showTable(map) {
  const { model } = map;
  const { top, bottom, left, right } = view(map);
  const months = model.months.slice(left, right);
  const head = element("tr", {}, element("th", { scope: "col" }, "Symbol"), ...months.map(({ name }) => element("th", { scope: "col" }, name)));
  const rows = map.rows.slice(top, bottom).map((symbol) => element("tr", {},
    element("th", { scope: "row" }, model.symbols[symbol]),
    ...months.map((_, place) => element("td", {}, cellText(model, symbol, left + place)))));
  document.querySelector("#as-table table").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
}

function cellText(model, symbol, month) {
  const cell = symbol * model.months.length + month;
  const [expected, present, seen] = [model.expectedIn[cell], model.presentIn[cell], model.seenIn[cell]];
  const { colour, damaged } = lookOf(expected, present, seen);
  if (colour === "none") return "not requested";
  if (colour === "empty") return "none expected";
  const reason = reasonOf(seen);
  return `${present} of ${expected}${reason ? `, ${reason}` : ""}${damaged ? ", damage" : ""}`;
}
