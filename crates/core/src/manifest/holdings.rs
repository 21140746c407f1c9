//! Totals of all stored bars. The manifest updates them with each partition, by triggers (migration 9).

use rusqlite::Connection;

use super::{ManifestError, ManifestReader, ManifestWriter};

/// Totals of all stored bars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Rows in all partitions.
    pub bars: u64,
    /// Files.
    pub partitions: u64,
    /// Bytes of all partitions.
    pub bytes: u64,
    /// The first and the last bar's start, UTC ms. None in an empty store.
    pub span_ms: Option<(i64, i64)>,
}

impl ManifestWriter {
    /// Finds the first and the last bar again, if their partitions were removed.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub(super) fn find_span(&mut self) -> Result<(), ManifestError> {
        let update = "UPDATE holdings SET first_ms = (SELECT min(first_ms) FROM partitions),
                          last_ms = (SELECT max(last_ms) FROM partitions)
                      WHERE partitions > 0 AND (first_ms IS NULL OR last_ms IS NULL)";
        self.connection.execute(update, [])?;
        Ok(())
    }
}

impl ManifestReader {
    /// The totals, as the manifest has counted them.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn holdings(&self) -> Result<Holdings, ManifestError> {
        let counted =
            "SELECT bars, partitions, bytes, coalesce(first_ms, (SELECT min(first_ms) FROM partitions)),
                           coalesce(last_ms, (SELECT max(last_ms) FROM partitions)) FROM holdings";
        Ok(read(self.connection(), counted)?)
    }
}

fn read(connection: &Connection, select: &str) -> Result<Holdings, rusqlite::Error> {
    connection.query_row(select, [], |row| {
        let (first, last): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
        Ok(Holdings {
            bars: row.get(0)?,
            partitions: row.get(1)?,
            bytes: row.get(2)?,
            span_ms: first.zip(last),
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::data_dir::DataDir;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Clock;

    const SUM: &str =
        "SELECT coalesce(sum(bars), 0), count(*), coalesce(sum(bytes), 0), min(first_ms), max(last_ms)
                   FROM partitions";

    /// A change of a partition of one of four months: it is added or replaced, or removed.
    #[derive(Clone, Debug)]
    enum Move {
        Put { month: u8, bars: u64, first_ms: i64 },
        Go { month: u8 },
    }

    fn any_move() -> impl Strategy<Value = Move> {
        prop_oneof![
            3 => (1..5_u8, 1..9_u64, 0..5_i64).prop_map(|(month, bars, first_ms)| Move::Put { month, bars, first_ms }),
            1 => (1..5_u8).prop_map(|month| Move::Go { month }),
        ]
    }

    fn go(writer: &ManifestWriter, step: &Move) {
        match *step {
            Move::Put { month, bars, first_ms } => {
                let put = "INSERT INTO partitions VALUES ('A', '2024-0' || ?1, ?2, ?3, ?3 + ?2, ?2, '0123456789abcdef', 1, '[1]', 1, 1)
                           ON CONFLICT DO UPDATE SET bars = excluded.bars, first_ms = excluded.first_ms,
                               last_ms = excluded.last_ms, bytes = excluded.bytes";
                writer.connection.execute(put, rusqlite::params![month, bars, first_ms]).unwrap();
            }
            Move::Go { month } => {
                let delete = "DELETE FROM partitions WHERE month = '2024-0' || ?";
                writer.connection.execute(delete, [month]).unwrap();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_counted_is_what_the_partitions_sum_up_to(moves in prop::collection::vec((any_move(), any::<bool>()), 0..24)) {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
            writer.begin_run("start", "").unwrap();
            let reader = DataDir::new(dir.path()).open_read().unwrap();
            for (step, is_run_ended) in moves {
                go(&writer, &step);
                if is_run_ended {
                    writer.find_span().unwrap();
                }
                let summed = read(reader.connection(), SUM).unwrap();
                prop_assert_eq!(reader.holdings().unwrap(), summed, "{:?}", step);
            }
        }
    }
}
