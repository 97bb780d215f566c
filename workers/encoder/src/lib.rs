//! `encoder`: turns the pixels of one client's windows into pictures. It only computes: it reads
//! capture buffers of `display`, writes output buffers for `network`, and has nothing else.
//!
//! * [`session`]: the loop around the channels; [`engine`]: what every message means.
//! * [`offer`]: what the client can show; [`choose`]: which coding a picture gets.
//! * [`codec`]: one module per coding; [`content`]: a glance at the pixels.
//! * [`capture`], [`output`], [`flight`]: buffers that come in, buffers that go out, and what the
//!   client has not acknowledged.
//! * [`window`], [`region`]: what is kept per window, so that everything shown in a lossy coding
//!   is sent again exactly.
//! * [`icon`], [`screenshot`]: the smaller duties.

#![deny(unsafe_code)]

pub mod capture;
pub mod choose;
pub mod codec;
pub mod content;
pub mod engine;
pub mod fault;
pub mod flight;
pub mod icon;
pub mod offer;
pub mod output;
pub mod pixels;
pub mod region;
pub mod screenshot;
pub mod session;
pub mod window;
