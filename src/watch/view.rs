//! The lines of a live view, of a given width. Pure.

use grab_core::{
    data_dir::DataDir,
    manifest::{ReportedFailure, RunItem, RunningTask, StatusSnapshot, TaskCounts},
};
use grab_model::format;
use grab_model::{Symbol, Window};
use grab_ops::{RecentPace, RecentWork, RemainingTime};

use super::screen::{Line, Style};
use crate::called;

/// Lines that are always there: those above and below the tasks.
const OTHER_LINES: usize = 12;

/// The most errors that are shown.
const ERRORS: usize = 5;

/// From this width on, each task has a bar and its error.
const WIDE: usize = 110;

/// Everything that is shown.
pub struct View<'a> {
    /// The directory.
    pub data_dir: &'a DataDir,
    /// The current time, UTC ms.
    pub now_ms: i64,
    /// The last snapshot.
    pub snapshot: &'a StatusSnapshot,
    /// The pace of the run.
    pub pace: &'a RecentPace,
    /// Recent failures, the newest first.
    pub troubles: &'a [ReportedFailure],
    /// Whether keys can be typed.
    pub is_terminal: bool,
}

impl View<'_> {
    /// The lines, none of them longer than `width`, and at most `height` of them.
    #[must_use]
    pub fn lines(&self, width: usize, height: Option<usize>) -> Vec<Line> {
        let mut lines = vec![self.title(width)];
        let line = |style, text: String| Line { text, style };
        lines.push(line(Style::Plain, format!("run      {}", self.run())));
        lines.push(line(Style::Plain, format!("tasks    {}", tasks(&self.snapshot.counts))));
        lines.push(line(Style::Plain, format!("         {}", self.bar(width.min(120).saturating_sub(9)))));
        lines.push(line(Style::Plain, format!("pace     {}", self.requests())));
        lines.push(line(Style::Plain, format!("left     {}", self.left())));
        // A small terminal needs its room for tasks more than for failures.
        let errors = self.troubles.len().min(height.map_or(ERRORS, |height| ERRORS.min(height / 6)));
        let room = height.map(|height| height.saturating_sub(OTHER_LINES + errors).max(2));
        lines.extend(self.running(width, room));
        lines.extend(self.next(width).map(|text| line(Style::Plain, text)));
        if errors > 0 {
            lines.push(line(Style::Plain, String::new()));
            lines.push(line(Style::Bold, "lately".to_owned()));
            let shown = self.troubles.iter().take(errors);
            lines.extend(shown.map(|trouble| line(Style::Bad, described(trouble))));
        }
        if let Some(height) = height {
            // The last line says how to leave the view, whatever else there is.
            lines.truncate(height.saturating_sub(1));
        }
        if self.is_terminal {
            lines.push(line(Style::Faint, "q ends this view, not the run".to_owned()));
        }
        for line in &mut lines {
            line.text = fit(&line.text, width);
        }
        lines
    }

    fn title(&self, width: usize) -> Line {
        let made_up = self.snapshot.kind.is_some_and(|kind| kind.sandbox);
        let what = if made_up { " (made up by the sandbox)" } else { "" };
        let clock = format!("{} UTC", format::clock(self.now_ms));
        let path = self.data_dir.display().to_string();
        let room = width.saturating_sub(clock.len() + what.len() + 2);
        let path = fit_end(&path, room);
        let gap = width.saturating_sub(columns(&path) + what.len() + clock.len());
        Line { text: format!("{path}{what}{}{clock}", " ".repeat(gap)), style: Style::Bold }
    }

    /// The live run; if there is none, the result of the last one.
    fn run(&self) -> String {
        let since = |ms| format::milliseconds((self.now_ms - ms) / 1000 * 1000);
        let before = |ms| format!("{} ago", since(ms));
        match &self.snapshot.run {
            Some(run) if run.is_live => {
                let time = since(run.started_at_ms);
                let what = if run.arguments.is_empty() { "" } else { ": " };
                format!("grab {}, process {}, for {time}{what}{}", run.command, run.pid, run.arguments)
            }
            Some(run) => format!("{}; the last: grab {} {}", self.idle(), run.command, ended(run, before)),
            None => self.idle().to_owned(),
        }
    }

    fn idle(&self) -> &'static str {
        if self.snapshot.is_held {
            "none is live, but another grab holds the directory"
        } else {
            "none is live"
        }
    }

    /// A bar with the share of covered days.
    fn bar(&self, width: usize) -> String {
        let StatusSnapshot { outstanding_days, total_days, .. } = *self.snapshot;
        #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
        let share = total_days.saturating_sub(outstanding_days) as f64 / total_days.max(1) as f64;
        // Rounded down: 100 % only if everything is covered.
        let tenths = (share * 1000.0).floor() / 10.0;
        format!("{} {tenths:5.1} %", gauge(share, width.saturating_sub(8)))
    }

    fn requests(&self) -> String {
        let RecentWork { over, requests, failures, bars_per_second } = self.pace.recent_work(self.now_ms);
        let over = match over.as_secs() {
            60.. => "the last minute".to_owned(),
            seconds => format!("the last {seconds}s"),
        };
        let failed =
            if failures > 0 { format!(", {} of them failed", count(failures)) } else { String::new() };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rounded, positive number"
        )]
        let bars = format::count(bars_per_second.round() as u64);
        format!("{} in {over}{failed}; {bars} bars/s", format::plural(requests as u64, "request"))
    }

    fn left(&self) -> String {
        let days = format::plural(self.snapshot.outstanding_days, "day");
        let is_live = self.snapshot.run.as_ref().is_some_and(|run| run.is_live);
        match self.pace.remaining(self.now_ms, self.snapshot.outstanding_days) {
            RemainingTime::Nothing if self.snapshot.counts.total == 0 => "no task is recorded yet".to_owned(),
            RemainingTime::Nothing => "nothing is pending".to_owned(),
            _ if !is_live => format!("{days} to cover; {} goes on", called::command("resume")),
            RemainingTime::About { left, over } => {
                let (left, over) = (format::duration(left), format::duration(whole(over)));
                format!("about {left}, at the pace of the last {over}; {days} to cover")
            }
            RemainingTime::TooEarly => format!("too early to say; {days} to cover"),
            RemainingTime::Stalled(over) => {
                let over = format::duration(whole(over));
                format!("not known: nothing was covered in the last {over}; {days} to cover")
            }
        }
    }

    fn running(&self, width: usize, room: Option<usize>) -> Vec<Line> {
        let tasks = &self.snapshot.running;
        if tasks.is_empty() {
            return Vec::new();
        }
        let ticker = tasks.iter().map(|task| task.symbol.as_str().len()).max().unwrap_or_default().max(8);
        let wide = if width >= WIDE { format!("  {:<20}  {}", "", "trouble") } else { String::new() };
        let head = format!(
            "{:<ticker$} {:<22} {:<10} {:>4} {:>5} {:>11} {:>7}{wide}",
            "running", "window", "reached", "", "pages", "bars", "for"
        );
        let shown = match room {
            // The line with the number of further tasks needs one, too.
            Some(room) if tasks.len() > room => room.saturating_sub(1),
            Some(_) | None => tasks.len(),
        };
        let mut lines =
            vec![Line { text: String::new(), style: Style::Plain }, Line { text: head, style: Style::Bold }];
        lines.extend(tasks.iter().take(shown).map(|task| self.task(task, ticker, width)));
        if tasks.len() > shown {
            let text = format!("and {} more", count(tasks.len() - shown));
            lines.push(Line { text, style: Style::Plain });
        }
        lines
    }

    fn task(&self, task: &RunningTask, ticker: usize, width: usize) -> Line {
        let share = f64::from(task.days_covered) / f64::from(task.window.days().max(2));
        let reached = task.reached.map_or_else(|| "-".to_owned(), |day| day.to_string());
        let since = task.since_ms.map(|since| format::milliseconds((self.now_ms - since) / 1000 * 1000));
        let mut text = format!(
            "{:<ticker$} {:<22} {reached:<10} {:>3.0}% {:>5} {:>11} {:>7}",
            task.symbol,
            task.window.to_string(),
            (share * 100.0).floor(),
            format::count(task.pages),
            format::count(task.bars),
            since.unwrap_or_default(),
        );
        if width >= WIDE {
            let error = task.last_error.as_deref().unwrap_or_default();
            let times = if task.attempts > 0 { format!("{} x ", task.attempts) } else { String::new() };
            text = format!("{text}  {}  {times}{error}", gauge(share, 20));
        }
        let style = if task.attempts > 0 { Style::Bad } else { Style::Plain };
        Line { text, style }
    }

    /// The next tasks, as many as fit.
    fn next(&self, width: usize) -> Option<String> {
        let pending = self.snapshot.counts.pending;
        let mut text = format!("queue    {}", format::count(pending));
        let name = |(symbol, window): &(Symbol, Window)| format!("{symbol} {window}");
        let mut named = 0;
        for task in self.snapshot.next.iter().map(name) {
            let apart = if named == 0 { ": " } else { ", " };
            // Room for the sign that there are more.
            if named > 0 && columns(&text) + apart.len() + task.len() + 3 > width {
                break;
            }
            text = format!("{text}{apart}{task}");
            named += 1;
        }
        let more = if pending > named { ", …" } else { "" };
        (pending > 0).then(|| format!("{text}{more}"))
    }
}

