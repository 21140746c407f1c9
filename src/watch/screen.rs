//! The terminal of a live view: it is restored at the end. Without a terminal, plain lines.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Read, Write},
    thread,
};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Columns if there is no terminal.
const PLAIN_WIDTH: usize = 100;

/// The size if a terminal does not report one.
const USUAL: (usize, usize) = (80, 24);

/// Enters the alternate screen without a cursor; and leaves it.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// The style of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Unchanged.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Something is wrong.
    Bad,
    /// Less important.
    Faint,
}

/// One line, no longer than the terminal is wide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without control characters.
    pub text: String,
    /// Its style.
    pub style: Style,
}

/// Where the view is drawn. Restores the terminal when it is dropped.
pub struct Screen {
    is_terminal: bool,
    has_colours: bool,
    /// The former terminal mode.
    before: Option<Termios>,
    is_first: bool,
}

impl Screen {
    /// Takes over the terminal, if stdout is one that can be redrawn.
    ///
    /// # Errors
    /// If the terminal refuses.
    pub fn open() -> io::Result<Self> {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb");
        let has_colours = is_terminal && variable("NO_COLOR").is_none();
        let mut screen = Self { is_terminal, has_colours, before: None, is_first: true };
        if is_terminal {
            screen.before = without_echo()?;
            write(ENTER)?;
        }
        Ok(screen)
    }

    /// Whether the view is redrawn in place.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Columns and, on a terminal, lines.
    #[must_use]
    pub fn size(&self) -> (usize, Option<usize>) {
        if !self.is_terminal {
            return (PLAIN_WIDTH, None);
        }
        let size = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        let (width, height) = size.map_or(USUAL, |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        (width, Some(height))
    }

    /// Draws the lines over the former ones; without a terminal, below them.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        if !self.is_terminal {
            let apart = if std::mem::take(&mut self.is_first) { "" } else { "\n" };
            let lines: Vec<_> = lines.iter().map(|line| line.text.trim_end()).collect();
            return write(&format!("{apart}{}\n", lines.join("\n")));
        }
        let mut text = "\u{1b}[H".to_owned();
        for (at, line) in lines.iter().enumerate() {
            // No line feed after the last line: it would scroll.
            let apart = if at == 0 { "" } else { "\r\n" };
            let (on, off) = self.codes(line.style);
            let _ = write!(text, "{apart}{on}{}{off}\u{1b}[K", line.text);
        }
        text.push_str("\u{1b}[J");
        write(&text)
    }

    fn codes(&self, style: Style) -> (&'static str, &'static str) {
        const RESET: &str = "\u{1b}[0m";
        match style {
            _ if !self.has_colours => ("", ""),
            Style::Plain => ("", ""),
            Style::Bold => ("\u{1b}[1m", RESET),
            Style::Bad => ("\u{1b}[31m", RESET),
            Style::Faint => ("\u{1b}[2m", RESET),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            // A terminal that is gone needs no restoring.
            let _ = write(LEAVE);
            let _ = self.before.take().map(|before| tcsetattr(io::stdin(), OptionalActions::Flush, &before));
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Delivers keys at once and without echo; disables Ctrl-Z, which would leave the terminal half changed. Returns the
/// former mode. None if stdin is not a terminal.
fn without_echo() -> io::Result<Option<Termios>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let before = tcgetattr(io::stdin())?;
    let mut during = before.clone();
    during.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    during.special_codes[SpecialCodeIndex::VMIN] = 1;
    during.special_codes[SpecialCodeIndex::VTIME] = 0;
    // The value for "no key" (`_POSIX_VDISABLE`) is 0 on Linux and 255 on macOS.
    during.special_codes[SpecialCodeIndex::VSUSP] = if cfg!(target_os = "macos") { 255 } else { 0 };
    tcsetattr(io::stdin(), OptionalActions::Now, &during)?;
    Ok(Some(before))
}

/// The typed bytes, one by one. The thread that reads them ends with the process.
pub fn keys() -> UnboundedReceiver<u8> {
    let (sender, typed) = unbounded_channel();
    thread::spawn(move || {
        for byte in io::stdin().lock().bytes() {
            let Ok(byte) = byte else { break };
            if sender.send(byte).is_err() {
                break;
            }
        }
    });
    typed
}
