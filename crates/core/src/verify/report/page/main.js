// Wires the parts together.

// Waits so long after the last scroll before the table of what is on view is made anew.
const SETTLED_MS = 150;

async function main() {
  const at = (id) => document.getElementById(id);
  const data = at("data");
  const model = await readData(data.textContent);
  // The text is of no more use, and as large as the data.
  data.remove();
  at("main").hidden = false;
  showAbout(model);
  showTotals(model);
  const days = newDays(model, (focus) => map.rows.length && moveTo(map, map.focus.row, focus));
  const onMove = ({ row, month }) => tell(map, row, month);
  const map = newMap(model, onMove, ({ row, month }) => days.open(map.rows[row], month));
  const apply = newFilters(model, map);
  newFindings(model, (symbol, month) => days.open(symbol, month));
  paintLegend(map);
  newTable(map);
  apply();
  document.documentElement.dataset.ready = "true";
}

function showAbout({ made, version, holds, sessions }) {
  const span = sessions.length ? `${isoDay(sessions[0])} to ${isoDay(sessions.at(-1))}` : "no session was requested";
  document.getElementById("about").textContent = [span, holds, `made ${made} by grab ${version}`].filter(Boolean).join(" · ");
}

function newFilters(model, map) {
  const at = (id) => document.getElementById(id);
  const years = [...new Set(model.months.map(({ year }) => year))];
  const option = (value, words) => element("option", { value }, words);
  at("state").append(...model.states.map(({ words }, state) => option(String(state), words)), option(String(DAMAGE), "damage found"));
  for (const id of ["from-year", "to-year"]) at(id).append(...years.map((year) => option(String(year), String(year))));
  const reset = () => {
    if (years.length) at("to-year").value = String(years.at(-1));
  };
  reset();
  const apply = () => {
    const [first, last] = [Number(at("from-year").value), Number(at("to-year").value)];
    const inYears = ({ year }) => year >= Math.min(first, last) && year <= Math.max(first, last);
    const from = Math.max(0, model.months.findIndex(inYears)), to = model.months.findLastIndex(inYears) + 1;
    const rows = rowsOf(model, { text: at("symbol").value, state: at("state").value, troubled: at("troubled").checked, sort: at("sort").value, from, to });
    showRows(map, rows, from, to);
    at("shown").textContent = `${count(rows.length)} of ${count(model.symbols.length)} symbols, ${count(to - from)} months.`;
  };
  at("filters").addEventListener("input", apply);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  // The fields have their first values only after the event.
  at("filters").addEventListener("reset", () => setTimeout(() => { reset(); apply(); }));
  return apply;
}

// Says where the focus is, to those who read and to those who listen.
function tell(map, row, month) {
  const at = (id) => document.getElementById(id);
  at("live").textContent = cellWords(map, { row, month });
  at("cell-row").setAttribute("aria-rowindex", String(row + 1));
  at("cell").setAttribute("aria-colindex", String(month - map.from + 1));
  at("cell-symbol").textContent = map.model.symbols[map.rows[row]];
  at("cell").textContent = cellWords(map, { row, month });
}

function newDays(model, onMonth) {
  const at = (id) => document.getElementById(id);
  const dialog = at("days");
  const shown = { symbol: 0, month: 0 };
  const show = (symbol, month) => {
    if (month < 0 || month >= model.months.length) return;
    Object.assign(shown, { symbol, month });
    showDays(model, symbol, month);
    at("days-back").disabled = month === 0;
    at("days-on").disabled = month === model.months.length - 1;
  };
  const turn = (by) => { show(shown.symbol, shown.month + by); onMonth(shown.month); };
  at("days-back").addEventListener("click", () => turn(-1));
  at("days-on").addEventListener("click", () => turn(1));
  at("days-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
  });
  return { open: (symbol, month) => { show(symbol, month); dialog.showModal(); dialog.scrollTop = 0; } };
}

function newTable(map) {
  const details = document.getElementById("as-table");
  let due = 0;
  const later = () => { clearTimeout(due); due = setTimeout(() => { if (details.open) showTable(map); }, SETTLED_MS); };
  details.addEventListener("toggle", () => { if (details.open) showTable(map); });
  map.box.addEventListener("scroll", later, { passive: true });
  document.getElementById("filters").addEventListener("input", later);
  document.getElementById("filters").addEventListener("reset", later);
}

main().catch((error) => {
  const problem = document.getElementById("problem");
  problem.hidden = false;
  problem.textContent = `This page cannot show its data: ${error.message}. It needs a browser of 2023 or newer.`;
});
