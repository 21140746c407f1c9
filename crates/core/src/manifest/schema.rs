//! The manifest's file: opening and migrations.

use std::{collections::BTreeMap, fs::OpenOptions, io, path::Path, sync::OnceLock, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, ffi};

use super::{
    ManifestError, lock,
    read_connection::{check_not_lost, explained},
};
use crate::{
    data_dir::DataDir,
    disk,
    failpoint::{self, CrashPoint},
};

/// The manifest's name in its data directory.
pub const FILE_NAME: &str = "manifest.sqlite";

/// "grab" in ASCII: marks the file as a manifest of grab in `SQLite`'s header.
const APPLICATION_ID: i32 = 0x6772_6162;

/// Append-only: entry n leads from version n to version n + 1 (`PRAGMA user_version`).
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_pace.sql"),
    include_str!("migrations/0003_quarantine.sql"),
    include_str!("migrations/0004_asked_again.sql"),
    include_str!("migrations/0005_witnesses.sql"),
    include_str!("migrations/0006_tails.sql"),
    include_str!("migrations/0007_lost.sql"),
    include_str!("migrations/0008_lists.sql"),
    include_str!("migrations/0009_holdings.sql"),
    include_str!("migrations/0010_begun.sql"),
    include_str!("migrations/0011_evenings.sql"),
    include_str!("migrations/0012_repairs.sql"),
    include_str!("migrations/0013_told.sql"),
    include_str!("migrations/0014_rewrites.sql"),
    include_str!("migrations/0015_plan.sql"),
    include_str!("migrations/0016_plan_history.sql"),
    include_str!("migrations/0017_asked.sql"),
];

/// Manifests of this many versions, the current one and those before it, are read without migration; older ones have to
/// be migrated.
const READABLE_VERSIONS: usize = 3;

/// How a reader sees a manifest of version n as one of version n + 1 without changing it. Temporary tables and views
/// have the names of the tables that they replace: `SQLite` looks them up first.
const SHOWN_AS_NEXT: &[(usize, &str)] = &[
    (15, include_str!("migrations/0016_plan_history.read.sql")),
    (16, include_str!("migrations/0017_asked.read.sql")),
];

/// How long a statement waits for a reader's checkpoint lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens the manifest of `data_dir` for writing, creating or migrating it where needed.
pub(super) fn open(data_dir: &DataDir) -> Result<Connection, ManifestError> {
    let path = data_dir.manifest();
    if !path.exists() {
        check_not_lost(data_dir)?;
    }
    create(&path)?;
    opened(data_dir, &path).map_err(|error| explained(error, &path, true))
}

