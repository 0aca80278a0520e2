
_astro_all() {
    local line
    _astro "$@"
    while IFS=$'\t' read -r line _; do
        [[ "$line" == "$2"* && "$line" != :* && " ${COMPREPLY[*]} " != *" $line "* ]] && COMPREPLY+=("$line")
    done < <("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
