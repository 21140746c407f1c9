//! The pacer on a paused clock.

use std::{os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{shared::Stamp, *};

fn pacer(rate: &str) -> Pacer {
    Pacer::new(rate.parse().unwrap(), LearnedPace::default())
}

/// The instants of `count` permits that four workers wait for.
async fn permits(pacer: &Arc<Pacer>, count: usize) -> Vec<Duration> {
    let begin = Instant::now();
    let workers = (0..4).map(|worker| {
        let pacer = Arc::clone(pacer);
        let share = count / 4 + usize::from(worker < count % 4);
        tokio::spawn(async move {
            let mut taken = Vec::new();
            for _ in 0..share {
                pacer.permit().await;
                taken.push(begin.elapsed());
            }
            taken
        })
    });
    let mut all = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.unwrap());
    }
    all.sort();
    all
}

#[tokio::test(start_paused = true)]
async fn never_more_than_five_in_any_sliding_minute_and_nearly_as_many() {
    let taken = permits(&Arc::new(pacer("5/min")), 100).await;
    assert_eq!(taken[0], Duration::ZERO);
    for first in 0..taken.len() - 5 {
        assert!(taken[first + 5].saturating_sub(taken[first]) > Duration::from_mins(1));
    }
    let used = 60.0 * 99.0 / taken[99].as_secs_f64();
    assert!(used >= 5.0 * 0.95, "{used} a minute");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_no_request_waits() {
    let taken = permits(&Arc::new(pacer("none")), 1000).await;
    assert_eq!(taken[999], Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_stops_everyone_also_those_who_wait_already() {
    let pacer = Arc::new(pacer("10/s"));
    let waiting = tokio::spawn({
        let pacer = Arc::clone(&pacer);
        async move { permits(&pacer, 8).await }
    });
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(pacer.slow_down(Some(Duration::from_secs(30))), Duration::from_secs(30));
    assert!(pacer.slow_down(None) <= Duration::from_secs(30), "the same pause");
    let taken = waiting.await.unwrap();
    assert_eq!(taken.iter().filter(|at| at.as_millis() < 250).count(), 3);
    assert!(taken[3] >= Duration::from_millis(30_250));
    assert!(
        taken[4].saturating_sub(taken[3]) >= Duration::from_millis(100),
        "the line re-forms, it does not burst"
    );
}

#[tokio::test(start_paused = true)]
async fn who_was_late_catches_up_within_the_limit() {
    let pacer = Arc::new(pacer("10/s"));
    let begin = Instant::now();
    let mut taken = Vec::new();
    for request in 0..100 {
        pacer.permit().await;
        taken.push(begin.elapsed());
        if request % 10 == 5 {
            // In each second, the worker is late by a fifth of one.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let used = 99.0 / taken[99].as_secs_f64();
    assert!(used >= 9.5, "{used} a second");
    for (first, eleventh) in taken.iter().zip(&taken[10..]) {
        assert!(eleventh.abs_diff(*first) > Duration::from_secs(1));
    }
}

/// The pace that is left of 100 a second after a sequence: `-` is a refusal, `+` a page that arrived during the
/// pause, `|` the end of the pause, `.` a page after it.
async fn after(story: &str) -> f64 {
    let pacer = pacer("100/s");
    for event in story.chars() {
        match event {
            '-' => drop(pacer.slow_down(Some(Duration::from_secs(1)))),
            '|' => tokio::time::sleep(Duration::from_secs(1)).await,
            _ => pacer.accepted(),
        }
    }
    pacer.learned().map_or(100.0, |pace| pace.per_second)
}

#[tokio::test(start_paused = true)]
async fn one_refusal_lowers_the_pace_a_little_and_several_in_a_row_halve_it() {
    let close = |pace: f64, expected: f64| (pace - expected).abs() < 4.0;
    for (story, expected) in [
        ("-", 85.0),
        ("-+++++-", 85.0),
        ("--", 50.0),
        ("-----", 50.0),
        ("-|-", 43.0),
        ("-----|-|-", 13.0),
        ("-|.-", 73.0),
    ] {
        let pace = after(story).await;
        assert!(close(pace, expected), "{pace} after {story}, not {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lowered_pace_recovers_step_by_step() {
    let pacer = pacer("100/s");
    pacer.slow_down(Some(Duration::ZERO));
    pacer.slow_down(Some(Duration::ZERO));
    let begin = pacer.learned().unwrap().per_second;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let regained = pacer.learned().unwrap().per_second - begin;
    assert!((regained - 10.0).abs() < 0.1, "{regained} in a tenth of the time");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(pacer.learned(), None, "the rate that was set again");
}

#[tokio::test(start_paused = true)]
async fn a_refund_gives_back_its_own_permit_and_no_other() {
    let pacer = pacer("2/min");
    let begin = Instant::now();
    let first = pacer.permit().await;
    let _second = pacer.permit().await;
    let second_at = begin.elapsed();
    first.refund();
    let mut taken = vec![second_at];
    for _ in 0..4 {
        pacer.permit().await;
        taken.push(begin.elapsed());
    }
    for (one, third) in taken.iter().zip(&taken[2..]) {
        assert!(third.saturating_sub(*one) > Duration::from_mins(1), "the second one left: {taken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_costs_no_time_if_it_is_refunded_and_one_that_is_dropped_does() {
    let pacer = pacer("5/min");
    let begin = Instant::now();
    for _ in 0..3 {
        pacer.permit().await.refund();
    }
    pacer.permit().await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "three probes that reached no server");
    pacer.permit().await;
    assert_eq!(begin.elapsed().as_millis(), 12_360);
}

#[tokio::test(start_paused = true)]
async fn a_refund_does_not_end_a_pause() {
    for rate in ["none", "5/min"] {
        let pacer = pacer(rate);
        let permit = pacer.permit().await;
        let begin = Instant::now();
        pacer.slow_down(Some(Duration::from_secs(30)));
        permit.refund();
        pacer.permit().await;
        assert!(begin.elapsed() >= Duration::from_secs(30), "{rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_the_pace_is_learnt_from_what_was_sent() {
    let pacer = pacer("none");
    for _ in 0..100 {
        pacer.permit().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pacer.slow_down(Some(Duration::ZERO));
    let pace = pacer.learned().unwrap();
    assert!((pace.per_second - 17.0).abs() < 0.5 && (pace.refused - 20.0).abs() < 0.5, "{pace:?}");
    let taken = permits(&Arc::new(pacer), 11).await;
    assert!(taken[10] > Duration::from_millis(500), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn the_next_run_goes_on_where_the_last_one_was() {
    let pace = Pace { per_second: 25.0, refused: 100.0 };
    let nine_seconds_later = LearnedPace { pace: Some((pace, Duration::from_secs(9))), last_request: None };
    tokio::time::sleep(Duration::from_mins(1)).await;
    let learnt = Pacer::new("100/s".parse().unwrap(), nine_seconds_later).learned().unwrap();
    assert!((learnt.per_second - 40.0).abs() < 0.1, "{learnt:?}");
    let just_asked = LearnedPace { pace: None, last_request: Some(Duration::from_secs(2)) };
    let begin = Instant::now();
    Pacer::new("5/min".parse().unwrap(), just_asked).permit().await;
    assert_eq!(begin.elapsed().as_millis(), 10_360);
    let begin = Instant::now();
    Pacer::new("20/s".parse().unwrap(), just_asked).permit().await;
    assert_eq!(begin.elapsed(), Duration::ZERO, "a window ago");
    let now = LearnedPace { last_request: Some(Duration::ZERO), ..just_asked };
    Pacer::new("20/s".parse().unwrap(), now).permit().await;
    assert_eq!(begin.elapsed().as_millis(), 1_030, "the last run may have used up its second");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_until_a_request_is_let_in_and_absurd_ones_are_cut() {
    let unlimited = pacer("none");
    for expected in [1, 2, 4] {
        assert_eq!(unlimited.slow_down(None).as_secs(), expected);
        unlimited.permit().await;
    }
    unlimited.accepted();
    assert_eq!(unlimited.slow_down(None).as_secs(), 1);
    unlimited.permit().await;
    assert_eq!(unlimited.slow_down(Some(Duration::from_secs(u64::MAX))), LONGEST_PAUSE);
    assert_eq!(pacer("5/min").slow_down(None).as_secs(), 60);
}

/// A file of a shared pace below `dir`, opened by a process whose clocks follow the paused one; `wall` is set apart.
fn shared(dir: &tempfile::TempDir, begin: Instant, boot: u128, wall_offset_s: i64) -> SharedPace {
    let ns = move || i64::try_from(begin.elapsed().as_nanos()).unwrap();
    let clock = move || Stamp {
        boot,
        // Each machine's monotonic clock has an origin of its own.
        monotonic_ns: ns() + i64::try_from(boot).unwrap() * 5_000_000_000,
        wall_ns: ns() + wall_offset_s * 1_000_000_000,
    };
    let key = grab_model::ApiKey::new("hush-hush-key").unwrap();
    SharedPace::open_with(dir.path(), "api.example.com", &key, Box::new(clock)).unwrap()
}

fn shared_pacer(rate: &str, file: SharedPace) -> Arc<Pacer> {
    Arc::new(Pacer::shared(rate.parse().unwrap(), LearnedPace::default(), file))
}

#[tokio::test(start_paused = true)]
async fn pacers_with_one_file_keep_to_the_rate_together_and_use_it() {
    for (rate, period) in [("5/min", Duration::from_mins(1)), ("5/s", Duration::from_secs(1))] {
        let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
        let three = [1, 1, 2].map(|boot| shared_pacer(rate, shared(&dir, begin, boot, 0)));
        let runs = three.map(|pacer| tokio::spawn(async move { permits(&pacer, 10).await }));
        let mut taken = Vec::new();
        for run in runs {
            taken.extend(run.await.unwrap());
        }
        taken.sort();
        for (first, sixth) in taken.iter().zip(&taken[5..]) {
            assert!(sixth.saturating_sub(*first) > period, "{rate}: {taken:?}");
        }
        let used = period.as_secs_f64() * 29.0 / taken[29].saturating_sub(taken[0]).as_secs_f64();
        assert!(used >= 5.0 * 0.95, "{used} in a period, at {rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_and_what_was_learnt_hold_for_all_who_share_them() {
    let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
    let [one, other] =
        [shared_pacer("10/s", shared(&dir, begin, 1, 0)), shared_pacer("10/s", shared(&dir, begin, 1, 0))];
    let waiting = tokio::spawn({
        let other = Arc::clone(&other);
        async move { permits(&other, 8).await }
    });
    tokio::time::sleep(Duration::from_millis(250)).await;
    one.slow_down(Some(Duration::from_secs(30)));
    let taken = waiting.await.unwrap();
    assert_eq!(taken.iter().filter(|at| at.as_millis() < 250).count(), 3);
    assert!(taken[3] >= Duration::from_millis(30_250), "{taken:?}");
    assert_eq!(other.pauses_in_a_row(), 1);
    other.accepted();
    assert_eq!(one.pauses_in_a_row(), 0, "the pauses were long enough");
    // A later process begins with what they have learnt, and with the distance from their last request.
    drop((one, other));
    let later = shared_pacer("10/s", shared(&dir, begin, 1, 0));
    assert!(later.learned().is_some_and(|pace| pace.per_second < 9.0), "{:?}", later.learned());
    let before = begin.elapsed();
    later.permit().await;
    assert!(begin.elapsed().saturating_sub(before) >= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn of_two_rates_the_slower_one_holds_for_both_until_its_process_has_ended() {
    let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
    let [slow, fast] = ["60/min", "100/s"].map(|rate| shared_pacer(rate, shared(&dir, begin, 1, 0)));
    let slow_run = tokio::spawn({
        let slow = Arc::clone(&slow);
        async move { permits(&slow, 60).await.len() }
    });
    let fast_run = tokio::spawn(async move {
        let taken = permits(&fast, 60).await;
        (fast.slowed_to(), taken)
    });
    let (slowed_to, taken) = fast_run.await.unwrap();
    assert_eq!(slowed_to, Some(1.0), "it can be shown why it is slow");
    let span = taken[59].saturating_sub(taken[0]);
    assert!(span > Duration::from_mins(1), "{span:?}");
    assert_eq!(slow_run.await.unwrap(), 60, "and the slow one comes to its end");
    let alone = shared_pacer("100/s", shared(&dir, begin, 1, 0));
    tokio::time::sleep(Duration::from_secs(61)).await;
    let begin = Instant::now();
    permits(&alone, 50).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_while_it_waits_takes_no_permit_along() {
    let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
    let dies = shared_pacer("5/min", shared(&dir, begin, 1, 0));
    dies.permit().await;
    let waiting = tokio::spawn(async move { permits(&dies, 8).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    waiting.abort();
    shared_pacer("5/min", shared(&dir, begin, 1, 0)).permit().await;
    assert_eq!(begin.elapsed().as_millis(), 12_360);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_and_a_machine_that_starts_again_give_no_burst_and_no_endless_wait() {
    for (boot, wall_offset_s, expected_ms) in [
        // The same uptime: only the monotonic clock counts.
        (1, 86_400, 12_360),
        (1, -86_400, 12_360),
        // Another one: the wall clock counts. One that was set back counts as no time.
        (2, 0, 12_360),
        (2, 5, 10_000),
        (2, 86_400, 10_000),
        (0, -86_400, 22_360),
    ] {
        let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
        shared_pacer("5/min", shared(&dir, begin, 1, 0)).permit().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        shared_pacer("5/min", shared(&dir, begin, boot, wall_offset_s)).permit().await;
        let waited = begin.elapsed().as_millis();
        assert_eq!(waited, expected_ms, "boot {boot}, {wall_offset_s} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_torn_file_counts_as_none_and_a_whole_one_is_read_as_it_was_written() {
    let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
    let pacer = shared_pacer("5/min", shared(&dir, begin, 1, 0));
    pacer.permit().await;
    pacer.slow_down(Some(Duration::from_secs(7)));
    let folder = dir.path().join("pace");
    let mut files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| !path.ends_with("salt")).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let file = shared(&dir, begin, 1, 0);
        file.lock().unwrap().read(Instant::now()).unwrap()
    };
    let state = read(&whole).unwrap();
    assert_eq!((state.sent.len(), state.pauses), (1, 1));
    assert_eq!(state.paused_until, begin + Duration::from_secs(7));
    for len in 0..whole.len() {
        assert_eq!(read(&whole[..len]), None, "{len} bytes");
        let mut changed = whole.clone();
        changed[len] ^= 1;
        assert_eq!(read(&changed), None, "byte {len}");
    }
    assert_eq!(read(&[&whole[..], b"of a longer one"].concat()), Some(state));
}

#[tokio::test(start_paused = true)]
async fn where_the_file_cannot_be_made_or_locked_the_pace_is_kept_in_memory() {
    let key = grab_model::ApiKey::new("hush-hush-key").unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pace"), "in the way").unwrap();
    assert!(SharedPace::open(dir.path(), "api.example.com", &key).is_err());

    let (dir, begin) = (tempfile::tempdir().unwrap(), Instant::now());
    let stopped = shared(&dir, begin, 1, 0);
    let pacer = shared_pacer("5/min", shared(&dir, begin, 1, 0));
    let _forever = stopped.lock().unwrap();
    pacer.permit().await;
    pacer.permit().await;
    assert_eq!(begin.elapsed().as_millis(), 12_360, "alone, at the same rate");
}

#[test]
fn names_of_files_differ_by_service_and_key_and_users_salt_and_show_none_of_them() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let names = |dir: &tempfile::TempDir| {
        let entries = std::fs::read_dir(dir.path().join("pace")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    let mut all = std::collections::BTreeSet::new();
    for dir in [&one, &other] {
        for (service, key) in [("a:1", "hush-hush-key"), ("a:1", "another-key"), ("b", "hush-hush-key")] {
            let key = grab_model::ApiKey::new(key).unwrap();
            for _ in 0..2 {
                SharedPace::open(dir.path(), service, &key).unwrap();
            }
        }
        assert_eq!(names(dir).len(), 4, "three files and the salt");
        all.extend(names(dir));
    }
    assert_eq!(all.len(), 7, "{all:?}");
    for name in names(&one) {
        let path = one.path().join("pace").join(name);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_was_not_used_for_a_month_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let key = grab_model::ApiKey::new("hush-hush-key").unwrap();
    let open = |service: &str| SharedPace::open(dir.path(), service, &key).unwrap();
    open("old");
    let folder = dir.path().join("pace");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        let month = Duration::from_hours(24 * 31);
        file.set_modified(std::time::SystemTime::now() - month).unwrap();
    }
    open("new");
    // The new one and the salt.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
}
