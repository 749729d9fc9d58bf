//! Random commands and cuts against a small model.
