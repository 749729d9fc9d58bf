//! Headers and bitmaps.
