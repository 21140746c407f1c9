//! The requests that were completed since the last poll, from the new pages and events of the tasks.

use std::collections::BTreeMap;

use grab_model::Window;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{CompletedRequest, Event, RunningTask, SeenProgress, TASK, known_from, question};
use crate::manifest::{ManifestError, TaskState, rows};

pub(super) const PAGES: &str =
    "SELECT number, stored_at_ms, bars, last_ms FROM pages WHERE task_id = ? ORDER BY number DESC";

/// Where the new pages of a task begin.
#[derive(Clone, Copy)]
enum From {
    Page(u64),
    Instant(i64),
}

/// All requests that were completed since the last poll; in the first poll, in the last minutes.
pub(super) fn steps(
    connection: &Connection,
    before: Option<&SeenProgress>,
    events: &[Event],
    running: &[(i64, RunningTask)],
    now_ms: i64,
) -> Result<Vec<CompletedRequest>, ManifestError> {
    let first_from = known_from(events, now_ms);
    // Each task that may have made progress, with its new events, the newest first.
    let mut tasks: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| before.is_some() || event.at_ms >= first_from) {
        if let Some(task) = event.task {
            tasks.entry(task).or_default().push(event);
        }
    }
    for id in running.iter().map(|(id, _)| id).chain(before.iter().flat_map(|seen| seen.pages.keys())) {
        tasks.entry(*id).or_default();
    }
    let mut steps = Vec::new();
    for (id, own) in tasks {
        let leased = own.iter().find(|event| event.kind == "leased").map(|event| event.at_ms);
        let from = match before {
            None => Some(From::Instant(first_from)),
            Some(seen) => seen.pages.get(&id).map(|pages| From::Page(*pages)).or(leased.map(From::Instant)),
        };
        // New pages are those after the known ones; for a task that is new to the view, those since its lease.
        // A task without a known start has so many events that not all of them were read.
        let Some(from) = from else { continue };
        steps.extend(steps_of(connection, id, from, &own)?);
    }
    if before.is_some() {
        // The writer's clock may differ: a new step counts as completed now.
        for step in &mut steps {
            step.at_ms = now_ms;
        }
    }
    Ok(steps)
}

fn steps_of(
    connection: &Connection,
    id: i64,
    from: From,
    events: &[&Event],
) -> Result<Vec<CompletedRequest>, ManifestError> {
    let mut select = connection.prepare_cached(TASK)?;
    let read = |row: &Row<'_>| Ok((question(row), row.get::<_, String>(3)?, row.get::<_, u64>(4)?));
    let Some((question, state, last)) = select.query_row([id], read).optional()? else {
        return Ok(Vec::new());
    };
    let (window, state) = (question?.1, state.parse::<TaskState>()?);
    let (pages, mut covered) = new_pages(connection, id, from, window)?;
    let mut steps = Vec::new();
    for (number, at_ms, bars, last_ms) in pages {
        let is_end = number == last && state.is_covered();
        let reached = if is_end { window.days() } else { rows::days_covered(window, last_ms).max(covered) };
        steps.push(CompletedRequest { at_ms, is_failure: false, bars, days: reached - covered });
        covered = reached;
    }
    for event in events.iter().rev() {
        let ends = matches!(event.kind.as_str(), "refused" | "unknown" | "given_up");
        // A page with invalid bars also ends its task: that is one request, not two.
        let is_page = steps.iter().any(|step| !step.is_failure && step.at_ms == event.at_ms);
        if event.kind == "retry_scheduled" || (ends && !is_page) {
            let days = if ends { window.days() - covered } else { 0 };
            steps.push(CompletedRequest { at_ms: event.at_ms, is_failure: true, bars: 0, days });
        }
    }
    Ok(steps)
}

/// Number, time, bars and last bar of a page.
type Page = (u64, i64, u64, Option<i64>);

/// The new pages, in order, and the days that the page before them had reached.
fn new_pages(
    connection: &Connection,
    id: i64,
    from: From,
    window: Window,
) -> Result<(Vec<Page>, u32), ManifestError> {
    let mut select = connection.prepare_cached(PAGES)?;
    let mut found = select.query([id])?;
    let (mut pages, mut covered) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let page: Page = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let is_new = match from {
            From::Page(known) => page.0 > known,
            From::Instant(at_ms) => page.1 >= at_ms,
        };
        if !is_new {
            covered = rows::days_covered(window, page.3);
            break;
        }
        pages.push(page);
    }
    pages.reverse();
    Ok((pages, covered))
}
