"""
Completion for bash, zsh and fish, made from the command line's own tables.

Names of people come from the peer that runs, by `p2pchat completion people`, which is quick and silent; where none
runs there are none. Everything else stands in the scripts.
"""

import shlex
from collections.abc import Iterable, Iterator

from .grammar import Command, Option, Value, command_line

HEADER = "# Completion of p2pchat, made from its tables of options; also: p2pchat completion "

BASH = """\
_p2pchat_people() {
    local name
    p2pchat completion people ${state:+--state "$state"} 2>/dev/null | while IFS= read -r name; do
        [[ $name == "$current"* ]] && printf '%q\\n' "$name"
    done
}

_p2pchat() {
    local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}"
    local command="" state="" operands=0 words="" at
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case "${COMP_WORDS[at]}" in
            --state) state="${COMP_WORDS[++at]}" ;;
            @VALUED@) ((++at)) ;;
            -?*) ;;
            *)
                case "$command" in
                    "") command="${COMP_WORDS[at]}" ;;
                    @GROUPS@) command+=" ${COMP_WORDS[at]}" ;;
                    *) ((++operands)) ;;
                esac
                ;;
        esac
    done
    case "$command $before" in
@VALUES@
    esac
    if [[ $current == -* ]]; then
        case "$command" in
@OPTIONS@
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
    fi
    case "$command $operands" in
@OPERANDS@
    esac
}

complete -F _p2pchat p2pchat
"""

ZSH = """\
_p2pchat_people() {
    local -a people
    people=(${(f)"$(p2pchat completion people ${opt_args[--state]:+--state} ${opt_args[--state]} 2>/dev/null)"})
    compadd "$@" -a people
}

@FUNCTIONS@

_p2pchat "$@"
"""

FISH = """\
function __p2pchat_command
    set -l command
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case @VALUED@
                set skip 1
            case '-?*'
            case '*'
                set -a command $word
        end
    end
    echo "$command"
end

function __p2pchat_in
    string match -qr -- "^$argv( |\\$)" (__p2pchat_command)
end

function __p2pchat_at
    test (__p2pchat_command) = "$argv"
end

function __p2pchat_people
    set -l words (commandline -opc)
    set -l at (contains -i -- --state $words)
    and set -l state --state $words[(math $at + 1)]
    p2pchat completion people $state 2>/dev/null
end

complete -c p2pchat -f
"""


def script(shell: str) -> str:
    """The completion for `bash`, `zsh` or `fish`."""
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell]()


def _valued(whole: Command) -> list[str]:
    """The options that a word follows, of all commands; none of them stands alone in another one."""
    return sorted({option.name for command in whole.all() for option in command.options if option.value})


# --- bash


def bash() -> str:
    """For bash 4 and newer."""
    whole = command_line()
    everything = list(whole.all())
    valued = [name for name in _valued(whole) if name != "--state"]
    groups = [command.path for command in everything if command.path and command.commands]
    values = [
        f'        "{command.path} {option.name}") {_bash_value(option.value)}; return ;;'
        for command in everything
        for option in command.options
        if option.value
    ]
    options = [
        f'            "{command.path}") words="{" ".join(option.name for option in command.options)}" ;;'
        for command in everything
    ]
    operands = [line for command in everything for line in _bash_operands(command)]
    text = BASH.replace("@VALUED@", " | ".join(valued)).replace("@GROUPS@", " | ".join(groups))
    text = text.replace("@VALUES@", "\n".join(values)).replace("@OPTIONS@", "\n".join(options))
    return f"{HEADER}bash\n\n{text.replace('@OPERANDS@', chr(10).join(operands))}"


def _bash_value(value: Value) -> str:
    match value.kind:
        case "words":
            return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(value.words)}" -- "$current")'
        case "files":
            return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")'
        case "directories":
            return 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current")'
        case "people" if value.words:
            return f'mapfile -t COMPREPLY < <(compgen -W "{" ".join(value.words)}" -- "$current"; _p2pchat_people)'
        case "people":
            return "mapfile -t COMPREPLY < <(_p2pchat_people)"
    return ":"


