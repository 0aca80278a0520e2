
complete -c astro -a "(astro __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null | string match -v ':*')"
