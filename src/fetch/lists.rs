//! What comes before bars: lists that are due, and the tasks of what was ordered by them.

use grab_core::{
    engine::StopReason,
    manifest::StoreKind,
    store::{BarStore, reference},
};

use super::{
    super::{
        access::{Access, Running},
        failure::Failure,
        format,
        output::say,
        start::last_day,
        universe,
    },
    Job, Opened,
};

impl Job<'_> {
    /// Brings the lists that are needed. Answers the client, if one was.
    pub(super) async fn bring_lists(
        &self,
        access: &Access<'_>,
        kind: StoreKind,
        store: &BarStore,
        running: &Running,
        opened: Option<Opened>,
        brought: &mut universe::Brought,
    ) -> Result<Option<Opened>, Failure> {
        if self.lists == universe::Needs::default() {
            return Ok(opened);
        }
        let opened = match opened {
            Some(opened) => opened,
            None => self.open(access, kind, running).await?,
        };
        let phase = Running { stop: running.stop.of_phase(), ..running.clone() };
        let settings = self.settings.for_lists();
        let patience = Access { settings: &settings, ..*access };
        patience.stop_in_time(&phase.stop);
        let (access, sync) = (&patience, self.sync(store));
        let fetching = universe::Fetching { access, kind, store, source: &opened.1, running: &phase, sync };
        *brought = fetching.bring(self.lists).await?;
        let reason = phase.stop.reason().filter(|_| !running.stop.is_requested());
        match reason {
            // Where the lists fail, the bars may not. What is wrong with the source or the key, they will find out.
            Some(
                reason @ (StopReason::SourceLost(_)
                | StopReason::NotYet(_)
                | StopReason::Unreachable(_)
                | StopReason::KeyRefused(_)
                | StopReason::Duration),
            ) => {
                let reason = Failure::Stopped(reason).to_string();
                brought.without.push(universe::Without { what: "reference lists".to_owned(), reason });
            }
            Some(reason) => running.stop.request(reason),
            None => {}
        }
        Ok(Some(opened))
    }

    fn sync(&self, store: &BarStore) -> universe::Sync {
        let (data_dir, now_ms) = (self.data_dir.clone(), self.clock.now_ms());
        universe::Sync { data_dir, now_ms, source: store.source().to_owned() }
    }

    /// Records the tasks of orders that have none yet; fetches the universe before that, if it is not there. Answers the
    /// client, if one was needed.
    pub(super) async fn plan_orders(
        &self,
        access: &Access<'_>,
        kind: StoreKind,
        store: &BarStore,
        running: &Running,
        mut opened: Option<Opened>,
        left_out: &mut Option<universe::LeftOut>,
    ) -> Result<Option<Opened>, Failure> {
        let Running { manifest, stop, .. } = running;
        if !manifest.call(|writer| universe::unplanned(writer)).await? {
            return Ok(opened);
        }
        if !universe::is_kept(&self.data_dir)? {
            if self.lists.tickers {
                // They were asked for a moment ago.
                return Ok(opened);
            }
            if self.plan_only {
                say(
                    "no universe is kept here yet: `grab resume` fetches it, and then plans what was asked for",
                );
                return Ok(None);
            }
            let unplanned = |failure| Failure::Unplanned(Box::new(failure));
            let (sandbox, source) = access.open(kind).await.map_err(unplanned)?;
            access.stop_in_time(stop);
            let sync = self.sync(store);
            let fetching = universe::Fetching { access, kind, store, source: &source, running, sync };
            fetching.bring_universe().await.map_err(unplanned)?;
            opened = Some((sandbox, source));
        }
        let (data_dir, last_day) = (self.data_dir.clone(), last_day(self.clock));
        let planned = manifest.call(move |writer| {
            let Ok(Some(universe)) = reference::read_universe(&data_dir) else { return Ok(None) };
            let (added, left_out) = universe::plan_orders(writer, &universe, last_day)?;
            let unknown = universe.periods().filter(|(_, span)| span.from.is_none()).count() as u64;
            Ok(Some((added, left_out, unknown)))
        });
        let planned = planned.await?.map(|(added, left, unknown)| {
            *left_out = Some(left.brief());
            (added, unknown)
        });
        match planned {
            Some((0, _)) => {
                say("everything asked for is recorded already, or no symbol lived in these windows");
            }
            Some((added, unknown)) => {
                say(&format!("{} planned by the universe", format::plural(added, "task")));
                if unknown > 0 {
                    say(&format!(
                        "note: of {} in it nobody knows when they were listed: windows before that are asked for in vain, \
                         unless `grab universe sync --list-dates` was there first",
                        format::plural(unknown, "symbol")
                    ));
                }
            }
            None => {
                return Err(Failure::Unplanned(Box::new(Failure::NoList("it cannot be read".to_owned()))));
            }
        }
        Ok(opened)
    }
}