def _bash_operands(command: Command) -> Iterator[str]:
    if command.commands:
        names = " ".join(each.name for each in command.commands)
        yield f'        "{command.path} 0") mapfile -t COMPREPLY < <(compgen -W "{names}" -- "$current") ;;'
    for place, operand in enumerate(command.operands):
        if operand.kind != "anything":
            yield f'        "{command.path} {place}") {_bash_value(operand)} ;;'


# --- zsh


def zsh() -> str:
    """For zsh's own completion system."""
    functions = "\n\n".join(_zsh_function(command) for command in command_line().all() if command.commands)
    return f"#compdef p2pchat\n{HEADER}zsh\n\n{ZSH.replace('@FUNCTIONS@', functions)}"


def _zsh_function(command: Command) -> str:
    name = "_".join(["_p2pchat", *command.path.split()])
    described = " ".join(shlex.quote(f"{each.name}:{each.help}") for each in command.commands)
    cases = "\n".join(f"        {each.name}) {_zsh_case(each)} ;;" for each in command.commands)
    arguments = " ".join(_zsh_options(command.options))
    return f"""{name}() {{
    local context state state_descr line curcontext="$curcontext"
    {"typeset -A opt_args" if not command.path else ":"}
    local -a commands
    commands=({described})
    _arguments -C {arguments} '1:command:->command' '*::argument:->arguments' && return
    case $state in
        command) _describe command commands; return ;;
    esac
    case $words[1] in
{cases}
    esac
}}"""


def _zsh_case(command: Command) -> str:
    if command.commands:
        return "_".join(["_p2pchat", *command.path.split()])
    operands = [
        shlex.quote(f"{'*' if operand.many else place}:{operand.name}:{_zsh_value(operand)}")
        for place, operand in enumerate(command.operands, 1)
    ]
    return " ".join(["_arguments", *_zsh_options(command.options), *operands])


def _zsh_options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        words = option.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
        value = f":{option.value.name}:{_zsh_value(option.value)}" if option.value else ""
        yield shlex.quote(f"{'*' if option.repeatable else ''}{option.name}[{words}]{value}")


def _zsh_value(value: Value) -> str:
    match value.kind:
        case "words":
            return f"({' '.join(value.words)})"
        case "files":
            return "_files"
        case "directories":
            return "_directories"
        case "people" if value.words:
            return f'_alternative "words:setting:({" ".join(value.words)})" "people:name:_p2pchat_people"'
        case "people":
            return "_p2pchat_people"
    return " "


# --- fish


def fish() -> str:
    """For fish 3 and newer."""
    whole = command_line()
    lines = [line for command in whole.all() for line in _fish_lines(command)]
    return f"{HEADER}fish\n\n{FISH.replace('@VALUED@', ' '.join(_valued(whole)))}" + "\n".join(lines) + "\n"


def _fish_lines(command: Command) -> Iterator[str]:
    here = _fish_quoted(f"__p2pchat_at {_fish_quoted(command.path)}")
    inside = _fish_quoted(f"__p2pchat_in {_fish_quoted(command.path)}") if command.path else here
    for each in command.commands:
        yield f"complete -c p2pchat -n {here} -a {each.name} -d {_fish_quoted(each.help)}"
    for option in command.options:
        value = "" if option.value is None else f" {_fish_value(option.value)}"
        name = option.name.removeprefix("--")
        yield f"complete -c p2pchat -n {inside} -l {name}{value} -d {_fish_quoted(option.help)}"
    for operand in command.operands[:1]:
        if operand.kind != "anything":
            yield f"complete -c p2pchat -n {here} {_fish_operand(operand)}"


def _fish_value(value: Value) -> str:
    match value.kind:
        case "words":
            return f"-x -a {_fish_quoted(' '.join(value.words))}"
        case "files":
            return "-r -F"
        case "directories":
            return "-x -a '(__fish_complete_directories)'"
        case "people":
            return "-x -a '(__p2pchat_people)'"
    return "-x"


def _fish_operand(value: Value) -> str:
    match value.kind:
        case "files":
            return "-F"
        case "people" if value.words:
            return f"-a {_fish_quoted(' '.join((*value.words, '(__p2pchat_people)')))}"
        case "people":
            return "-a '(__p2pchat_people)'"
    return f"-a {_fish_quoted(' '.join(value.words))}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
