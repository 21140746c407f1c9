//! The text after the options in `--help`: examples and facts. At most 80 columns, as it is not wrapped; examples at
//! most 72, as a manual page indents them.

/// After `grab --help`. The exit codes are those of `ExitStatus`: a test compares them.
pub const GRAB: &str = "\
Try it without a key:
  grab start --sandbox --windows 2023,2024 --tickers AAPL,MSFT,BRK.B,NVDA

Each command has examples: grab start --help
The key is in MASSIVE_API_KEY, or in the file that GRAB_API_KEY_FILE names.
Settings: flag > env > --spec > saved > grab.toml > ~/.config/grab/config.toml.
Exit codes: 0 complete, 1 a bug, 2 usage, 3 a bad spec, config or tickers file,
  10 incomplete (grab resume continues), 11 some tasks have no data, 12 damage,
  13 gaps, 20 key, 21 source unreachable, 30 disk, 31 another grab runs here,
  32 the manifest is of another version of grab, 130 interrupted.";

/// After `grab start --help`.
pub const START: &str = "\
Examples:
  grab start --windows 2024-2025 --tickers AAPL,MSFT --dry-run
  grab start --windows 2004-2010 --tickers-file sp500.csv --rate 100/s
  grab start --spec manifests/demo.toml --sandbox
  grab start --universe us-stocks --type CS --windows 2004-2016 --rate 100/s
  grab start --tasks-file missing.csv --max-duration 50m

The same request a second time does nothing; a wider one adds what is missing.
After a crash or a stop, grab resume continues. Pace, host and spec are saved:
later commands here use them, another start without --spec too.";

/// After `grab resume --help`.
pub const RESUME: &str = "\
Examples:
  grab resume
  grab resume --max-duration 50m
  grab resume --retry-failed

It fetches what grab start has recorded and is not stored yet: grab status
shows it.";

/// After `grab update --help`.
pub const UPDATE: &str = "\
Examples:
  grab update --dry-run
  grab update --max-duration 50m
  grab update --settle 1h --min-symbols-per-session 10000
  grab update --metrics-file /var/lib/node_exporter/grab.prom

It requests, for each symbol, the sessions from three before the last stored one
(late trades revise bars) to the last one that ended half an hour ago, and gaps
that the service may have filled. A second run on the same day sends almost
no request. It exits with 10 if the source has no bars of the last session yet,
with 13 if a new session has too few symbols. If the directory was started with
a spec, its pace and thresholds apply.";

/// After `grab verify --help`.
pub const VERIFY: &str = "\
Examples:
  grab verify
  grab verify --deep --report coverage.html --csv findings.csv
  grab verify --sample 1/30 --min-coverage 0.99
  grab verify --witness grouped-daily --rate 100/s
  grab verify --spec manifests/demo.toml --missing missing.csv

It exits with 12 if there is damage, with 13 if sessions are missing or thin
without an explanation; with 10, 20 or 21 if the witness could not be fetched
completely. Coverage is the share of expected sessions that have bars. grab
repair fetches again what verify finds.

It only reads, also while a run is live: the report is as of its start. With
--witness grouped-daily it writes, and needs the lock of the directory (31).";

/// After `grab repair --help`.
pub const REPAIR: &str = "\
Examples:
  grab repair --dry-run
  grab repair
  grab verify --deep --json > findings.json
  grab repair --from findings.json
  grab repair --rebuild-manifest
  grab repair --rewrite

Days that fit into one page of the service are one request: --dry-run says how
many requests there will be. After an interruption, grab resume continues.

Damaged files are moved to set_aside/ in the data directory, and removed once
their replacement is stored. Days without bars are requested one more time; what
the server does not have then is not requested again, unless --from names it.
Recorded bars that the server does not have any more stay a gap (exit 13) until
it has them, or until --accept-loss.

--rebuild-manifest: the metadata of each file names its complete days; these are
not requested again. Other requests in plan.jsonl are pending again (exit 10),
also those that were empty or refused: grab resume continues. Without plan.jsonl
it is unknown what was pending. The old manifest is moved, not deleted.