fn ended(run: &RunItem, before: impl Fn(i64) -> String) -> String {
    match (run.ended_at_ms, run.exit) {
        (Some(ended), Some(exit)) => {
            format!("{}, {}, exit code {}", before(ended), exit.outcome().as_str(), exit.code())
        }
        _ => format!("of {}, killed: {} continues", before(run.started_at_ms), called::command("resume")),
    }
}

/// Tasks by state; of ended tasks, only states that occur.
fn tasks(counts: &TaskCounts) -> String {
    let ended = counts.total - counts.outstanding();
    let named = [
        (counts.done, "done"),
        (counts.empty, "empty"),
        (counts.not_entitled, "not_entitled"),
        (counts.not_found, "not_found"),
        (counts.failed, "failed"),
    ];
    let there = named.into_iter().filter(|(number, _)| *number > 0);
    let there: Vec<_> = there.map(|(number, name)| format!("{} {name}", format::count(number))).collect();
    let there = if there.is_empty() { String::new() } else { format!(": {}", there.join(", ")) };
    format!(
        "{} running, {} pending, {} of {} ended{there}",
        format::count(counts.running),
        format::count(counts.pending),
        format::count(ended),
        format::count(counts.total)
    )
}

fn described(trouble: &ReportedFailure) -> String {
    let task =
        trouble.task.as_ref().map(|(symbol, window)| format!("{symbol} {window} ")).unwrap_or_default();
    format!("{} {task}{}: {}", format::clock(trouble.at_ms), trouble.kind, trouble.reason)
}

