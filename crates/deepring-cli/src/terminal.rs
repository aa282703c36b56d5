//! The terminal of a command, for a line that is typed and not shown.

use std::io;

use zeroize::Zeroizing;

/// Prompts on the terminal, whatever stdin and stdout are, and returns the line that is typed, without its end.
///
/// Fails with [`Interrupted`](io::ErrorKind::Interrupted) when the user types ^C: the terminal shows again what is typed then, as
/// after every other end. (`rpassword` by itself raises the signal, which ends the process before it can see to that.)
#[cfg(unix)]
pub(crate) fn hidden_line(prompt: &str) -> io::Result<Zeroizing<String>> {
    use std::io::Write as _;

    let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let shown_again = unix::Hidden::of(terminal.try_clone()?)?;
    terminal.write_all(prompt.as_bytes())?;
    let typed = unix::UntilInterrupt(terminal.try_clone()?);
    let config = rpassword::ConfigBuilder::new().input_reader(typed).output_discard().build();
    let line = rpassword::read_password_with_config(config).map(Zeroizing::new);
    drop(shown_again);
    terminal.write_all(b"\n")?;
    line
}

/// The same, as `rpassword` has it.
#[cfg(not(unix))]
pub(crate) fn hidden_line(prompt: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(prompt).map(Zeroizing::new)
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Read};

    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    /// The byte that ^C is to a terminal that makes no signal of it.
    const INTERRUPT: u8 = 3;

    /// A terminal that does not show what is typed, for as long as this lives.
    pub(super) struct Hidden {
        terminal: File,
        before: Termios,
    }

    impl Hidden {
        pub(super) fn of(terminal: File) -> io::Result<Self> {
            let before = tcgetattr(&terminal)?;
            let mut hidden = before.clone();
            let shows = LocalModes::ECHO | LocalModes::ECHONL;
            hidden.local_modes.remove(shows | LocalModes::ICANON | LocalModes::ISIG);
            hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
            hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
            // What was typed before, and shown, is no part of the line.
            tcsetattr(&terminal, OptionalActions::Flush, &hidden)?;
            Ok(Self { terminal, before })
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            // There is nobody to tell: the terminal is gone.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        }
    }

    /// The bytes that are typed, up to a ^C.
    pub(super) struct UntilInterrupt(pub(super) File);

    impl Read for UntilInterrupt {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(into)?;
            match into.get(..n).is_some_and(|typed| typed.contains(&INTERRUPT)) {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => Ok(n),
            }
        }
    }
}
