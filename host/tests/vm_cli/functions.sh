# What transcripts of machines have beside sh. Each wait has a limit, and then says what it waited for.

# until_it_says PATTERN COMMAND…  repeats the command until a line of what it says has the pattern, and says all of it.
until_it_says() {
    wanted=$1
    shift
    within_limit "\"$*\" does not say \"$wanted\"" it_says "$@" && printf '%s\n' "$said"
}

# until_gone FILE…  waits until there is none of them.
until_gone() {
    within_limit "there still is one of $*" are_gone "$@"
}

# guest_writes VM TEXT  puts text at the beginning of its private disk while it runs; its guest is none.
guest_writes() {
    printf %s "$2" | dd of="pool/appvms/$1/private-dirty.img" conv=notrunc status=none
}

# written_to VM…  says with what the private disk of each that runs begins.
written_to() {
    for vm; do
        head -c 6 "pool/appvms/$vm/private-dirty.img" | tr '\0' .
        echo
    done
}

within_limit() {
    # Three minutes: machines of other tests run beside these.
    problem=$1 limit=$(($(date +%s) + 180))
    shift
    until "$@"; do
        if [ "$(date +%s)" -ge "$limit" ]; then
            printf 'after three minutes %s\n%s\n' "$problem" "${said-}" >&2
            return 1
        fi
        sleep 0.1
    done
}

it_says() {
    said=$("$@" 2>&1)
    printf '%s\n' "$said" | grep -q -E -e "$wanted"
}

are_gone() {
    for file; do
        [ ! -e "$file" ] || return 1
    done
}
