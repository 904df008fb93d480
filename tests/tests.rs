//! The one integration binary: whole modules together, and against real servers where there are any.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cases;
mod support;
