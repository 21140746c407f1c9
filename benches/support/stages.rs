//! The stages of a page, each as one call on the same material.

use std::{error::Error, hint::black_box};

use grab_core::data_dir::DataDir;
use grab_core::{
    clock::Clock,
    decode::{Envelope, inflate},
    manifest::{Evidence, ManifestWriter, PageCommit, StoreKind, TaskId},
    store::{Encodings, Finality, Provenance, count_by_day, encode},
};
use grab_model::{Bars, Cursor, Month, Partition, Symbol};
use tempfile::TempDir;

use super::pages::{bodies_of, gzip, ticker, window};

/// More than any page inflates to.
const BODY_LIMIT: usize = 64 << 20;

/// The material of the stages: one full page, and its first whole month.
pub struct Material {
    /// The body as sent.
    pub gzip: Vec<u8>,
    /// The inflated body.
    pub json: Vec<u8>,
    /// Bars of a month.
    pub month: Bars,
    /// The last third of these bars, revised: what an overlap fetches.
    pub overlap: Bars,
    /// The metadata of the month's file.
    pub provenance: Provenance,
    /// The records of a task that has begun.
    pub books: Books,
}

impl Material {
    /// Makes the material: the same bytes each time.
    ///
    /// # Errors
    /// If the manifest's folder cannot be created.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        let (json, _) = bodies_of(&ticker(0), "http://127.0.0.1:1")?.into_iter().next().ok_or("no page")?;
        let bars = Envelope::read(&json)?.results;
        let january = Month::of(window()?.from());
        let end = bars.timestamps().partition_point(|t| *t < january.end_ms());
        let month = bars.slice(0..end);
        Ok(Self {
            gzip: gzip(&json)?,
            json,
            overlap: bars.slice(end * 2 / 3..end + 1_000),
            provenance: provenance(january),
            books: Books::new(january, &month)?,
            month,
        })
    }

    /// Gzip → JSON.
    ///
    /// # Errors
    /// Never: the body is whole.
    pub fn inflate(&self) -> Result<usize, Box<dyn Error>> {
        Ok(inflate(black_box(&self.gzip), BODY_LIMIT)?.len())
    }

    /// JSON → columns.
    ///
    /// # Errors
    /// Never: the page is whole.
    pub fn parse(&self) -> Result<usize, Box<dyn Error>> {
        Ok(Envelope::read(black_box(&self.json))?.results.len())
    }

    /// Columns → Parquet.
    ///
    /// # Errors
    /// Never: it is written to memory.
    pub fn encode(&self, encodings: Encodings) -> Result<usize, Box<dyn Error>> {
        Ok(encode(black_box(&self.month), &self.provenance, encodings)?.len())
    }
}

/// Merges a month with bars that overlap its end.
#[must_use]
pub fn merge((month, overlap): (Bars, Bars)) -> usize {
    Bars::union(black_box(month), black_box(overlap)).len()
}

fn provenance(month: Month) -> Provenance {
    Provenance {
        ticker: ticker(0),
        month: month.to_string(),
        adjusted: false,
        source: "127.0.0.1".to_owned(),
        fetched_ms: (1, 2),
        whole_days: 0x7fff_ffff,
        finality: Finality::Final,
    }
}

/// A manifest with one running task, to which any number of pages can be recorded.
pub struct Books {
    writer: ManifestWriter,
    task: TaskId,
    commit: PageCommit,
    pages: u64,
    _folder: TempDir,
}

impl Books {
    fn new(first: Month, bars: &Bars) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let symbol: Symbol = ticker(0).parse()?;
        let mut writer = DataDir::new(folder.path()).lock()?.open_write(Clock::system())?;
        writer.declare_kind(StoreKind { adjusted: false, sandbox: false })?;
        writer.begin_run("bench", "")?;
        writer.add_tasks(&[(symbol.clone(), window()?)])?;
        let task = writer.lease()?.ok_or("no task")?.id;
        let months = std::iter::successors(Some(first), |month| Some(month.next()));
        let partitions = months.take(4).map(|month| partition(&symbol, month, bars)).collect();
        let (first, last) = (bars.timestamps().first(), bars.timestamps().last());
        let evidence = Evidence {
            request_id: Some("6a7e466379af0a71039d60cc78e72282".to_owned()),
            status: "OK".to_owned(),
            bars: bars.len() as u64,
            span_ms: first.copied().zip(last.copied()),
            bytes: 1_000_000,
        };
        let commit = PageCommit {
            evidence,
            partitions,
            revisions: Vec::new(),
            bad: Vec::new(),
            next: None,
            is_finished: true,
        };
        Ok(Self { writer, task, commit, pages: 0, _folder: folder })
    }

    /// The transaction of one page of four months, made durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn commit(&mut self) -> Result<u64, Box<dyn Error>> {
        self.pages += 1;
        let path =
            format!("/v2/aggs/ticker/TAAA/range/1/minute/1672736580000/2023-12-31?cursor={}", self.pages);
        self.commit.next = Some(Cursor::from_stored(path));
        Ok(self.writer.store_page(self.task, &self.commit)?.new_bars)
    }
}

fn partition(symbol: &Symbol, month: Month, bars: &Bars) -> Partition {
    let times = bars.timestamps();
    Partition {
        symbol: symbol.clone(),
        month,
        bars: bars.len() as u64,
        first_ms: times.first().copied().unwrap_or_default(),
        last_ms: times.last().copied().unwrap_or_default(),
        bytes: 300_000,
        xxh3: 7,
        bars_by_day: count_by_day(month, times),
    }
}
