//! The text after the options in `--help`: examples and facts. At most 80 columns, as it is not wrapped; examples at
//! most 72, as a manual page indents them.

/// After `grab --help`. The exit codes are those of `ExitStatus`: a test compares them.
pub const GRAB: &str = "\
Try it without a key:
  grab start --sandbox --windows 2023,2024 --tickers AAPL,MSFT,BRK.B,NVDA

Each command has examples: grab start --help
The key is in MASSIVE_API_KEY, or in the file that GRAB_API_KEY_FILE names.
Settings: flag > environment > spec > grab.toml > ~/.config/grab/config.toml.
Exit codes: 0 complete, 1 a bug, 2 usage, 3 a bad spec, config or tickers file,
  10 incomplete (grab resume goes on), 11 some tasks have no data, 12 damage,
  13 gaps, 20 key, 21 source unreachable, 30 disk, 31 another grab is at work,
  32 the manifest is of another version of grab, 130 interrupted.";

/// After `grab start --help`.
pub const START: &str = "\
Examples:
  grab start --windows 2024-2025 --tickers AAPL,MSFT --dry-run
  grab start --windows 2004-2010 --tickers-file sp500.csv --rate 100/s
  grab start --spec manifests/demo.toml --sandbox
  grab start --universe us-stocks --type CS --windows 2004-2016 --rate 100/s
  grab start --tasks-file missing.csv --max-duration 50m

Asked twice for the same, the second does nothing; asked for more, it adds what
is missing. Killed or stopped, grab resume goes on.";

/// After `grab resume --help`.
pub const RESUME: &str = "\
Examples:
  grab resume
  grab resume --max-duration 50m
  grab resume --retry-failed

It asks for what grab start has recorded and is not there yet: grab status.";

/// After `grab update --help`.
pub const UPDATE: &str = "\
Examples:
  grab update --dry-run
  grab update --max-duration 50m
  grab update --settle 1h --min-symbols-per-session 10000
  grab update --metrics-file /var/lib/node_exporter/grab.prom

From three sessions before the last one of each symbol, as late trades revise
bars, to the last session that ended half an hour ago. Holes that the service
may have filled are asked for too. A second run on the same evening asks next
to nothing. It exits with 10 if the source has no bars of the last session yet,
with 13 if a new session has too few symbols. Pace and thresholds are those of
the spec that the directory was started with, if it was with one.";

/// After `grab verify --help`.
pub const VERIFY: &str = "\
Examples:
  grab verify
  grab verify --deep --report coverage.html --csv findings.csv
  grab verify --sample 1/30 --min-coverage 0.99
  grab verify --witness grouped-daily --rate 100/s
  grab verify --spec manifests/demo.toml --missing missing.csv

It exits with 12 if there is damage, with 13 if sessions are missing or thin and
nothing explains it; with 10, 20 or 21 if not all of the witness could be asked
for. The coverage is the share of sessions with bars, with --deep or without.
grab repair fetches again what it finds.

It only reads, also beside a run: what it says is of the instant at which it
began. With --witness grouped-daily it writes, and needs the directory (31).";

/// After `grab repair --help`.
pub const REPAIR: &str = "\
Examples:
  grab repair --dry-run
  grab repair
  grab verify --deep --json > findings.json
  grab repair --from findings.json
  grab repair --rebuild-manifest
  grab repair --rewrite

Days that one page of the service holds are one request: --dry-run says how many
requests there will be. Interrupted, grab resume goes on.

Damaged files are moved to set_aside/ in the data directory, and removed once
their replacement is in place. Days without bars are asked for once more: what
the server does not have then is not asked for again, unless --from names it.
Bars that were on record and do not come back stay a gap (exit 13), until they
do, or until --accept-loss.

--rebuild-manifest: each file says which of its days are whole: these are not
asked for again. What plan.jsonl asks for besides is pending again (exit 10),
also what was empty or refused: grab resume goes on. Without plan.jsonl it is
not known what was pending. The old manifest is set aside, not deleted.

--rewrite: all files get the form in which grab writes them today, with the same
content: after an update of grab, so that other programs can open them, or to
change --parquet. It needs no network and no key, can be interrupted at any
time, and goes on where it was. Files in today's form are passed over; a damaged
one is left and named (exit 12). Exports are made again by grab export.";

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
store, and grab-export.json, which says what is in them. Files that grab export
has made are replaced, others never. Splits and renames come from grab universe
sync.

It only reads the data directory, also beside a run.

--adjusted splits: prices before a split are multiplied with its old shares and
divided by its new ones, volumes the other way round; the split's own day has
new shares already. Nothing is adjusted for dividends. A split that is listed
under another symbol of the company is applied where its events say so (grab
universe sync --renames); what is not applied, or not shown by the bars, is
named with its day.";

/// After `grab universe --help`.
pub const UNIVERSE: &str = "\
Examples:
  grab universe sync --rate 100/s
  grab universe list --type CS --active-on 2010-06-30 --tickers-only
  grab start --universe us-stocks --type CS --windows 2004-2016

A symbol that another company got later has two lives. Nothing is ever taken out
of the universe: what a sync does not bring keeps the day it was seen last.";

/// After `grab universe sync --help`.
pub const UNIVERSE_SYNC: &str = "\
Examples:
  grab universe sync
  grab universe sync --list-dates --renames --rate 100/s
  grab universe sync --no-splits --annotate sectors.csv

Some 40 requests bring all tickers and splits. Killed or stopped, the same
command goes on within a day. The tables are Parquet files in reference/.";

/// After `grab universe list --help`.
pub const UNIVERSE_LIST: &str = "\
Examples:
  grab universe list --type CS,ADRC,ETF --exchange XNAS
  grab universe list --type 'CS,?' --exchange 'XNAS,?'
  grab universe list --active-on 2010-06-30 --json
  grab universe list --ticker META

It asks nobody anything. Who left when is known; who was listed when is asked
for by grab universe sync --list-dates. Until then they count as listed before.";

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

It reads the tickers files that specs name, too, and asks nobody anything. It
exits with 3 if anything is wrong. manifests/README.md explains the keys.";

/// After `grab completions --help`.
pub const COMPLETIONS: &str = "\
Examples:
  grab completions bash > ~/.local/share/bash-completion/completions/grab
  grab completions zsh > ~/.zfunc/_grab
  grab completions fish > ~/.config/fish/completions/grab.fish

zsh: the folder is to be in fpath before compinit runs, as in a ~/.zshrc with
  fpath+=~/.zfunc
  autoload -Uz compinit && compinit";

/// After `grab man --help`.
pub const MAN: &str = "\
Examples:
  grab man | man -l -
  grab man --dir ~/.local/share/man/man1
  man grab-start";
