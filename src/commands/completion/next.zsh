
_astro() {
    local -a given=("${(@)words[1,CURRENT]}") next
    local ret=1
    _astro_own "$@" && ret=0
    next=(${(f)"$("$given[1]" __complete "${(@)given[2,-1]}" 2>/dev/null)"})
    next=(${next:#:*})
    next=(${next//:/\\:})
    next=(${next/$'\t'/:})
    (( $#next )) && _describe -t next 'next astro' next && ret=0
    return ret
}