fn count(number: usize) -> String {
    format::count(number as u64)
}

fn whole(time: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(time.as_secs())
}

/// `[####----]` of this width.
fn gauge(share: f64, width: usize) -> String {
    let room = width.saturating_sub(2);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "at most as wide as a terminal"
    )]
    let full = ((share.clamp(0.0, 1.0) * room as f64).floor() as usize).min(room);
    format!("[{}{}]", "#".repeat(full), "-".repeat(room - full))
}

/// Replaces what a terminal does not show in exactly one column. Server texts may have characters that it would show as
/// two, or obey.
fn plain(c: char) -> char {
    let is_one = (!c.is_control() && c < '\u{300}' && c != '\u{ad}') || c == '…';
    if is_one { c } else { '?' }
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// At most `width` columns, with a sign where the text was cut.
fn fit(text: &str, width: usize) -> String {
    let text: String = text.chars().map(plain).collect();
    if columns(&text) <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).take(width).collect()
}

/// At most `width` columns; keeps the end of the text.
fn fit_end(text: &str, width: usize) -> String {
    let text: String = text.chars().map(plain).collect();
    let over = columns(&text).saturating_sub(width);
    if over == 0 { text } else { std::iter::once('…').chain(text.chars().skip(over + 1)).collect() }
}

#[cfg(test)]
mod tests;