--rewrite: writes all files in the current format, with the same content: after
an update of grab, so that other programs can open them, or to change --parquet.
It needs no network and no key, and continues where it was interrupted. Files in
the current format are skipped; damaged files stay as they are and are named
(exit 12). Exports are made again by grab export.";

/// After `grab status --help`.
pub const STATUS: &str = "\
Examples:
  grab status
  grab status --tickers
  grab status --runs
  grab status --watch --interval 5s
  grab status --json --tickers --runs

It only reads, also while a run is live in another terminal.";

/// After `grab export --help`.
pub const EXPORT: &str = "\
Examples:
  grab export --out files
  grab export --tickers AAPL,MSFT --adjusted splits --out adjusted
  grab export --tickers NVDA --adjusted splits --as-of 2024-06-07 --out old
  grab export --windows 2024 --format csv --out year
  grab export --tickers META --follow-renames --out joined

One file for each ticker (AAPL.parquet, KIM%70L.csv) with the columns of the
store, and grab-export.json, which describes them. Files of an earlier export
are replaced, other files never. Splits and renames come from grab universe
sync.

It only reads the data directory, also while a run is live.

--adjusted splits: prices before a split are multiplied by split_from and
divided by split_to, volumes the other way round; the split's own day has new
shares already. Nothing is adjusted for dividends. A split that is listed under
another symbol of the company is applied where its ticker events say so (grab
universe sync --renames). Splits that are not applied, or that the bars do not
show, are named with their days.";

/// After `grab universe --help`.
pub const UNIVERSE: &str = "\
Examples:
  grab universe sync --rate 100/s
  grab universe list --type CS --active-on 2010-06-30 --tickers-only
  grab start --universe us-stocks --type CS --windows 2004-2016

A symbol that another company got later has two listing periods. Nothing is ever
removed from the universe: a row that a sync does not find keeps the day on
which it was seen last.";

/// After `grab universe sync --help`.
pub const UNIVERSE_SYNC: &str = "\
Examples:
  grab universe sync
  grab universe sync --list-dates --renames --rate 100/s
  grab universe sync --no-splits --annotate sectors.csv

Some 40 requests fetch all tickers and splits. After a crash or a stop, the same
command continues within a day. The tables are Parquet files in reference/.";

/// After `grab universe list --help`.
pub const UNIVERSE_LIST: &str = "\
Examples:
  grab universe list --type CS,ADRC,ETF --exchange XNAS
  grab universe list --type 'CS,?' --exchange 'XNAS,?'
  grab universe list --active-on 2010-06-30 --json
  grab universe list --ticker META

It sends no request. The lists have the day on which a ticker was delisted, and
grab universe sync --list-dates fetches the day on which it was listed. Until
then it counts as listed from the beginning.";

/// After `grab sandbox --help`.
pub const SANDBOX: &str = "\
Examples:
  grab sandbox --listen 127.0.0.1:8080
  grab sandbox --recorded bars/ --page-cap 5000
  grab sandbox --plan-rate 5 --history-from 2022-01-03
  grab sandbox --faults 0.3 --seed 7
  grab sandbox --settling 2 --lag 45m --holes 0.02 --reference-defects

Then, in another terminal:
  export MASSIVE_API_KEY=any
  grab start --base-url http://127.0.0.1:8080 --rate none …

Any key is accepted, or only the one in GRAB_SANDBOX_KEY.";

/// After `grab spec --help` and `grab spec check --help`.
pub const SPEC: &str = "\
Examples:
  grab spec check manifests/*.toml
  grab spec check --json my.toml

It also reads the tickers files that specs name, and sends no request. It exits
with 3 if anything is wrong. manifests/README.md explains the keys.";

/// After `grab completions --help`.
pub const COMPLETIONS: &str = "\
Examples:
  grab completions bash > ~/.local/share/bash-completion/completions/grab
  grab completions zsh > ~/.zfunc/_grab
  grab completions fish > ~/.config/fish/completions/grab.fish

zsh: the folder must be in fpath before compinit runs, as in a ~/.zshrc with
  fpath+=~/.zfunc
  autoload -Uz compinit && compinit";

/// After `grab man --help`.
pub const MAN: &str = "\
Examples:
  grab man | man -l -
  grab man --dir ~/.local/share/man/man1
  man grab-start";
