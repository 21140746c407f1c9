//! Every setting has its effect, wherever it is set.

mod order;
mod signals;