fn opened(data_dir: &DataDir, path: &Path) -> Result<Connection, ManifestError> {
    let without_fsync = disk::is_missing_fsync_accepted(data_dir.path())
        .map_err(|source| ManifestError::Io { path: data_dir.display().to_string(), source })?;
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", if without_fsync { "OFF" } else { "FULL" })?;
    let version = check_version(&connection, path)?;
    if version == 0 {
        check_not_lost(data_dir)?;
        // No part of it is written twice like this. A file that was created just now already has its mode.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        migrate(&mut connection, path)?;
    } else {
        if version < MIGRATIONS.len() {
            admit_readers(data_dir);
        }
        migrate(&mut connection, path)?;
        check_tables(&connection, latest())?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Each table, index and trigger of a readable version, with the statement that makes it.
pub(super) fn ours(version: usize) -> Result<&'static BTreeMap<String, String>, ManifestError> {
    static OURS: [OnceLock<BTreeMap<String, String>>; READABLE_VERSIONS] =
        [const { OnceLock::new() }; READABLE_VERSIONS];
    let place = &OURS[(latest() - version).min(READABLE_VERSIONS - 1)];
    if let Some(ours) = place.get() {
        return Ok(ours);
    }
    let fresh = Connection::open_in_memory()?;
    MIGRATIONS[..version].iter().try_for_each(|migration| fresh.execute_batch(migration))?;
    let ours = tables(&fresh)?;
    Ok(place.get_or_init(|| ours))
}

/// Whether a manifest of this version can be read without migration.
pub(super) fn is_readable(version: usize) -> bool {
    version >= oldest_readable()
}

/// The oldest version that can be read without migration.
pub(super) fn oldest_readable() -> usize {
    latest() + 1 - READABLE_VERSIONS
}

/// Lets this connection see an older manifest as one of this version. The file stays as it is.
pub(super) fn show_as_latest(connection: &Connection, version: usize) -> Result<(), ManifestError> {
    for (_, sql) in SHOWN_AS_NEXT.iter().filter(|(from, _)| *from >= version) {
        connection.execute_batch(sql)?;
    }
    Ok(())
}

/// Each table, index and trigger with the statement that made it.
fn tables(connection: &Connection) -> Result<BTreeMap<String, String>, rusqlite::Error> {
    let mut select = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Checks that everything of a version exists. Additions by users do not matter.
pub(super) fn check_tables(connection: &Connection, version: usize) -> Result<(), ManifestError> {
    let found = tables(connection)?;
    match ours(version)?.iter().find(|(name, sql)| found.get(*name) != Some(*sql)) {
        Some((name, _)) => Err(ManifestError::Corrupt(format!("{name} is not as grab made it"))),
        None => Ok(()),
    }
}

/// Creates the file with the permissions of the umask: other users may read it, as the bars. `SQLite` gives its WAL the
/// same mode.
fn create(path: &Path) -> Result<(), ManifestError> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(ManifestError::Io { path: path.display().to_string(), source }),
    }
}

/// An earlier grab created the manifest for its owner only, whatever the umask was, and its lock by the umask. When it
/// is migrated it gets the mode of the lock, once: permissions that a user removes later stay removed.
fn admit_readers(data_dir: &DataDir) {
    use std::os::unix::fs::PermissionsExt;
    const BITS: u32 = 0o666;
    let path = data_dir.manifest();
    let mode = |path: &Path| path.metadata().map(|file| file.permissions().mode() & 0o777);
    let (Ok(0o600), Ok(lock)) = (mode(&path), mode(&lock::path(data_dir))) else { return };
    let beside = ["", "-wal", "-shm"].map(|ending| data_dir.join(format!("{FILE_NAME}{ending}")));
    for file in beside.iter().filter(|file| file.exists()) {
        if let Err(error) = std::fs::set_permissions(file, std::fs::Permissions::from_mode(lock & BITS)) {
            tracing::warn!("{} stays for its owner only: {error}", file.display());
        }
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), ManifestError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let version = check_version(&transaction, path)?;
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    if version < MIGRATIONS.len() {
        reached(CrashPoint::BeforeMigration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", known_version())?;
    }
    Ok(transaction.commit()?)
}

/// The number of migrations that the file has seen: 0 for an empty file.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<usize, ManifestError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, found) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_empty = (application, found, tables) == (0, 0, 0);
    if application != i64::from(APPLICATION_ID) && !is_empty {
        return Err(ManifestError::Foreign { path: path.display().to_string() });
    }
    if found > 0 && tables == 0 {
        return Err(ManifestError::Corrupt("its tables are gone".to_owned()));
    }
    match usize::try_from(found) {
        Ok(version) if version <= MIGRATIONS.len() => Ok(version),
        _ => Err(ManifestError::TooNew {
            found: u32::try_from(found).unwrap_or(u32::MAX),
            known: known_version(),
        }),
    }
}

/// A step whose failure, if a test requests one, is reported as `SQLite` does it.
pub(super) fn reached(step: CrashPoint) -> Result<(), ManifestError> {
    failpoint::reached(step).map_err(|error| {
        let full = error.kind() == io::ErrorKind::StorageFull;
        let code = ffi::Error::new(if full { ffi::SQLITE_FULL } else { ffi::SQLITE_IOERR });
        rusqlite::Error::SqliteFailure(code, Some(error.to_string())).into()
    })
}

/// The number of migrations of this program: the version that it reads.
pub(super) fn latest() -> usize {
    MIGRATIONS.len()
}

