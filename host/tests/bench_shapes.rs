//! The shapes of images in the benchmark, which has no tests of its own.

#[path = "../benches/versions/shape.rs"]
mod shape;

use shape::{BLOCK, SHAPES, Shape};

#[test]
fn blocks_are_apart_within_the_image_and_in_no_order() {
    for shape in SHAPES.into_iter().filter(|shape| shape.extents > 1) {
        let places = shape.places();
        assert_eq!(places.len() as u64, shape.extents, "{shape}");
        assert!(!places.is_sorted(), "{shape}");
        let mut sorted = places.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|two| two[1] - two[0] >= 2 * BLOCK), "{shape}");
        assert!(sorted.iter().all(|place| place % BLOCK == 0), "{shape}");
        assert!(sorted.last().unwrap() + BLOCK <= shape.bytes(), "{shape}");
        assert_eq!(places, shape.places(), "{shape}");
    }
}

#[test]
fn every_shape_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = SHAPES.iter().map(Shape::to_string).collect();
    assert_eq!(names.len(), SHAPES.len());
    assert!(names.contains("100g-100k") && names.contains("1g-1"), "{names:?}");
}
