//! What commands print: text for people, JSON for programs.

use std::fmt;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::exit::{CommandError, Exit};

/// `println!` for commands: a reader that has seen enough (`company-store … | head`) ends the program without a panic.
macro_rules! outln {
    ($($text:tt)*) => {
        $crate::output::write(format_args!("{}\n", format_args!($($text)*)))
    };
}
pub(crate) use outln;

/// Writes to standard output. When nobody reads it any more, the program ends with the status that the shell knows for
/// that (128 + SIGPIPE): it has not done what was asked, so it is no success.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    const NOBODY_READS: i32 = 141;
    match std::io::stdout().lock().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(NOBODY_READS),
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            std::process::exit(Exit::Failure as i32)
        }
    }
}

/// Decides between text and JSON.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints `value` as JSON, or what `text` prints.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn show(self, value: &Value, text: impl FnOnce(&Value)) -> Result<(), CommandError> {
        if self.json {
            let json = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
            outln!("{json}");
        } else {
            text(value);
        }
        Ok(())
    }

    /// A line about what is going on, for people only.
    pub fn note(self, line: &str) {
        if !self.json {
            outln!("{line}");
        }
    }

    /// A spinner for long work; silent where nobody watches.
    #[must_use]
    pub fn spinner(self, message: &str) -> indicatif::ProgressBar {
        if self.json || !std::io::stderr().is_terminal() {
            return indicatif::ProgressBar::hidden();
        }
        let spinner = indicatif::ProgressBar::new_spinner();
        spinner.set_message(message.to_owned());
        spinner.enable_steady_tick(std::time::Duration::from_millis(120));
        spinner
    }
}

/// A text field of an answer, or a dash.
#[must_use]
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).unwrap_or("-")
}

/// Prints rows under their headings, each column as wide as its widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        outln!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    print(headings.to_vec());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}
