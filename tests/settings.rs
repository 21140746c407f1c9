//! Every setting has its effect, wherever it is set.

mod keys;
mod order;
mod patience;
mod proxies;
mod signals;
mod talk;
mod trust;
