//! The tree as a picture.

use super::forest::{Forest, What};

/// Height of a line, and how far what comes after something is to the right of it.
const LINE: usize = 28;
const STEP: usize = 24;
/// Around all of it.
const EDGE: usize = 20;
/// Width of a letter, as wide as the widest of usual fonts.
const LETTER: usize = 9;

/// Draws it: a circle for each snapshot, below what it came after, and a filled one for the VM.
pub(super) fn draw(forest: &Forest) -> String {
    let place = |line: usize, depth: usize| (EDGE + STEP * depth, EDGE + LINE * (line + 1));
    let (mut paths, mut marks) = (String::new(), String::new());
    let mut width = forest.title.chars().count() * LETTER;
    for (line, node) in forest.nodes.iter().enumerate() {
        let (x, y) = place(line, node.depth);
        if let Some(parent) = node.parent {
            let (from_x, from_y) = place(parent, forest.nodes[parent].depth);
            paths += &format!("<path d=\"M{from_x} {from_y}V{y}H{x}\"/>\n");
        }
        let (class, text, tip) = match &node.what {
            What::Snapshot { uuid, time, says } => {
                let mut text = says.join(", ");
                text = if text.is_empty() { time.clone() } else { format!("{text}  {time}") };
                ("snapshot", text, uuid.to_string())
            }
            What::Now => ("now", "now".into(), String::new()),
        };
        width = width.max(x + text.chars().count() * LETTER);
        let (text, tip) = (escaped(&text), escaped(&tip));
        marks += &format!(
            "<g class=\"{class}\"><title>{tip}</title><circle cx=\"{x}\" cy=\"{y}\" r=\"6\"/><text x=\"{}\" y=\"{}\">{text}</text></g>\n",
            x + 14,
            y + 5
        );
    }
    let (width, height) = (width + 2 * EDGE, 2 * EDGE + LINE * forest.nodes.len());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <style>path {{ fill: none; stroke: #888 }} circle {{ fill: #fff; stroke: #333; stroke-width: 2 }} .now circle {{ fill: #333 }}</style>\n\
         <text x=\"{EDGE}\" y=\"{EDGE}\" font-weight=\"bold\">{}</text>\n{paths}{marks}</svg>\n",
        escaped(&forest.title)
    )
}

/// Returns text as XML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_label_cannot_be_markup() {
        assert_eq!(super::escaped("<b> & \"c\""), "&lt;b&gt; &amp; &quot;c&quot;");
    }
}
