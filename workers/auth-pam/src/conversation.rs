//! What modules may ask, and what they say: pam_conv(3).

use zeroize::Zeroizing;

/// Most of the modules' lines that are kept for the log, and how many signs of each.
const MAX_LINES: usize = 8;
const MAX_LINE: usize = 256;

/// Something that a module says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// It asks for something that is not shown while it is typed.
    Hidden,
    /// It asks for something that is shown.
    Shown,
    /// It tells the person something.
    Text,
}

/// How it is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'c> {
    /// With the password, a zero byte at its end.
    Password(&'c [u8]),
    /// With nothing, because it has not asked.
    Nothing,
    /// There is no answer: nobody is there to be asked for a second thing.
    None,
}

/// The conversation about one login.
#[derive(Default)]
pub struct Conversation {
    /// With a zero byte at its end.
    pub password: Option<Zeroizing<Vec<u8>>>,
    /// Somebody has asked for it.
    pub asked: bool,
    /// Somebody has asked for more.
    pub asks_more: bool,
    /// What was said to the person, for the log.
    pub lines: Vec<String>,
}

impl Conversation {
    /// Hears one message.
    pub fn hear(&mut self, style: Style, text: impl FnOnce() -> String) -> Reply<'_> {
        match style {
            Style::Text => {
                if self.lines.len() < MAX_LINES {
                    self.lines.push(text().chars().take(MAX_LINE).collect());
                }
                Reply::Nothing
            }
            Style::Hidden if !self.asked => {
                self.asked = true;
                match self.password.as_deref() {
                    Some(password) => Reply::Password(password),
                    None => Reply::None,
                }
            }
            Style::Hidden | Style::Shown => {
                self.asks_more = true;
                Reply::None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation() -> Conversation {
        Conversation {
            password: Some(Zeroizing::new(b"secret\0".to_vec())),
            ..Conversation::default()
        }
    }

    fn nothing() -> String {
        String::new()
    }

    #[test]
    fn one_hidden_question_is_answered_and_no_other() {
        let mut it = conversation();
        assert_eq!(
            it.hear(Style::Hidden, nothing),
            Reply::Password(b"secret\0")
        );
        assert!(it.asked && !it.asks_more);
        assert_eq!(it.hear(Style::Hidden, nothing), Reply::None);
        assert!(it.asks_more);
        // What is typed here is shown: that is no password.
        let mut it = conversation();
        assert_eq!(it.hear(Style::Shown, nothing), Reply::None);
        assert!(it.asks_more && !it.asked);
        // Before there is a question from anybody, in the warm-up.
        let mut it = Conversation::default();
        assert_eq!(it.hear(Style::Hidden, nothing), Reply::None);
    }

    #[test]
    fn what_is_said_is_bounded() {
        let mut it = conversation();
        for _ in 0..1000 {
            assert_eq!(it.hear(Style::Text, || "ü".repeat(1000)), Reply::Nothing);
        }
        assert_eq!(it.lines.len(), MAX_LINES);
        assert_eq!(it.lines[0].chars().count(), MAX_LINE);
        assert!(!it.asked && !it.asks_more);
    }
}
