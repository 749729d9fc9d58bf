//! Random verbs against a model.
