//! `ebbtide manual`: the definition of the command line flows in, its manual page (mdoc) flows out.

use super::{Context, out};
use clap::{Arg, ArgAction, Command};
use ebbtide::Result;

/// Print the manual page, as man/ebbtide.1 has it
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Context, _: &Options) -> Result<()> {
    let mut command = super::command();
    command.build();
    out::text(&page(&command))
}

/// What comes before the first section.
const HEAD: &str = "\
.\\\" Written by `ebbtide manual` from the definition of the command line; a test compares them.
.Dd November 21, 2026
.Dt EBBTIDE 1
.Os Ebbtide
";

/// What the definition of the command line does not say.
const TAIL: &str = "\
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev EBBTIDE_POOL
The pool's directory, where there is no
.Fl -pool .
.It Ev EBBTIDE_IMAGES
The directory in which
.Fl -from-recipe
finds images by their name.
.It Ev RUST_LOG
What is logged to standard error, beside what
.Fl v
says:
.Cm warn ,
.Cm info ,
.Cm debug .
.It Ev XDG_CONFIG_HOME
Where the user's configuration is, instead of
.Pa ~/.config .
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa ~/.config/ebbtide/config.toml
The user's configuration.
Its line
.Li pool = \\(dqDIR\\(dq
names the pool where neither
.Fl -pool
nor
.Ev EBBTIDE_POOL
does.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Done.
.It 1
Refused before anything was changed, or failed.
Standard error says what was wanted, what was found, and where there is one, a hint.
What a failure left half done, the next command finishes or undoes, and says so.
.It 2
The arguments were not understood, or a name or a size is none.
.El
";

const SEE_ALSO: &str = "\
.Sh SEE ALSO
.Xr qemu 1 ,
.Xr qemu-img 1 ,
.Xr ebbtide-init 8
";

/// Returns the whole page.
fn page(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let globals: Vec<&Arg> = shown(command).collect();
    let synopsis: String = globals.iter().map(|arg| format!(".{}\n", usage(arg))).collect();
    let mut text = HEAD.to_owned();
    text += &format!(".Sh NAME\n.Nm ebbtide\n.Nd {}\n", escape(&lower(&about)));
    text += &format!(".Sh SYNOPSIS\n.Nm\n{synopsis}.Ar verb ...\n.Sh DESCRIPTION\n");
    text += &paragraphs(&long(command));
    text += ".Ss Options before or after every verb\n";
    text += &list(&globals);
    text += ".Sh COMMANDS\n";
    text += &verbs(command);
    text += TAIL;
    text += ".Sh EXAMPLES\n.Bd -literal -offset indent\n";
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in examples.lines().skip(1) {
        text += &format!("{}\n", escape(line.trim_start()));
    }
    text + ".Ed\n" + SEE_ALSO
}

/// Returns a section for each group of verbs, and one for those that stand alone.
fn verbs(command: &Command) -> String {
    let visible = || command.get_subcommands().filter(|verb| is_shown(verb));
    let mut text = String::new();
    for group in visible().filter(|verb| verb.has_subcommands()) {
        let about = group.get_about().map(ToString::to_string).unwrap_or_default();
        text += &format!(".Ss ebbtide {}\n{}.\n", group.get_name(), escape(&about));
        text += ".Bl -tag -width Ds\n";
        for verb in group.get_subcommands().filter(|verb| is_shown(verb)) {
            text += &item(&format!("{} {}", group.get_name(), verb.get_name()), verb);
        }
        text += ".El\n";
    }
    text += ".Ss Verbs of their own\n.Bl -tag -width Ds\n";
    for verb in visible().filter(|verb| !verb.has_subcommands()) {
        text += &item(verb.get_name(), verb);
    }
    text + ".El\n"
}

/// Returns a verb with its arguments, what it does, and the list of its options.
fn item(name: &str, verb: &Command) -> String {
    let args: Vec<&Arg> = shown(verb).filter(|arg| !arg.is_global_set()).collect();
    let (values, options): (Vec<&Arg>, Vec<&Arg>) =
        args.iter().partition(|arg| arg.is_positional());
    let usages: String =
        values.iter().chain(&options).map(|arg| format!(" {}", usage(arg))).collect();
    format!(".It Cm {name}{usages}\n{}{}{}", paragraphs(&long(verb)), list(&args), after(verb))
}

/// Returns what a verb says after its options, line by line.
fn after(verb: &Command) -> String {
    let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines: String = text.lines().map(|line| escape(line) + "\n").collect();
    if lines.is_empty() { lines } else { format!(".Bd -literal\n{lines}.Ed\n") }
}

/// Returns arguments and what each means.
fn list(args: &[&Arg]) -> String {
    let items: String = args.iter().map(|arg| describe(arg)).collect();
    if items.is_empty() { items } else { format!(".Bl -tag -width Ds\n{items}.El\n") }
}

fn describe(arg: &Arg) -> String {
    let names = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("Fl {short} , Fl -{long}{}", value(arg)),
        (None, Some(long)) => format!("Fl -{long}{}", value(arg)),
        (Some(short), None) => format!("Fl {short}{}", value(arg)),
        (None, None) => value(arg).trim_start().to_owned(),
    };
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = paragraphs(&help.map(ToString::to_string).unwrap_or_default());
    for possible in arg.get_possible_values().iter().filter(|_| takes_value(arg)) {
        let help = possible.get_help().map(ToString::to_string).unwrap_or_default();
        let line = format!("{}: {help}", possible.get_name());
        text += &format!(".br\n{}\n", escape(line.trim_end_matches([':', ' '])));
    }
    format!(".It {names}\n{text}")
}

/// Returns an argument as SYNOPSIS has it.
fn usage(arg: &Arg) -> String {
    let many = if matches!(arg.get_action(), ArgAction::Append) { " Ar ..." } else { "" };
    let bare = match arg.get_long() {
        Some(long) => format!("Fl -{long}{}{many}", value(arg)),
        None => format!("{}{many}", value(arg).trim_start()),
    };
    if arg.is_required_set() { bare } else { format!("Oo {bare} Oc") }
}

fn value(arg: &Arg) -> String {
    if !takes_value(arg) {
        return String::new();
    }
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(|name| format!(" Ar {name}")).collect()
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// Returns the arguments that are for readers; each command has help, and says so itself.
fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set() && !is_of_every_program(arg))
}

