"""What snippets.sh does with the blocks of README and docs/: takes them out, and runs those that are not for a shell."""

import re
import subprocess
import sys
from pathlib import Path

# Pages whose blocks something else checks: tests/docs.rs (the manifest's SQL is SQLite's), and what a person edits.
ELSEWHERE = {("manifest.md", "sql"), ("manifest.md", "")}
# Languages that are shown and not run.
SHOWN = {"", "json", "text", "mermaid", "toml"}
# What engines print of nothing.
NOTHING = re.compile(r"Empty DataFrame|^shape: \(0,", re.MULTILINE)
CRON_LINE = re.compile(r"^((?:[\d*,/-]+ +){4}[\w*,/-]+) +(.*)$")


def pages(repo: Path) -> list[Path]:
    return [repo / "README.md", *sorted((repo / "docs").glob("*.md")), repo / "manifests/README.md"]


def blocks(page: Path):
    """Line, language and text of each fenced block."""
    language, begun, lines = None, 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if language is None:
                language, begun, lines = line[3:].strip(), number, []
            else:
                yield begun, language, "\n".join(lines) + "\n"
                language = None
        elif language is not None:
            lines.append(line)


def extract(repo: Path, folder: Path) -> None:
    folder.mkdir()
    number = 0
    for page in pages(repo):
        for line, language, text in blocks(page):
            if language in SHOWN or (page.name, language) in ELSEWHERE:
                continue
            number += 1
            name = page.relative_to(repo).as_posix().replace("/", "-")
            (folder / f"{number:02}-{name}-{line}.{language}").write_text(text, encoding="utf-8")


def units(repo: Path, folder: Path) -> None:
    """Each unit of docs/scheduling.md under its name, which the line above it has."""
    folder.mkdir()
    text = (repo / "docs/scheduling.md").read_text(encoding="utf-8")
    found = re.findall(r"^`/etc/systemd/system/([\w.-]+)`\n\n```ini\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for name, unit in found:
        (folder / name).write_text(unit, encoding="utf-8")
    if len(found) < 2:
        sys.exit("docs/scheduling.md has no units")


def commands(block: Path) -> None:
    """The commands of a shell's block: behind the prompt, where there is one."""
    text = block.read_text(encoding="utf-8")
    if block.suffix == ".console":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("$ "))
    print(text)


def run_sql(text: str) -> None:
    import duckdb

    connection = duckdb.connect()
    for statement in duckdb.extract_statements(text):
        rows = connection.execute(statement.query).fetchall()
        print(*rows[:5], sep="\n")
        if not rows and statement.type == duckdb.StatementType.SELECT:
            sys.exit("no rows")


def run_python(block: Path) -> None:
    ran = subprocess.run([sys.executable, block], text=True, stdout=subprocess.PIPE)
    print(ran.stdout, end="")
    if ran.returncode != 0 or not ran.stdout.strip() or NOTHING.search(ran.stdout):
        sys.exit("it finds nothing")


def cron_command(line: str) -> str | None:
    """What cron runs of a line: an unescaped % would be the end of it. None of a comment or a variable."""
    if not line.strip() or line.startswith("#") or re.match(r"^\w+=", line):
        return None
    found = CRON_LINE.match(line)
    if not found:
        sys.exit(f"not a line of cron: {line}")
    if re.search(r"(?<!\\)%", found[2]):
        sys.exit(f"cron ends the command at the %: {line}")
    return found[2].replace("\\%", "%")


def run_cron(text: str) -> None:
    if not re.search(r"^PATH=", text, re.MULTILINE):
        sys.exit("without a PATH, cron finds no grab")
    for line in text.splitlines():
        command = cron_command(line)
        if command is None:
            continue
        print(command)
        # All is well in what the README's command has made: nobody gets a mail.
        ran = subprocess.run(["sh", "-c", command], text=True, capture_output=True)
        if ran.stdout or ran.stderr:
            sys.exit(f"a mail would be sent: {ran.stdout}{ran.stderr}")
        if "--sample" in command:
            every_part_comes(command)


def every_part_comes(command: str) -> None:
    """In each stretch of as many days as there are parts, whatever the months are, each part is read."""
    sample = re.search(r"--sample (\S*\$\(\(.*?\)\)/(\d+))", command)
    if not sample:
        sys.exit(f"no part is named by the day: {command}")
    parts = int(sample[2])
    days = "for day in $(seq 20450 20850); do date() { echo $((day * 86400 + 10800)); }; echo " + sample[1] + "; done"
    read = subprocess.run(["sh", "-c", days], text=True, capture_output=True, check=True).stdout.split()
    wanted = {f"{part}/{parts}" for part in range(1, parts + 1)}
    if any(set(read[begin : begin + parts]) != wanted for begin in range(len(read) - parts)):
        sys.exit(f"not every part is read in {parts} days: {read[:40]}")


def run(block: Path) -> None:
    text = block.read_text(encoding="utf-8")
    if block.suffix == ".sql":
        run_sql(text)
    elif block.suffix == ".python":
        run_python(block)
    elif block.suffix == ".crontab":
        run_cron(text)
    else:
        import yaml

        print(*[type(document).__name__ for document in yaml.safe_load_all(text)])


def main() -> None:
    match sys.argv[1:]:
        case ["extract", repo, folder]:
            extract(Path(repo), Path(folder))
        case ["units", repo, folder]:
            units(Path(repo), Path(folder))
        case ["commands", block]:
            commands(Path(block))
        case ["run", block]:
            run(Path(block))
        case _:
            sys.exit(__doc__)


main()
