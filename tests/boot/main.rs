//! Boots machines and looks at what the init stage made of them.

mod stage;
