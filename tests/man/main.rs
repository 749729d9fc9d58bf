//! The manual against the code: what it says of options, commands and messages is so.

mod binds;
mod help;
mod options;
mod page;
mod program;
mod source;
mod status;
