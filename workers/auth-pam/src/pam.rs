//! libpam, as far as it is used here: pam(3), `<security/pam_appl.h>` of Linux-PAM.
#![allow(unsafe_code, reason = "the only module of this crate that needs it")]

use crate::conversation::{Conversation, Reply, Style};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr::{NonNull, null, null_mut};
use zeroize::Zeroizing;

const SUCCESS: c_int = 0;
const BUF_ERR: c_int = 5;
const CONV_ERR: c_int = 19;

/// An empty password in the system's files is nobody's: without it, a module that was never asked may
/// say yes after another one that was, and said no.
const DISALLOW_NULL_AUTHTOK: c_int = 1;
const PROMPT_ECHO_OFF: c_int = 1;
const PROMPT_ECHO_ON: c_int = 2;

const USER: c_int = 2;
const RHOST: c_int = 4;
const FAIL_DELAY: c_int = 10;

/// Most messages of one call (`PAM_MAX_NUM_MSG`).
const MAX_MESSAGES: usize = 32;

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

type Converse = extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int;

#[repr(C)]
struct Conv {
    converse: Converse,
    data: *mut c_void,
}

/// `pam_handle_t`.
#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

// SAFETY: as `<security/pam_appl.h>` of Linux-PAM declares them; on this platform `int` is a `c_int`.
#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conv: *const Conv,
        directory: *const c_char,
        handle: *mut *mut Handle,
    ) -> c_int;
    fn pam_set_item(handle: *mut Handle, item: c_int, value: *const c_void) -> c_int;
    fn pam_authenticate(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_strerror(handle: *mut Handle, code: c_int) -> *const c_char;
}

// SAFETY: as glibc's `<nss.h>` declares it.
unsafe extern "C" {
    /// Which services look up what a database has, instead of what `nsswitch.conf` says.
    fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
}

/// Users are looked up in the files of this machine, whatever `/etc/nsswitch.conf` says, and the C
/// library has what it needs for that: all other ways are libraries that would have to be loaded,
/// and servers that could not be reached.
pub fn look_up_in_files() {
    for database in [c"passwd", c"shadow", c"group"] {
        // SAFETY: two constant texts; nothing has looked anybody up yet.
        unsafe { __nss_configure_lookup(database.as_ptr(), c"files".as_ptr()) };
    }
    let root = c"root".as_ptr();
    // SAFETY: a constant text; this process has one thread, and what is returned is not looked at.
    unsafe {
        libc::getpwnam(root);
        libc::getspnam(root);
        libc::getgrnam(root);
    }
}

/// Lets go of the system log, should a module have written something to it in the warm-up.
pub fn close_system_log() {
    // SAFETY: closes the C library's own descriptor, if it has one.
    unsafe { libc::closelog() };
}

/// Why the answer is no.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What libpam says, and of which phase.
    #[error("{phase}: {text}")]
    Said {
        /// `authentication`, `account` or `session`.
        phase: &'static str,
        /// In PAM's words.
        text: String,
    },
    /// They are happy, but nobody has looked at the password.
    #[error("no module has asked for the password")]
    NotAsked,
    /// There is more to know than a password.
    #[error("a module asks for something else than the password")]
    AsksMore,
    /// It cannot be said to a C library.
    #[error("a user name or password with a zero byte")]
    Zero,
}

/// The modules of a service.
pub struct Modules {
    handle: NonNull<Handle>,
    // libpam has a pointer to it as long as the handle lives: which is as long as the process.
    conversation: NonNull<Conversation>,
}

impl Modules {
    /// Loads them. They are never unloaded: what is left of them ends with the process, and their
    /// way out would run under the filter.
    ///
    /// # Errors
    /// What libpam says, in one line.
    pub fn load(directory: &Path, service: &str) -> Result<Self, String> {
        let text = |text: &str| CString::new(text).map_err(|error| error.to_string());
        let (directory, service) = (text(&directory.to_string_lossy())?, text(service)?);
        let conversation = NonNull::from(Box::leak(Box::<Conversation>::default()));
        // libpam copies this.
        let conv = Conv {
            converse,
            data: conversation.as_ptr().cast(),
        };
        let mut handle = null_mut();
        // SAFETY: texts that end with zero, and places that live longer than the call.
        let code = unsafe {
            pam_start_confdir(
                service.as_ptr(),
                null(),
                &raw const conv,
                directory.as_ptr(),
                &raw mut handle,
            )
        };
        let handle = NonNull::new(handle).filter(|_| code == SUCCESS);
        let handle = handle.ok_or_else(|| format!("PAM cannot be started (code {code})"))?;
        let modules = Self {
            handle,
            conversation,
        };
        let delay: extern "C" fn(c_int, c_uint, *mut c_void) = no_delay;
        modules.set(FAIL_DELAY, delay as *const c_void)?;
        // No terminal is named: pam_unix would look for its user among those who are logged in.
        Ok(modules)
    }

    /// `value` is what libpam wants for this item: it copies texts.
    fn set(&self, item: c_int, value: *const c_void) -> Result<(), String> {
        // SAFETY: the callers pass texts that end with zero, or, for `FAIL_DELAY`, a function.
        match unsafe { pam_set_item(self.handle.as_ptr(), item, value) } {
            SUCCESS => Ok(()),
            code => Err(self.words(code)),
        }
    }