pub(super) fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ManifestReader, read_connection::open_to_read, snapshot::keep_in_memory};

    const SHIPPED: [&str; 17] = [
        "a09d1b8dfb63d226",
        "c1d700b2294b2177",
        "43c51eaa26d10c1d",
        "b49226ab812d5e17",
        "eb2980dd7cb38b89",
        "3943d929e7ce8924",
        "3bffdbcd524ccb5e",
        "2535c4829a1a5195",
        "ab5a7ca1af122f50",
        "dd88775d2ed85c03",
        "c6130217ac53d8ae",
        "04d6962fb6a1926b",
        "b0e20dc052c46ae4",
        "3e4bd5448eba8a36",
        "dfe4b5f5b3d4b10d",
        "c1c78224b64e9854",
        "b96dc2fb389732b6",
    ];

    #[test]
    fn a_new_file_is_for_those_whom_the_umask_admits_durable_and_opens_again() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&DataDir::new(dir.path())).unwrap();
        let pragma = |name: &str| connection.pragma_query_value(None, name, |r| r.get::<_, String>(0)).ok();
        assert_eq!(pragma("journal_mode").as_deref(), Some("wal"));
        let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |r| r.get(0)).unwrap();
        assert_eq!(synchronous, 2, "FULL");
        drop(connection);
        open(&DataDir::new(dir.path())).unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&dir.path().join(FILE_NAME)), mode(&plain));
    }

    #[test]
    fn a_manifest_for_its_owner_only_gets_the_mode_of_its_lock_when_it_is_migrated() {
        use std::os::unix::fs::PermissionsExt;
        for (mode, lock, expected) in
            [(0o600, 0o644, 0o644), (0o600, 0o664, 0o664), (0o600, 0o600, 0o600), (0o640, 0o644, 0o640)]
        {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE_NAME);
            let old = Connection::open(&path).unwrap();
            MIGRATIONS[..9].iter().for_each(|migration| old.execute_batch(migration).unwrap());
            old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            old.pragma_update(None, "user_version", 9).unwrap();
            drop(old);
            let set = |path: &Path, mode| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            std::fs::write(lock::path(&DataDir::new(dir.path())), "").unwrap();
            set(&path, mode);
            set(&lock::path(&DataDir::new(dir.path())), lock);
            let found = || path.metadata().unwrap().permissions().mode() & 0o777;
            drop(open(&DataDir::new(dir.path())).unwrap());
            assert_eq!(found(), expected, "{mode:o} beside {lock:o}");
            set(&path, 0o600);
            drop(open(&DataDir::new(dir.path())).unwrap());
            assert_eq!(found(), 0o600, "whoever takes rights away later means it");
        }
    }

    /// A manifest of version n has run the first n migrations: a later change to one of them would never reach it. A
    /// new migration adds its line here.
    #[test]
    fn migrations_that_were_shipped_stay_as_they_are() {
        let digests =
            MIGRATIONS.iter().map(|sql| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(sql.as_bytes())));
        assert_eq!(digests.collect::<Vec<_>>(), SHIPPED);
    }

    #[test]
    fn of_syncs_from_before_it_was_kept_the_end_stands_for_the_begin() {
        let dir = tempfile::tempdir().unwrap();
        let old = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        MIGRATIONS[..9].iter().for_each(|migration| old.execute_batch(migration).unwrap());
        let insert = "INSERT INTO syncs (at_ms, what, rows, pages, defects) VALUES (7, 'splits', 1, 1, '{}')";
        old.execute_batch(insert).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 9).unwrap();
        drop(old);
        drop(open(&DataDir::new(dir.path())).unwrap());
        let begun = DataDir::new(dir.path()).open_read().unwrap().last_sync_ms("splits").unwrap();
        assert_eq!(begun, Some(7));
    }

    #[test]
    fn what_repairs_have_asked_for_so_far_is_told_from_what_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let old = Connection::open(dir.path().join(FILE_NAME)).unwrap();
        MIGRATIONS[..11].iter().for_each(|migration| old.execute_batch(migration).unwrap());
        let insert = "INSERT INTO tasks (ticker, from_date, to_date, asked_again, is_tail, updated_at_ms) VALUES
            ('A', '2024-01-01', '2024-01-31', 0, 0, 1), ('A', '2024-01-30', '2024-02-09', 0, 1, 1),
            ('A', '2024-01-04', '2024-01-05', 1, 0, 1), ('A', '2024-01-29', '2024-02-02', 0, 0, 1),
            ('B', '2024-01-03', '2024-01-03', 1, 0, 1), ('C', '2024-01-01', '2024-01-31', 0, 0, 1);
            INSERT INTO events (at_ms, kind, reason) VALUES (1, 'planned', 'A 2024-01-04..2024-01-05 is asked for again'),
            (1, 'planned', 'A 2024-01-29..2024-02-02 is asked for again'),
            (1, 'planned', 'A 2024-01-30..2024-02-09 is asked for again'),
            (1, 'planned', 'C 2024-01-01..2024-01-31 is asked for again')";
        old.execute_batch(insert).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 11).unwrap();
        drop(old);
        let new = open(&DataDir::new(dir.path())).unwrap();
        let mut select =
            new.prepare("SELECT ticker || from_date FROM tasks WHERE is_repair ORDER BY id").unwrap();
        let repairs: Vec<String> =
            select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        // The rolling task is the user's; B's row was requested by the user and re-opened by a repair; C's row is the
        // only one for its days.
        assert_eq!(repairs, ["A2024-01-04", "A2024-01-29"]);
    }

    #[test]
    fn a_manifest_of_any_older_version_is_brought_up_to_date_by_whoever_writes() {
        for version in 1..MIGRATIONS.len() {
            let dir = tempfile::tempdir().unwrap();
            let old = Connection::open(dir.path().join(FILE_NAME)).unwrap();
            MIGRATIONS[..version].iter().for_each(|migration| old.execute_batch(migration).unwrap());
            old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            old.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            drop(old);
            let bytes = std::fs::read(dir.path().join(FILE_NAME)).unwrap();
            let read = open_to_read(&DataDir::new(dir.path())).err();
            if is_readable(version) {
                assert!(read.is_none(), "{version}: {read:?}");
            } else {
                assert!(matches!(read, Some(ManifestError::TooOld { .. })), "{version}: {read:?}");
                let (oldest, latest) = (oldest_readable(), latest());
                let words = format!("this grab reads versions {oldest} to {latest}; a command that writes");
                assert!(read.unwrap().to_string().contains(&words));
            }
            assert_eq!(std::fs::read(dir.path().join(FILE_NAME)).unwrap(), bytes, "a reader changes nothing");
            DataDir::new(dir.path()).migrate().unwrap();
            let new = open_to_read(&DataDir::new(dir.path())).unwrap().connection;
            assert_eq!(check_version(&new, dir.path()).unwrap(), MIGRATIONS.len());
            let select = "SELECT count(asked_again) FROM tasks, quarantine, pace, witnesses, lost, set_aside, lists, orders, spec, told, rewrites";
            new.query_row(select, [], |_| Ok(())).unwrap();
        }
    }

    #[test]
    fn a_locked_directory_has_a_manifest_of_this_version() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::new(dir.path());
        let old = Connection::open(data_dir.manifest()).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let before = std::fs::read(data_dir.manifest()).unwrap();
        assert!(matches!(data_dir.open_read(), Err(ManifestError::TooOld { .. })));
        assert_eq!(std::fs::read(data_dir.manifest()).unwrap(), before, "a reader changes nothing");
        let _locked = data_dir.lock().unwrap();
        let new = open_to_read(&data_dir).unwrap().connection;
        assert_eq!(check_version(&new, dir.path()).unwrap(), MIGRATIONS.len());
    }

    /// A new migration needs its entry in [`SHOWN_AS_NEXT`], and a reader of an older file finds all columns of this version.
    #[test]
    fn the_last_versions_are_read_as_they_are() {
        let columns = |connection: &Connection, table: &str| -> Vec<String> {
            let mut select = connection.prepare(&format!("SELECT * FROM {table} LIMIT 0")).unwrap();
            let statement = select.query([]).unwrap();
            let names: Vec<String> = statement.as_ref().unwrap().column_names().map(str::to_owned).collect();
            names
        };
        let latest = Connection::open_in_memory().unwrap();
        for migration in MIGRATIONS {
            latest.execute_batch(migration).unwrap();
        }
        for version in (1..=MIGRATIONS.len()).filter(|version| is_readable(*version)) {
            let dir = tempfile::tempdir().unwrap();
            let data_dir = DataDir::new(dir.path());
            let old = Connection::open(data_dir.manifest()).unwrap();
            MIGRATIONS[..version].iter().for_each(|migration| old.execute_batch(migration).unwrap());
            old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            old.pragma_update(None, "user_version", i64::try_from(version).unwrap()).unwrap();
            drop(old);
            let bytes = std::fs::read(data_dir.manifest()).unwrap();
            for reader in [data_dir.open_read().unwrap(), ManifestReader::snapshot(&data_dir).unwrap()] {
                for (table, sql) in ours(MIGRATIONS.len()).unwrap() {
                    if sql.starts_with("CREATE TABLE") {
                        let found = columns(reader.connection(), table);
                        assert_eq!(found, columns(&latest, table), "{table} of version {version}");
                    }
                }
                assert_eq!(reader.counts().unwrap().total(), 0);
                assert!(reader.is_all_asked().unwrap() && reader.not_entitled().unwrap().is_empty());
                assert!(reader.plan_histories().unwrap().is_empty());
            }
            let reader = data_dir.open_read().unwrap();
            keep_in_memory(reader.connection()).unwrap();
            assert!(reader.is_all_asked().unwrap() && reader.plan_histories().unwrap().is_empty());
            assert_eq!(std::fs::read(data_dir.manifest()).unwrap(), bytes, "a reader changes nothing");
        }
    }

    #[test]
    fn a_newer_manifest_and_a_foreign_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&DataDir::new(dir.path())).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        assert!(matches!(
            open(&DataDir::new(dir.path())),
            Err(ManifestError::TooNew { found: 99, known: 17 })
        ));
        assert!(matches!(open_to_read(&DataDir::new(dir.path())), Err(ManifestError::TooNew { .. })));

        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(open_to_read(&DataDir::new(dir.path())), Err(ManifestError::Missing { .. })));
        std::fs::write(dir.path().join(FILE_NAME), b"").unwrap();
        assert!(
            matches!(open_to_read(&DataDir::new(dir.path())), Err(ManifestError::Missing { .. })),
            "its maker died at once"
        );
        for (foreign, is_ours) in [
            ("CREATE TABLE recipes (name TEXT)", false),
            ("PRAGMA application_id = 77", false),
            ("PRAGMA user_version = 2", false),
            ("PRAGMA application_id = 0x67726162; PRAGMA user_version = 2", true),
            ("PRAGMA application_id = 0x67726162; PRAGMA user_version = 17; CREATE TABLE tasks (id)", true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE_NAME);
            Connection::open(&path).unwrap().execute_batch(foreign).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            match open(&DataDir::new(dir.path())) {
                Err(ManifestError::Foreign { .. }) => assert!(!is_ours, "{foreign}"),
                Err(ManifestError::Corrupt(_)) => assert!(is_ours, "{foreign}"),
                other => panic!("{foreign}: {other:?}"),
            }
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "{foreign}: it is as it was");
        }
    }

    #[test]
    fn events_cannot_be_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&DataDir::new(dir.path())).unwrap();
        connection.execute("INSERT INTO events (at_ms, kind, reason) VALUES (0, 'x', 'y')", []).unwrap();
        assert!(connection.execute("UPDATE events SET reason = 'z'", []).is_err());
        assert!(connection.execute("DELETE FROM events", []).is_err());
    }
}
