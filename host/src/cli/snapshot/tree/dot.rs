//! The tree as a graph for Graphviz.

use super::forest::{Forest, What};

/// Draws it.
pub(super) fn draw(forest: &Forest) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&forest.title));
    text += "  rankdir=LR;\n  node [shape=box];\n";
    for (line, node) in forest.nodes.iter().enumerate() {
        match &node.what {
            What::Snapshot { uuid, time, says } => {
                let label = [time.as_str()].into_iter().chain(says.iter().map(String::as_str));
                let label = label.collect::<Vec<_>>().join("\n");
                let (label, tip) = (quoted(&label), quoted(&uuid.to_string()));
                text += &format!("  n{line} [label={label}, tooltip={tip}];\n");
            }
            What::Now => text += &format!("  n{line} [label=\"now\", shape=ellipse];\n"),
        }
        if let Some(parent) = node.parent {
            text += &format!("  n{parent} -> n{line};\n");
        }
    }
    text + "}\n"
}

/// Returns a string of the language: quotes and backslashes are written out, lines are centred.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_cannot_end_its_string() {
        assert_eq!(super::quoted("a\"; b\\\nc"), r#""a\"; b\\\nc""#);
    }
}
