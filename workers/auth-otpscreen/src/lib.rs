//! One code on the session's screen, for somebody who sees it to type at the client that wants in.
//!
//! The process lives for one login, from its question to its answer. It has a connection to the X server,
//! which is full power over the session, so what it reads is little: the X server's events, and one
//! typed message of `auth`, in which the name that the client says is the only thing of a stranger's.
//! The code is drawn by `auth`, and compared there.
//!
//! * [`font`]: letters, as rows of points.
//! * [`page`]: what is shown, and where.
//! * [`dialog`]: the window.
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod dialog;
pub mod font;
pub mod page;
pub mod process;
