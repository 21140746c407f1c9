//! Requests up to the last finished session: later days are left out.

use std::path::Path;

use grab_core::clock::Clock;
use grab_model::{Symbol, Window, format, plan};

use crate::{
    Error, Notice, Observer,
    input_files::{read_tasks, wrong},
    last_day,
};

/// The windows up to the last finished session. Those wholly after it are left out and reported.
///
/// # Errors
/// If all of them are.
pub fn past_windows(
    windows: Vec<Window>,
    clock: Clock,
    observer: &dyn Observer,
) -> Result<Vec<Window>, Error> {
    let last = last_day(clock);
    let (mut past, mut future) = (Vec::new(), Vec::new());
    for window in windows {
        plan::clip(window, last).map_or_else(|| future.push(window), |window| past.push(window));
    }
    if past.is_empty() {
        let future: Vec<_> = future.iter().map(ToString::to_string).collect();
        let future = future.join(",");
        return Err(Error::Usage(format!(
            "--windows: {future} begins after the last finished session, {last}"
        )));
    }
    if !future.is_empty() {
        observer.notice(&Notice::FutureWindows { windows: future, last });
    }
    Ok(past)
}

/// The tasks of a file up to the last finished session. Those wholly after it are left out and reported.
///
/// # Errors
/// If the file cannot be read, has something that is not a task, or all of its tasks are wholly after that session.
pub fn past_tasks(
    path: &Path,
    clock: Clock,
    observer: &dyn Observer,
) -> Result<Vec<(Symbol, Window)>, Error> {
    let (tasks, last) = (read_tasks(path)?, last_day(clock));
    let count = tasks.len();
    let clipped = |(symbol, window)| Some((symbol, plan::clip(window, last)?));
    let past: Vec<_> = tasks.into_iter().filter_map(clipped).collect();
    let future = (count - past.len()) as u64;
    if future > 0 && past.is_empty() {
        let future = format::plural(future, "task");
        return Err(wrong(
            path,
            format_args!("all {future} of it begin after the last finished session, {last}"),
        ));
    }
    if future > 0 {
        observer.notice(&Notice::FutureTasks { tasks: future, last });
    }
    Ok(past)
}