    fn words(&self, code: c_int) -> String {
        // SAFETY: libpam returns a text of its own that lives as long as the process.
        let text = unsafe { pam_strerror(self.handle.as_ptr(), code).as_ref() };
        // SAFETY: as above, and it ends with zero.
        let text = text.map(|text| unsafe { CStr::from_ptr(text) });
        text.map_or_else(
            || format!("code {code}"),
            |text| text.to_string_lossy().into_owned(),
        )
    }

    /// Do they belong together, and may this user come in now? With `session`, one is opened and
    /// closed too. `host` is where the client is.
    ///
    /// # Errors
    /// Why not.
    pub fn ask(
        &self,
        username: &str,
        password: &[u8],
        host: Option<&str>,
        session: bool,
    ) -> Result<(), Failure> {
        let zero = |_| Failure::Zero;
        let user = CString::new(username).map_err(zero)?;
        if password.contains(&0) {
            return Err(Failure::Zero);
        }
        let mut text = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        text.extend_from_slice(password);
        text.push(0);
        self.with(|conversation| conversation.password = Some(text));
        let handle = self.handle.as_ptr();
        let prepare = || {
            self.set(USER, user.as_ptr().cast())?;
            if let Some(host) = host {
                let host = CString::new(host).map_err(|error| error.to_string())?;
                self.set(RHOST, host.as_ptr().cast())?;
            }
            Ok(())
        };
        let said = |phase, text| Failure::Said { phase, text };
        prepare().map_err(|text| said("start", text))?;
        let phase = |phase, code| match code {
            SUCCESS => Ok(()),
            code => Err(said(phase, self.words(code))),
        };
        let flags = DISALLOW_NULL_AUTHTOK;
        // SAFETY: a handle of `pam_start_confdir`'s; the modules come back to `converse` only.
        let authenticated = unsafe { pam_authenticate(handle, flags) };
        let account = || {
            // SAFETY: as above.
            let code = unsafe { pam_acct_mgmt(handle, flags) };
            phase("account", code)
        };
        let decided = phase("authentication", authenticated).and_then(|()| account());
        let decided = decided.and_then(|()| match session {
            true => {
                // SAFETY: as above.
                let opened = unsafe { pam_open_session(handle, 0) };
                phase("session", opened)?;
                // SAFETY: as above.
                phase("session", unsafe { pam_close_session(handle, 0) })
            }
            false => Ok(()),
        });
        self.with(|conversation| {
            conversation.password = None;
            match decided {
                _ if conversation.asks_more => Err(Failure::AsksMore),
                Ok(()) if !conversation.asked => Err(Failure::NotAsked),
                decided => decided,
            }
        })
    }

    /// What the modules have said to the person, for the log.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.with(|conversation| std::mem::take(&mut conversation.lines))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Conversation) -> T) -> T {
        // SAFETY: it is never freed; this process has one thread, and no module runs now.
        act(unsafe { &mut *self.conversation.as_ptr() })
    }
}

/// How long a failure takes is our matter: it must not tell one from another.
extern "C" fn no_delay(_: c_int, _: c_uint, _: *mut c_void) {}

extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let count = match usize::try_from(count) {
        Ok(count @ 1..=MAX_MESSAGES) => count,
        _ => return CONV_ERR,
    };
    // SAFETY: what `Modules::load` has said; nobody else looks at it while a module runs.
    let conversation = unsafe { &mut *data.cast::<Conversation>() };
    // SAFETY: pam_conv(3): so many pointers to messages, as Linux-PAM passes them.
    let messages = unsafe { std::slice::from_raw_parts(messages, count) };
    // SAFETY: zeroed memory that libpam frees; null when there is none.
    let answers: *mut Response = unsafe { libc::calloc(count, size_of::<Response>()) }.cast();
    if answers.is_null() {
        return BUF_ERR;
    }
    let mut answered = true;
    for (index, message) in messages.iter().enumerate() {
        // SAFETY: pam_conv(3): each points to a message.
        let Message { style, text } = unsafe { message.read() };
        let style = match style {
            PROMPT_ECHO_OFF => Style::Hidden,
            PROMPT_ECHO_ON => Style::Shown,
            _ => Style::Text,
        };
        let said = || match text.is_null() {
            true => String::new(),
            // SAFETY: pam_conv(3): a text that ends with zero.
            false => unsafe { CStr::from_ptr(text) }
                .to_string_lossy()
                .into_owned(),
        };
        match conversation.hear(style, said) {
            Reply::Nothing => {}
            Reply::None => answered = false,
            Reply::Password(password) => {
                // SAFETY: it ends with zero; libpam overwrites and frees the copy.
                let copy = unsafe { libc::strdup(password.as_ptr().cast()) };
                answered &= !copy.is_null();
                // SAFETY: one of the `count` that were allocated.
                unsafe { (*answers.add(index)).text = copy };
            }
        }
    }
    if !answered {
        // SAFETY: the `count` that were allocated, and have been given to nobody.
        unsafe { forget(answers, count) };
        return CONV_ERR;
    }
    // SAFETY: a place for one pointer, which libpam frees.
    unsafe { *responses = answers };
    SUCCESS
}

/// # Safety
/// `calloc`'s, so many of them, their texts null or `strdup`'s; not to be used afterwards.
unsafe fn forget(answers: *mut Response, count: usize) {
    for index in 0..count {
        // SAFETY: as the caller promises; a text ends with zero.
        unsafe {
            let text = (*answers.add(index)).text;
            if !text.is_null() {
                libc::explicit_bzero(text.cast(), libc::strlen(text));
                libc::free(text.cast());
            }
        }
    }
    // SAFETY: as the caller promises.
    unsafe { libc::free(answers.cast()) };
}
