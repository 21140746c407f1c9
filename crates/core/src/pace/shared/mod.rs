//! The pace of one service and key as a file that all processes of a user share.
//!
//! The files lie in `pace/` of the user's state directory. A file's name is a keyed hash (HMAC-SHA256) of service and
//! key; the hash's own key is random bytes in the file `salt`, so that a name does not tell whether a guessed API key is the
//! right one. A file is changed under its lock (`flock`), for some microseconds each time. It has a checksum: half a
//! file counts as none. It is no data: nothing is synced, and losing it loses at most what a few minutes would teach again.

mod record;

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use grab_model::ApiKey;
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use rustix::{
    fs::{Timespec, Timestamps, UTIME_NOW, futimens},
    time::{ClockId, clock_gettime},
};
use tokio::time::Instant as PacerInstant;

use super::state::PacerState;
use crate::clock::Clock;
pub(super) use record::Stamp;

/// The file of random bytes, and their number.
const SALT: &str = "salt";
const SALT_LEN: usize = 32;

/// Another process has the lock for microseconds. If it is stopped just then, no process waits for it longer than this.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_RETRY: Duration = Duration::from_micros(200);

/// The file system's present time.
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };

/// A file that was not used for this long is removed: no window and no recovery lasts as long.
const UNUSED: Duration = Duration::from_hours(24 * 30);

/// The open file of one service and key.
pub struct SharedPace {
    path: PathBuf,
    file: File,
    clock: Box<dyn Fn() -> Stamp + Send + Sync>,
}

/// The file while this process has its lock.
pub(super) struct LockedPace<'a> {
    shared: &'a SharedPace,
}

impl fmt::Debug for SharedPace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPace").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SharedPace {
    /// Opens the file of a service (host and port) and a key below the user's state directory.
    ///
    /// # Errors
    /// If the folder or a file in it cannot be made, read or locked.
    pub fn open(state_dir: &Path, service: &str, key: &ApiKey) -> io::Result<Self> {
        let boot = this_boot();
        Self::open_with(state_dir, service, key, Box::new(move || now_of_system(boot)))
    }

    pub(super) fn open_with(
        state_dir: &Path,
        service: &str,
        key: &ApiKey,
        clock: Box<dyn Fn() -> Stamp + Send + Sync>,
    ) -> io::Result<Self> {
        let folder = state_dir.join("pace");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        remove_unused(&folder);
        let path = folder.join(name(&salt(&folder)?, service, key));
        // A process that removes unused files may have had the lock first.
        for _ in 0..3 {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            lock(&file)?;
            let is_there = file.metadata()?.nlink() > 0;
            futimens(&file, &Timestamps { last_access: NOW, last_modification: NOW })?;
            file.unlock()?;
            if is_there {
                return Ok(Self { path, file, clock });
            }
        }
        Err(io::Error::new(ErrorKind::NotFound, "it is removed again and again"))
    }

    /// Locks the file.
    ///
    /// # Errors
    /// If another process keeps the lock, or the file system has none.
    pub(super) fn lock(&self) -> io::Result<LockedPace<'_>> {
        lock(&self.file)?;
        Ok(LockedPace { shared: self })
    }
}

impl LockedPace<'_> {
    /// Reads the state. None if the file has no state, or a torn one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(&self, now: PacerInstant) -> io::Result<Option<PacerState>> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = self.shared.file.read_at(&mut chunk, bytes.len() as u64)?;
            bytes.extend_from_slice(&chunk[..read]);
            if read < chunk.len() {
                break;
            }
        }
        Ok(record::decode(&bytes, now, (self.shared.clock)()))
    }

    /// Writes the state.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, state: &PacerState, now: PacerInstant) -> io::Result<()> {
        let bytes = record::encode(state, now, (self.shared.clock)());
        self.shared.file.write_all_at(&bytes, 0)
    }
}

impl Drop for LockedPace<'_> {
    fn drop(&mut self) {
        // It cannot fail for a file that is locked; the lock ends with the process anyway.
        drop(self.shared.file.unlock());
    }
}

/// Locks a file, and waits for a while if another process has the lock.
fn lock(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_PATIENCE => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "another process keeps its lock"));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
        }
    }
}

/// The name of the file of a service and a key.
fn name(salt: &[u8], service: &str, key: &ApiKey) -> String {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, salt);
    let mut context = hmac::Context::with_key(&secret);
    for part in [service.as_bytes(), b"\0", key.bearer().as_bytes()] {
        context.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&context.sign().as_ref()[..16]);
    format!("{:032x}", u128::from_be_bytes(half))
}

/// Reads the salt, or makes it.
fn salt(folder: &Path) -> io::Result<Vec<u8>> {
    let path = folder.join(SALT);
    match fs::read(&path) {
        Ok(salt) if salt.len() == SALT_LEN => return Ok(salt),
        // A power failure can leave an empty one.
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut salt = vec![0; SALT_LEN];
    SystemRandom::new().fill(&mut salt).map_err(|_| io::Error::other("there are no random numbers"))?;
    // Files of tempfile have mode 0600. The name appears with the whole content, and never replaces another one.
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&salt)?;
    match new.persist_noclobber(&path) {
        Ok(_) => Ok(salt),
        // Another process was first.
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => fs::read(&path),
        Err(error) => Err(error.error),
    }
}

/// Removes files that were not used for long. What cannot be removed does no harm.
fn remove_unused(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in files.filter(|entry| entry.file_name() != SALT).map(|entry| entry.path()) {
        let is_unused = |file: &File| {
            let modified = file.metadata().and_then(|metadata| metadata.modified());
            modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > UNUSED))
        };
        let Ok(file) = File::open(&path) else { continue };
        // A process that opens it just now has the lock, or will see that the file is gone.
        if is_unused(&file) && file.try_lock().is_ok() && is_unused(&file) {
            drop(fs::remove_file(&path));
        }
    }
}

/// The clocks now. All processes share the monotonic one of a machine until it is started again.
fn now_of_system(boot: u128) -> Stamp {
    let monotonic = clock_gettime(ClockId::Monotonic);
    Stamp {
        boot,
        monotonic_ns: monotonic.tv_sec.saturating_mul(1_000_000_000).saturating_add(monotonic.tv_nsec),
        // A simulated time is not that of other processes.
        wall_ns: Clock::system().now_ms().saturating_mul(1_000_000),
    }
}

/// Identifies the machine's present uptime. 0 where the system does not say it (macOS): there only a monotonic clock that runs
/// backwards shows a restart.
fn this_boot() -> u128 {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0)
}
