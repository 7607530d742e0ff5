# Made by `python3 -m toolchain.completion`: what the Tab key offers after ./dev, in bash and zsh.
_llm_stack_dev() {
    local offered="up down rollback install test doctor --help"
    if [ "$COMP_CWORD" -gt 1 ]; then
        case "${COMP_WORDS[1]}" in
            up) offered="--help" ;;
            down) offered="--help --volumes" ;;
            rollback) offered="--help --stack" ;;
            install) offered="--help" ;;
            test) offered="--help" ;;
            doctor) offered="--help" ;;
            *) offered="" ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$offered" -- "${COMP_WORDS[COMP_CWORD]}"))
}
if [ -n "${ZSH_VERSION:-}" ]; then
    whence compdef > /dev/null || { autoload -Uz compinit && compinit; }
    autoload -Uz bashcompinit && bashcompinit
fi
complete -o default -F _llm_stack_dev ./dev
