//! Every setting has its effect, wherever it is set.

mod signals;
