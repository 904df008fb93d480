//! `logweir check`.
use super::{CheckArgs, Common, Exit, load};
pub(super) fn run(common: &Common, _args: &CheckArgs) -> Exit {
    match load(common) {
        Ok(_) => Exit::Ok,
        Err(exit) => exit,
    }
}
