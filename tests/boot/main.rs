//! Boots machines and looks at what the init stage made of them.

mod binds;
mod boot;
mod debian;
mod encrypt;
mod faults;
mod first_boot;
mod machine;
mod modules_disk;
mod mounts;
mod power_cuts;
mod private;
mod refusals;
mod stage;
mod waiting;
mod watch;
