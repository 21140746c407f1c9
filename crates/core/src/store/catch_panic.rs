//! Runs a reader of another crate that may panic on damaged bytes.

use std::{
    cell::Cell,
    panic::{self, UnwindSafe},
    sync::Once,
};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `read`. If it panics, nothing is printed and None is returned.
pub(super) fn catch_panic<T>(read: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    static HUSH: Once = Once::new();
    HUSH.call_once(|| {
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            if !IS_GUARDED.get() {
                say(panicked);
            }
        }));
    });
    IS_GUARDED.set(true);
    let read = panic::catch_unwind(read).ok();
    IS_GUARDED.set(false);
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_and_an_answer_is_itself() {
        assert_eq!(catch_panic(|| Vec::<u8>::new()[0]), None);
        assert_eq!(catch_panic(|| 7), Some(7));
    }
}
