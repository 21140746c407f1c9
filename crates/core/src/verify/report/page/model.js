// The data, and what follows from it for each symbol and month. Nothing here touches the page.

const DAY_MS = 86_400_000;

// What the states are, report::states has written before this: NOT_ASKED, REFUSED, PENDING, LOST and LACKING are bits of states, at the places
// of their numbers; STATE_COLOURS is the colour of each; NOT_ASKED_STATE and PRESENT_STATE are two of the numbers. DAMAGE is the bit behind
// them all, of a month in which damage was found.
const DAMAGED = 1 << DAMAGE;

// What a cell can look like, in the order of the legend.
const LOOKS = [
  ["full", "all that is expected"], ["most", "95 % or more"], ["half", "50 % or more"], ["few", "less than 50 %"],
  ["zero", "none, unexplained"], ["pending", "still pending"], ["refused", "failed, not in the plan or not found"],
  ["lost", "file lost or damaged"], ["empty", "nothing expected: empty, no trade, not listed or before the plan's history"], ["none", "not requested"],
];

const isoDay = (number) => new Date(number * DAY_MS).toISOString().slice(0, 10);
const count = (number) => number.toLocaleString("en-US");
const percent = (present, expected) => expected === 0 ? "–" : `${(Math.floor(present / expected * 10_000) / 100).toFixed(2)} %`;

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

async function readData(base64) {
  const inflated = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return modelOf(head, bytes.subarray(4 + length));
}

function modelOf(head, days) {
  const months = monthsOf(head.sessions);
  const cells = head.symbols.length * months.length;
  const model = {
    ...head, days, months,
    expectedIn: new Uint8Array(cells), presentIn: new Uint8Array(cells), seenIn: new Uint32Array(cells),
    unexplainedIn: new Uint8Array(cells),
    byState: new Float64Array(head.states.length),
    closures: new Map(head.closures), halfDays: new Map(head.half_days), placeOf: new Map(head.sessions.map((day, place) => [day, place])),
    monthAt: new Map(months.map((month, place) => [month.name, place])),
  };
  sumCells(model);
  markDamage(model);
  return model;
}

// The months from the first session to the last, each with the places of its sessions.
function monthsOf(sessions) {
  const months = [];
  sessions.forEach((day, place) => {
    const name = isoDay(day).slice(0, 7);
    if (months.at(-1)?.name !== name) months.push({ name, year: Number(name.slice(0, 4)), number: Number(name.slice(5)), from: place, to: place });
    months.at(-1).to = place + 1;
  });
  return months;
}

function sumCells({ symbols, sessions, months, days, states, byState, expectedIn, presentIn, unexplainedIn, seenIn }) {
  const isExpected = Uint8Array.from(states, (state) => Number(state.expected));
  const isPresent = Uint8Array.from(states, (state) => Number(state.present));
  const isUnexplained = Uint8Array.from(states, (state) => Number(state.unexplained));
  const counts = new Uint32Array(256);
  let cell = 0;
  for (let symbol = 0; symbol < symbols.length; symbol++) {
    const row = symbol * sessions.length;
    for (const { from, to } of months) {
      let expected = 0, present = 0, unexplained = 0, seen = 0;
      for (let at = row + from; at < row + to; at++) {
        const day = days[at];
        expected += isExpected[day];
        present += isPresent[day];
        unexplained += isUnexplained[day];
        seen |= 1 << day;
        counts[day]++;
      }
      expectedIn[cell] = expected;
      presentIn[cell] = present;
      unexplainedIn[cell] = unexplained;
      seenIn[cell++] = seen;
    }
  }
  states.forEach((_, state) => { byState[state] = counts[state]; });
}

function markDamage(model) {
  for (const [, severity, symbol, when] of model.findings) {
    const month = model.monthAt.get(when.slice(0, 7));
    if (severity === "damage" && symbol >= 0 && month !== undefined) model.seenIn[symbol * model.months.length + month] |= DAMAGED;
  }
}

// The worst reason for what is absent, if it has a colour of its own.
function reasonOf(seen) {
  if (seen & LOST) return "lost";
  if (seen & REFUSED) return "refused";
  return seen & PENDING ? "pending" : null;
}

// How a cell looks: its colour; the share, where some is there, and then in its corner the worst reason for the rest; a
// mark where damage was found.
function lookOf(expected, present, seen) {
  const damaged = (seen & DAMAGED) !== 0;
  if (expected === 0) return { colour: (seen & ~(NOT_ASKED | DAMAGED)) === 0 ? "none" : "empty", corner: null, damaged };
  const reason = reasonOf(seen);
  if (present === 0) return { colour: reason ?? "zero", corner: null, damaged: damaged && reason !== "lost" };
  const share = present / expected;
  const colour = present === expected ? "full" : share >= 0.95 ? "most" : share >= 0.5 ? "half" : "few";
  return { colour, corner: reason, damaged, share };
}

function wordsOf(model, symbol, month) {
  const cell = symbol * model.months.length + month;
  const { expectedIn, presentIn, seenIn, states } = model;
  const { from, to } = model.months[month];
  const counts = new Map();
  for (let at = from; at < to; at++) {
    const state = model.days[symbol * model.sessions.length + at];
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  const others = [...counts].filter(([state]) => state !== PRESENT_STATE).map(([state, sessions]) => `${sessions} ${states[state].words}`);
  const share = expectedIn[cell] > 0 ? [`${presentIn[cell]} of ${expectedIn[cell]} expected sessions present`] : [];
  const damage = seenIn[cell] & DAMAGED ? ["damage found"] : [];
  return [...share, ...others, ...damage].join(", ");
}

// The rows that filters leave, in order: numbers of symbols.
function rowsOf(model, { text, state, troubled, from, to, sort }) {
  const wide = model.months.length;
  const needle = text.trim().toUpperCase();
  const wanted = state === "" ? 0 : 1 << Number(state);
  const rows = [], ratios = new Float64Array(model.symbols.length);
  for (let symbol = 0; symbol < model.symbols.length; symbol++) {
    if (needle && !model.symbols[symbol].toUpperCase().includes(needle)) continue;
    let seen = 0, all = 0, present = 0;
    for (let cell = symbol * wide + from; cell < symbol * wide + to; cell++) {
      seen |= model.seenIn[cell];
      all += model.expectedIn[cell] + model.unexplainedIn[cell];
      present += model.presentIn[cell];
    }
    if (wanted && !(seen & wanted)) continue;
    if (troubled && !(seen & (LACKING | DAMAGED))) continue;
    ratios[symbol] = all === 0 ? 2 : present / all;
    rows.push(symbol);
  }
  // The sort is stable: symbols of one share stay in their order.
  return sort === "worst" ? rows.sort((one, other) => ratios[one] - ratios[other]) : rows;
}

// Expected and present sessions of these rows, month by month.
function sumsOf(model, rows) {
  const wide = model.months.length;
  const expected = new Float64Array(wide), present = new Float64Array(wide), seen = new Uint32Array(wide);
  for (const symbol of rows) {
    for (let month = 0, cell = symbol * wide; month < wide; month++, cell++) {
      expected[month] += model.expectedIn[cell];
      present[month] += model.presentIn[cell];
      seen[month] |= model.seenIn[cell];
    }
  }
  return { expected, present, seen };
}