fn is_of_every_program(arg: &Arg) -> bool {
    use ArgAction::{Help, HelpLong, HelpShort, Version};
    matches!(arg.get_action(), Help | HelpShort | HelpLong | Version)
}

fn is_shown(verb: &Command) -> bool {
    !verb.is_hide_set() && verb.get_name() != "help"
}

fn long(command: &Command) -> String {
    command
        .get_long_about()
        .or_else(|| command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Returns text as paragraphs whose last sentence ends.
fn paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let line = paragraph.trim().replace('\n', " ");
        let stop = if line.ends_with(['.', ':', '?']) { "" } else { "." };
        // A sentence on a line of its own, which a quote would make a command.
        let lines = escape(&line).replace(". '", ".\n\\&'").replace(". ", ".\n");
        format!("{lines}{stop}\n")
    });
    paragraphs.collect::<Vec<_>>().join(".Pp\n")
}

/// Returns text that roff prints as it is.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// Returns text with a small letter at its beginning, without a full stop.
fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_and_every_setting_is_in_the_page() {
        let mut command = crate::cli::command();
        command.build();
        let page = page(&command);
        let groups = command.get_subcommands().filter(|group| group.has_subcommands());
        for group in groups.filter(|group| is_shown(group)) {
            for verb in group.get_subcommands().filter(|verb| is_shown(verb)) {
                let head = format!(".It Cm {} {}", group.get_name(), verb.get_name());
                let line = page.lines().find(|line| {
                    line.split(" Ar ").next().is_some_and(|name| {
                        name.split(" Oo").next() == Some(&head)
                            || name.split(" Fl ").next() == Some(&head)
                    })
                });
                let line = line.unwrap_or_else(|| panic!("{head}"));
                for value in verb.get_positionals().flat_map(|arg| arg.get_value_names().unwrap()) {
                    assert!(line.contains(&format!("Ar {value}")), "{value} is missing: {line}");
                }
            }
        }
        for (key, wanted) in ebbtide::vm::KEYS {
            let line = |line: &str| line.contains(&format!("  {key} ")) && line.ends_with(wanted);
            assert!(page.lines().any(line), "{key}");
        }
    }
}
