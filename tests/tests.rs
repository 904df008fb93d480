//! The one integration binary: cases by noun.

mod cases;
mod support;
