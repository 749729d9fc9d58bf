//! The tree for a terminal.

use super::forest::{Forest, What};

/// Draws it.
pub(super) fn draw(forest: &Forest) -> String {
    let mut text = format!("{}\n", forest.title);
    // For each depth what stands there in the lines below.
    let mut before = Vec::new();
    for node in &forest.nodes {
        before.truncate(node.depth);
        text.extend(before.iter().copied());
        text += if node.is_last { "└─ " } else { "├─ " };
        before.push(if node.is_last { "   " } else { "│  " });
        match &node.what {
            What::Snapshot { uuid, time, says } => {
                text += &format!("{uuid}  {time}");
                if !says.is_empty() {
                    text += &format!("  {}", says.join(", "));
                }
            }
            What::Now => text += "* now",
        }
        text.push('\n');
    }
    text
}
