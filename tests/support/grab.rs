//! The program itself, away from the user's own settings.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// The user without rights.
const NOBODY: u32 = 65_534;

/// A data directory and an environment for runs of the program.
pub struct Grab {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Grab {
    /// A new directory and an empty environment.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() }
    }

    /// A directory for the sandbox, at the path of all other tests: by default it has a separate one.
    pub fn of_sandbox() -> Self {
        Self::new().env("GRAB_DATA_DIR", "data")
    }

    /// A directory set up for a server, with a key and without a rate limit.
    pub fn with_server(base_url: &str) -> Self {
        Self::new()
            .env("MASSIVE_API_BASE_URL", base_url)
            .env("MASSIVE_API_KEY", "hush-hush-key")
            .env("GRAB_RATE", "none")
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The working directory of the program, with its config files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir().join("data")
    }

    /// The user's folder for state.
    pub fn state_dir(&self) -> PathBuf {
        self.dir().join("state")
    }

    pub fn command(&self, arguments: &str) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_grab")), arguments)
    }

    /// A command of a copy of the program.
    pub fn command_of(&self, program: &Path, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments.split_whitespace())
            .current_dir(self.dir())
            .env_clear()
            .env("HOME", self.dir())
            .env("XDG_STATE_HOME", self.state_dir())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// A command of a user with limited permissions: this user, or `nobody` if this one is root.
    pub fn command_of_nobody(&self, arguments: &str) -> Command {
        let command = self.command(arguments);
        if fs::metadata(self.dir()).unwrap().uid() != 0 {
            return command;
        }
        // The program may be where only root can read. Another process copies it: a file that this one has open for
        // writing is inherited by programs that other tests start, and cannot be run meanwhile.
        let program = self.dir().join("grab-of-nobody");
        let copied = Command::new("cp").arg(command.get_program()).arg(&program).output().unwrap();
        assert!(copied.status.success(), "{copied:?}");
        for path in [self.dir(), &program] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut of_nobody = Command::new(program);
        let env = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        of_nobody.args(command.get_args()).current_dir(self.dir()).env_clear().envs(env);
        of_nobody.stdin(Stdio::null()).uid(NOBODY).gid(NOBODY);
        of_nobody
    }

    /// Runs the program to its end. Arguments are split at white space.
    pub fn run(&self, arguments: &str) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs it with one more variable.
    pub fn run_with(&self, name: &str, value: &str, arguments: &str) -> Ran {
        self.command(arguments).env(name, value).output().unwrap().into()
    }

    /// Starts it and does not wait.
    pub fn spawn(&self, arguments: &str) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The manifest, for SQL.
    pub fn manifest(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data_dir().join("manifest.sqlite")).unwrap()
    }

    /// One number from the manifest.
    pub fn count(&self, sql: &str) -> i64 {
        self.manifest().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// `ticker from state` of every task, in order.
    pub fn tasks(&self) -> Vec<String> {
        let status = self.run("status --tickers --json").json();
        let item = |item: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            format!("{} {} {}", text(&item["ticker"]), text(&item["window"]["from"]), text(&item["state"]))
        };
        status["items"].as_array().unwrap().iter().map(item).collect()
    }
}

impl Ran {
    /// The one JSON object on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that the run ended with `code`.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            // Killed by a signal: no code of its own.
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Waits for an event in another process. Gives up after half a minute.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
