//! One pace for each service and key: processes of one user that use both keep to it together.

use std::{
    fs,
    path::PathBuf,
    process::Child,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::civil::{Date, date};

use crate::support::{Grab, Ran, Reply, Request, Server, all_below, minutes, page};

const DAY: Date = date(2024, 1, 3);

fn ok(request: &Request) -> Reply {
    Reply::json(200, page(request.symbol(), &minutes(DAY, 5), None))
}

/// Starts a download of `count` symbols whose names begin with `prefix`, into a data directory of that name.
fn start(grab: &Grab, prefix: &str, count: usize) -> Child {
    let symbols: Vec<_> = (0..count).map(|n| format!("{prefix}{n}")).collect();
    grab.spawn(&format!(
        "start --data-dir {prefix} --windows 2024-01-03 --tickers {} --concurrency 4",
        symbols.join(",")
    ))
}

fn end(child: Child) -> Ran {
    Ran::from(child.wait_with_output().unwrap()).exits(0)
}

/// When each request of any kind arrived.
fn arrivals(server: &Server) -> Vec<Instant> {
    let mut arrivals: Vec<_> =
        server.requests().iter().chain(&server.controls()).map(|request| request.at).collect();
    arrivals.sort();
    arrivals
}

#[test]
fn two_directories_with_one_key_keep_to_the_rate_together() {
    let server = Server::start(ok);
    let grab = Grab::with_server(server.base_url()).env("GRAB_RATE", "10/s");
    let both = [start(&grab, "ONE", 20), start(&grab, "TWO", 20)];
    for child in both {
        end(child);
    }
    let arrivals = arrivals(&server);
    assert_eq!(arrivals.len(), 40);
    // The rate is for any second. What arrives may have been held up on its way by a quarter of one; two paces would let
    // in fifteen in this time.
    for (first, eleventh) in arrivals.iter().zip(&arrivals[10..]) {
        assert!(*eleventh - *first > Duration::from_millis(750), "{:?}", *eleventh - *first);
    }
}

#[test]
fn a_pause_that_one_process_is_told_to_make_is_made_by_the_other_too() {
    let seen = [AtomicBool::new(false), AtomicBool::new(false)];
    let refused_at = Arc::new(Mutex::new(None));
    let refused = Arc::clone(&refused_at);
    let server = Server::start(move |request| {
        let process = usize::from(request.symbol().starts_with("TWO"));
        seen[process].store(true, Ordering::SeqCst);
        let mut refused = refused.lock().unwrap();
        // Once, as soon as both are at it.
        if process == 0 && seen[1].load(Ordering::SeqCst) && refused.is_none() {
            *refused = Some(request.at);
            return Reply::json(429, "{}").header("retry-after", "4");
        }
        ok(request)
    });
    let grab = Grab::with_server(server.base_url()).env("GRAB_RATE", "20/s");
    let both = [start(&grab, "ONE", 40), start(&grab, "TWO", 60)];
    for child in both {
        end(child);
    }
    let refused_at = refused_at.lock().unwrap().expect("both were at it at the same time");
    // Those on their way at the time had two seconds to arrive.
    let in_pause = |at: &Instant| (2.0..4.0).contains(&at.duration_since(refused_at).as_secs_f64());
    let arrivals = arrivals(&server);
    assert_eq!(arrivals.iter().filter(|at| **at > refused_at && in_pause(at)).count(), 0);
    assert!(arrivals.iter().any(|at| at.duration_since(refused_at) >= Duration::from_secs(4)));
}

/// The files of the user's state.
fn shared(grab: &Grab) -> Vec<PathBuf> {
    all_below(&grab.state_dir().join("grab")).into_iter().filter(|path| path.is_file()).collect()
}

#[test]
fn what_a_user_shares_is_a_file_without_the_key_and_none_without_a_rate_or_a_service() {
    let server = Server::start(ok);
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01-03 --tickers A").exits(0);
    grab.run("start --sandbox --data-dir sandbox --rate 100/s --windows 2024-01-03 --tickers AAPL").exits(0);
    assert!(!grab.state_dir().exists(), "nothing is shared");
    grab.run("start --windows 2024-01-03 --tickers B --rate 100/s").exits(0);
    grab.run("start --data-dir other --windows 2024-01-03 --tickers B --rate 100/s").exits(0);
    assert_eq!(shared(&grab).len(), 2, "one pace and the salt: {:?}", shared(&grab));
    grab.run_with("MASSIVE_API_KEY", "another-key", "start --windows 2024-01-03 --tickers C --rate 100/s")
        .exits(0);
    assert_eq!(shared(&grab).len(), 3, "each key has its own: {:?}", shared(&grab));
    for path in shared(&grab) {
        let bytes = [path.display().to_string().into_bytes(), fs::read(&path).unwrap()].concat();
        for word in ["hush-hush-key", "another-key", "127.0.0.1"] {
            let is_there = bytes.windows(word.len()).any(|w| w == word.as_bytes());
            assert!(!is_there, "{word} in {}", path.display());
        }
    }
}

#[test]
fn without_a_state_directory_that_can_be_written_the_pace_is_a_process_own() {
    let server = Server::start(ok);
    let grab = Grab::with_server(server.base_url()).env("GRAB_RATE", "100/s");
    fs::write(grab.dir().join("file"), "in the way").unwrap();
    let in_the_way = grab.dir().join("file");
    for (n, (state, home)) in
        [(None, None), (Some(in_the_way.as_path()), None), (None, Some(in_the_way.as_path()))]
            .into_iter()
            .enumerate()
    {
        let mut command = grab.command(&format!("start --windows 2024-01-03 --tickers A{n}"));
        command.env_remove("XDG_STATE_HOME").env_remove("HOME").env("XDG_CONFIG_HOME", grab.dir());
        command.envs(state.map(|path| ("XDG_STATE_HOME", path))).envs(home.map(|path| ("HOME", path)));
        let ran = Ran::from(command.output().unwrap()).exits(0);
        assert!(!ran.stderr.contains("pace"), "{ran:?}");
        command.env("GRAB_LOG", "grab_ops=debug");
        let ran = Ran::from(command.output().unwrap()).exits(0);
        let told = ran.stderr.matches("the pace is not shared").count();
        assert_eq!(told, usize::from(n > 0), "{ran:?}");
    }
}
